import datetime as dt
import json
import logging

import datasets
import pyarrow as pa
import pytest

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.training import cut_records, describe_exposure, leave_out_patients

UNTIL = dt.date(1970, 4, 11)  # day 100


def person(
    name: str, days: list[int], paid: list[int] | None = None, spans: tuple[tuple[int, int], ...] = ((0, 200),)
):
    return {
        "patient_id": name,
        "sex": "F",
        "birth_day": -9000,
        "death_day": 190,
        "enrollment_start_day": [start for start, _ in spans],
        "enrollment_end_day": [end for _, end in spans],
        "visit_day": days,
        "visit_type": ["OP"] * len(days),
        "codes": [[f"NDC/{day}"] for day in days],
        "visit_paid_day": days if paid is None else paid,
    }


def of(*people) -> datasets.DatasetDict:
    days = pa.list_(pa.int32())
    types = dict.fromkeys(("enrollment_start_day", "enrollment_end_day", "visit_day", "visit_paid_day"), days)
    types |= {"birth_day": pa.int32(), "death_day": pa.int32(), "codes": pa.list_(pa.list_(pa.string()))}
    columns = {name: pa.array([row[name] for row in people], types.get(name)) for name in people[0]}
    return datasets.DatasetDict(train=datasets.Dataset(pa.table(columns)))


@pytest.fixture
def cohort(tmp_path):
    """B stands on day 100, C on day 50, D is no patient of the claims; the horizon has 30 days."""
    rows = [{"patient_id": name, "index_day": day} for name, day in (("B", 100), ("C", 50), ("D", 100))]
    datasets.DatasetDict(test=datasets.Dataset.from_list(rows)).save_to_disk(tmp_path)
    (tmp_path / "cohort.json").write_text(json.dumps({"label": {"horizon_days": 30}}))
    return tmp_path


def test_nothing_of_the_date_or_after_it_is_left():
    cut = cut_records(of(person("A", [98, 99, 100, 101])), UNTIL)["train"][0]
    assert (cut["visit_day"], cut["codes"]) == ([98, 99], [["NDC/98"], ["NDC/99"]])
    assert (cut["enrollment_start_day"], cut["enrollment_end_day"]) == ([0], [99])
    assert "death_day" not in cut
    assert "index_day" not in cut


def test_what_was_not_paid_by_the_date_was_not_known():
    cut = cut_records(of(person("A", [97, 98, 99], paid=[99, 100, 101])), "1970-04-11")["train"][0]
    assert cut["visit_day"] == [97, 98]


def test_enrolment_that_has_not_begun_and_patients_without_a_visit_are_not_there():
    spans = ((0, 50), (99, 120), (100, 130))
    cut = cut_records(of(person("A", [10], spans=spans), person("B", [100]), person("C", [20], spans=())), UNTIL)
    assert cut["train"]["patient_id"][:] == ["A", "C"]
    assert cut["train"]["enrollment_start_day"][:] == [[0, 99], []]
    assert cut["train"]["enrollment_end_day"][:] == [[50, 99], []]


def test_a_date_before_all_visits_and_one_that_is_none_are_refused():
    with pytest.raises(ClaimDataError, match="E_NO_PATIENTS: expected visits before the date in the split 'train'"):
        cut_records(of(person("A", [100])), UNTIL)
    for wrong in ("11.04.1970", "1970-02-30", "100"):
        with pytest.raises(ValueError, match="expected until to be a date YYYY-MM-DD, found none"):
            cut_records(of(person("A", [100])), wrong)


@pytest.mark.parametrize(
    ("people", "said", "is_warned"),
    [
        # Enrolment shows that nothing happened: all 30 days of both are seen, the last of B is day 129.
        (
            [person("A", [1]), person("B", [99]), person("C", [1])],
            "saw <11 of <11 test patients of the cohort, and 60",
            True,
        ),
        ([person("B", [99], spans=((0, 100),))], "saw <11 of <11 test patients of the cohort, and <11 days", True),
        ([person("B", [99], spans=((0, 99),))], "saw <11 of <11 test patients of the cohort, and 0 days", False),
        ([person("B", [129], spans=())], "and 30 days", True),
        ([person("A", [1])], "saw 0 of <11 test patients of the cohort, and 0 days", False),
    ],
)
def test_days_of_outcome_periods_are_counted_and_warned_of(people, said, is_warned, cohort, caplog):
    with caplog.at_level(logging.WARNING):
        assert said in describe_exposure(of(*people), cohort)
    assert [record.getMessage().startswith("W_OUTCOME_SEEN") for record in caplog.records] == [True] * is_warned


def test_records_cut_at_the_first_index_date_show_no_outcome(cohort):
    patients = of(person("A", [1]), person("B", [20, 110]), person("C", [20, 60]))
    assert "and 60 days" in describe_exposure(patients, cohort)
    # C stands on day 50: cut at the index date of B, half of its outcome period is still there.
    assert "saw <11 of <11 test patients of the cohort, and 30 days" in describe_exposure(
        cut_records(patients, UNTIL), cohort
    )
    assert "and 0 days" in describe_exposure(cut_records(patients, "1970-02-20"), cohort)
    left = leave_out_patients(patients, datasets.load_from_disk(cohort))
    assert "saw 0 of <11" in describe_exposure(left, cohort)
