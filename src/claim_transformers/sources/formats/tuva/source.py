"""Tuva input layer: `medical_claim`, `pharmacy_claim`, `eligibility`, from files or from a warehouse.

Files are CSV, zip, gzip or parquet; a warehouse is any Ibis connection. Both generations of column names are read
(`person_id` or `patient_id`, `drg_code` or `ms_drg_code`). The table of raw and canonical columns is
`docs/sources/tuva.md`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.tuva.claims import LAYOUTS, stage_medical_claims, stage_pharmacy_claims
from claim_transformers.sources.formats.tuva.eligibility import stage_eligibility
from claim_transformers.sources.pipeline.contract import RawLocation, StagedSource, StagedTable
from claim_transformers.sources.pipeline.layout_files import FileLayout, read_layouts
from claim_transformers.sources.pipeline.reading import stage_files
from claim_transformers.sources.pipeline.warehouse import fetch_to_parquet

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

_STAGES: dict[str, Callable[..., StagedTable]] = {
    "eligibility": stage_eligibility,
    "medical_claim": stage_medical_claims,
    "pharmacy_claim": stage_pharmacy_claims,
}
_SUFFIXES = (".csv", ".csv.gz", ".zip", ".parquet")


def read_tuva(
    path: RawLocation,
    connection: Backend,
    *,
    scratch: Path,
    suffix: str = "",
    schema: str | None = None,
    delimiter: str = ",",
    encoding: str = "utf-8",
    layouts: str | Path | None = None,
    name: str = "tuva",
) -> StagedSource:
    """Stage the tables of the Tuva input layer, from files or folders named after them or an Ibis connection.

    Each name ends with the suffix, such as `"_1000p"`; `layouts` is a folder of layout files, copied from the format,
    with columns and `rules` of your own, such as which claims are denied. `name` is the `data_source` of rows that do
    not name their own.
    """
    if isinstance(path, (str, Path)):
        files = _find_tables(Path(path), suffix)
    elif path is None:
        raise ClaimDataError("E_NO_FILE", "expected a folder or an Ibis connection as path, found none")
    else:
        files = fetch_to_parquet(path, tuple(LAYOUTS), scratch / "warehouse", schema=schema, suffix=suffix)
    if not set(files) - {"eligibility"}:
        raise ClaimDataError(
            "E_NO_FILE", "expected medical_claim or pharmacy_claim (CSV, zip, gzip, parquet or table), found neither"
        )
    tables = []
    for table, layout in (LAYOUTS if layouts is None else _read_own_layouts(layouts)).items():
        if table in files:
            used = replace(
                layout.to_layout(),
                delimiter=delimiter,
                encoding=encoding,
                delimiter_advice="pass delimiter={found} (--delimiter)",
            )
            rows, raw_files = stage_files(connection, [(file, used) for file in files[table]], scratch, name=table)
            staged = _STAGES[table](connection, rows, raw_files)
            tables.append(
                replace(
                    staged,
                    checks=(*layout.checks(("D_",)), *staged.checks, *layout.checks(("R_",))),
                    warnings=(*staged.warnings, *layout.checks(("W_",))),
                    denials=layout.denials,
                )
            )
    return StagedSource(name, tuple(tables))


def _read_own_layouts(folder: str | Path) -> dict[str, FileLayout]:
    """Read layout files that a user copied and added to."""
    known = read_layouts(folder)
    for table, layout in LAYOUTS.items():
        if table not in known or (lacking := sorted(set(layout.names) - set(known[table].names))):
            found = f"one without {lacking[0]}" if table in known else "none"
            raise ClaimDataError(
                "E_LAYOUT_FILE", f"expected {table}.yaml with every column of the format in {folder}, found {found}"
            )
    return {table: known[table] for table in LAYOUTS}


def _find_tables(folder: Path, suffix: str = "") -> dict[str, list[Path]]:
    """Find the files of each table: `medical_claim.csv`, `medical_claim_0_1_0.csv.gz` or `medical_claim/*.parquet`."""
    if not folder.is_dir():
        raise ClaimDataError("E_NO_FILE", f"expected a folder at {folder}, found none")
    found: dict[str, list[Path]] = {}
    for table in LAYOUTS:
        name = re.compile(rf"{table}{re.escape(suffix)}([-_.]?\d[\d_-]*)?", re.IGNORECASE)
        files = [
            file
            for file in [*folder.iterdir(), *(folder / f"{table}{suffix}").glob("*")]
            if file.is_file()
            and file.name.lower().endswith(_SUFFIXES)
            and (file.parent != folder or name.fullmatch(_stem(file)))
        ]
        if files:
            found[table] = sorted(files)
    return found


def _stem(file: Path) -> str:
    lowered = file.name.lower()
    suffix = next(suffix for suffix in sorted(_SUFFIXES, key=len, reverse=True) if lowered.endswith(suffix))
    return file.name[: -len(suffix)]
