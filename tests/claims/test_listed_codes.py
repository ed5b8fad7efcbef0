"""Lists of codes: what repeats the row before, and what the statistics of a file tell without decoding it."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from claim_transformers.claims.encoded_files import EncodedFiles
from claim_transformers.claims.listed_codes import ListedCodes
from claim_transformers.claims.packing import NULL_DAY

TYPE = pa.list_(pa.struct([("system", pa.string()), ("code", pa.string()), ("date", pa.date32())]))
DAY = dt.date(2012, 3, 4)


def named(lists: ListedCodes) -> list[list[tuple]]:
    """The lists as plain rows of system, code and day."""
    found, place = [], 0
    for length in lists.lengths.tolist():
        row = []
        for entry in range(place, place + length):
            position = lists.codes.positions[entry]
            system, code = divmod(int(position), max(len(lists.codes.strings), 1))
            names = (lists.codes.systems[system].as_py(), lists.codes.strings[code].as_py()) if position >= 0 else None
            row.append((names, None if lists.field is None else int(lists.field[entry])))
        found.append(row)
        place += length
    return found


def read(path, rows, **options) -> list[list[tuple]]:
    pq.write_table(pa.table({"procedures": pa.array(rows, TYPE)}), path, **options)
    files = EncodedFiles([path], {"system", "code", "date"}.__contains__)
    batches = list(files.batches(["procedures"], 2))
    return [row for batch in batches for row in named(ListedCodes.of(batch, "procedures", "date"))]


def entry(code, system="A", date=None):
    return {"system": system, "code": code, "date": date}


@pytest.mark.parametrize(
    "rows",
    [
        [[entry("1"), entry("2")], [entry("1")], [entry(None)]],
        [[entry("1")], [], None, [entry("2", date=DAY)]],
        [[entry("1", None)], [entry("2", None)]],
        [[entry("1", "A" * 40)], [entry("2", "A" * 40)]],
        [[entry("1", "")], [entry("1", "B")], [entry("1", "")]],
        [[], None],
    ],
)
@pytest.mark.parametrize("row_group_size", [1, 3, 10])
def test_what_statistics_tell_is_what_the_file_holds(tmp_path, rows, row_group_size):
    told = read(tmp_path / "told.parquet", rows, row_group_size=row_group_size)
    decoded = read(tmp_path / "decoded.parquet", rows, row_group_size=row_group_size, write_statistics=False)
    none_has_day = [[(names, None if day == NULL_DAY else day) for names, day in row] for row in decoded]
    assert [[(names, None if day == NULL_DAY else day) for names, day in row] for row in told] == none_has_day
    expected = [
        [((one["system"], one["code"]) if None not in (one["system"], one["code"]) else None) for one in row or []]
        for row in rows
    ]
    assert [[names for names, _ in row] for row in told] == expected


def test_a_row_repeats_the_one_before_if_all_of_its_list_does():
    generator = np.random.default_rng(2)
    pick = lambda values: values[int(generator.integers(len(values)))]  # noqa: E731
    lists = [[entry(pick("12"), date=pick([None, DAY])) for _ in range(generator.integers(3))] for _ in range(300)]
    is_same = generator.random(300) < 0.8
    found = ListedCodes.of(pa.record_batch({"procedures": pa.array(lists, TYPE)}), "procedures", "date")
    expected = [row > 0 and bool(is_same[row]) and lists[row] == lists[row - 1] for row in range(300)]
    assert found.find_repeats(is_same).tolist() == expected
    assert 20 < sum(expected) < 200
    rows = np.array([5, 3, 200])
    assert named(found.take(rows)) == [named(found)[row] for row in rows]


@pytest.mark.parametrize("values", [["A", "A"], [None, None], ["A", None], ["B", "A"], ["", ""], ["A" * 40] * 2])
def test_a_column_that_statistics_tell_is_what_the_file_holds(tmp_path, values):
    pq.write_table(pa.table({"kind": pa.array(values, pa.string()), "number": [1, 2]}), tmp_path / "told.parquet")
    files = EncodedFiles([tmp_path / "told.parquet"])
    rows = [row for batch in files.batches(["number", "kind"], 1) for row in batch.to_pylist()]
    assert rows == [{"number": number, "kind": value} for number, value in enumerate(values, start=1)]
    assert set(files.distinct("kind").to_pylist()) == {*values} - {None}
