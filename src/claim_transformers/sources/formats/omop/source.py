"""OMOP Common Data Model 5.3 and 5.4: persons, visits, conditions, procedures, drugs and costs become claims.

Files are CSV, zip, gzip or parquet, one or more for each table, with names and headers in any case; a database is a
DuckDB file, a URL or an Ibis connection. No licensed vocabulary is needed: of `concept` the code and the vocabulary of
each concept are read. The table of raw and canonical columns is `docs/sources/omop.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claim_transformers.claims.engine import fetch_rows
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.omop.concepts import read_codes
from claim_transformers.sources.formats.omop.costs import stage_costs
from claim_transformers.sources.formats.omop.events import EVENTS, EventTable, ReadEvents, stage_events
from claim_transformers.sources.formats.omop.people import (
    choose_enrollment,
    stage_deaths,
    stage_periods,
    stage_persons,
)
from claim_transformers.sources.formats.omop.tables import CdmTable, stage_tables
from claim_transformers.sources.formats.omop.visits import read_claims, stage_visits
from claim_transformers.sources.pipeline.contract import RawLocation, StagedSource

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

_MAX_TEXT = 64


def read_omop(
    path: RawLocation,
    connection: Backend,
    *,
    scratch: Path,
    enrollment: str | None = None,
    condition_system: str | None = None,
    procedure_system: str | None = None,
    drug_system: str | None = None,
    schema: str | None = None,
    delimiter: str = ",",
    encoding: str = "utf-8",
    layouts: str | Path | None = None,
) -> StagedSource:
    """Stage the tables of an OMOP CDM."""
    tables = stage_tables(
        path,
        connection,
        scratch=scratch,
        schema=schema,
        delimiter=delimiter,
        encoding=encoding,
        layouts=layouts,
    )
    events = [event for event in EVENTS if _is_used(event, tables)]
    if not events:
        raise ClaimDataError(
            "E_NO_FILE",
            "expected condition_occurrence, procedure_occurrence or drug_exposure, or eras in their place, found none",
        )
    chosen = choose_enrollment(tables, enrollment)
    staged = [stage_persons(tables["person"], has_spans=chosen is not None)]
    if chosen is not None:
        staged.append(stage_periods(chosen, tables[chosen]))
    if "death" in tables:
        staged.append(stage_deaths(tables["death"], has_spans=chosen is not None))

    claims = read_claims(connection, tables)
    staged += [stage_visits(name, tables[name], claims) for name in claims]
    concepts = tables["concept"].rows if "concept" in tables else None
    systems = {"condition": condition_system, "procedure": procedure_system, "drug": drug_system}
    read = []
    for event in events:
        table = tables[event.name]
        codes = read_codes(connection, table.rows, event.triple, concepts, systems[event.domain], event.name)
        read.append((table, ReadEvents(event, codes, claims)))
    for table, of_event in read:
        staged += stage_events(connection, table, of_event)
    if "cost" in tables:
        staged.append(stage_costs(connection, tables["cost"], claims, read))
    return StagedSource("omop", tuple(staged), _describe(connection, tables) | {"enrollment": chosen})


def _is_used(event: EventTable, tables: Mapping[str, CdmTable]) -> bool:
    """Whether a table is read: eras only where there are no rows of what they were made of."""
    if event.name not in tables:
        return False
    of_domain = {one.name for one in EVENTS if one.domain == event.domain and not one.is_era}
    return not event.is_era or not any(name in tables and tables[name].has_rows for name in of_domain)


def _describe(connection: Backend, tables: Mapping[str, CdmTable]) -> dict[str, Any]:
    """Versions of the model and of the vocabulary, for the manifest."""
    if "cdm_source" not in tables:
        return {}
    rows = tables["cdm_source"].rows.select("cdm_version", "vocabulary_version").limit(1)
    found = fetch_rows(connection, rows)
    return {name: value[:_MAX_TEXT] for row in found for name, value in row.items() if value is not None}
