"""Absurd cells: whatever one cell of a number, a date or a flag holds, no query ends by it.

The engine may compute a row before or after it is set aside, so every row is computed here: checks, warnings and
canonical lines. Each column of such a kind holds each cell once, in a row of its own.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from invariants.changes import CLAIM_COLUMNS, PATIENT_COLUMN
from invariants.clean_worlds import clean_world
from invariants.raw_files import LAYOUTS, RawTable, Row, write_table

from claim_transformers.claims.engine import connect, fetch
from claim_transformers.sources.pipeline.identity import clean_ids, hold_typed
from claim_transformers.sources.pipeline.layout_files import UNUSED
from claim_transformers.sources.pipeline.publishing import _complete
from claim_transformers.sources.pipeline.screening import ScreenedTable
from claim_transformers.sources.registry import find_source

ABSURD = (
    *("0", "-1", "1.5", "1e5", "1e308", "1e400", "NaN", "-inf", "0x1F", "1_000", "\u0661\u0662", "x", "128", "32768"),
    *("99991231", "9999-12-31", "31-DEC-9999", "0000-00-00", "31.02.", "20100231", "31-FEB-2010", "-0001-01-01"),
    *("infinity", "290309-12-22 (BC)", "2147483647", "-2147483648", "47721860", "9999999999", "-9223372036854775808"),
    *("9999999999.995", "1" + "0" * 40, "9" * 400, "0." + "3" * 400, "0" * 400 + "1"),
)
_KINDS = ("date", "time", "amount", "number", "flag")


def _tables(source: str) -> Iterator[RawTable]:
    for table in clean_world(source, seed=5):
        layout = LAYOUTS[source][table.name]
        # Of numbered columns, which are read alike, the first and the last.
        runs = [column.names for column in layout.columns if column.kind in _KINDS and column.feeds != UNUSED]
        chosen = dict.fromkeys(column for names in runs for column in (names[0], names[-1]))
        ids = (PATIENT_COLUMN[source],) if layout.target == "eligibility" else (*CLAIM_COLUMNS, "row_id")
        cells = [(column, cell) for column in chosen for cell in ABSURD]
        first = table.rows[0]
        rows = [first, *(_own(first, ids, n) | {column: cell} for n, (column, cell) in enumerate(cells))]
        yield replace(table, columns=layout.names, rows=tuple(rows))


def _own(row: Row, ids: tuple[str, ...], number: int) -> Row:
    """The row as that of another claim or person."""
    return row | {name: f"{row[name]}{number:06d}" for name in ids if row.get(name)}


@pytest.mark.parametrize("source", ["tuva", "synpuf", "cms-rif", "mimic3"])
def test_no_cell_ends_a_query(source: str, tmp_path: Path) -> None:
    num_rows = {table.name: len(table.rows) for table in _tables(source)}
    for table in _tables(source):
        write_table(source, table, "", tmp_path / "raw")
    connection, scratch = connect(threads=1), tmp_path / "scratch"
    scratch.mkdir()
    staged = find_source(source).reader()(tmp_path / "raw", connection, scratch=scratch)
    assert {one.name for one in staged.tables} == set(num_rows)
    for one in staged.tables:
        one = clean_ids(connection, one)
        derived = one.rows if one.derive is None else one.derive(one.rows)
        rows = hold_typed(connection, one, derived)
        faults = {f"n_{place}": check.fails(rows).sum() for place, check in enumerate((*one.checks, *one.warnings))}
        assert fetch(connection, rows.aggregate(n=rows.count(), **faults))["n"].to_pylist() == [num_rows[one.name]]
        nobody_left = ScreenedTable(one, rows, rows, 0)
        entry = [(one.files[0].name, "IP")]
        lines = _complete(connection, [nobody_left], one.target, source, entry, None, is_folded=False)
        assert fetch(connection, lines).num_rows >= num_rows[one.name]
        if one.to_folded is not None:
            claims = _complete(connection, [nobody_left], one.target, source, entry, None, is_folded=True)
            assert fetch(connection, claims).num_rows == num_rows[one.name]
