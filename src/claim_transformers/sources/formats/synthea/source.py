"""Synthea: the patients of a simulator, from the CSV files that its exporter writes.

Files are CSV, gzip, zip or parquet with Synthea's own names in any case, of the exporter's older and newer versions.
Times are those of UTC that it writes, of which the day is read. The table of raw and canonical columns is
`docs/sources/synthea.md`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.synthea.claims import (
    read_encounters,
    stage_claims,
    stage_codes,
    stage_encounters,
    stage_medications,
    stage_transactions,
)
from claim_transformers.sources.formats.synthea.people import LAYOUTS, stage_patients, stage_transitions
from claim_transformers.sources.pipeline.contract import RawFile, RawLocation, StagedSource
from claim_transformers.sources.pipeline.reading import describe_place, stage_files
from claim_transformers.sources.pipeline.table_files import find_table_files
from claim_transformers.sources.pipeline.visit_claims import day_of

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

_REQUIRED = ("patients", "encounters")


def read_synthea(path: RawLocation, connection: Backend, *, scratch: Path) -> StagedSource:
    """Stage the tables of a CSV export of Synthea."""
    if not isinstance(path, (str, Path)):
        raise ClaimDataError("E_NO_FILE", "expected the folder of a Synthea export as path, found none")
    files = _find_files(Path(path))
    staged: dict[str, tuple[ir.Table, tuple[RawFile, ...]]] = {}
    for name, layout in LAYOUTS.items():
        if name in files:
            used = [(file, layout.to_layout()) for file in files[name]]
            rows, raw_files = stage_files(connection, used, scratch, name=f"synthea_{name}")
            staged[name] = rows.mutate(**{day: day_of(rows[day]) for day in layout.find_kind("time")}), raw_files

    has_spans = "payer_transitions" in staged
    tables = [stage_patients(*staged["patients"], has_spans=has_spans)]
    if has_spans:
        payers = staged["payers"][0] if "payers" in staged else None
        tables.append(stage_transitions(*staged["payer_transitions"], payers))
    encounters = read_encounters(connection, staged["encounters"][0])
    has_charges = "claims_transactions" in staged
    tables.append(stage_encounters(*staged["encounters"], has_charges=has_charges))
    tables += [stage_codes(name, *staged[name], encounters) for name in ("conditions", "procedures") if name in staged]
    if "medications" in staged:
        tables.append(stage_medications(*staged["medications"], has_charges=has_charges))
    if "claims" in staged:
        tables.append(stage_claims(*staged["claims"], encounters))
    if has_charges:
        tables.append(stage_transactions(*staged["claims_transactions"], encounters))
    return StagedSource("synthea", tuple(tables))


def _find_files(folder: Path) -> dict[str, list[Path]]:
    """Find the files of each table, in any case: `patients.csv`, `patients_1.csv.gz`."""
    found = find_table_files(folder, LAYOUTS)
    if missing := [f"{name}.csv" for name in _REQUIRED if name not in found]:
        place = describe_place(folder, len([*folder.glob("*")]))
        raise ClaimDataError(
            "E_NO_FILE",
            f"expected patients.csv and encounters.csv of Synthea in {folder}, found none of {' and '.join(missing)}: "
            f"{place}",
        )
    return found
