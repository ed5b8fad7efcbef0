"""What is planned once: a step by what it is built from, its SQL, and the columns that it gives.

Planning a step takes longer than running it on a few thousand rows, and from run to run the steps of a source differ
in little. A step is therefore a function with its arguments, told apart by what they say: its expression is built, and
compiled, only where neither this process nor an earlier one did (`claims.plan_files`). Tables of the engine are named
without the connection that holds them. What names a connection or holds rows is planned anew each time.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import json
from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache, cached_property, partial
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import ibis.expr.operations as ops
import ibis.expr.types as ir

from claim_transformers.claims.plan_files import keep_plan, read_plan
from claim_transformers.claims.wide_rows import WideRows

if TYPE_CHECKING:
    from ibis import Schema
    from ibis.backends.duckdb import Backend

_T = TypeVar("_T")
# Steps of all tables of a few sources; a process that has planned more begins anew.
_MOST_KEPT = 2048
_PACKAGE = __name__.partition(".")[0]
_steps: dict[str, _Step] = {}
_sql: dict[Hashable, str] = {}
_tables: dict[Hashable, ir.Table] = {}
_written: dict[Hashable, str] = {}
_numbers = itertools.count()


class _NoKeyError(Exception):
    """Something that is planned anew each time."""


class _Step:
    """A function that gives a table; the expression is built when it is asked for.

    `key` tells it from any other step; one that `lasts` is the same in another process and holds nothing of rows.
    `write` writes its SQL, in place of compiling the expression.
    """

    def __init__(
        self, call: Callable[[], ir.Table], key: str, *, lasts: bool, write: Callable[[], str] | None = None
    ) -> None:
        self.call, self.key, self.lasts, self.write = call, key, lasts, write

    @cached_property
    def expression(self) -> ir.Table:
        """The expression itself."""
        return self.call()


Plan: TypeAlias = "ir.Table | _Step"


_NOWHERE = "nowhere"  # stands for whichever connection executes an expression
# As Ibis has the types of canonical tables, so that most runs need not import its compilers, which takes longest.
_TYPES = {
    "VARCHAR": "string", "VARCHAR[]": "array<string>", "BOOLEAN": "boolean", "DATE": "date", "FLOAT": "float32",
    "SMALLINT": "int16", "INTEGER": "int32", "BIGINT": "int64", "DECIMAL(12,2)": "decimal(12, 2)",
    'STRUCT("system" VARCHAR, code VARCHAR)': "struct<system: string, code: string>",
    'STRUCT("system" VARCHAR, code VARCHAR, poa VARCHAR, rank TINYINT)[]':
        "array<struct<system: string, code: string, poa: string, rank: int8>>",
    'STRUCT("system" VARCHAR, code VARCHAR, date DATE)[]': "array<struct<system: string, code: string, date: date>>",
}  # fmt: skip


@cache
def _ibis_engine() -> Backend:
    """What compiles expressions without a connection."""
    from ibis.backends.duckdb import Backend

    return Backend()


def name_table(name: str, schema: Schema) -> ir.Table:
    """Name a table of the engine without the connection that holds it."""
    return ops.DatabaseTable(name, schema=schema, source=_NOWHERE, namespace=ops.Namespace()).to_expr()


def holds_no_rows(of_class: type[_T]) -> type[_T]:
    """Mark a dataclass whose values say how rows are read and nothing of the rows, so that its steps outlast a run."""
    _lasting.add(of_class)
    return of_class


_lasting: set[type] = set()


def build(function: Callable[..., ir.Table], *args: Any, **kwargs: Any) -> Plan:
    """Give the step that calls a function with arguments; equal steps are one, and steps can be arguments.

    Functions among the arguments are equal if their code and what they refer to are. One of another package that
    refers to globals is planned anew each time.
    """
    return _build(function, args, kwargs)


def build_wide(function: Callable[..., Any], rows: ir.Table, *args: Any) -> Plan:
    """Give the step that calls a function with rows of many columns, which it takes as [`WideRows`] too."""

    def write() -> str:
        wide = WideRows(f'"{rows.get_name()}"', rows.schema(), name_table, _ibis_engine().compile)
        written: str = function(wide, *args).sql
        return written

    return _build(function, (rows, *args), {}, write if isinstance(rows.op(), ops.DatabaseTable) else None)


def _build(function: Callable[..., ir.Table], args: Any, kwargs: Any, write: Callable[[], str] | None = None) -> Plan:
    def call() -> ir.Table:
        return function(*map(to_expression, args), **{name: to_expression(value) for name, value in kwargs.items()})

    key = _Key()
    try:
        key.add((function, args, kwargs, write is None))
    except _NoKeyError:
        return call()
    name = key.digest()
    if (step := _steps.get(name)) is None:
        step = _Step(call, name, lasts=key.lasts, write=write)
        _keep(_steps, name, step)
    return step


def to_expression(value: Any) -> Any:
    """The expression of a step, also in a list or mapping; anything else as it is."""
    match value:
        case _Step():
            return value.expression
        case tuple() | list():
            return type(value)(map(to_expression, value)) if type(value) in (tuple, list) else value
        case dict():
            return {name: to_expression(part) for name, part in value.items()}
    return value


def to_sql(connection: Backend, plan: Plan) -> str:
    """Compile a step or an expression; a table of the engine needs no compiler."""
    if isinstance(plan, ir.Table) and isinstance(plan.op(), ops.DatabaseTable) and plan.op().source == _NOWHERE:
        return f'SELECT * FROM "{plan.get_name()}"'
    key = plan.key if isinstance(plan, _Step) else plan.op()
    if (known := _find(_sql, key)) is not None:
        return known
    if isinstance(plan, _Step) and plan.lasts and (known := read_plan(plan.key)) is not None:
        _keep(_sql, key, known)
        return known
    if isinstance(plan, _Step) and plan.write is not None:
        sql, is_kept = plan.write(), True
    else:
        expression = to_expression(plan)
        sql, is_kept = connection.compile(expression), _is_nowhere(expression.op())
    if is_kept:
        _keep(_sql, key, sql)
        if isinstance(plan, _Step) and plan.lasts:
            keep_plan(plan.key, sql)
    return sql


def describe_table(connection: Backend, name: str, content: Hashable) -> ir.Table:
    """Name a table of the engine with the columns that it has there; equal content has the same ones."""
    lasts = isinstance(content, _Step) and content.lasts
    content = content.key if isinstance(content, _Step) else content.op() if isinstance(content, ir.Table) else content
    key = (name, content)
    if (table := _find(_tables, key)) is not None:
        return table
    written = read_plan(f"{content}-columns") if lasts else None
    columns = dict(json.loads(written)) if written is not None else _columns_of(connection, name)
    table = name_table(name, _to_schema(columns))
    if not isinstance(content, ops.Node) or _is_nowhere(content):
        _keep(_tables, key, table)
    if lasts and written is None:
        keep_plan(f"{content}-columns", json.dumps(columns))
    return table


def _columns_of(connection: Backend, name: str) -> dict[str, str]:
    found = connection.con.execute(f'DESCRIBE "{name}"').fetchall()
    return {column: of_type for column, of_type, *_ in found}


def schema_of(connection: Backend, name: str) -> Schema:
    """Columns of a table or view of the engine."""
    return _to_schema(_columns_of(connection, name))


def _to_schema(columns: Mapping[str, str]) -> Schema:
    import ibis

    return ibis.schema({name: _type_of(text) for name, text in columns.items()})


@cache
def _type_of(text: str) -> Any:
    """A type of the engine as Ibis has it."""
    import ibis

    return ibis.dtype(_TYPES[text]) if text in _TYPES else _ibis_engine().compiler.type_mapper.from_string(text)


def _find(kept: Mapping[Hashable, _T], key: Hashable) -> _T | None:
    try:
        return kept.get(key)
    except RecursionError:
        # Two long expressions that are built apart are compared to their depth.
        return None


def _keep(kept: dict[Any, _T], key: Hashable, value: _T) -> None:
    if len(kept) >= _MOST_KEPT:
        kept.clear()
    kept[key] = value


def _is_nowhere(operation: ops.Node) -> bool:
    tables = operation.find(ops.PhysicalTable)
    return all(isinstance(table, ops.DatabaseTable) and table.source == _NOWHERE for table in tables)


class _Key:
    """What a step is told apart by, as text, and whether that says the same in another process."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.lasts = True

    def digest(self) -> str:
        """A name of all that was added."""
        return hashlib.sha256("\0".join(self.parts).encode("utf-8", "surrogatepass")).hexdigest()

    def add(self, value: Any) -> None:
        """Add an argument."""
        match value:
            case _Step():
                self._write("step", value.key, lasts=value.lasts)
            case ir.Expr():
                self._add_expression(value)
            case None | bool() | int() | float() | str():
                self._write(type(value).__name__, repr(value))
            case dt.date():
                # It can be one of the rows.
                self._write("date", value.isoformat(), lasts=False)
            case type():
                self._write("type", f"{value.__module__}.{value.__qualname__}")
            case tuple() | list():
                self._add_all("list", value)
            case set() | frozenset():
                self._add_all("set", sorted(value, key=repr))
            case Mapping():
                self._add_all("mapping", [part for pair in value.items() for part in pair])
            case partial():
                self._add_all("partial", (value.func, value.args, value.keywords))
            case FunctionType():
                self._add_function(value)
            case _:
                self._add_dataclass(value)

    def _write(self, *texts: str, lasts: bool = True) -> None:
        self.parts.extend(texts)
        self.lasts &= lasts

    def _add_all(self, kind: str, values: Any) -> None:
        self._write(kind, str(len(values)))
        for value in values:
            self.add(value)

    def _add_expression(self, value: ir.Expr) -> None:
        operation = value.op()
        if (text := _find(_written, operation)) is None:
            if not _is_nowhere(operation):
                raise _NoKeyError
            if isinstance(operation, ops.DatabaseTable):
                columns = [f"{name} {of_type}" for name, of_type in operation.schema.items()]
                text = "\0".join(("table", operation.name, str(len(columns)), *columns))
            else:
                text = f"expression {next(_numbers)}"
            _keep(_written, operation, text)
        self._write(text, lasts=text.startswith("table"))

    def _add_function(self, value: FunctionType) -> None:
        is_ours = value.__module__.partition(".")[0] == _PACKAGE
        # Of this package they stay as they are; elsewhere, as in a notebook, they are set anew between two runs.
        if not is_ours and _uses_globals(value.__code__, value.__globals__):
            raise _NoKeyError
        self._write("function", value.__module__, value.__qualname__, lasts=is_ours)
        self._add_code(value.__code__)
        referred = [cell.cell_contents for cell in value.__closure__ or ()]
        self._add_all("refers", (value.__defaults__, value.__kwdefaults__, referred))

    def _add_code(self, code: CodeType) -> None:
        self._write(code.co_code.hex(), *map(repr, (code.co_names, code.co_freevars, code.co_varnames)))
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                self._add_code(constant)
            else:
                self._write(
                    repr(constant) if not isinstance(constant, frozenset) else repr(sorted(constant, key=repr))
                )

    def _add_dataclass(self, value: Any) -> None:
        # What has no hash can change, and what changes can refer to itself.
        if not is_dataclass(value) or type(value).__hash__ is None:
            raise _NoKeyError
        self._write(type(value).__qualname__, lasts=type(value) in _lasting)
        parts = [getattr(value, field.name) for field in fields(value)]
        if isinstance(value, Hashable) and type(value) in _lasting and not any(map(callable, parts)):
            self._write(_text_of(value))
        else:
            self._add_all("fields", parts)


def _uses_globals(code: CodeType, names: Mapping[str, Any]) -> bool:
    """Whether code can refer to what a module holds, other modules apart."""
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    found = (names[name] for name in code.co_names if name in names)
    return not all(isinstance(value, ModuleType) for value in found) or any(_uses_globals(one, names) for one in inner)


def _text_of(value: Any) -> str:
    """The text of a value that cannot change, written once: some have hundreds of parts."""
    try:
        text = _written.get(value)
    except TypeError:
        return repr(value)
    if text is None:
        text = hashlib.sha256(repr(value).encode("utf-8", "surrogatepass")).hexdigest()
        _keep(_written, value, text)
    return text
