"""The engine: as many threads as its memory feeds, and an object that can be looked at like any other."""

import copy
import pickle

import duckdb
import pytest

from claim_transformers.claims.engine import connect, limits_of, set_limits


def test_a_limit_that_is_none_or_leaves_nothing_is_said_as_such() -> None:
    for limit in ("many", "0MB"):
        with pytest.raises(ValueError, match="expected a memory_limit such as '2GB'"):
            connect(memory_limit=limit)


@pytest.mark.parametrize(("memory_limit", "most"), [("100MB", 1), ("1GB", 4), ("8GB", 32)])
def test_each_thread_has_memory_unless_their_number_is_given(memory_limit: str, most: int) -> None:
    # DuckDB counts the cores that a container may use, which can be fewer than the machine has.
    ((cores,),) = duckdb.connect().execute("SELECT current_setting('threads')").fetchall()
    connection = connect(memory_limit=memory_limit)
    threads = min(most, cores)
    assert limits_of(connection)["threads"] == threads
    set_limits(connection, 7)
    assert limits_of(connection)["threads"] == 7
    set_limits(connection)
    assert limits_of(connection)["threads"] == threads


def test_an_engine_is_copied_with_its_connection_and_no_process_sends_it() -> None:
    connection = connect(threads=1)
    assert copy.copy(connection).con is connection.con
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(connection)
