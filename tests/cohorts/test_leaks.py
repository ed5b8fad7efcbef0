"""The leak check finds what is planted, counts it, says nothing of it, and passes what is clean."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from cohorts.patients_by_hand import ADMISSION, ASTHMA_VISIT, day, paid, patient, write_claims
from datasets import load_from_disk

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.cohorts import build_cohort, check_leaks, load_definition

INDEX = day("2013-01-01")


@pytest.fixture
def cohort(tmp_path):
    children = [
        patient(f"P{i:03d}", ASTHMA_VISIT, *([ADMISSION] if i % 4 == 0 else []))
        | paid("2012-06-01", *(["2013-04-01"] if i % 4 == 0 else []))
        for i in range(40)
    ]
    definition = load_definition("asthma_exacerbation", "event").with_sampling(cases=None, controls_per_case=None)
    definition = replace(definition, index=replace(definition.index, dates=("2013-01-01",)))
    return build_cohort(definition, write_claims(tmp_path / "claims", children))


def planted(cohort, name, column):
    """The splits with a column of the training examples replaced."""
    splits = cohort.splits()
    train = splits["train"]
    return splits | {"train": train.set_column(train.column_names.index(name), name, column(train))}


def lists(values):
    return pa.array(values, pa.list_(pa.int32()))


def test_a_clean_cohort_passes_as_it_is_and_as_it_is_loaded(cohort, tmp_path):
    check_leaks(cohort)
    cohort.save(tmp_path / "cohort")
    check_leaks(load_from_disk(str(tmp_path / "cohort")))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("visit_day", [INDEX], "{n} visits at or after it"),
        ("visit_day", [INDEX + 400], "{n} visits at or after it"),
        ("visit_paid_day", [INDEX + 1], "{n} visits paid after it"),
        ("enrollment_end_day", [INDEX + 1], "{n} enrolment spans that reach beyond it"),
        ("enrollment_start_day", [INDEX + 1], "{n} enrolment spans that reach beyond it"),
    ],
)
def test_what_was_not_known_at_the_index_date_is_found_in_every_row(cohort, name, values, message):
    rows = cohort.splits()["train"].num_rows
    assert rows > 5
    with pytest.raises(ClaimDataError, match=f"E_LEAK.*found {message.format(n=rows)}$"):
        check_leaks(planted(cohort, name, lambda train: lists([values] * train.num_rows)))


def test_the_last_moment_that_is_known_passes(cohort):
    check_leaks(planted(cohort, "visit_day", lambda train: lists([[INDEX - 1]] * train.num_rows)))
    check_leaks(planted(cohort, "visit_paid_day", lambda train: lists([[INDEX]] * train.num_rows)))


def test_an_unknown_paid_day_passes(cohort):
    check_leaks(planted(cohort, "visit_paid_day", lambda train: lists([[None]] * train.num_rows)))


def test_a_day_of_death_is_found(cohort):
    splits = cohort.splits()
    deaths = pa.array(np.full(splits["test"].num_rows, INDEX + 90), pa.int32())
    with pytest.raises(ClaimDataError, match=f"{len(deaths)} days of death"):
        check_leaks(splits | {"test": splits["test"].append_column("death_day", deaths)})


def test_a_patient_in_two_splits_or_twice_in_one_is_found(cohort):
    splits = cohort.splits()
    with pytest.raises(ClaimDataError, match="found <11 patients in two splits"):
        check_leaks(splits | {"test": pa.concat_tables([splits["test"], splits["train"].slice(0, 2)])})
    with pytest.raises(ClaimDataError, match="found <11 patients with two examples"):
        check_leaks(splits | {"test": pa.concat_tables([splits["test"], splits["test"].slice(0, 1)])})


def test_all_leaks_are_told_at_once_without_an_identifier_or_a_date(cohort):
    splits = planted(cohort, "visit_day", lambda train: lists([[INDEX + 400]] * train.num_rows))
    with pytest.raises(ClaimDataError, match=r"visits at or after it, .* patients in two splits") as caught:
        check_leaks(splits | {"test": splits["train"]})
    assert "P0" not in str(caught.value)
    assert "201" not in str(caught.value)
