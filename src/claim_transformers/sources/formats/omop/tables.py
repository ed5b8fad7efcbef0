"""Tables of a CDM where they lie: files of a folder, or tables of a database, staged with their dates as days."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.omop import SOURCE
from claim_transformers.sources.pipeline.contract import RawFile, RawLocation
from claim_transformers.sources.pipeline.layout_files import FileLayout
from claim_transformers.sources.pipeline.reading import Layout, describe_place, stage_files
from claim_transformers.sources.pipeline.table_files import find_table_files
from claim_transformers.sources.pipeline.visit_claims import day_of
from claim_transformers.sources.pipeline.warehouse import fetch_to_parquet, open_database

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

_LAYOUTS = SOURCE.read_layouts()
# Zero is the number of nothing in a CDM.
_NO_NUMBER = "0"
_LINKS = ("visit_occurrence_id", "visit_detail_id")
# Athena writes the vocabularies with tabs and without quotes, under the name of CSV.
_VOCABULARY = "concept"


@dataclass(frozen=True)
class CdmTable:
    """One table of a CDM."""

    rows: ir.Table  # Staged rows; dates are days, and links to nothing are null.
    files: tuple[RawFile, ...]  # Where they came from.
    layout: FileLayout  # What its columns are.

    @property
    def has_rows(self) -> bool:
        """Whether any file holds rows."""
        return any(file.num_rows for file in self.files)


def stage_tables(
    path: RawLocation,
    connection: Backend,
    *,
    scratch: Path,
    schema: str | None,
    delimiter: str,
    encoding: str,
    layouts: str | Path | None,
) -> dict[str, CdmTable]:
    """Stage the tables that are there, by name."""
    if path is None:
        raise ClaimDataError("E_NO_FILE", "expected a folder, a DuckDB file, a URL or an Ibis connection, found none")
    database = open_database(path, spill_folder=scratch / "database-spill", engine=connection)
    if database is not None:
        files = fetch_to_parquet(database, tuple(_LAYOUTS), scratch / "database", schema=schema)
        if database is not path:
            # It would hold its memory.
            database.disconnect()
    else:
        folder = Path(str(path))
        if not folder.is_dir():
            raise ClaimDataError("E_NO_FILE", f"expected a folder or a DuckDB file at {folder}, found none")
        files = find_table_files(folder, _LAYOUTS)
    if "person" not in files:
        place = (
            "the database" if database is not None else describe_place(Path(str(path)), sum(map(len, files.values())))
        )
        raise ClaimDataError("E_NO_FILE", f"expected the table person of an OMOP CDM, found none: {place}")
    found = {}
    for name, layout in SOURCE.read_layouts(layouts).items():
        if name in files:
            used = replace(
                layout.to_layout(),
                delimiter=delimiter,
                encoding=encoding,
                delimiter_advice="pass delimiter={found} (--delimiter)",
            )
            with_layouts = [(file, _sniff(file, used) if name == _VOCABULARY else used) for file in files[name]]
            rows, raw_files = stage_files(connection, with_layouts, scratch, name=f"omop_{name}")
            found[name] = CdmTable(_tidy(rows, layout), raw_files, layout)
    return found


def _sniff(file: Path, layout: Layout) -> Layout:
    """The layout of a vocabulary, by the signs of its first line."""
    if not file.name.lower().endswith(".csv"):
        return layout
    with file.open("rb") as stream:
        first_line = stream.readline(1 << 16)
    has_tabs = first_line.count(b"\t") > first_line.count(layout.delimiter.encode())
    return replace(layout, delimiter="\t", quote="") if has_tabs else layout


def _tidy(rows: ir.Table, layout: FileLayout) -> ir.Table:
    days = {name: day_of(rows[name]) for name in layout.find_kind("time")}
    links = {name: rows[name].nullif(_NO_NUMBER) for name in _LINKS if name in layout.names}
    return rows.mutate(**days, **links)
