"""Lines of folded rows, whatever parts they come in and go out in."""

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from claim_transformers.claims.engine import connect, fetch, load
from claim_transformers.sources.pipeline import folded_lines
from claim_transformers.sources.pipeline.folded_lines import LineUnfolder
from claim_transformers.sources.pipeline.lines import code_name, unfold_claims

CODES = [code_name("hcpcs_code", "", number) for number in (1, 2, 3)]
CODES += [code_name("diagnoses", "ICD9CM", 1), code_name("diagnoses", "ICD10CM", 2)]


def _folded() -> pa.Table:
    """Sorted rows: a claim in two rows whose lines lie among each other, rows of many lines, of one and of none."""
    cells = [
        ("A", 1, "1", 0, ("99213", None, "36415"), ("4019", "I10")),
        ("A", 1, "1", 0, (None, "G0008", None), (None, "E119")),
        ("A", 2, "2", 0, (None, None, None), (None, None)),
        ("B", 1, "3", 0, ("36415", "36415", "G0008"), ("25000", None)),
        ("B", 1, "4", 45, (None, None, "99213"), ("4019", None)),
    ]
    names = ("patient_id", "claim_start_date", "claim_id", "claim_line_number")
    columns: dict[str, Any] = {name: [row[place] for row in cells] for place, name in enumerate(names)}
    columns["claim_start_date"] = pa.array(columns["claim_start_date"], pa.date32())
    columns["claim_line_number"] = pa.array(columns["claim_line_number"], pa.int32())
    columns["paid_amount"] = [10.0 * place for place in range(len(cells))]
    columns["ledger_number"] = pa.array([0] * len(cells), pa.int32())
    codes = [(*row[4], *row[5]) for row in cells]
    return pa.table(columns | {name: [row[place] for row in codes] for place, name in enumerate(CODES)})


def _rows(lines: list[pa.Table]) -> list[dict[str, Any]]:
    return [row for part in lines for row in part.select(sorted(part.column_names)).to_pylist()]


@pytest.mark.parametrize(("rows_per_table", "lines_per_group"), list(itertools.product((1, 2, 5), (1, 2, 3, 8, 100))))
def test_lines_are_those_of_the_expression_however_they_are_cut(
    monkeypatch: pytest.MonkeyPatch, rows_per_table: int, lines_per_group: int
) -> None:
    monkeypatch.setattr(folded_lines, "ROWS_PER_GROUP", lines_per_group)
    unfolder = LineUnfolder(lambda tied: np.zeros(tied.num_rows))
    folded = [unfolder.fold(batch) for batch in _folded().to_batches(rows_per_table)]

    found = list(unfolder.unfold(pa.Table.from_batches([batch]) for batch in folded))

    connection = connect(threads=1)
    lines = unfold_claims(load(connection, "folded", _folded()))
    lines = lines.mutate(ledger_number=lines.is_first_line.cast("int32")).drop("is_first_line")
    expected = fetch(connection, lines.order_by(["patient_id", "claim_start_date", "claim_id", "claim_line_number"]))
    assert _rows(found) == _rows([expected])
    assert {part.num_rows for part in found[:-1]} <= {lines_per_group}
    assert sum(part.num_rows for part in found) == 8
