"""The attrition table as text and as JSON."""

from claim_transformers.claims.small_cells import FEW, HIDDEN
from claim_transformers.cohorts import AttritionStep
from claim_transformers.cohorts.attrition import attrition_rows, describe_steps, show_attrition


def test_reasons_add_lines_and_labels_are_shown_once_they_are_known():
    steps = [AttritionStep("all", 1000, 0), AttritionStep("known", 900, 100, {"left": 60, "died": 40}, 200, 700)]
    assert attrition_rows(show_attrition(steps, {"examples": {"train": 600, "test": 300}})) == [
        ("all", "1,000", "0"),
        ("known", "900", "100"),
        ("  left", "", "60"),
        ("  died", "", "40"),
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


# A selection with a small cell of each kind: a reason, a step, a label, a split.
PLANTED = [
    AttritionStep("all", 5000, 0),
    AttritionStep("alive", 4996, 4),
    AttritionStep("insured", 3000, 1996),
    AttritionStep("known", 2900, 100, {"left": 93, "died": 7}, 406, 2494),
    AttritionStep("sampled", 1200, 1700, {"cases not drawn": 6, "controls not drawn": 1694}, 400, 800),
]
PLANTED_ENDS = {
    "cases": {"train": 300, "validation": 91, "test": 9},
    "controls": {"train": 500, "validation": 200, "test": 100},
}


def test_no_planted_count_is_in_the_table_nor_can_it_be_subtracted_out_of_it():
    rows = attrition_rows(show_attrition(PLANTED, PLANTED_ENDS))
    numbers = {int(word.replace(",", "")) for row in rows for cell in row[1:] for word in cell.split(" / ")
               if word and word not in (FEW, HIDDEN)}  # fmt: skip
    assert not numbers & set(range(1, 11))
    assert {row[0]: row[1:] for row in rows}["alive"] == (HIDDEN, FEW)
    assert rows[-1][1] == f"{FEW} / 100"
    assert not {before - after for before in numbers for after in numbers} & set(range(1, 11))
    # Who came in, who is in and most of what lies between stays.
    assert {5000, 3000, 2900, 1200} <= numbers
    raw = attrition_rows(show_attrition(PLANTED, PLANTED_ENDS, raw_counts=True))
    assert rows != raw
    assert raw[1] == ("alive", "4,996", "4")


def test_a_reason_that_is_not_named_is_a_small_cell_too():
    step = AttritionStep("known", 900, 100, {"left": 95})
    (shown,) = show_attrition([step], {}).steps
    assert (shown["removed"], shown["reasons"]) == (100, {"left": HIDDEN})


def test_the_message_of_an_empty_cohort_shows_no_small_cell():
    steps = [AttritionStep("all", 900, 0), AttritionStep("alive", 3, 897), AttritionStep("known", 0, 3)]
    assert describe_steps(steps) == f"all: 900, alive: {FEW}, known: 0"


def test_few_cases_hide_every_count_of_examples_since_the_definition_says_controls_per_case():
    steps = [AttritionStep("known", 900, 0, {}, 9, 891),
             AttritionStep("sampled", 27, 873, {"controls not drawn": 873}, 9, 18)]  # fmt: skip
    shown = show_attrition(steps, {"cases": {"train": 9, "test": 0}, "controls": {"train": 16, "test": 2}})
    assert [cell for row in attrition_rows(shown)[3:] for cell in row[1:] if "27" in cell or "18" in cell] == []
    assert shown.steps[1]["patients"] == shown.steps[1]["controls"] == shown.splits["train"] == HIDDEN
