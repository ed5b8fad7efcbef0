"""Plans are made once for equal steps, and never for others, for another connection's tables or for rows in memory."""

import datetime as dt
import gc
import pickle
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import ibis
import pyarrow as pa
import pytest
from ibis.backends.duckdb import Backend

from claim_transformers.claims import plan_files, planning
from claim_transformers.claims.cleaning import find_repeated_keys
from claim_transformers.claims.engine import connect, create_view, fetch, free_name, hold_rows, load, read_batches
from claim_transformers.claims.planning import build, name_table, to_sql

NAMED = name_table("named_rows", ibis.schema({"number": "int64"}))
ROWS = name_table("planned_rows", ibis.schema({"a": "string", "b": "string"}))


def _is(value, column="a"):
    return lambda rows: rows[column] == value


def _keep(rows, *conditions, negated=False):
    is_kept = ibis.and_(*(condition(rows) for condition in conditions))
    return rows.filter(~is_kept if negated else is_kept)


def _with(rows, value):
    return rows.mutate(value=value)


@pytest.fixture(scope="module")
def connection():
    return connect(threads=1)


@pytest.mark.parametrize(
    "step",
    [
        lambda: build(_keep, ROWS, _is("x")),
        lambda: build(_keep, ROWS, partial(lambda rows, name: rows[name].isnull(), name="b"), negated=True),
        lambda: build(_keep, name_table("planned_rows", ibis.schema({"a": "string", "b": "string"})), _is("y", "b")),
    ],
)
def test_equal_steps_are_one_expression_and_compiled_once(step, connection, monkeypatch):
    first = step()
    assert step() is first
    sql = to_sql(connection, first)
    monkeypatch.setattr(Backend, "compile", None)
    assert to_sql(connection, first) == sql


def test_a_value_a_type_a_name_or_a_column_more_is_another_step():
    wider = name_table("planned_rows", ibis.schema({"a": "string", "b": "string", "c": "string"}))
    steps = [
        build(_keep, ROWS, _is("x")),
        build(_keep, ROWS, _is("z")),
        build(_with, ROWS, 1),
        build(_with, ROWS, True),
        build(_keep, ROWS, _is("x", "b")),
        build(_keep, ROWS, _is("x"), negated=True),
        build(_keep, wider, _is("x")),
        build(_keep, name_table("other_rows", ROWS.schema()), _is("x")),
    ]
    assert len({step.key for step in steps}) == len(steps)
    assert len({step.expression.op() for step in steps}) == len(steps)


def test_connections_share_plans_and_not_their_rows_or_columns():
    texts = [pa.table({"a": ["x"]}), pa.table({"a": ["y"]}), pa.table({"a": ["y"], "more": [1]})]
    found = []
    for table in texts:
        connection = connect(threads=1)
        rows = create_view(connection, "a_view", load(connection, "planned_texts", table))
        found.append(fetch(connection, build(_keep, rows, _is("y"))))
    assert [one.to_pylist() for one in found] == [[], [{"a": "y"}], [{"a": "y", "more": 1}]]


def test_what_names_a_connection_or_holds_rows_is_not_kept():
    kept = [len(plans) for plans in (planning._steps, planning._sql, planning._tables)]
    connection = connect(threads=1)
    connection.raw_sql("CREATE TABLE own (a VARCHAR)")
    own = build(_keep, connection.table("own"), _is("x"))
    to_sql(connection, own)
    assert build(_keep, connection.table("own"), _is("x")) is not own
    to_sql(connection, build(_keep, ibis.memtable({"a": ["x"]}), _is("x")))
    assert [len(plans) for plans in (planning._steps, planning._sql, planning._tables)] == kept
    gone = weakref.ref(connection)
    connection.disconnect()
    del connection, own
    gc.collect()
    assert gone() is None


def test_what_can_change_or_refers_to_itself_is_planned_anew():
    @dataclass
    class Counter:
        column: str
        is_kept: Callable[..., Any] | None = None

    counter = Counter("a")
    counter.is_kept = lambda rows: rows[counter.column].notnull()
    assert build(_keep, ROWS, counter.is_kept) is not build(_keep, ROWS, counter.is_kept)


def test_a_function_of_other_code_is_planned_anew_where_it_refers_to_what_its_module_holds():
    found = []
    notebook: dict[str, Any] = {"__name__": "notebook"}
    for word in "xy":
        exec(f"WORD = {word!r}\ndef with_word(rows):\n    return rows.filter(rows.a == WORD)", notebook)
        found.append(to_sql(connect(threads=1), build(notebook["with_word"], ROWS)))
    assert ["'x'" in found[0], "'y'" in found[1]] == [True, True]


def test_no_more_is_kept_than_a_few_sources_need(monkeypatch):
    monkeypatch.setattr(planning, "_MOST_KEPT", 3)
    monkeypatch.setattr(planning, "_steps", {})
    for value in "abcdefg":
        build(_keep, ROWS, _is(value))
        assert len(planning._steps) <= 3


@pytest.mark.parametrize("are_few", [True, False])
def test_rows_that_are_held_are_the_rows_of_then_if_few_and_of_now_if_many(are_few, connection):
    rows = load(connection, "held_rows", pa.table({"a": ["x"]}))
    held = hold_rows(connection, f"held_{are_few}", rows, are_few=are_few)
    load(connection, "held_rows", pa.table({"a": ["x", "y"]}))
    assert fetch(connection, held).num_rows == (1 if are_few else 2)


def test_a_free_name_is_the_same_in_every_run_and_new_in_each():
    connection = connect(threads=1)
    assert free_name(connection, "staged") == "staged_0"
    for name in ("staged_0", "staged_more_1", "staged_2"):
        connection.raw_sql(f'CREATE VIEW "{name}" AS SELECT 1 AS a')
    assert free_name(connection, "staged") == "staged_1"


@dataclass(frozen=True)
class _Words:
    found: tuple[str, ...]


@pytest.mark.parametrize(
    ("arguments", "lasts"),
    [
        ((["a"], {"a": "id"}), True),
        ((["a"], {"a": "id", "b": dt.date(2018, 3, 3)}), False),
        ((["a"], _Words(("of a row",))), False),
        ((["a"], lambda rows: rows), False),
    ],
)
def test_what_can_be_of_rows_or_is_of_other_code_does_not_outlast_its_process(arguments, lasts):
    assert build(find_repeated_keys, ROWS, *arguments).lasts is lasts


def test_another_process_neither_builds_nor_compiles_nor_describes(connection, tmp_path, monkeypatch):
    monkeypatch.setenv("CLAIM_TRANSFORMERS_PLANS", str(tmp_path))
    rows = load(connection, "lasting", pa.table({name: ["x"] for name in ("source_file", "row_no", "a")}))
    found = []
    for _process in range(2):
        plan_files._folder.cache_clear()
        for kept in ("_steps", "_sql", "_tables", "_written"):
            monkeypatch.setattr(planning, kept, {})
        step = build(find_repeated_keys, rows, ["a"], {"a": "text"})
        table = create_view(connection, "repeated_keys", step)
        found.append((to_sql(connection, step), table.schema()))
        monkeypatch.setattr(Backend, "compile", None)
        monkeypatch.setattr(planning, "_columns_of", None)
    assert found[0] == found[1]
    assert "expression" not in vars(step)
    plan_files._folder.cache_clear()


def test_a_table_that_travelled_is_named_as_before(connection, monkeypatch):
    travelled = pickle.loads(pickle.dumps(NAMED))
    monkeypatch.setattr(Backend, "compile", None)
    assert to_sql(connection, travelled) == to_sql(connection, NAMED)


def test_a_name_that_stands_for_another_one_is_taken_as_it_is(connection):
    load(connection, "named_rows", pa.table({"number": [0]}))
    rows = build(lambda table: table.mutate(file=ibis.literal("raw file <0>")), NAMED)
    names = {"raw file <0>": "raw file <1>", "raw file <1>": "it's"}
    (batch,) = read_batches(connection, rows, names=names)
    assert batch["file"].to_pylist() == ["raw file <1>"]


def test_types_that_are_known_without_ibis_are_those_that_ibis_reads():
    read = planning._ibis_engine().compiler.type_mapper.from_string
    assert {text: planning._type_of(text) for text in planning._TYPES} == {
        text: read(text) for text in planning._TYPES
    }
