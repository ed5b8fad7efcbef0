"""ExplanationOfBenefit, Patient and Coverage of FHIR, in the dialects STU3 (Blue Button v1), CARIN (R4) and CMS v3.

A path is a file or a folder of bulk ndjson, bundles and single resources. What their elements mean is not in the code
but in the files of `mappings`; the columns that they become are those of `layouts`, listed in
`docs/sources/fhir_eob.md`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from claim_transformers.claims.engine import engine_errors, free_name, open_table
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.fhir_eob.claims import stage_claim_lines, stage_drug_events
from claim_transformers.sources.formats.fhir_eob.documents import (
    EOB,
    PEOPLE,
    RawResources,
    check_resources_differ,
    list_groups,
    stage_resources,
    write_group,
)
from claim_transformers.sources.formats.fhir_eob.eligibility import stage_people
from claim_transformers.sources.formats.fhir_eob.facts import LISTS, ResourceFacts, create_people
from claim_transformers.sources.formats.fhir_eob.mapping import (
    CLAIM_COLUMNS,
    DRUG_COLUMNS,
    LINE_COLUMNS,
    read_dialects,
)
from claim_transformers.sources.formats.fhir_eob.paths import quote_text
from claim_transformers.sources.pipeline.contract import RawLocation, StagedSource, StagedTable
from claim_transformers.sources.pipeline.staging import KEY_PATIENT, staging_elsewhere

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend


def read_fhir_eob(path: RawLocation, connection: Backend, *, scratch: Path) -> StagedSource:
    """Stage the resources at a path."""
    if not isinstance(path, (str, Path)):
        raise ClaimDataError("E_NO_FILE", "expected a file or a folder of FHIR resources, found none or a connection")
    if (stage := staging_elsewhere()) is not None:
        groups = list_groups(Path(path), max_named=sys.maxsize)
        rows, told = stage(connection, [(group.files[0], group) for group in groups], "resources")
        if not told:
            return StagedSource("fhir-eob", ())
        staged, facts = rows.get_name(), ResourceFacts.of_files(told)
        check_resources_differ(facts.groups)
        facts = facts.of_rows(connection, staged) if facts.is_part else facts
    else:
        staged, facts = _stage_groups(connection, stage_resources(connection, Path(path), scratch))
    with engine_errors("reading resources"):
        tables = list(_stage_tables(connection, staged, facts))
    if not facts.has(EOB):
        raise ClaimDataError(
            "E_NO_FILE", "expected ExplanationOfBenefit among the resources, found none: check what was exported"
        )
    sources = {name: dialect.source for name, dialect in read_dialects().items() if facts.dialects.get(name)}
    return StagedSource("fhir-eob", tuple(tables), {"dialects": sources})


def stage_group(
    connection: Backend, path: Path, group: RawResources, scratch: Path
) -> tuple[ir.Table, tuple[ResourceFacts]]:
    """Stage some files alone: their resources with `key_patient`, and what stands in them."""
    write_group(connection, group, 0, scratch)
    staged, facts = _stage_groups(connection, [group])
    patient, join = _filled("patient"), ""
    if facts.has(*PEOPLE):
        people = create_people(connection, staged)
        patient = f"coalesce({patient}, of_people)"
        join = f'LEFT JOIN (SELECT row_no, patient AS of_people FROM "{people}") USING (row_no)'
    name = free_name(connection, "keyed")
    columns = f'"{staged}".*, {patient} AS {KEY_PATIENT}'
    connection.raw_sql(f'CREATE VIEW "{name}" AS SELECT {columns} FROM "{staged}" {join}')
    # The files lie where another machine may look for them no more.
    light = replace(group, unpacked=[], parts=[])
    return open_table(connection, name), (replace(facts, groups=(light,)),)


def _stage_groups(connection: Backend, groups: Sequence[RawResources]) -> tuple[str, ResourceFacts]:
    """Open what was staged of files as a view, and count it."""
    staged = free_name(connection, "resources")
    parts = ", ".join(quote_text(str(part)) for group in groups for part in group.parts)
    with engine_errors("reading resources"):
        rows = f"read_parquet([{parts}], hive_partitioning = false)"
        connection.raw_sql(f'CREATE VIEW "{staged}" AS SELECT * FROM {rows}')
        return staged, ResourceFacts.read(connection, staged, groups)


def _stage_tables(connection: Backend, staged: str, facts: ResourceFacts) -> Iterator[StagedTable]:
    """Stage people, claim lines and drug events, as far as there are any."""
    if facts.has(*PEOPLE):
        people = open_table(connection, create_people(connection, staged))
        files = facts.files(*PEOPLE, takes_rejects=False)
        yield stage_people(connection, people, files, has_spans=facts.has_spans)
    widths = facts.widths
    # What is no JSON could be a claim: it is counted with them.
    if files := facts.files(EOB, is_drug=False):
        yield stage_claim_lines(_claim_lines(connection, staged, widths), files, widths)
    if files := facts.files(EOB, is_drug=True, takes_rejects=False):
        yield stage_drug_events(_drug_events(connection, staged, widths), files, widths)


def _claim_lines(connection: Backend, staged: str, widths: Mapping[str, int]) -> ir.Table:
    names = [
        name for name in (*CLAIM_COLUMNS, *LINE_COLUMNS) if name not in ("claim", "claim_group", "updated", "line")
    ]
    columns = [f'{_filled(name)} AS "{name}"' for name in (*names, "admitting_9", "admitting_10", "claim_type")]
    columns += _numbered(widths, LISTS)
    left_out = " + ".join(f'greatest(len("{of_list}") - {widths[stem] or 60}, 0)' for stem, of_list in LISTS.items())
    columns.append(f"CAST(coalesce({left_out}, 0) AS VARCHAR) AS num_left_out")
    return _view(connection, staged, "claim_lines", columns, "claim_type IS DISTINCT FROM 'RX'")


def _drug_events(connection: Backend, staged: str, widths: Mapping[str, int]) -> ir.Table:
    names = ("patient", "status", "use", "final_action", "system_type", "paid", "claim_type")
    columns = [f'{_filled(name)} AS "{name}"' for name in (*names, *DRUG_COLUMNS[2:])]
    columns.append('coalesce(line_start, "start") AS dispensed')
    # An item names one drug, or the parts of a compound.
    ndcs, quantities = (
        f"CASE WHEN len(detail_ndcs) > 0 AND ndc IS NULL THEN {details} ELSE [{own}] END"
        for details, own in (("detail_ndcs", "ndc"), ("detail_quantities", "quantity"))
    )
    for number in range(1, widths["ndc"] + 1):
        part = f"({ndcs})[{number}]"
        columns += [
            f"CASE WHEN trim({part}) <> '' THEN {part} END AS ndc_{number}",
            f"({quantities})[{number}] AS quantity_{number}",
        ]
    columns.append(f"CAST(greatest(coalesce(len({ndcs}), 0) - {widths['ndc']}, 0) AS VARCHAR) AS num_left_out")
    return _view(connection, staged, "drug_events", columns, "claim_type = 'RX'")


def _filled(column: str, place: str = "") -> str:
    """SQL of a column, null where it holds blanks alone."""
    return f"CASE WHEN trim(replace(\"{column}\"{place}, chr(160), ' ')) <> '' THEN \"{column}\"{place} END"


def _numbered(widths: Mapping[str, int], lists: Mapping[str, str]) -> list[str]:
    return [
        f"{_filled(of_list, f'[{number}]')} AS {stem}_{number}"
        for stem, of_list in lists.items()
        for number in range(1, widths[stem] + 1)
    ]


def _view(connection: Backend, staged: str, name: str, columns: Sequence[str], condition: str) -> ir.Table:
    """A view of the rows of one table: keys of claims and versions, and its own columns."""
    # A claim that is taken back, or is not final, is no version that could be the latest.
    counts = "coalesce(status, 'active') = 'active' AND coalesce(final_action, '') <> 'NotFinalAction'"
    keys = (
        f"{_filled('claim')} || '-' || claim_type AS claim_key, "
        f"coalesce({_filled('claim_group')}, {_filled('claim')}) || '-' || claim_type AS version_key, "
        f"CASE WHEN {counts} THEN coalesce(paid, '') || ' ' || coalesce(updated, '') END AS version, "
        "CASE WHEN has_lines THEN line ELSE '1' END AS line_number, "
        "CASE WHEN has_lines THEN 'yes' ELSE 'no' END AS has_lines"
    )
    connection.raw_sql(
        f'CREATE VIEW "{name}_of_{staged}" AS SELECT source_file, row_no, document, dialect, has_codes, {keys}, '
        f"{', '.join(columns)} FROM \"{staged}\" WHERE kind = '{EOB}' AND {condition}"
    )
    return open_table(connection, f"{name}_of_{staged}")
