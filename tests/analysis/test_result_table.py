"""A table says the same in every form that it is written in, and is read back from its JSON."""

import csv
import json
from dataclasses import replace

import pytest

from claim_transformers.analysis import ResultTable
from claim_transformers.training import MetricInterval

RECALL = MetricInterval(0.5, 0.4, 0.6, 9, 9)
UNDEFINED = MetricInterval(None, None, None, 9, 0, reason="W_ONE_CLASS")


def test_a_table_is_saved_in_three_forms_and_hides_columns_from_readers_alone(tmp_path):
    interval = MetricInterval(0.5, 0.4, 0.6, 9, 9)
    rows = [
        {"group": "F", "recall": interval, "p raw": 0.2, "n": 1200},
        {"group": "M", "recall": None, "p raw": None, "n": 3},
    ]
    table = ResultTable("Recall", rows, ["A note."], hidden=["p raw"])
    table.save(tmp_path / "tables", "recall")
    assert {file.name for file in (tmp_path / "tables").iterdir()} == {"recall.md", "recall.csv", "recall.json"}
    assert "p raw" not in table.to_markdown()
    assert "1,200" in table.to_markdown()
    assert table.to_csv().splitlines()[2] == "M,,,,,3"
    assert json.loads((tmp_path / "tables" / "recall.json").read_text())["rows"][0]["p raw"] == 0.2


def test_what_is_saved_is_read_back(tmp_path):
    table = ResultTable(
        "Recall", [{"group": "F", "recall": RECALL, "n": 3}, {"group": "M", "recall": UNDEFINED, "n": 1}]
    )
    table.save(tmp_path, "recall")
    assert ResultTable.from_dict(json.loads((tmp_path / "recall.json").read_text())) == table


def test_what_is_no_table_is_not_read():
    with pytest.raises(ValueError, match="expected title, notes and rows of a table, found no notes, rows"):
        ResultTable.from_dict({"title": "Recall", "models": []})


def test_a_column_is_shown_in_its_format_and_a_row_may_be_bold():
    rows = [{"model": "A", "gain": RECALL, "share": 0.25}, {"model": "B", "gain": UNDEFINED}]
    lines = ResultTable("Gain", rows, formats={"gain": "+.2f", "share": ".0%"}, bold=[0]).to_markdown().splitlines()
    assert lines[-2:] == ["| **A** | **+0.50 (+0.40 to +0.60)** | **25%** |", "| B | undefined |  |"]


def test_small_p_values_are_bounds_and_truths_are_words():
    table = ResultTable(
        "Tests", [{"p": 0.0004, "p Holm": 0.0001, "error": 0.0004, "is known": True, "n": float("nan")}]
    )
    assert table.to_markdown().splitlines()[-1] == "| <0.001 | <0.001 | 0.000 | yes |  |"
    assert table.to_csv().splitlines()[-1] == "0.0004,0.0001,0.0004,True,"


def test_a_value_without_an_interval_says_so_where_others_have_one():
    table = ResultTable("Cut", [{"cut": MetricInterval(0.3, None, None, 0, 0)}, {"cut": RECALL}, {"cut": 1}])
    assert table.to_markdown().splitlines()[-3] == "| 0.300 (no interval) |"
    assert [len(row) for row in csv.reader(table.to_csv().splitlines())] == [3, 3, 3, 3]


def test_a_picture_is_saved_beside_the_table_and_shown_above_it(tmp_path):
    table = ResultTable("Sizes", [{"patients": 100}], picture="<svg/>")
    table.save(tmp_path, "sizes")
    assert (tmp_path / "sizes.svg").read_text() == "<svg/>"
    assert "![Sizes](sizes.svg)" in (tmp_path / "sizes.md").read_text()
    assert "svg" not in table.to_markdown()


def test_csv_and_json_may_hold_more_than_is_shown():
    table = replace(ResultTable("T", [{"a": 1}]), csv_rows=[{"a": 1, "b": 2}], content={"title": "T", "seed": 0})
    assert table.to_csv() == "a,b\n1,2\n"
    assert table.to_dict() == {"title": "T", "seed": 0}
    assert "b" not in table.to_markdown()
