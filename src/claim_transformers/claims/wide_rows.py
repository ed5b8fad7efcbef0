"""Rows of many columns that steps add to, as SQL in which only what is added stands: `SELECT *, ... FROM (...)`.

Ibis names every column at every step, and a claim file has a hundred of them in ten steps: building, compiling and
planning those names takes longer than computing thousands of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

import ibis

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis import Schema
    from ibis.expr.datatypes import DataType

_LEVEL, _AS = "level_rows", '"level_rows" AS "t0"'


class WideRows:
    """What a step needs of a table, in the words of Ibis; each change is a query around the one before.

    `name_rows` names a table of the engine, `compile_it` compiles an expression.
    """

    def __init__(
        self,
        sql: str,
        schema: Mapping[str, DataType],
        name_rows: Callable[[str, Schema], ir.Table],
        compile_it: Callable[[ir.Table], str],
    ) -> None:
        self._sql, self._name_rows, self._compile = sql, name_rows, compile_it
        self._schema = ibis.schema(schema)
        self._rows = name_rows(_LEVEL, self._schema)

    def __getitem__(self, name: str) -> ir.Value:
        return self._rows[name]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns."""
        return tuple(self._schema)

    @property
    def sql(self) -> str:
        """The query that gives the rows."""
        return self._sql.removeprefix("(").removesuffix(")")

    def select(self, *names: str, **values: ir.Value) -> WideRows:
        """Keep some columns, beside others made of them."""
        selected = self._rows.select(*names, **values)
        return self._around(self._compile(selected), selected.schema())

    def mutate(self, **values: ir.Value) -> WideRows:
        """Add columns, of other names than there are."""
        if not values:
            return self
        added = self._rows.select(**values)
        sql = self._compile(added).replace("SELECT ", 'SELECT "t0".*, ', 1)
        if values.keys() & self._schema.keys() or sql.count("SELECT ") > 1:
            raise ValueError(f"expected new columns made of the rows alone, found others among {sorted(values)}")
        return self._around(sql, {**self._schema, **added.schema()})

    def drop(self, names: Collection[str]) -> WideRows:
        """Leave columns out."""
        if not names:
            return self
        gone = ", ".join(f'"{name}"' for name in names)
        left = {name: kind for name, kind in self._schema.items() if name not in names}
        return self._around(f"SELECT * EXCLUDE ({gone}) FROM {_AS}", left)

    def _around(self, sql: str, schema: Mapping[str, DataType]) -> WideRows:
        inner = f'{self._sql} AS "t0"'
        return WideRows(f"({sql.replace(_AS, inner)})", schema, self._name_rows, self._compile)
