"""Planted drift is seen where it is, and nothing is seen where there is none."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit

from claim_transformers.analysis import drift_figure
from claim_transformers.analysis.audit.drift import DriftSample, PeriodDrift, _domain_auroc, _true_auroc, measure_drift
from claim_transformers.analysis.audit.drift_tables import drift_table, field_table
from claim_transformers.analysis.audit.stability import (
    FieldStability,
    _FieldBins,
    field_stability,
    unseen_codes,
)
from claim_transformers.training import MetricInterval


def sample(seed, patients=400, *, age_shift=0.0, spread=1.0, hidden_shift=0.0, codes=("A/1", "A/2")):
    """Stays of one period; two of each patient, alike in age and region."""
    random = np.random.default_rng(seed)
    owner = np.repeat(np.arange(patients), 2)
    age = (random.normal(75 + age_shift, 8, patients))[owner]
    region = random.choice(["North", "South"], patients)[owner].astype(object)
    log_odds = -1.5 + spread * random.normal(size=len(owner)) + 0.02 * (age - 75)
    labels = (random.random(len(owner)) < expit(log_odds + hidden_shift)).astype(int)
    table = pa.table({"codes": [[list(codes)]] * len(owner)})
    fields = {"age_years": age, "region": region}
    return DriftSample(fields, owner + 10_000 * seed, expit(log_odds), labels, table)


# ---- Stability of fields ----


def test_the_index_is_the_sum_of_the_formula_over_bins_of_the_reference():
    old, new = ["a"] * 300 + ["b"] * 700, ["a"] * 500 + ["b"] * 500
    shares = np.array([[300.5, 700.5], [500.5, 500.5]])
    one, other = shares / shares.sum(axis=1, keepdims=True)
    (found,) = field_stability({"field": old}, {"field": new}, replicates=2)
    assert found.index == pytest.approx(((other - one) * np.log(other / one)).sum())
    assert field_stability({"field": old}, {"field": old}, replicates=2)[0].index == 0


def test_bins_come_from_the_reference_alone():
    old = np.arange(100.0)
    bins = _FieldBins.of_reference(old, bins=4)
    assert bins.edges.tolist() == pytest.approx(np.quantile(old, [0.25, 0.5, 0.75]).tolist())
    assert np.bincount(bins.place(old), minlength=bins.count).tolist() == [25, 25, 25, 25, 0]
    assert bins.place([-1e9, 1e9, np.nan]).tolist() == [0, 3, 4]


def test_a_value_on_the_edge_of_a_bin_lies_below_it():
    bins = _FieldBins.of_reference(np.arange(5.0), bins=2)
    assert bins.edges.tolist() == [2.0]
    assert bins.place([2.0, np.nextafter(2.0, 3.0), np.nan]).tolist() == [0, 1, 2]


def test_an_unseen_category_counts_and_its_share_is_told():
    found = field_stability({"code": ["a", "b"] * 300}, {"code": ["a", "b", "new"] * 200})[0]
    assert found.unseen == pytest.approx(1 / 3)
    assert found.verdict == "marked"


def test_a_field_of_one_value_is_stable_and_missing_values_are_a_bin():
    same = field_stability({"flag": [1.0] * 100}, {"flag": [1.0] * 80})[0]
    assert (same.index, same.verdict) == (pytest.approx(0, abs=0.02), "stable")
    gone = field_stability({"flag": [1.0, 2.0] * 100}, {"flag": [np.nan, 2.0] * 100})[0]
    assert gone.verdict == "marked"


def test_small_samples_of_the_same_population_pass_the_custom_limit_by_chance_and_not_the_noise():
    above_limit, alarms = 0, 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        old, new = ({"age_years": random.normal(size=size)} for size in (150, 60))
        found = field_stability(old, new, seed=seed)[0]
        above_limit += found.index > 0.1
        alarms += found.verdict != "stable"
    assert above_limit > 13
    assert alarms <= 3


def test_rows_that_share_patients_make_more_noise():
    ages = np.random.default_rng(0).normal(size=100)[np.repeat(np.arange(100), 5)]
    patients = np.repeat(np.arange(100), 5)
    by_patient = field_stability({"age": ages}, {"age": ages}, patients, patients)[0]
    by_row = field_stability({"age": ages}, {"age": ages})[0]
    assert by_patient.noise > 2 * by_row.noise


def test_what_does_not_fit_is_refused():
    with pytest.raises(KeyError, match="missing \\['sex'\\]"):
        field_stability({"sex": ["F"]}, {"age": [1.0]})
    with pytest.raises(ValueError, match="known values in the reference"):
        field_stability({"field": [np.nan]}, {"field": [1.0]})
    with pytest.raises(ValueError, match="at least one period"):
        measure_drift(sample(0), {})
    with pytest.raises(ValueError, match="at least 5 patients in the period, found <11"):
        _domain_auroc(sample(0), sample(1, patients=2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"fields": {"age_years": [70.0] * 800}},
            "the fields of the reference in later, found none named region",
        ),
        ({"fields": {}}, "expected at least one field in later, found none"),
        ({"patients": [1, 2]}, r"800 rows in every column of later, found the shape \(2,\) of 'patients'"),
        ({"probabilities": np.zeros((800, 2))}, r"found the shape \(800, 2\) of 'probabilities'"),
        ({"labels": [0]}, r"found the shape \(1,\) of 'labels'"),
        ({"fields": {"age_years": ["old"] * 800, "region": ["South"] * 800}}, "numbers in 'age_years' of later"),
        ({"fields": {"age_years": [70.0] * 800, "region": ["South"] * 7}}, r"found the shape \(7,\) of 'region'"),
    ],
)
def test_a_period_that_does_not_fit_is_named(change, message):
    later = replace(sample(1), **change)
    with pytest.raises(ValueError, match=message):
        measure_drift(sample(0), {"later": later}, replicates=20)


def test_a_reference_that_does_not_fit_itself_is_named():
    broken = replace(sample(0), probabilities=[0.5])
    with pytest.raises(ValueError, match=r"every column of the reference, found the shape \(1,\)"):
        measure_drift(broken, {"later": sample(1)}, replicates=20)
    fields = {"age_years": [70.0] * 800}
    with pytest.raises(ValueError, match="expected the fields of the reference in the period"):
        _domain_auroc(sample(0), replace(sample(1), fields=fields))


# ---- Codes ----


def test_unseen_codes_count_by_occurrence_and_by_kind():
    old = pa.table({"codes": [[["A/1"], ["A/2", "A/1"]], []]})
    new = pa.table({"codes": [[["A/1"], ["A/1", "A/9"]], [["A/9"]], [[]]]})
    found = unseen_codes(old, new)
    assert (found.occurrences, found.distinct, found.backed_off) == (0.5, 0.5, None)
    assert unseen_codes(old, old).occurrences == 0
    assert unseen_codes(old, pa.table({"codes": [[]]}, schema=old.schema)).occurrences == 0


def test_a_tokenizer_backs_off_codes_that_it_has_no_token_for(tokenizer, patients):
    from training.patients_at_random import random_patients

    known = unseen_codes(patients, patients, tokenizer=tokenizer).backed_off
    other = unseen_codes(patients, random_patients(50, seed=3, labels=True), tokenizer=tokenizer).backed_off
    assert 0 <= known < 1
    assert 0 <= other < 1


# ---- Periods ----


@pytest.fixture(scope="module")
def measured():
    periods = {
        "2009": sample(1),
        "2010": sample(2, age_shift=6.0, codes=("A/1", "A/3")),
        "2011": sample(3, spread=0.35),
    }
    return measure_drift(sample(0), periods, model="linear", replicates=150)


def test_the_level_of_the_noise_is_shared_by_periods_and_by_fields():
    reference, period = sample(0, 100), sample(1, 100)

    def noise(periods, **fields):
        reference_of, period_of = (replace(one, fields={**one.fields, **fields}) for one in (reference, period))
        given = {str(number): period_of for number in range(periods)}
        found = measure_drift(reference_of, given, model="linear", replicates=10)[0]
        return next(field.noise for field in found.fields if field.field == "age_years")

    def expected(level):
        given = (reference.fields, period.fields, reference.patients, period.patients)
        return field_stability(*given, level=level)[0].noise

    # Two fields share each level, so that of five periods and ten fields is a fiftieth.
    assert noise(1) == expected(0.05)
    assert noise(5) == expected(0.01) > noise(1)
    more = {f"copy {number}": reference.fields["age_years"] for number in range(8)}
    assert noise(1, **more) == pytest.approx(expected(0.01))


def test_planted_drift_is_seen_in_its_period_and_field(measured):
    same, older, narrower = measured
    assert same.verdict == "stable"
    assert older.verdict == "marked"
    assert older.worst_field.field == "age_years"
    assert older.domain_auroc.low > 0.6
    assert [found.unseen.occurrences for found in measured] == [0, 0.5, 0]
    assert narrower.verdict == "stable"


def test_the_estimated_area_follows_the_true_one_without_labels(measured):
    same, _, narrower = measured
    assert narrower.performance == "expected lower"
    assert same.performance == "as in the reference"
    for found in measured:
        assert abs(found.estimated.value - found.true.value) < 0.06
    assert same.true.value - narrower.true.value > 0.04


def test_the_estimated_area_cannot_see_that_risk_itself_changed():
    random = np.random.default_rng(0)
    one = sample(4)
    # Now half of the outcomes have nothing to do with the scores.
    labels = np.where(random.random(one.rows) < 0.5, random.integers(0, 2, one.rows), one.labels)
    changed = DriftSample(one.fields, one.patients, one.probabilities, labels)
    found = measure_drift(sample(0), {"2012": changed}, model="linear", replicates=100)[0]
    assert found.performance == "as in the reference"
    assert found.estimated.low > found.true.high


def test_without_drift_the_domain_classifier_raises_few_alarms():
    far = 0
    for seed in range(16):
        area, error = _domain_auroc(
            sample(100 + seed, 100), sample(200 + seed, 100), model="linear", replicates=40, seed=seed
        )
        far += (area.value - 0.5) / error > 1.645
    assert far <= 4  # 0.8 expected at 5 %; more than 4 happen once in 1,000


def test_a_patient_of_both_periods_is_no_drift():
    one, other = sample(5), sample(5)
    random = np.random.default_rng(1)
    both = DriftSample({"number": random.normal(size=400)[np.repeat(np.arange(400), 2)]}, one.patients)
    area, _ = _domain_auroc(both, DriftSample(both.fields, other.patients), replicates=40)
    assert area.value == pytest.approx(0.5, abs=0.06)


def test_tables_and_figure_show_every_period(measured):
    table = drift_table(measured)
    assert [row["period"] for row in table.rows] == ["2009", "2010", "2011"]
    assert "codes backed off" not in table.rows[0]
    json.dumps([table.to_dict(), field_table(measured).to_dict()], allow_nan=False)
    svg = drift_figure(measured)
    assert svg == drift_figure(measured)
    assert ElementTree.fromstring(svg).get("aria-label").startswith("Drift by period")


def test_a_period_that_can_be_told_without_a_mistake_is_no_division_by_zero():
    random = np.random.default_rng(0)
    old, new = (DriftSample({"age_years": random.normal(mean, 0.1, 300)}) for mean in (0, 50))
    (found,) = measure_drift(old, {"later": new}, model="linear", replicates=40)
    assert found.domain_auroc.value == 1.0
    assert found.domain_p == 0.0


def test_a_period_of_few_rows_and_a_share_of_few_show_neither():
    point = MetricInterval(0.7, 0.6, 0.8, 10, 10)
    rows = []
    for rows_of_period, unseen in ((8, 0.0), (200, 0.02), (200, 0.1), (200, 0.0)):
        fields = [FieldStability("state", 0.05, 0.1, unseen)]
        found = PeriodDrift("2010", rows_of_period, fields, None, point, 1.0)
        rows.append((drift_table([found]).rows[0]["rows"], field_table([found]).rows[0]["unseen categories"]))
    assert rows == [("<11", None), (200, None), (200, 0.1), (200, 0.0)]
    labels = np.r_[np.ones(4), np.zeros(196)]
    few = DriftSample({"number": np.arange(200.0)}, probabilities=np.linspace(0.1, 0.9, 200), labels=labels)
    assert _true_auroc(few, 20, 0) is None
    assert _true_auroc(replace(few, labels=np.tile([0, 1], 100)), 20, 0) is not None
