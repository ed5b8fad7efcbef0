"""The true risk reaches the right patient at the right date, or fails."""

import numpy as np
import pyarrow as pa
import pytest

from claim_transformers.analysis import true_risk_scores
from claim_transformers.analysis.rivals.true_risk import stay_risk_scores

DEFINITION = {
    "name": "asthma_exacerbation",
    "index": {"rule": "fixed_date"},
    "label": {"horizon_days": 365},
    "sampled_share": [1.0, 1.0],
}
ENCOUNTER = {
    "name": "suicide_attempt",
    "index": {"rule": "next_encounter", "first_date": "2013-01-01", "last_date": "2014-12-31"},
    "label": {"horizon_days": 1},
    "sampled_share": [1.0, 1.0],
}
EXAMPLES = pa.table({"patient_id": ["b", "a"], "index_day": pa.array([100, 100], pa.int32())})


def risks(rows):
    names = ("patient_id", "index_date", "outcome", "horizon_days", "risk")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    columns["index_date"] = pa.array(columns["index_date"], pa.int32()).cast(pa.date32())
    table = pa.table(columns)
    # As the simulator's file is read: identifiers in dictionaries that differ from one row group to the next.
    parts = [table.slice(row, 1) for row in range(table.num_rows)]
    encoded = [part.set_column(0, "patient_id", part["patient_id"].dictionary_encode()) for part in parts]
    return pa.concat_tables(encoded)


def test_each_example_gets_the_risk_of_its_own_date_horizon_and_outcome():
    table = risks(
        [
            ("a", 100, "asthma_hospitalization", 365, 0.1),
            ("b", 100, "asthma_hospitalization", 365, 0.2),
            ("b", 100, "asthma_hospitalization", 30, 0.9),
            ("b", 131, "asthma_hospitalization", 365, 0.8),
            ("b", 100, "suicide_attempt", 365, 0.7),
        ]
    )
    assert true_risk_scores(EXAMPLES, table, DEFINITION).tolist() == [0.2, 0.1]


def test_sampling_of_controls_raises_the_odds_by_the_ratio_of_the_shares():
    table = risks([(name, 100, "asthma_hospitalization", 365, 0.1) for name in "ab"])
    found = true_risk_scores(EXAMPLES, table, DEFINITION | {"sampled_share": [0.25, 0.5]})
    assert np.allclose(found / (1 - found), 2 * 0.1 / 0.9)


def test_a_missing_risk_is_an_error_and_not_a_zero():
    table = risks([("a", 100, "asthma_hospitalization", 365, 0.1)])
    with pytest.raises(ValueError, match="missing for <11 of <11 examples"):
        true_risk_scores(EXAMPLES, table, DEFINITION)


def test_a_cohort_that_the_simulator_does_not_know_is_refused():
    with pytest.raises(ValueError, match="found 'readmission'"):
        true_risk_scores(EXAMPLES, risks([("a", 1, "x", 1, 0.1)]), DEFINITION | {"name": "readmission"})


def day(text):
    return int(np.datetime64(text, "D").astype(int))


def encounters(**days):
    names, when = list(days), [day(text) for text in days.values()]
    return pa.table({"patient_id": names, "index_day": pa.array(when, pa.int32())})


def monthly(patient, hazards):
    return [(patient, day(month), "suicide_attempt", 31, hazard) for month, hazard in hazards.items()]


def test_an_encounter_gets_the_hazard_of_its_month_times_the_months_at_risk_within_the_window():
    table = risks(
        [
            *monthly("a", {"2012-12-01": 0.5, "2013-01-01": 0.001, "2013-02-01": 0.002, "2013-03-01": 0.4}),
            *monthly("b", {"2014-12-01": 0.01, "2015-01-01": 0.5}),
            ("a", day("2013-02-01"), "suicide_attempt", 180, 0.9),
            ("a", day("2013-02-01"), "asthma_hospitalization", 31, 0.8),
        ]
    )
    found = true_risk_scores(encounters(b="2014-12-31", a="2013-02-28"), table, ENCOUNTER)
    assert np.allclose(found / (1 - found), [1 * 0.01, 3 * 0.002])


def test_controls_at_random_visits_make_the_score_of_an_encounter_calibrated():
    generator = np.random.default_rng(0)
    people, months = 20_000, 12
    starts = np.datetime64("2013-01") + np.arange(months)
    hazard = np.exp(generator.normal(-7, 0.7, people)[:, None] + generator.normal(0, 0.7, (people, months)))
    happens = generator.random((people, months)) < hazard
    is_case = happens.any(axis=1)
    month = np.where(is_case, happens.argmax(axis=1), generator.integers(0, months, people))
    names = np.array([f"p{number}" for number in range(people)])
    table = pa.table(
        {
            "patient_id": np.repeat(names, months),
            "index_date": pa.array(np.tile(starts.astype("datetime64[D]"), people)),
            "outcome": ["suicide_attempt"] * (people * months),
            "horizon_days": np.full(people * months, 30),
            "risk": hazard.ravel(),
        }
    )
    index_day = starts[month].astype("datetime64[D]").astype(np.int32) + generator.integers(0, 28, people)
    score = true_risk_scores(
        pa.table({"patient_id": names, "index_day": pa.array(index_day, pa.int32())}), table, ENCOUNTER
    )
    for group in np.array_split(np.argsort(score), 3):
        expected, seen = score[group].sum(), is_case[group].sum()
        assert abs(seen - expected) < 4 * np.sqrt(expected)


def test_an_encounter_outside_the_months_at_risk_is_an_error():
    with pytest.raises(ValueError, match="in the month at every index date, missing for <11 of <11"):
        true_risk_scores(encounters(a="2013-05-05"), risks(monthly("a", {"2013-04-01": 0.1})), ENCOUNTER)


def stay_risks(rows):
    names = ("patient_id", "discharge_date", "outcome", "risk")
    table = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    place = table.column_names.index("discharge_date")
    return table.set_column(place, "discharge_date", table["discharge_date"].cast(pa.int32()).cast(pa.date32()))


def stays(*pairs):
    ids, days = zip(*pairs, strict=True)
    return pa.table({"patient_id": list(ids), "discharge_day": pa.array(days, pa.int32())})


def test_each_stay_of_a_patient_gets_the_risk_of_its_own_discharge_and_outcome():
    table = stay_risks(
        [
            ("a", 10, "readmission_any", 0.1),
            ("a", 10, "readmission_unplanned", 0.05),
            ("a", 40, "readmission_any", 0.3),
            ("b", 40, "readmission_any", 0.4),
        ]
    )
    assert stay_risk_scores(stays(("b", 40), ("a", 40), ("a", 10)), table).tolist() == [0.4, 0.3, 0.1]
    assert stay_risk_scores(stays(("a", 10)), table, "readmission_unplanned").tolist() == [0.05]


def test_stays_without_a_true_risk_are_counted_or_left_open():
    table = stay_risks([("a", 10, "readmission_any", 0.1)])
    examples = stays(("a", 9), ("a", 10), ("b", 10))
    with pytest.raises(ValueError, match="after every index stay, missing for <11 of <11 examples"):
        stay_risk_scores(examples, table)
    assert np.array_equal(stay_risk_scores(examples, table, missing="nan"), [np.nan, 0.1, np.nan], equal_nan=True)


def test_two_true_risks_of_one_stay_are_refused():
    table = stay_risks([("a", 10, "readmission_any", 0.1), ("a", 10, "readmission_any", 0.2)])
    with pytest.raises(ValueError, match="found <11 of <11 stays"):
        stay_risk_scores(stays(("a", 10)), table)


@pytest.mark.parametrize("options", [{"outcome": "death"}, {"missing": "zero"}])
def test_an_unknown_outcome_or_way_is_refused(options):
    with pytest.raises(ValueError, match=r"found '(death|zero)'"):
        stay_risk_scores(stays(("a", 10)), stay_risks([("a", 10, "readmission_any", 0.1)]), **options)
