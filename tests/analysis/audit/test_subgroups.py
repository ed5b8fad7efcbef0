"""The audit finds a planted bias, leaves differences of risk alone, and counts patients, not rows."""

import json

import numpy as np
import pytest

from claim_transformers.analysis.audit.audit_power import PlantedGap, simulate_stays
from claim_transformers.analysis.audit.auroc_parts import auroc_parts, estimated_auroc
from claim_transformers.analysis.audit.subgroup_tables import gap_table, subgroup_table
from claim_transformers.analysis.audit.subgroup_verdicts import _NO_BIAS, _TOO_FEW, holm
from claim_transformers.analysis.audit.subgroups import age_bands, audit_subgroups
from claim_transformers.analysis.audit.threshold import _METRICS, _threshold_metrics
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


def group_of(audit, attribute, group):
    return next(found for found in audit.subgroups if (found.attribute, found.group) == (attribute, group))


def gaps_of(audit, attribute, group):
    return {gap.metric: gap for gap in group_of(audit, attribute, group).gaps}


def two_groups(scores, labels, **options):
    """An audit of the groups `a` and `b` from the scores and labels of each, a patient a row."""
    group = np.repeat(["a", "b"], [len(scores["a"]), len(scores["b"])])
    outcomes, risks = (np.concatenate([np.asarray(part[name], float) for name in "ab"]) for part in (labels, scores))
    return audit_subgroups(outcomes, risks, {"group": group}, **{"threshold": 0.2, "replicates": 200, **options})


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


def test_two_groups_of_an_attribute_mirror_each_other_and_tests_are_counted_by_group():
    one, other = gaps_of(AUDIT, "sex", "F"), gaps_of(AUDIT, "sex", "M")
    for metric, gap in one.items():
        assert gap.gap.value == pytest.approx(-other[metric].gap.value)
    tested = [found for found in AUDIT.subgroups if found.p is not None]
    assert AUDIT.tests == len(tested) > 15
    assert {gap.metric for found in tested for gap in found.gaps if gap.p is not None} == {
        "observed/expected",
        "Youden index",
    }
    for found in tested:
        assert found.p == pytest.approx(min(1, 2 * min(gap.p for gap in found.gaps if gap.p is not None)))
        assert found.p_holm >= found.p
    smallest = min(tested, key=lambda found: found.p)
    assert smallest.p_holm == pytest.approx(min(1, smallest.p * len(tested)))


def test_what_an_equally_good_model_shows_is_the_rest_at_the_odds_of_the_group():
    gap = gaps_of(AUDIT, "race", "black")
    inside = STAYS.attributes["race"] == "black"
    odds = [rate / (1 - rate) for rate in (STAYS.labels[rows].mean() for rows in (inside, ~inside))]
    rest, labels = STAYS.probabilities[~inside], STAYS.labels[~inside]
    moved = rest / (1 - rest) * odds[0] / odds[1]
    flagged = moved / (1 + moved) > 0.18
    recall, alarms = (flagged[labels == label].mean() for label in (1, 0))
    hits = STAYS.labels[inside].mean() * recall
    precision = hits / (hits + (1 - STAYS.labels[inside].mean()) * alarms)
    expected = {"recall": recall, "false positive rate": alarms, "precision": precision, "observed/expected": 1}
    for metric, value in (expected | {"Youden index": recall - alarms}).items():
        assert gap[metric].excess.value == pytest.approx(gap[metric].value.value - value)
        assert gap[metric].expected_gap == pytest.approx(gap[metric].gap.value - gap[metric].excess.value)
    assert gap["AUROC"].expected_gap == pytest.approx(0)


def test_intervals_of_an_equally_good_model_follow_the_odds_that_are_drawn():
    """The first-order bootstrap of the excess against one that works it out in every replicate."""
    random = np.random.default_rng(3)
    inside, patients = STAYS.attributes["sex"] == "F", len(STAYS.labels)
    found = audit_subgroups(
        STAYS.labels, STAYS.probabilities, {"sex": STAYS.attributes["sex"]}, threshold=0.18, replicates=1000
    )
    exact = []
    for _ in range(400):
        rows = random.integers(0, patients, patients)
        labels, risks, member = STAYS.labels[rows], STAYS.probabilities[rows], inside[rows]
        odds = [rate / (1 - rate) for rate in (labels[member].mean(), labels[~member].mean())]
        moved = risks / (1 - risks) * odds[0] / odds[1]
        events, rest = labels == 1, ~member
        exact.append((risks[member & events] > 0.18).mean() - (moved[rest & events] > 0.18 / 0.82).mean())
    excess = gaps_of(found, "sex", "F")["recall"].excess
    assert (excess.low, excess.high) == pytest.approx(np.quantile(exact, [0.025, 0.975]), abs=0.02)


def test_risk_that_the_model_knows_is_a_difference_and_no_bias():
    audit = audited(simulate_stays(8000, seed=5))
    for group in ("age", "renal disease"):
        assert group_of(audit, "entitlement", group).verdict == _NO_BIAS
    kidney = gaps_of(audit, "entitlement", "renal disease")["recall"]
    assert kidney.gap.low > 0.1
    assert kidney.excess.low < 0 < kidney.excess.high


@pytest.mark.parametrize(
    ("log_odds", "verdict"), [(1.0, "bias against it: risk underestimated"), (-1.0, "bias: risk overestimated")]
)
def test_a_planted_bias_is_named_with_its_direction(log_odds, verdict):
    audit = audited(simulate_stays(4000, planted=PlantedGap("race", "black", log_odds), seed=3))
    assert group_of(audit, "race", "black").verdict.startswith(verdict)
    assert group_of(audit, "race", "black").is_against == (log_odds > 0)
    row = next(row for row in subgroup_table(audit).rows if row["group"] == "black")
    assert row["verdict"].startswith(verdict)
    # What is wrong for one group is not blamed on those that the model is right for.
    assert {attribute for attribute, _, _ in audit.biases()} == {"race"}
    assert {group for _, group, _ in audit.biases()} == {"black"}


def calibrated_group(random, rows, spread, mean=-1.6):
    """Risks with a spread in log odds, and labels that follow them."""
    risks = 1 / (1 + np.exp(-random.normal(mean, spread, rows)))
    return risks, random.random(rows) < risks


def test_a_group_with_more_events_that_the_model_hardly_ever_finds_is_biased_against():
    """Calibrated in the group, and blind in it: its own risks explain everything, and nothing is excused by them."""
    random = np.random.default_rng(0)
    risks, labels = calibrated_group(random, 6000, 1.2, mean=-2.4)
    truth = 1 / (1 + np.exp(-random.normal(-1.9, 1.2, 800)))
    hidden = random.random(800) < truth
    blind = np.clip(random.normal(hidden.mean(), 0.003, 800), 0.001, 0.999)
    threshold = hidden.mean() + 0.006
    audit = two_groups({"a": blind, "b": risks}, {"a": hidden, "b": labels}, threshold=threshold)
    gaps = gaps_of(audit, "group", "a")
    assert hidden.mean() > 1.2 * labels.mean()
    assert gaps["recall"].value.value < (risks[labels] > threshold).mean() / 15
    assert gaps["observed/expected"].verdict is None
    assert group_of(audit, "group", "a").verdict == "bias against it: more missed, told apart less well"
    assert gaps["recall"].verdict == "bias against it: more missed"
    assert not group_of(audit, "group", "b").is_biased


def test_a_group_that_is_flagged_whole_is_biased_against_too():
    random = np.random.default_rng(1)
    risks, labels = calibrated_group(random, 6000, 1.2)
    hidden = random.random(800) < 0.25
    audit = two_groups({"a": np.full(800, 0.25), "b": risks}, {"a": hidden, "b": labels}, threshold=0.22)
    assert group_of(audit, "group", "a").verdict == "bias against it: more false alarms, told apart less well"
    assert not group_of(audit, "group", "b").is_biased


def test_scores_that_are_pushed_down_miss_more_and_no_other_group_is_blamed():
    audit = audited(simulate_stays(4000, planted=PlantedGap("sex", "F", 1.0, "lowered scores"), seed=4))
    assert group_of(audit, "sex", "F").verdict.startswith("bias against it: risk underestimated, more missed")
    assert gaps_of(audit, "sex", "F")["recall"].verdict == "bias against it: more missed"
    assert not group_of(audit, "sex", "M").is_biased


def test_a_misfit_of_all_rows_is_no_bias_of_any_group():
    audit = audited(simulate_stays(4000, seed=6))
    wrong = audit_subgroups(
        STAYS.labels,
        STAYS.probabilities * 0.6,
        STAYS.attributes,
        threshold=0.1,
        patients=STAYS.patients,
        replicates=200,
    )
    assert not audit.biases()
    assert not wrong.biases()


def test_outcomes_that_are_not_recorded_look_like_risk_that_is_overestimated_and_learned_ones_like_nothing():
    for kind, is_biased in (("missing labels", True), ("learned labels", False)):
        audit = audited(simulate_stays(6000, planted=PlantedGap("place", "rural", 0.4, kind), seed=2))
        rural = group_of(audit, "place", "rural")
        assert rural.is_biased == is_biased
        assert not rural.is_against
        if is_biased:
            assert "or outcomes not recorded" in rural.verdict


# ---- Boundaries ----


def test_a_group_without_events_says_too_few_unless_many_were_expected():
    random = np.random.default_rng(2)
    risks, labels = calibrated_group(random, 3000, 1.0)
    for rows, verdict in ((60, _TOO_FEW), (1000, "bias: risk overestimated, or outcomes not recorded")):
        audit = two_groups({"a": np.full(rows, 0.15), "b": risks}, {"a": np.zeros(rows), "b": labels})
        found = group_of(audit, "group", "a")
        assert found.verdict == verdict
        gaps = {gap.metric: gap.value.value for gap in found.gaps}
        assert gaps["observed/expected"] == 0
        assert gaps["recall"] is None
        assert gaps["AUROC"] is None
        json.dumps([table(audit).to_dict() for table in (gap_table, subgroup_table)], allow_nan=False)


def test_a_group_of_events_alone_is_underestimated_or_too_few():
    random = np.random.default_rng(2)
    risks, labels = calibrated_group(random, 3000, 1.0)
    for rows, verdict in ((20, _TOO_FEW), (200, "bias against it: risk underestimated")):
        audit = two_groups({"a": np.full(rows, 0.3), "b": risks}, {"a": np.ones(rows), "b": labels})
        assert group_of(audit, "group", "a").verdict == verdict
        assert gaps_of(audit, "group", "a")["false positive rate"].value.value is None


def test_a_model_that_gives_a_group_no_risk_at_all_is_biased_against_it():
    random = np.random.default_rng(2)
    risks, labels = calibrated_group(random, 3000, 1.0)
    _, events = calibrated_group(random, 500, 1.0)
    audit = two_groups({"a": np.zeros(500), "b": risks}, {"a": events, "b": labels})
    assert group_of(audit, "group", "a").verdict == "bias against it: more missed, told apart less well"


def test_one_group_has_nothing_to_be_compared_with():
    audit = audit_subgroups(
        STAYS.labels, STAYS.probabilities, {"all": ["x"] * len(STAYS.labels)}, threshold=0.2, replicates=50
    )
    assert audit.subgroups[0].verdict == "no other group to compare with"
    assert audit.tests == 0
    assert gaps_of(audit, "all", "x")["recall"].value.value is not None


def test_a_group_equal_to_the_rest_shows_no_gap_at_all():
    risks, labels = calibrated_group(np.random.default_rng(4), 2000, 1.0)
    for threshold in (0.2, float(np.median(risks)), -0.5, 1.5):
        audit = two_groups({"a": risks, "b": risks}, {"a": labels, "b": labels}, threshold=threshold)
        for gap in gaps_of(audit, "group", "a").values():
            assert gap.gap.value in (pytest.approx(0, abs=1e-12), None)
            if gap.metric != "observed/expected":
                assert gap.excess.value in (pytest.approx(0, abs=1e-12), None)
        assert not audit.biases()


def test_a_score_at_the_threshold_is_not_flagged_anywhere():
    labels, scores = np.tile([0, 1, 1, 0], 50), np.tile([0.2, 0.2, 0.6, 0.6], 50)
    group = np.repeat(["a", "b"], 100)
    audit = audit_subgroups(labels, scores, {"group": group}, threshold=0.2, replicates=20)
    found = dict(zip(_METRICS, _threshold_metrics(labels, scores, 0.2), strict=True))
    by_weight = _threshold_metrics(labels, scores, np.array([0.2]), np.ones((1, 200)))[0]
    assert found["recall"] == audit.overall["recall"] == by_weight[_METRICS.index("recall")] == 0.5
    assert audit.overall["false positive rate"] == 1 - found["specificity"] == 0.5
    for name in "ab":
        gaps = gaps_of(audit, "group", name)
        assert gaps["recall"].value.value == gaps["false positive rate"].value.value == gaps["precision"].value.value
        assert gaps["recall"].value.value == 0.5
        assert gaps["recall"].excess.value == gaps["false positive rate"].excess.value == 0


@pytest.mark.parametrize(("events", "is_tested"), [(19, False), (20, True)])
def test_twenty_patients_of_a_class_are_enough(events, is_tested):
    risks, labels = calibrated_group(np.random.default_rng(5), 2000, 1.0)
    own = np.r_[np.ones(events), np.zeros(40)]
    audit = two_groups({"a": np.full(events + 40, 0.3), "b": risks}, {"a": own, "b": labels})
    assert (group_of(audit, "group", "a").p is not None) == is_tested


def test_a_group_whose_interval_holds_a_large_bias_is_never_called_free_of_it():
    risks, labels = calibrated_group(np.random.default_rng(5), 4000, 1.0)
    for events, score, verdict in ((21, 0.17, _TOO_FEW), (240, 0.2, _NO_BIAS)):
        own, scores = np.r_[np.ones(events), np.zeros(4 * events)], np.full(5 * events, score)
        audit = two_groups({"a": scores, "b": risks}, {"a": own, "b": labels}, threshold=0.9)
        assert group_of(audit, "group", "a").p is not None
        assert group_of(audit, "group", "a").verdict == verdict


def calibrated_table(recall, alarms, events=5000, others=15000):
    """Scores of two values, each the share of events among those who have it, and labels."""
    hits, false = round(recall * events), round(alarms * others)
    counts = np.array([[hits, false], [events - hits, others - false]])
    scores = np.repeat(np.repeat(counts[:, 0] / counts.sum(axis=1), 2), counts.ravel())
    return scores, np.repeat([1, 0, 1, 0], counts.ravel())


@pytest.mark.parametrize(("short", "is_biased"), [(-0.2, False), (0.04, False), (0.09, True)])
def test_a_shortfall_that_a_perfect_model_may_have_is_no_bias_however_many_patients_there_are(short, is_biased):
    scores, labels = calibrated_table(0.8, 0.2)
    own_scores, own_labels = calibrated_table(0.8 - short / 2, 0.2 + short / 2)
    audit = two_groups({"a": own_scores, "b": scores}, {"a": own_labels, "b": labels}, threshold=0.3, replicates=50)
    gap = gaps_of(audit, "group", "a")["Youden index"]
    assert gap.excess.value == pytest.approx(-short)
    assert (gap.p < 0.001) == is_biased
    assert (gap.p > 0.5) != is_biased
    assert gaps_of(audit, "group", "a")["observed/expected"].value.value == pytest.approx(1)
    assert group_of(audit, "group", "a").is_biased == is_biased


def test_replicates_that_do_not_differ_are_not_certain():
    """None of 25 events is flagged where an equally good model flags one in eight: one time in thirty by chance."""
    scores, labels = calibrated_table(0.125, 0.01)
    own = np.r_[np.ones(25), np.zeros(75)]
    audit = two_groups({"a": np.full(100, 0.25), "b": scores}, {"a": own, "b": labels}, threshold=0.3)
    gap = gaps_of(audit, "group", "a")["Youden index"]
    assert gap.value.low == gap.value.high == 0
    assert 0.1 < gap.p < 0.4
    none = two_groups({"a": np.full(100, 0.25), "b": scores}, {"a": np.zeros(100), "b": labels}, threshold=0.3)
    assert gaps_of(none, "group", "a")["observed/expected"].p > 0


def test_more_events_than_expected_must_also_be_more_than_elsewhere():
    scores, labels = calibrated_table(0.8, 0.2)
    audit = two_groups({"a": scores * 0.8, "b": scores * 0.7}, {"a": labels, "b": labels}, threshold=0.1)
    # Underestimated both, and `a` less than `b`.
    assert gaps_of(audit, "group", "a")["observed/expected"].p == 1
    assert group_of(audit, "group", "b").verdict == "bias against it: risk underestimated"


def test_a_birthday_at_an_edge_is_in_the_band_that_it_opens():
    ages = [64.999, 65, 74.999, 75, 84.999, 85]
    assert age_bands(ages).tolist() == [
        "under 65", "65 to 74", "65 to 74", "75 to 84", "75 to 84", "85 and over",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="increasing edges"):
        age_bands([1], (65, 65))


def test_small_groups_are_not_judged_and_hardly_shown():
    labels = np.tile([0, 0, 0, 1], 100)
    race = np.array(["white"] * 394 + ["other"] * 6)
    audit = audit_subgroups(labels, np.full(400, 0.25), {"race": race}, threshold=0.2, replicates=50)
    assert all(found.verdict == _TOO_FEW for found in audit.subgroups)
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
    assert "family-wise level over groups 5%" in content
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
    with pytest.raises(ValueError, match="expected probabilities in"):
        audit_subgroups([0, 1, 1], [-0.1, 0.2, 0.3], {"sex": ["F", "M", "M"]}, threshold=0.5, replicates=2)


def test_no_row_shown_gives_a_planted_count_back_neither_alone_nor_by_subtraction():
    # Of 2,000 rows: group b has 4 flagged events, group c has 7 events in all, d has 5 patients with many rows.
    plan = {("a", 1, 1): 200, ("a", 1, 0): 100, ("a", 0, 1): 300, ("a", 0, 0): 600,
            ("b", 1, 1): 4, ("b", 1, 0): 46, ("b", 0, 1): 60, ("b", 0, 0): 290,
            ("c", 1, 1): 0, ("c", 1, 0): 7, ("c", 0, 1): 93, ("c", 0, 0): 100,
            ("d", 1, 1): 30, ("d", 1, 0): 40, ("d", 0, 1): 60, ("d", 0, 0): 70}  # fmt: skip
    rows = [key for key, count in plan.items() for _ in range(count)]
    group, labels, flags = (np.array(column) for column in zip(*rows, strict=True))
    patients = np.where(group == "d", 100_000 + np.arange(len(rows)) % 5, np.arange(len(rows)))
    audit = audit_subgroups(
        labels, np.where(flags == 1, 0.4, 0.1), {"race": group}, threshold=0.2, patients=patients, replicates=20
    )
    shown = {row["group"]: row for row in subgroup_table(audit).rows}
    assert shown["d"]["patients"] == "<11"
    assert shown["d"]["rows"] == "hidden"
    rates = ("outcome", "AUROC", "observed/expected", "recall", "false negative rate", "precision", "Youden index",
             "false positive rate")  # fmt: skip
    assert not any(shown["d"][name] for name in rates)
    # Events of c are few: neither its outcome nor any metric of them, nor those of another group beside it.
    assert not any(shown["c"][name] for name in rates)
    # Recall and precision of b give its 4 back, its false positive rate does not.
    assert shown["b"]["recall"] is shown["b"]["false negative rate"] is shown["b"]["precision"] is None
    # All rows are known, so a small count stands beside another that is hidden in every column.
    for metric in ("patients", "outcome", "recall", "precision"):
        hidden = [name for name in shown if shown[name][metric] is None or isinstance(shown[name][metric], str)]
        assert len(hidden) >= 2, metric
    assert {row["metric"] for row in gap_table(audit).rows if row["group"] == "b"}.isdisjoint({"recall", "precision"})
    assert not [row for row in gap_table(audit).rows if row["group"] in "cd"]
