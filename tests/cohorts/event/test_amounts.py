"""Outcomes that are amounts: what counts, who was not enrolled to the end, and what is not known."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cohorts.patients_by_hand import SCHEMA, day, patient, write_claims

from claim_transformers.claims.visit_amounts import AMOUNT_FIELDS
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.cohorts import build_cohort, load_definition
from claim_transformers.cohorts.event.amounts import label_amounts
from claim_transformers.cohorts.event.definition import AmountRule, LabelRule, Sampling
from claim_transformers.cohorts.timelines import Timelines

WITH_AMOUNTS = pa.schema([*SCHEMA, *AMOUNT_FIELDS.values()])
OFFICE = ["HCPCS/99213"]
YEAR = LabelRule(365)
COST = load_definition("next_year_cost", "event").with_index_dates(["2013-01-01"])


def member(patient_id, *visits, **facts):
    """A patient whose visits carry (date, type, allowed amount)."""
    made = patient(patient_id, *((when, kind, OFFICE) for when, kind, _ in visits), **facts)
    amounts = [amount for _, _, amount in sorted(visits)]
    return made | {"visit_allowed_amount": amounts, "visit_amount": amounts}


def amounts(rule=None, label=YEAR, *members):
    table = pa.Table.from_pylist(list(members), schema=WITH_AMOUNTS)
    index_day = np.full(len(members), day("2013-01-01"))
    found = label_amounts(Timelines(table), rule or AmountRule("allowed"), label, index_day)
    return SimpleNamespace(dollars=found[0], known=found[1], died=found[2], unpriced=found[3])


def until(text):
    return {"enrollment_end_day": [day(text)]}


def test_the_horizon_begins_on_the_index_date_and_ends_before_the_same_day_of_the_next_year():
    days = [("2012-12-31", "OP", 1.0), ("2013-01-01", "OP", 2.0), ("2013-12-31", "IP", 4.0), ("2014-01-01", "OP", 8.0)]
    one = member("a", *days)
    assert amounts(None, YEAR, one).dollars.tolist() == [6.0]
    assert amounts(AmountRule("paid", types=("IP",)), YEAR, one).dollars.tolist() == [4.0]
    assert amounts(AmountRule("allowed", cap=5.0), YEAR, one).dollars.tolist() == [5.0]
    per_month = amounts(AmountRule("allowed", per="member_month"), YEAR, one).dollars
    assert per_month == pytest.approx([6.0 / (365 / (365.25 / 12))])


def test_who_leaves_is_excluded_or_scaled_from_enough_months_on():
    half, week = (member(name, ("2013-01-02", "OP", 50.0), **until(end)) for name, end in
                  (("half", "2013-07-02"), ("week", "2013-01-07")))  # fmt: skip
    excluded = amounts(None, YEAR, half, week)
    assert excluded.known.tolist() == [False, False]
    scaled = amounts(AmountRule("allowed", partial_enrollment="annualize", minimum_months=3), YEAR, half, week)
    assert scaled.known.tolist() == [True, False]
    assert scaled.dollars[0] == pytest.approx(50.0 * 365 / 183)


@pytest.mark.parametrize(("death", "known", "dollars"), [("negative", True, 70.0), ("censored", False, 70.0)])
def test_after_a_death_nothing_is_spent_or_nothing_is_known(death, known, dollars):
    gone = member("a", ("2013-01-20", "IP", 70.0), death_day=day("2013-02-01"))
    found = amounts(None, LabelRule(365, death=death), gone)
    assert (found.known[0], found.dollars[0], found.died[0]) == (known, dollars, not known)


def test_a_missing_amount_is_never_guessed():
    some = member("some", ("2013-02-01", "OP", None), ("2013-03-01", "OP", 9.0))
    none = member("none", ("2013-02-01", "OP", None))
    idle, credit = member("idle", ("2012-02-01", "OP", 5.0)), member("credit", ("2013-02-01", "OP", -3.0))
    found = amounts(None, YEAR, some, none, idle, credit)
    np.testing.assert_array_equal(found.dollars, [9.0, np.nan, 0.0, 0.0])
    assert found.unpriced.tolist() == [1, 1, 0, 0]


@pytest.fixture(scope="module")
def claims(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cost") / "claims"
    people = [member(f"P{n}", ("2012-05-01", "OP", 5.0 + n), ("2013-05-01", "OP", 10.0 * n)) for n in range(40)]
    people += [member("left", ("2012-05-01", "OP", 1.0), ("2013-01-03", "OP", 1.0), **until("2013-01-20"))]
    people += [member("blank", ("2012-05-01", "OP", 1.0), ("2013-01-03", "OP", None))]
    open_stay = member("open", ("2012-12-30", "IP", 900.0), ("2012-05-01", "OP", 1.0), ("2013-02-02", "OP", 3.0))
    people += [open_stay | {"visit_end_day": [day("2012-05-01"), day("2013-01-04"), day("2013-02-02")]}]
    write_claims(folder, people)
    table = pa.Table.from_pylist(people, schema=WITH_AMOUNTS)
    pq.write_table(table, folder / "patients" / "train-00000.parquet")
    return folder


def test_claims_after_a_gap_in_enrolment_add_nothing():
    spans = [day("2012-01-01"), day("2013-07-02")], [day("2013-06-30"), day("2014-12-31")]
    enrolled = dict(zip(("enrollment_start_day", "enrollment_end_day"), spans, strict=True))
    visits = ("2013-02-01", "OP", 100.0), ("2013-08-01", "OP", 900.0)
    back = member("back", *visits, **enrolled)
    assert not amounts(None, YEAR, back).known.any()
    scaled = amounts(AmountRule("allowed", partial_enrollment="annualize"), YEAR, back).dollars
    assert scaled.tolist() == pytest.approx([100.0 * 365 / 181])


def test_a_cohort_has_amounts_as_labels_and_hides_what_an_open_stay_will_cost(claims, tmp_path):
    cohort = build_cohort(COST, claims)
    rows = {row["patient_id"]: row for row in cohort.examples.to_pylist()}
    assert rows["P7"]["label"] == 70.0
    assert rows["P7"]["visit_allowed_amount"] == [12.0]
    assert rows["open"]["visit_allowed_amount"] == [1.0, None]
    assert rows["open"]["label"] == 3.0
    assert "left" not in rows
    assert "blank" not in rows
    known = cohort.attrition[-2]
    assert known.removed == 2
    assert known.cases is None
    assert known.reasons == {
        "censored: left enrolment within the horizon": 1,
        "censored: visits within the horizon, all without an amount": 1,
    }
    cohort.save(tmp_path / "cohort")
    assert cohort.visits_without_amount == 0


def test_patients_are_sampled_alike_whatever_they_cost(claims):
    few = build_cohort(replace(COST, sampling=Sampling(patients=15)), claims)
    assert few.examples.num_rows == 15
    assert few.examples["label"].to_numpy().any()


def test_claims_without_amounts_and_rules_that_do_not_fit_are_refused(tmp_path):
    bare = write_claims(tmp_path / "claims", [patient("a", ("2012-05-01", "OP", OFFICE))])
    with pytest.raises(ClaimDataError, match="E_COLUMN: expected visit_allowed_amount"):
        build_cohort(COST, bare)
    with pytest.raises(ValueError, match=r"expected sampling\.patients"):
        COST.with_sampling(cases=3)
    with pytest.raises(ValueError, match="found an event beside an amount"):
        replace(COST, label=LabelRule(365, visit_types=("IP",)))
    with pytest.raises(ValueError, match=r"outcome.amount: expected 'allowed' or 'paid', found 'charged'"):
        AmountRule("charged")
    with pytest.raises(ValueError, match=r"outcome.cap: expected more than 0"):
        AmountRule("paid", cap=0)
