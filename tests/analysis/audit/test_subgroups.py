"""The audit finds a planted bias, leaves differences of risk alone, and counts patients, not rows."""

import json

import numpy as np
import pytest

from claim_transformers.analysis.audit.audit_power import (
    PlantedGap,
    audit_power,
    share_with_interval,
    simulate_stays,
)
from claim_transformers.analysis.audit.auroc_parts import auroc_parts, estimated_auroc
from claim_transformers.analysis.audit.subgroup_tables import gap_table, subgroup_table
from claim_transformers.analysis.audit.subgroups import _EXPLAINED, TOO_FEW, audit_subgroups, holm
from claim_transformers.analysis.views.audit_plots import subgroup_plot
from claim_transformers.training import auroc, clustered_interval


def audited(stays, **options):
    return audit_subgroups(
        stays.labels,
        stays.probabilities,
        stays.attributes,
        threshold=0.18,
        patients=stays.patients,
        **{"replicates": 200, **options},
    )


def gaps_of(audit, attribute, group):
    found = next(found for found in audit.subgroups if (found.attribute, found.group) == (attribute, group))
    return {gap.metric: gap for gap in found.gaps}


STAYS = simulate_stays(3000, seed=0)
AUDIT = audited(STAYS)


# ---- Parts of an area ----


@pytest.mark.parametrize("digits", [9, 1])
def test_the_area_and_its_parts_are_those_of_the_metric(digits):
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 300)
    scores = (labels + random.normal(size=300)).round(digits)
    area, shares = auroc_parts(scores, labels)
    assert area == pytest.approx(auroc(labels, scores))
    assert shares.sum() == pytest.approx(0, abs=1e-12)
    one = np.ones(300)
    one[7] += 1e-6
    assert shares[7] == pytest.approx((auroc(labels, scores, one) - area) / 1e-6, abs=1e-6)


def test_intervals_from_parts_are_those_of_the_exact_bootstrap_by_patient():
    found = gaps_of(AUDIT, "sex", "F")["AUROC"].value
    inside = STAYS.attributes["sex"] == "F"
    exact = clustered_interval(
        auroc, STAYS.labels[inside], STAYS.probabilities[inside], STAYS.patients[inside], replicates=400
    )
    assert found.value == pytest.approx(exact.value)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.008)


def test_the_area_without_labels_is_the_mean_area_over_outcomes_drawn_from_the_risks():
    random = np.random.default_rng(1)
    risks = random.beta(1, 4, 150)
    drawn = [auroc(random.random(150) < risks, risks) for _ in range(2000)]
    assert estimated_auroc(risks) == pytest.approx(np.mean(drawn), abs=0.003)


# ---- Gaps and verdicts ----


def test_values_and_gaps_are_those_of_the_rows():
    inside = STAYS.attributes["race"] == "black"
    flagged = STAYS.probabilities > 0.18
    gap = gaps_of(AUDIT, "race", "black")
    one, rest = (flagged[rows & (STAYS.labels == 1)].mean() for rows in (inside, ~inside))
    assert gap["recall"].value.value == pytest.approx(one)
    assert gap["recall"].gap.value == pytest.approx(one - rest)
    ratios = [STAYS.labels[rows].sum() / STAYS.probabilities[rows].sum() for rows in (inside, ~inside)]
    assert gap["observed/expected"].gap.value == pytest.approx(ratios[0] - ratios[1])
    assert gap["false positive rate"].value.value == pytest.approx(flagged[inside & (STAYS.labels == 0)].mean())


def test_two_groups_of_an_attribute_mirror_each_other_and_are_one_hypothesis():
    one, other = gaps_of(AUDIT, "sex", "F"), gaps_of(AUDIT, "sex", "M")
    for metric, gap in one.items():
        assert gap.gap.value == pytest.approx(-other[metric].gap.value)
        assert (gap.p, gap.p_holm) == (other[metric].p, other[metric].p_holm)
    tested = {(found.attribute, found.group) for found in AUDIT.subgroups if found.gaps[0].p is not None}
    assert AUDIT.tests == 4 * (len(tested) - 1)


def test_risk_that_the_model_knows_is_a_difference_and_no_bias():
    kidney = gaps_of(audited(simulate_stays(8000, seed=5)), "entitlement", "age")["false positive rate"]
    assert kidney.verdict == _EXPLAINED
    assert kidney.gap.high < 0
    assert kidney.excess.low < 0 < kidney.excess.high


@pytest.mark.parametrize(("log_odds", "verdict"), [(1.0, "underestimated"), (-1.0, "overestimated")])
def test_a_planted_bias_is_named_with_its_direction(log_odds, verdict):
    audit = audited(simulate_stays(4000, planted=PlantedGap("race", "black", log_odds), seed=3))
    assert gaps_of(audit, "race", "black")["observed/expected"].verdict == f"bias: risk {verdict}"
    row = next(row for row in subgroup_table(audit).rows if row["group"] == "black")
    assert verdict in row["verdict"]


def test_small_groups_are_not_judged_and_hardly_shown():
    labels = np.tile([0, 0, 0, 1], 100)
    race = np.array(["white"] * 394 + ["other"] * 6)
    audit = audit_subgroups(labels, np.full(400, 0.25), {"race": race}, threshold=0.2, replicates=50)
    assert all(gap.verdict == TOO_FEW for found in audit.subgroups for gap in found.gaps)
    shown = {row["group"]: row for row in subgroup_table(audit).rows}
    assert shown["other"]["patients"] == "<11"
    assert shown["other"]["AUROC"] is None
    assert shown["white"]["patients"] == "hidden", "the total minus this group would give the other away"
    assert not [row for row in gap_table(audit).rows if row["group"] == "other"]


def test_rows_of_a_patient_are_no_new_evidence():
    biased = simulate_stays(250, planted=PlantedGap("sex", "F", 0.45), seed=1)
    copies = np.tile(np.arange(len(biased.labels)), 8)
    arguments = biased.labels[copies], biased.probabilities[copies], {"sex": biased.attributes["sex"][copies]}
    options = {"threshold": 0.18, "replicates": 200}
    by_patient = audit_subgroups(*arguments, patients=biased.patients[copies], **options)
    by_row = audit_subgroups(*arguments, **options)
    assert (
        gaps_of(by_patient, "sex", "F")["observed/expected"].p
        > 20 * gaps_of(by_row, "sex", "F")["observed/expected"].p
    )


def test_unknown_values_are_a_group_of_their_own_and_order_does_not_matter():
    labels, risks = np.tile([0, 1], 100), np.tile([0.3, 0.7], 100)
    sex = np.array(["F", None, "M", float("nan")] * 50, dtype=object)
    audit = audit_subgroups(labels, risks, {"sex": sex}, threshold=0.5, replicates=20)
    assert {found.group: found.rows for found in audit.subgroups} == {"F": 50, "M": 50, "unknown": 100}


def test_the_same_seed_gives_the_same_audit():
    assert gap_table(audited(STAYS)).to_csv() == gap_table(AUDIT).to_csv()


def test_holm_is_never_below_the_p_value_and_keeps_its_order():
    p = np.random.default_rng(0).random(40) ** 3
    corrected = holm(p)
    assert (corrected >= p).all()
    assert (np.diff(corrected[np.argsort(p)]) >= 0).all()
    assert holm([0.02]).tolist() == [0.02]
    assert holm([]).tolist() == []


def test_tables_and_the_picture_hold_no_patient_and_say_when_scores_are_not_calibrated():
    content = json.dumps(gap_table(AUDIT).to_dict(), allow_nan=False)
    assert "family-wise level of 5%" in content
    assert "recalibrate" not in content
    assert "AUROC" in subgroup_plot(AUDIT)
    wrong = audit_subgroups(STAYS.labels, STAYS.probabilities / 2, STAYS.attributes, threshold=0.1, replicates=20)
    assert "recalibrate before reading" in subgroup_table(wrong).to_markdown()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="expected one sex for each of 2 rows"):
        audit_subgroups([0, 1], [0.1, 0.2], {"sex": ["F"]}, threshold=0.5)
    with pytest.raises(ValueError, match="both present"):
        audit_subgroups([0, 0], [0.1, 0.2], {"sex": ["F", "M"]}, threshold=0.5)
    with pytest.raises(ValueError, match="at least one attribute"):
        audit_subgroups([0, 1], [0.1, 0.2], {}, threshold=0.5)


# ---- Power and false alarms ----


def test_the_audit_finds_a_planted_bias_and_holds_its_false_alarms():
    measured = audit_power(patients=1500, simulations=20, replicates=150, planted=PlantedGap("race", "black", 1.1))
    assert measured.found >= 18
    # At a rate of 5 % more than 4 of 20 happen once in 400.
    assert measured.false_alarms <= 4
    table = measured.to_table()
    assert table.rows[0]["share"] == measured.found / 20
    assert table.rows[1]["high"] == share_with_interval(measured.false_alarms, 20)[2]


def test_simulated_risks_are_calibrated_although_patients_share_what_the_model_does_not_see():
    stays = simulate_stays(30_000, seed=9)
    assert stays.labels.mean() == pytest.approx(stays.probabilities.mean(), abs=0.006)
    flagged = stays.probabilities > 0.3
    assert stays.labels[flagged].mean() == pytest.approx(stays.probabilities[flagged].mean(), abs=0.012)


def test_a_bias_of_a_group_that_does_not_exist_is_refused():
    with pytest.raises(KeyError, match="expected a group of 'race' among"):
        simulate_stays(10, planted=PlantedGap("race", "green", 1.0))
