"""A site's own tables, read as a mapping says: one YAML file instead of code.

`docs/sources/tables.md` has every key. What the mapping makes of a row is written beside the row once, as text, under
`mapped.` and the name of the canonical column; from there on everything is as in other sources.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from claim_transformers.claims.engine import store_rows
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.tables.claims import map_claims, stage_claims
from claim_transformers.sources.formats.tables.eligibility import map_eligibility, stage_people
from claim_transformers.sources.formats.tables.expressions import kinds_of
from claim_transformers.sources.formats.tables.headers import check_headers, count_headers, headers_alone, join_headers
from claim_transformers.sources.formats.tables.inputs import Inputs
from claim_transformers.sources.formats.tables.mapping import HEADER, TableMap, read_mapping
from claim_transformers.sources.pipeline.contract import RawFile, RawLocation, StagedSource, StagedTable, are_few
from claim_transformers.sources.pipeline.reading import Layout

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis import BaseBackend
    from ibis.backends.duckdb import Backend


def read_tables(
    path: RawLocation, connection: Backend, *, scratch: Path, database: str | BaseBackend | None = None
) -> StagedSource:
    """Stage the tables of a mapping, eligibility first; a database given takes the place of that of the mapping."""
    if not isinstance(path, (str, Path)) or not Path(path).is_file():
        found = "a folder" if isinstance(path, (str, Path)) and Path(path).is_dir() else "no file"
        raise ClaimDataError("E_NO_FILE", f"expected a mapping at {path}, found {found}")
    mapping = read_mapping(Path(path))
    inputs = Inputs(Path(path).absolute().parent, mapping.database if database is None else database, scratch)
    tables: list[StagedTable] = []
    for table in sorted(mapping.tables, key=lambda table: table.rows != "eligibility"):
        tables += _stage(connection, table, inputs)
    return StagedSource(mapping.name, tuple(tables))


def _stage(connection: Backend, table: TableMap, inputs: Inputs) -> list[StagedTable]:
    """Stage one table, and the headers of its claims beside it."""
    kinds = kinds_of(table)
    _check_columns(table, kinds)
    of_lines = {name: kind for name, kind in kinds.items() if not name.startswith(HEADER)}
    rows, files = inputs.stage(connection, table.place, _layout(of_lines, table.optional), table.name)

    def store(name: str, mapped: ir.Table, files: Sequence[RawFile]) -> ir.Table:
        return store_rows(connection, f"mapped_{name}", mapped, inputs.scratch, are_few=are_few(mapped, files))

    if table.rows == "eligibility":
        return [stage_people(store(table.name, map_eligibility(rows, table), files), files, table)]
    if table.header is None:
        return [stage_claims(store(table.name, map_claims(connection, rows, table), files), files, table)]
    name = f"{table.name}_header"
    of_header = {column.removeprefix(HEADER): kind for column, kind in kinds.items() if column.startswith(HEADER)}
    optional = [column.removeprefix(HEADER) for column in table.optional if column.startswith(HEADER)]
    headers, header_files = inputs.stage(connection, table.header.place, _layout(of_header, optional), name)
    joined = map_claims(connection, join_headers(rows, headers, table, kinds), table)
    alone = map_claims(connection, headers_alone(headers, rows, table), table)
    lines = stage_claims(store(table.name, joined, files), files, table)
    of_headers = stage_claims(store(name, alone, header_files), header_files, table)
    return [check_headers(lines), count_headers(of_headers)]


def _layout(kinds: Mapping[str, str], optional: Iterable[str]) -> Layout:
    may_lack = {*optional}
    return Layout(tuple(kinds), tuple(name for name in kinds if name not in may_lack), kinds=kinds)


def _check_columns(table: TableMap, kinds: Mapping[str, str]) -> None:
    """Refuse a column in two spellings, one that only `optional` names, and a header without its section."""
    spelt: dict[str, str] = {}
    for name in kinds:
        if (other := spelt.setdefault(name.lower(), name)) != name:
            raise ClaimDataError(
                "E_MAPPING", f"expected one spelling of each column of tables.{table.name}, found {other} and {name}"
            )
    if unknown := [name for name in table.optional if name not in kinds]:
        raise ClaimDataError(
            "E_MAPPING",
            f"expected columns that tables.{table.name} names elsewhere as optional, found {', '.join(unknown)}",
        )
    if table.header is None and (named := [name for name in kinds if name.startswith(HEADER)]):
        raise ClaimDataError(
            "E_MAPPING", f"expected a section header of tables.{table.name}, because it names {named[0]}, found none"
        )
