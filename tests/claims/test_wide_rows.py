"""Steps on wide rows give what the same steps of Ibis give, and their SQL names only what they add."""

import ibis
import pyarrow as pa
import pytest

from claim_transformers.claims.engine import connect, fetch, load
from claim_transformers.claims.planning import build, build_wide, to_sql

NUMBER = 40


def _derive(rows):
    rows = rows.select("number", *(f"column_{place}" for place in range(40)))
    rows = rows.mutate(longer=rows["column_0"] + "é", is_odd=rows["number"] % 2 == 1).mutate()
    rows = rows.mutate(chosen=ibis.ifelse(rows["is_odd"], rows["longer"], rows["column_1"]))
    rows = rows.drop(["longer"]).drop([])
    position = ibis.row_number().over(group_by=rows["is_odd"], order_by=rows["number"])
    return rows.select("number", "chosen", first=ibis.ifelse(position == 0, "yes", "no"))


@pytest.fixture(scope="module")
def connection():
    return connect(threads=1)


@pytest.fixture(scope="module")
def rows(connection):
    columns = {f"column_{place}": [f"{place}-{number}" for number in range(5)] for place in range(NUMBER)}
    return load(
        connection, 'a "wide" table'.replace('"', "'"), pa.table({"number": range(5), **columns, "other": ["x"] * 5})
    )


def test_they_give_what_ibis_gives(connection, rows):
    found, expected = (fetch(connection, make(_derive, rows)) for make in (build_wide, build))
    assert found.column_names == ["number", "chosen", "first"]
    assert found.sort_by("number").equals(expected.sort_by("number"))
    assert found.sort_by("number")["chosen"].to_pylist()[:2] == ["1-0", "0-1é"]


def test_an_equal_step_is_one_and_no_step_of_ibis(rows):
    assert build_wide(_derive, rows) is build_wide(_derive, rows)
    assert build_wide(_derive, rows) is not build(_derive, rows)


def test_what_is_not_changed_is_not_named(connection, rows):
    sql = to_sql(
        connection,
        build_wide(lambda rows: rows.mutate(more=rows["number"] + 1).mutate(other_one=ibis.null("string")), rows),
    )
    assert "column_1" not in sql
    assert (
        fetch(connection, build_wide(lambda rows: rows.mutate(more=rows["number"] + 1), rows)).num_columns
        == NUMBER + 3
    )


def test_a_column_that_is_there_is_refused(connection, rows):
    with pytest.raises(
        ValueError, match=r"expected new columns made of the rows alone, found others among \['number'\]"
    ):
        to_sql(connection, build_wide(lambda rows: rows.mutate(number=rows["number"] + 1), rows))


def test_an_expression_has_no_table_of_a_name_and_is_compiled(connection, rows):
    some = rows.filter(rows.number > 2)
    assert fetch(connection, build_wide(_derive, some))["number"].to_pylist() == [3, 4]
