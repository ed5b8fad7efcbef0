"""Tuva input layer: `medical_claim`, `pharmacy_claim`, `eligibility`, from files or from a warehouse.

Files are CSV, zip, gzip or parquet; a warehouse is any Ibis connection. Both generations of column names are read
(`person_id` or `patient_id`, `drg_code` or `ms_drg_code`). The table of raw and canonical columns is
`docs/sources/tuva.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.tuva import SOURCE
from claim_transformers.sources.formats.tuva.claims import LAYOUTS, stage_medical_claims, stage_pharmacy_claims
from claim_transformers.sources.formats.tuva.eligibility import stage_eligibility
from claim_transformers.sources.pipeline.contract import RawLocation, StagedSource, StagedTable
from claim_transformers.sources.pipeline.reading import stage_files
from claim_transformers.sources.pipeline.table_files import find_table_files
from claim_transformers.sources.pipeline.warehouse import fetch_to_parquet

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

_STAGES: dict[str, Callable[..., StagedTable]] = {
    "eligibility": stage_eligibility,
    "medical_claim": stage_medical_claims,
    "pharmacy_claim": stage_pharmacy_claims,
}


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
        if not Path(path).is_dir():
            raise ClaimDataError("E_NO_FILE", f"expected a folder at {path}, found none")
        files = find_table_files(Path(path), LAYOUTS, suffix)
    elif path is None:
        raise ClaimDataError("E_NO_FILE", "expected a folder or an Ibis connection as path, found none")
    else:
        files = fetch_to_parquet(path, tuple(LAYOUTS), scratch / "warehouse", schema=schema, suffix=suffix)
    if not set(files) - {"eligibility"}:
        raise ClaimDataError(
            "E_NO_FILE", "expected medical_claim or pharmacy_claim (CSV, zip, gzip, parquet or table), found neither"
        )
    tables = []
    for table, layout in SOURCE.read_layouts(layouts).items():
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
