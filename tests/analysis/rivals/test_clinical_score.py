"""The LACE index comes out as a reader with the table and the claims would add it up."""

import numpy as np
import pyarrow as pa
import pytest

from claim_transformers.analysis.rivals.charlson import (
    _COMORBIDITIES,
    CHARLSON_WEIGHTS,
    _charlson_prefixes,
    charlson_scores,
    comorbidities_of,
)
from claim_transformers.analysis.rivals.clinical_score import (
    _LACE_WEIGHTS,
    EMERGENCY_DAYS,
    _lace_points,
    lace_scores,
)

EMERGENCY = "HCPCS/99283"


def examples(*rows):
    """Rows of (index day, visits), a visit being (day, type, codes)."""
    return pa.table(
        {
            "index_day": [day for day, _ in rows],
            "visit_day": [[visit[0] for visit in visits] for _, visits in rows],
            "visit_type": [[visit[1] for visit in visits] for _, visits in rows],
            "codes": pa.array([[visit[2] for visit in visits] for _, visits in rows], pa.list_(pa.list_(pa.string()))),
        }
    )


def conditions(*codes):
    found = comorbidities_of(pa.array(codes)).any(axis=0)
    return [_COMORBIDITIES[at] for at in np.flatnonzero(found)]


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (["ICD9CM/41001", "ICD10CM/I252"], ["myocardial infarction"]),
        (["ICD9CM/4289", "ICD10CM/I5021"], ["congestive heart failure"]),
        (["ICD9CM/25002"], ["diabetes"]),
        (["ICD10CM/E1122"], ["diabetes with complications"]),
        (["ICD9CM/1970", "ICD10CM/C787"], ["metastatic cancer"]),
        (["ICD9CM/1740", "ICD10CM/C50911"], ["cancer"]),
        (["ICD9CM/5856", "ICD10CM/N186", "ICD9CM/V4511"], ["renal disease"]),
        (["ICD9CM/4911", "ICD10CM/J449"], ["chronic pulmonary disease"]),
        (["ICD9CM/173", "ICD10CM/C4491", "ICD9CM/4019", "ICD10CM/I10", "HCPCS/42831", "ICD10PCS/410"], []),
    ],
)
def test_codes_stand_for_the_conditions_of_the_published_lists(codes, expected):
    assert conditions(*codes) == expected


def test_every_condition_has_prefixes_in_both_code_systems_and_none_twice():
    prefixes = _charlson_prefixes()
    for found in prefixes.values():
        assert {prefix.split("/")[0] for prefix in found} == {"ICD9CM", "ICD10CM"}
        assert len(set(found)) == len(found)
    everything = [prefix for found in prefixes.values() for prefix in found]
    shared = {prefix for prefix in everything if everything.count(prefix) > 1}
    assert shared == {"ICD9CM/40403", "ICD9CM/40413", "ICD9CM/40493"}


def test_the_less_severe_form_does_not_count_beside_the_more_severe_one():
    def score(*codes):
        return charlson_scores(comorbidities_of(pa.array(codes)).any(axis=0)[None])[0]

    assert score("ICD9CM/25000", "ICD9CM/25040") == score("ICD9CM/25040") == 2
    assert score("ICD10CM/C509", "ICD10CM/C787") == 6
    assert score("ICD9CM/5712", "ICD9CM/5722") == 3
    assert sum(CHARLSON_WEIGHTS.values()) == 33
    with pytest.raises(KeyError, match="missing"):
        charlson_scores(np.zeros((1, 17), bool), {"dementia": 1})


def test_points_are_those_of_the_table():
    length = _lace_points(range(16), [False] * 16, [0] * 16, [0] * 16)["length"]
    assert length.tolist() == [0, 1, 2, 3, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 7, 7]
    rest = _lace_points([0] * 6, [True] * 6, range(6), range(6))
    assert rest["comorbidity"].tolist() == [0, 1, 2, 3, 5, 5]
    assert rest["emergency"].tolist() == [0, 1, 2, 3, 4, 4]
    assert rest["acute"].tolist() == [3] * 6
    with pytest.raises(ValueError, match="length of at least 0, found <11 below"):
        _lace_points([-1], [True], [0], [0])


def test_a_stay_adds_up():
    table = examples(
        (1000, [(850, "OP", [EMERGENCY]), (850, "CAR", [EMERGENCY]), (900, "OP", ["ICD9CM/29410"]),
                (993, "IP", ["ICD9CM/4280", "REV/0450"])]),
        (1000, [(1000, "IP", ["ICD9CM/4019"])]),
    )  # fmt: skip
    found = lace_scores(table)
    assert found.length_days.tolist() == [7, 0]
    assert found.is_acute.tolist() == [True, False]
    assert found.comorbidity.tolist() == [5, 0]
    assert found.emergency_visits.tolist() == [1, 0]
    assert found.total.tolist() == [5 + 3 + 5 + 1, 0]


def test_emergency_care_that_led_to_the_admission_is_no_earlier_visit():
    before = [(820, "OP", [EMERGENCY]), (816, "OP", [EMERGENCY])]
    led = lace_scores(examples((1002, [*reversed(before), (999, "OP", [EMERGENCY]), (1000, "IP", [])])))
    assert led.is_acute.tolist() == [True]
    assert led.emergency_visits.tolist() == [1], "the six months before day 1000 begin on day 817"


def test_the_columns_of_a_readmission_cohort_give_the_days_of_the_stay():
    # The index visit of such a cohort stands on the day of discharge, the index date on the day after.
    table = examples((1003, [(900, "IP", [EMERGENCY]), (1002, "IP", ["POS/23"])]))
    table = table.append_column("admission_day", pa.array([997])).append_column("discharge_day", pa.array([1002]))
    found = lace_scores(table)
    assert (found.length_days.tolist(), found.is_acute.tolist(), found.emergency_visits.tolist()) == ([5], [True], [1])


def test_a_known_type_of_admission_wins_and_old_diagnoses_do_not_count():
    table = examples((1000, [(500, "OP", ["ICD9CM/1970"]), (998, "IP", ["REV/0450"])]))
    assert lace_scores(table, is_acute=[False]).points["acute"].tolist() == [0]
    assert lace_scores(table).comorbidity.tolist() == [0]
    assert lace_scores(table, comorbidity_days=600).comorbidity.tolist() == [_LACE_WEIGHTS["metastatic cancer"]]


def test_many_stays_give_what_each_gives_alone():
    random = np.random.default_rng(0)
    pool = ["ICD9CM/4280", "ICD9CM/25000", "ICD10CM/J449", "REV/0450", EMERGENCY, "ICD9CM/4019", "POS/23"]
    rows = []
    for _ in range(60):
        days = np.sort(random.integers(600, 999, random.integers(0, 6)))
        visits = [(int(day), "OP", list(random.choice(pool, 2, replace=False))) for day in days]
        rows.append((1000, [*visits, (999, "IP", list(random.choice(pool, 2, replace=False)))]))
    together = lace_scores(examples(*rows)).total
    assert together.tolist() == [int(lace_scores(examples(row)).total[0]) for row in rows]


def test_an_example_without_a_stay_and_a_visit_after_the_discharge_are_refused():
    with pytest.raises(ValueError, match="inpatient visit in every example, missing in <11 of <11"):
        lace_scores(examples((10, [(5, "IP", [])]), (10, [(5, "OP", [])])))
    with pytest.raises(ValueError, match="found <11 of <11 after it"):
        lace_scores(examples((10, [(5, "IP", []), (11, "OP", [])])))
    with pytest.raises(ValueError, match="expected is_acute of shape"):
        lace_scores(examples((10, [(5, "IP", [])])), is_acute=[True, False])


def test_a_cohort_that_cannot_tell_emergency_care_is_named(caplog):
    lace_scores(examples((1000, [(920, "OP", [EMERGENCY]), (998, "IP", ["ICD9CM/4280"])])))
    without_codes, without_days = (record.getMessage() for record in caplog.records)
    assert "emergency visits and acute admissions" in without_codes
    assert "'rev' and 'pos' to the code_columns" in without_codes
    assert "more than 78 days before its admission" in without_days
    assert "look_back_days of at least 183" in without_days


def test_a_cohort_with_places_and_six_months_is_scored_in_silence(caplog):
    lace_scores(examples((1000, [(820, "OP", ["POS/11"]), (998, "IP", ["ICD9CM/4280"])])))
    assert not caplog.records


@pytest.mark.parametrize(("days_before", "counts"), [(2, 1), (183, 1), (182, 1), (184, 0), (1, 0)])
def test_emergency_visits_count_up_to_the_last_day_of_the_half_year(days_before, counts):
    assert EMERGENCY_DAYS == 183
    table = examples((1001, [(990 - days_before, "OP", [EMERGENCY]), (990, "IP", ["ICD9CM/4280"])]))
    table = table.append_column("admission_day", pa.array([990])).append_column("discharge_day", pa.array([1000]))
    assert lace_scores(table).emergency_visits.tolist() == [counts]


@pytest.mark.parametrize(("days_before", "points"), [(365, 1), (366, 0)])
def test_diagnoses_count_up_to_the_last_day_of_the_look_back(days_before, points):
    table = examples((1001, [(1000 - days_before, "OP", ["ICD9CM/25000"]), (1000, "IP", ["ICD9CM/4019"])]))
    table = table.append_column("admission_day", pa.array([995])).append_column("discharge_day", pa.array([1000]))
    assert lace_scores(table).comorbidity.tolist() == [points]
