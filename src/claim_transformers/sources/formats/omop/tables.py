"""Tables of a CDM where they lie: files of a folder, or tables of a database, staged with their dates as days."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.omop import SOURCE
from claim_transformers.sources.pipeline.contract import RawFile, RawLocation
from claim_transformers.sources.pipeline.layout_files import FileLayout, read_layouts
from claim_transformers.sources.pipeline.reading import Layout, describe_place, stage_files
from claim_transformers.sources.pipeline.visit_claims import day_of
from claim_transformers.sources.pipeline.warehouse import fetch_to_parquet, open_database

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

_LAYOUTS = SOURCE.read_layouts()
_SUFFIXES = (".csv", ".csv.gz", ".zip", ".parquet")
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
    database = open_database(path)
    if database is not None:
        files = fetch_to_parquet(database, tuple(_LAYOUTS), scratch / "database", schema=schema)
    else:
        files = _find_files(Path(str(path)))
    if "person" not in files:
        place = (
            "the database" if database is not None else describe_place(Path(str(path)), sum(map(len, files.values())))
        )
        raise ClaimDataError("E_NO_FILE", f"expected the table person of an OMOP CDM, found none: {place}")
    known = _LAYOUTS if layouts is None else _read_own_layouts(layouts)
    found = {}
    for name, layout in known.items():
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


def _read_own_layouts(folder: str | Path) -> Mapping[str, FileLayout]:
    """Read layout files that a user copied and changed."""
    known = read_layouts(folder)
    for table, layout in _LAYOUTS.items():
        if table not in known or (lacking := sorted(set(layout.names) - set(known[table].names))):
            found = f"one without {lacking[0]}" if table in known else "none"
            raise ClaimDataError(
                "E_LAYOUT_FILE", f"expected {table}.yaml with every column of the format in {folder}, found {found}"
            )
    return {table: known[table] for table in _LAYOUTS}


def _find_files(folder: Path) -> dict[str, list[Path]]:
    """Find the files of each table, in any case: `person.csv`, `PERSON_1.csv.gz`, `person/*.parquet`."""
    if not folder.is_dir():
        raise ClaimDataError("E_NO_FILE", f"expected a folder or a DuckDB file at {folder}, found none")
    entries = sorted(folder.iterdir())
    found: dict[str, list[Path]] = {}
    for table in _LAYOUTS:
        pattern = re.compile(rf"{table}([-_.]?\d[\d_-]*)?", re.IGNORECASE)
        files = [file for file in entries if file.is_file() and pattern.fullmatch(_stem(file.name) or "")]
        for inner in (one for one in entries if one.is_dir() and one.name.lower() == table):
            files += sorted(file for file in inner.iterdir() if file.is_file() and _stem(file.name) is not None)
        if files:
            found[table] = files
    return found


def _stem(name: str) -> str | None:
    """Name of a file without its ending, `None` if it is of another kind."""
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return None


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
