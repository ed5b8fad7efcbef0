"""Rows of a raw table as a mapping names them: from files, by name or pattern, or from a table of a database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.tables.mapping import Place, read_mapping
from claim_transformers.sources.pipeline.contract import RawFile
from claim_transformers.sources.pipeline.reading import Layout, describe_place, stage_files
from claim_transformers.sources.pipeline.warehouse import fetch_to_parquet, open_database

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis import BaseBackend
    from ibis.backends.duckdb import Backend

SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".csv.gz", ".tsv.gz", ".tab.gz", ".txt.gz", ".zip", ".parquet")


@dataclass
class Inputs:
    """Where the tables of a mapping are, and a folder for what is fetched of them."""

    folder: Path  # Folder of the mapping, from which names of files begin.
    database: BaseBackend | str  # Connection or URL; empty if no table is in a database.
    scratch: Path  # Folder for what is fetched and unpacked.

    def stage(
        self, connection: Backend, place: Place, layout: Layout, name: str
    ) -> tuple[ir.Table, tuple[RawFile, ...]]:
        """Stage the rows of one raw table."""
        where = f"tables.{name}"
        paths = self._fetch(connection, place, name) if place.table else find_files(self.folder, place.files, where)
        files = [
            (
                path,
                replace(
                    layout,
                    delimiter=place.delimiter_of(path),
                    encoding=place.encoding,
                    quote=place.quote,
                    is_ordered=False,
                    delimiter_advice="write delimiter: {found} into the mapping, at tables." + name,
                ),
            )
            for path in paths
        ]
        return stage_files(connection, files, self.scratch, name=name)

    def _fetch(self, connection: Backend, place: Place, name: str) -> list[Path]:
        """Fetch a table of the database."""
        opened = self.database
        if isinstance(opened, str):
            opened = connect_database(opened, self.folder, self.scratch, connection)
        schema, _, table = place.table.rpartition(".")
        found = fetch_to_parquet(opened, [table], self.scratch / "fetched" / name, schema=schema or None)
        if opened is not self.database and opened.name == "duckdb":
            # It would hold its memory, and opens at once; a server may ask for a password again.
            opened.disconnect()
        else:
            self.database = opened
        if not found:
            raise ClaimDataError(
                "E_NO_FILE", f"expected a table of the name at tables.{name} in the database, found none"
            )
        return found[table]


def find_files(folder: Path, patterns: Sequence[str], name: str) -> list[Path]:
    """Find the files of a table; each pattern has to find some."""
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern)
        start, inner = (
            (Path(path.anchor), str(path.relative_to(path.anchor))) if path.is_absolute() else (folder, pattern)
        )
        matches = [start / inner] if (start / inner).is_file() else sorted(start.glob(inner))
        files = [one for one in matches if one.is_file() and one.name.lower().endswith(SUFFIXES)]
        if not files:
            raise ClaimDataError(
                "E_NO_FILE",
                f"expected files {pattern!r} of {name} in {folder}, csv, tsv, txt, zip, gzip or parquet, found "
                f"{describe_place(folder, sum(one.is_file() for one in folder.iterdir()))}",
            )
        found |= dict.fromkeys(files)
    return list(found)


def connect_database(url: str, folder: Path, scratch: Path, engine: Backend | None = None) -> BaseBackend:
    """Connect to the database of a mapping, as to one beside the engine; no message quotes its URL."""
    opened = open_database(url, folder=folder, spill_folder=scratch / "database-spill", engine=engine)
    if opened is None:
        raise ClaimDataError(
            "E_WAREHOUSE", "expected the URL of a database, such as duckdb://claims.duckdb, found none"
        )
    return opened


def list_inputs(path: Path) -> list[Path]:
    """List the mapping and every file that it names, by which a cache knows the same claims again."""
    places: list[tuple[str, Place]] = []
    for table in read_mapping(path).tables:
        places += [(f"tables.{table.name}", one.place) for one in (table, table.header) if one]
    if any(place.table for _, place in places):
        raise ValueError("a database has no files by which the cache could know it again: expected out, found none")
    found = {file for name, place in places for file in find_files(path.absolute().parent, place.files, name)}
    return [path, *sorted(found)]
