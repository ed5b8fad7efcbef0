"""The labels of stays against the rule written as a loop."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claim_transformers.cohorts.readmission.labels import (
    _COVERAGE,
    _DATA_END,
    _DEATH,
    OBSERVED,
    censor_windows,
    label_stays,
    mark_excluded,
    mark_planned,
)
from claim_transformers.cohorts.timelines import _FAR_DAY, UNKNOWN_DAY

STAYS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 200), st.integers(0, 20), st.booleans()), max_size=40)


@settings(deadline=None, max_examples=200)
@given(STAYS)
def test_labels_equal_the_rule_written_as_a_loop(stays):
    rows = sorted((patient, start, start + length, planned) for patient, start, length, planned in stays)
    patient, admission, discharge, planned = np.array(rows, np.int64).reshape(-1, 4).T
    label, _, planned_next = label_stays(patient, admission, discharge, planned.astype(bool), horizon_days=30)
    for place, (person, _, end, _) in enumerate(rows):
        later = rows[place + 1] if place + 1 < len(rows) and rows[place + 1][0] == person else None
        within = later is not None and 0 <= later[1] - end <= 30
        assert label[place] == int(within and not later[3])
        assert planned_next[place] == (within and later[3])


@pytest.mark.parametrize(
    ("insured_until", "death_day", "last_day", "expected"),
    [
        (_FAR_DAY, UNKNOWN_DAY, 130, OBSERVED),
        (129, UNKNOWN_DAY, 400, _COVERAGE),
        (130, UNKNOWN_DAY, 400, OBSERVED),
        (UNKNOWN_DAY, UNKNOWN_DAY, 400, _COVERAGE),
        (129, UNKNOWN_DAY, 129, _DATA_END),
        (110, UNKNOWN_DAY, 129, _COVERAGE),
        (115, 115, 400, _DEATH),
        (400, 130, 400, _DEATH),
        (400, 131, 400, OBSERVED),
    ],
)
def test_a_window_is_censored_by_what_ended_it(insured_until, death_day, last_day, expected):
    one = lambda value: np.array([value], np.int64)  # noqa: E731
    found = censor_windows(
        np.zeros(1, np.int8),
        one(999),
        one(100),
        one(insured_until),
        one(death_day),
        horizon_days=30,
        last_day=last_day,
    )
    assert found.tolist() == [expected]


def test_a_readmission_in_coverage_is_never_censored_by_what_follows_it():
    one = lambda value: np.array([value], np.int64)  # noqa: E731
    found = censor_windows(np.ones(1, np.int8), one(10), one(100), one(110), one(112), horizon_days=30, last_day=130)
    assert found.tolist() == [OBSERVED]


@pytest.mark.parametrize(
    ("insured_until", "last_day", "expected"),
    [
        (110, 130, OBSERVED),
        (109, 130, _COVERAGE),
        (110, 129, _DATA_END),
        (109, 109, _DATA_END),
        (108, 109, _COVERAGE),
    ],
)
def test_a_readmission_counts_if_coverage_reaches_its_day_and_the_data_the_end_of_its_window(
    insured_until, last_day, expected
):
    one = lambda value: np.array([value], np.int64)  # noqa: E731
    found = censor_windows(
        np.ones(1, np.int8),
        one(10),
        one(100),
        one(insured_until),
        one(UNKNOWN_DAY),
        horizon_days=30,
        last_day=last_day,
    )
    assert found.tolist() == [expected]


def test_the_gap_is_that_to_the_next_stay_of_the_same_patient_and_beyond_any_window_without_one():
    patient, admission, discharge = np.array([[0, 0, 4], [0, 9, 9], [1, 10, 12]]).T
    _, gap, _ = label_stays(patient, admission, discharge, np.zeros(3, bool), horizon_days=30)
    assert gap.tolist() == [5, _FAR_DAY, _FAR_DAY]


def marks(mark, principal, procedures):
    """What `mark` says of a stay with one principal diagnosis and one procedure or none."""
    table = lambda code: pa.table({"stay": pa.array([1] * len(code), pa.int64()), "code": pa.array(code, pa.string())})  # noqa: E731
    return mark(3, table(principal), table(procedures)).tolist()


@pytest.mark.parametrize(
    ("principal", "procedures", "planned"),
    [
        # Joint replacement is planned but with an acute diagnosis, maintenance chemotherapy and a transplant always.
        (["ICD9CM/7213"], ["ICD9PCS/8151"], True),
        (["ICD9CM/486"], ["ICD9PCS/8151"], False),
        (["ICD9CM/7213"], [], False),
        (["ICD9CM/V5811"], [], True),
        (["ICD9CM/486"], ["ICD9PCS/5569"], True),
    ],
)
def test_a_stay_is_planned_by_its_procedure_unless_its_diagnosis_is_acute(principal, procedures, planned):
    assert marks(mark_planned, principal, procedures) == [False, planned, False]


@pytest.mark.parametrize(
    ("principal", "procedures", "excluded"),
    [
        (["ICD9CM/1749"], [], True),
        (["ICD9CM/1749"], ["ICD9PCS/8543"], False),
        (["ICD9CM/29570"], ["ICD9PCS/8543"], True),
        (["ICD9CM/V5789"], [], True),
        (["ICD9CM/486"], [], False),
    ],
)
def test_psychiatric_rehabilitation_and_medical_cancer_stays_are_no_index_stays(principal, procedures, excluded):
    assert marks(mark_excluded, principal, procedures) == [False, excluded, False]
