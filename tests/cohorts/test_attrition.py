"""The attrition table as text and as JSON."""

from claim_transformers.cohorts import AttritionStep
from claim_transformers.cohorts.attrition import attrition_rows


def test_reasons_add_lines_and_labels_are_shown_once_they_are_known():
    steps = [AttritionStep("all", 1000, 0), AttritionStep("known", 900, 100, {"left": 90, "died": 10}, 200, 700)]
    assert attrition_rows(steps, {"examples": {"train": 600, "test": 300}}) == [
        ("all", "1,000", "0"),
        ("known", "900", "100"),
        ("  left", "", "90"),
        ("  died", "", "10"),
        ("  cases / controls", "200 / 700", ""),
        ("of these examples", "900", ""),
        ("  train: examples", "600", ""),
        ("  test: examples", "300", ""),
    ]


def test_a_row_as_json_holds_only_what_applies():
    assert AttritionStep("all", 10, 0).to_dict() == {"step": "all", "patients": 10, "removed": 0}
    assert AttritionStep("known", 9, 1, {"left": 1}, 0, 9).to_dict() == {
        "step": "known",
        "patients": 9,
        "removed": 1,
        "reasons": {"left": 1},
        "cases": 0,
        "controls": 9,
    }
