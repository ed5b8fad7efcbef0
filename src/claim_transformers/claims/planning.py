"""What a process plans once: an expression by what it is built from, its SQL, and the columns that it gives.

Planning a step takes longer than running it on a few thousand rows, and from run to run the steps of a source differ
in little. Tables of the engine are therefore named without the connection that holds them, so that a step of two runs
is one expression. What names a connection or holds rows is planned anew each time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache, partial
from types import FunctionType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import ibis.expr.operations as ops
import ibis.expr.types as ir

if TYPE_CHECKING:
    from ibis import Schema
    from ibis.backends.duckdb import Backend

_Given = ParamSpec("_Given")
_Built = TypeVar("_Built")
_T = TypeVar("_T")
# Expressions of all tables of a few sources; a process that has planned more begins anew.
_MOST_KEPT = 1024
_built: dict[Hashable, object] = {}
_sql: dict[Hashable, str] = {}
_tables: dict[Hashable, ir.Table] = {}


class _NoKeyError(Exception):
    """Something that is planned anew each time."""


@cache
def _nowhere() -> Backend:
    """Stands for whichever connection executes an expression."""
    from ibis.backends.duckdb import Backend

    return Backend()


def name_table(name: str, schema: Schema) -> ir.Table:
    """Name a table of the engine without the connection that holds it."""
    return ops.DatabaseTable(name, schema=schema, source=_nowhere(), namespace=ops.Namespace()).to_expr()


def build(function: Callable[_Given, _Built], *args: _Given.args, **kwargs: _Given.kwargs) -> _Built:
    """Call a function that builds an expression out of its arguments alone, once for equal ones.

    Functions among the arguments are equal if their code and what they refer to are.

    Examples:
        >>> import ibis
        >>> rows = name_table("raw_rows", ibis.schema({"paid": "string"}))
        >>> first, again = (build(lambda rows, name: rows[name] == "5", rows, "paid") for _ in range(2))
        >>> first is again
        True
    """
    try:
        key = (_key(function), _key(args), _key(kwargs))
    except _NoKeyError:
        return function(*args, **kwargs)
    if (found := _find(_built, key)) is not None:
        return found  # type: ignore[return-value]
    built = function(*args, **kwargs)
    if all(_is_nowhere(value.op()) for value in (*args, *kwargs.values(), built) if isinstance(value, ir.Expr)):
        _keep(_built, key, built)
    return built


def to_sql(connection: Backend, expression: ir.Table) -> str:
    """Compile an expression."""
    operation = expression.op()
    if (sql := _find(_sql, operation)) is None:
        sql = connection.compile(expression)
        if _is_nowhere(operation):
            _keep(_sql, operation, sql)
    return sql


def describe_table(connection: Backend, name: str, content: Hashable) -> ir.Table:
    """Name a table of the engine with the columns that it has there; equal content has the same ones."""
    key = (name, content)
    if (table := _find(_tables, key)) is None:
        table = name_table(name, connection.table(name).schema())
        if not isinstance(content, ops.Node) or _is_nowhere(content):
            _keep(_tables, key, table)
    return table


def _find(kept: Mapping[Hashable, _T], key: Hashable) -> _T | None:
    try:
        return kept.get(key)
    except RecursionError:
        # Two long expressions that are built apart are compared to their depth.
        return None


def _keep(kept: dict[Hashable, _T], key: Hashable, value: _T) -> None:
    if len(kept) >= _MOST_KEPT:
        kept.clear()
    kept[key] = value


def _is_nowhere(operation: ops.Node) -> bool:
    tables = operation.find(ops.PhysicalTable)
    return all(isinstance(table, ops.DatabaseTable) and table.source is _nowhere() for table in tables)


def _key(value: Any) -> Any:
    """What an argument is told apart by."""
    match value:
        case ir.Expr():
            return value.op()
        case None | str() | int() | float() | dt.date() | type():
            return type(value), value
        case tuple() | list():
            return tuple(map(_key, value))
        case Mapping():
            return tuple((name, _key(part)) for name, part in value.items())
        case partial():
            return _key(value.func), _key(value.args), _key(value.keywords)
        case FunctionType():
            referred = [cell.cell_contents for cell in value.__closure__ or ()]
            return value.__module__, value.__code__, _key((value.__defaults__, value.__kwdefaults__, referred))
    # What has no hash can change, and what changes can refer to itself.
    if not is_dataclass(value) or type(value).__hash__ is None:
        raise _NoKeyError
    parts = [getattr(value, field.name) for field in fields(value)]
    if any(callable(part) for part in parts):
        return type(value), _key(parts)
    try:
        hash(value)
    except TypeError:
        return type(value), _key(parts)
    return value
