"""The audit finds what is planted against any group, holds its false alarms, and says so with exact intervals."""

import numpy as np
import pytest

from claim_transformers.analysis.audit.audit_power import (
    PlantedGap,
    audit_power,
    audit_stays,
    finds_bias,
    plant_gap,
    share_with_interval,
    simulate_stays,
)

STAYS = simulate_stays(4000, seed=1)


@pytest.mark.slow
def test_the_audit_finds_a_planted_bias_and_holds_its_false_alarms():
    bias = PlantedGap("race", "black", 1.1)
    measured = audit_power([bias], patients=1500, simulations=20, replicates=150)
    assert measured.found[str(bias)] >= 18
    # At a rate of 5 % more than 4 of 20 happen once in 400.
    assert measured.false_alarms <= 4
    table = measured.to_table()
    assert table.rows[0]["share"] == measured.found[str(bias)] / 20
    assert table.rows[1]["high"] == share_with_interval(measured.false_alarms, 20)[2]


@pytest.mark.parametrize("attribute", list(STAYS.attributes))
@pytest.mark.parametrize(("kind", "size"), [("lowered scores", 1.0), ("missing labels", 0.6)])
def test_a_large_bias_of_either_kind_is_found_in_every_attribute(attribute, kind, size):
    group = "black" if attribute == "race" else sorted(set(STAYS.attributes[attribute]))[1]
    bias = PlantedGap(attribute, group, size, kind)
    audit = audit_stays(plant_gap(STAYS, bias), replicates=100)
    assert finds_bias(audit, bias)
    assert not finds_bias(audit_stays(STAYS, replicates=100), bias)
    other = PlantedGap(attribute, group, -size, "hidden risk" if bias.shows_against else "lowered scores")
    assert finds_bias(audit, other) == (other.shows_against == bias.shows_against)


def test_lowered_scores_move_the_log_odds_of_the_group_alone():
    bias = PlantedGap("sex", "F", 0.7, "lowered scores")
    planted, member = plant_gap(STAYS, bias), STAYS.attributes["sex"] == "F"
    odds, before = (part.probabilities / (1 - part.probabilities) for part in (planted, STAYS))
    assert np.log(before / odds)[member] == pytest.approx(0.7)
    assert np.array_equal(planted.probabilities[~member], STAYS.probabilities[~member])
    assert np.array_equal(planted.labels, STAYS.labels)


@pytest.mark.parametrize(("kind", "factor"), [("missing labels", 1.0), ("learned labels", 0.6)])
def test_missing_labels_are_lost_events_of_the_group_alone(kind, factor):
    planted = plant_gap(STAYS, PlantedGap("sex", "F", 0.4, kind), seed=3)
    member = STAYS.attributes["sex"] == "F"
    assert (planted.labels <= STAYS.labels).all()
    assert np.array_equal(planted.labels[~member], STAYS.labels[~member])
    assert planted.labels[member].sum() == pytest.approx(0.6 * STAYS.labels[member].sum(), rel=0.1)
    assert planted.probabilities[member] == pytest.approx(factor * STAYS.probabilities[member])
    assert np.array_equal(planted.probabilities[~member], STAYS.probabilities[~member])


@pytest.mark.parametrize(
    ("kind", "size", "against"),
    [
        ("hidden risk", 1.0, True),
        ("hidden risk", -1.0, False),
        ("lowered scores", 1.0, True),
        ("lowered scores", -1.0, False),
        ("missing labels", 0.3, False),
        ("learned labels", 0.3, False),
    ],
)
def test_a_bias_shows_against_its_group_unless_labels_are_missing(kind, size, against):
    assert PlantedGap("sex", "F", size, kind).shows_against == against


def test_what_cannot_be_planted_is_refused():
    with pytest.raises(ValueError, match="expected a kind out of"):
        PlantedGap("sex", "F", 0.5, "scores")
    with pytest.raises(ValueError, match="share of outcomes from 0 to 1, found"):
        PlantedGap("sex", "F", 1.2, "missing labels")
    for attribute, group in (("sex", "X"), ("planet", "Mars")):
        with pytest.raises(KeyError, match=f"expected a group of '{attribute}' among"):
            plant_gap(STAYS, PlantedGap(attribute, group, 0.5, "lowered scores"))


def test_a_group_that_the_audit_does_not_have_is_not_found():
    assert not finds_bias(audit_stays(STAYS, replicates=20), PlantedGap("race", "green", 1.0))


def test_simulated_risks_are_calibrated_although_patients_share_what_the_model_does_not_see():
    stays = simulate_stays(30_000, seed=9)
    assert stays.labels.mean() == pytest.approx(stays.probabilities.mean(), abs=0.006)
    flagged = stays.probabilities > 0.3
    assert stays.labels[flagged].mean() == pytest.approx(stays.probabilities[flagged].mean(), abs=0.012)


def test_a_bias_of_a_group_that_does_not_exist_is_refused():
    with pytest.raises(KeyError, match="expected a group of 'race' among"):
        simulate_stays(10, planted=PlantedGap("race", "green", 1.0))
