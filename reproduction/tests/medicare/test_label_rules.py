"""The table about the label rule: its rows, and which test stays they count."""

import numpy as np
import pyarrow as pa
from cohorts.sequences_by_hand import random_stays

from reproduction.medicare.label_rules import settings, three_to_one, without_transfers
from reproduction.medicare.readmission_study import StudyCohort


def cohort_of(test: pa.Table) -> StudyCohort:
    cohort = StudyCohort("cohort", "sequences")
    cohort.__dict__["examples"] = {"test": test}
    return cohort


def test_three_negatives_per_positive_keep_every_case_and_draw_the_same_negatives():
    labels = np.r_[np.ones(10, np.int64), np.zeros(200, np.int64)]
    cohort = cohort_of(pa.table({"label": labels}))
    chosen = three_to_one(cohort)
    assert chosen[:10].all()
    assert chosen[10:].sum() == 30
    assert np.array_equal(chosen, three_to_one(cohort))


def test_transfers_are_left_out_by_their_mark_and_not_by_their_label():
    stays = random_stays(10)
    marks = np.arange(stays.num_rows) % 3 == 0
    stays = stays.set_column(stays.column_names.index("is_transfer_label"), "is_transfer_label", pa.array(marks))
    assert np.array_equal(without_transfers(cohort_of(stays)), ~marks)


def test_the_rows_undo_one_thing_after_the_other():
    rows = settings()
    assert [row.definition.disposition for row in rows[:3]] == [True, True, False]
    assert [row.chosen is None for row in rows] == [True, False, False, True, False, True]
