import numpy as np
import pytest

from claim_transformers.simulation import OUTCOMES
from claim_transformers.simulation.engine.random_streams import generator_of
from claim_transformers.simulation.pediatric import atopy, mood
from claim_transformers.simulation.pediatric.courses import take
from claim_transformers.simulation.pediatric.risk import survive, true_risks

EVENTS = ("stay", "attempt")


def _auc(label, score):
    """Chance that a positive scores higher than a negative, ties counted half."""
    order = np.argsort(score, kind="stable")
    _, first, counts = np.unique(score[order], return_index=True, return_counts=True)
    ranks = np.empty(len(score))
    ranks[order] = np.repeat(first + (counts + 1) / 2, counts)
    positives = label.sum()
    return (ranks[label].sum() - positives * (positives + 1) / 2) / (positives * (len(label) - positives))


def _observed(lived, window, outcome, horizon_days):
    """Risk and label of everyone insured through the whole horizon, which lies inside the window."""
    months = {180: 6, 365: 12}[horizon_days]
    risks, labels, counts = [], [], []
    for block in lived:
        rows = (block.risks.outcome == outcome) & (block.risks.horizon_days == horizon_days)
        rows &= block.risks.month + months <= window.months
        patient, month = block.risks.patient[rows], block.risks.month[rows]
        ahead = month[:, None] + np.arange(months)
        insured = block.patients.enrolled[ahead, patient[:, None]].all(axis=1)
        events = getattr(block.history, EVENTS[outcome])
        labels.append((events[ahead, patient[:, None]] > 0).any(axis=1)[insured])
        risks.append(block.risks.risk[rows][insured])
        # What a reader of claims could count without a model: all emergency visits and stays so far.
        seen = np.cumsum(block.history.emergency + block.history.stay + block.history.contact, axis=0)
        counts.append(seen[month, patient][insured])
    return np.concatenate(risks).astype(float), np.concatenate(labels), np.concatenate(counts)


@pytest.mark.parametrize("horizon_days", [180, 365])
@pytest.mark.parametrize("outcome", range(len(OUTCOMES)), ids=OUTCOMES)
def test_true_risk_is_calibrated(lived, window, outcome, horizon_days):
    risk, label, _ = _observed(lived, window, outcome, horizon_days)
    # Windows that share a patient overlap, so the spread is wider than that of independent events.
    assert abs(label.sum() - risk.sum()) < 6 * np.sqrt(risk.sum())
    # Slope of a logistic regression of the label on the logit of the risk, by Newton's method.
    # The mean over a few paths is zero where none of them meets a relapse of asthma that has ended.
    risk = np.clip(risk, 1e-5, 1 - 1e-5)
    logit = np.log(risk / (1 - risk))
    beta = np.zeros(2)
    design = np.stack([np.ones_like(logit), logit - logit.mean()])
    for _ in range(30):
        chance = 1 / (1 + np.exp(-beta @ design))
        beta += np.linalg.solve((design * (chance * (1 - chance))) @ design.T, design @ (label - chance))
    assert 0.75 < beta[1] < 1.25


def test_true_risk_ranks_patients_far_better_than_a_count_of_their_emergencies(lived, window):
    for outcome, floor in ((0, 0.8), (1, 0.78)):
        risk, label, counts = _observed(lived, window, outcome, 365)
        assert _auc(label, risk) > floor
        assert _auc(label, risk) > _auc(label, counts.astype(float)) + 0.05
        assert _auc(label, risk) < 0.97


@pytest.mark.parametrize("outcome", range(len(OUTCOMES)), ids=OUTCOMES)
def test_risk_equals_the_share_of_paths_with_an_outcome(lived, window, outcome):
    block = max(lived, key=lambda block: len(block.patients))
    generator = generator_of(1, 0, 0, "risk")
    process, states = ((atopy, block.history.atopy_states), (mood, block.history.mood_states))[outcome]
    hazard = (block.history.stay_hazard, block.history.attempt_hazard)[outcome]
    month = int(block.history.snapshots[2])
    patient = int(np.argmax(hazard[month] * (hazard[month] < 0.1)))
    paths = np.full(20_000, patient)
    months = np.full(len(paths), month, dtype=np.int32)
    survival = survive(take(states[2], paths), months, window, generator)[1].astype(float)
    state, hit = take(states[2], paths), np.zeros(len(paths), dtype=bool)
    for step in range(12):
        events = process.advance(state, months + step, window, generator)
        hit |= (events.stay if outcome == 0 else events.attempt) > 0
    assert hit.mean() == pytest.approx(1 - survival.mean(), abs=4 * np.sqrt(0.25 / len(paths)))


def test_monthly_risk_is_the_hazard_itself(lived):
    block = lived[0]
    rows = np.flatnonzero((block.risks.horizon_days <= 31) & (block.risks.outcome == 1))
    hazard = block.history.attempt_hazard[block.risks.month[rows], block.risks.patient[rows]]
    assert np.array_equal(block.risks.risk[rows], hazard.astype(np.float32))


def test_risk_is_written_for_those_insured_on_the_index_date_or_the_day_before(lived):
    block = lived[0]
    enrolled, month, patient = block.patients.enrolled, block.risks.month, block.risks.patient
    monthly = block.risks.horizon_days <= 31
    assert enrolled[month, patient][monthly].all()
    assert (enrolled[month, patient] | enrolled[np.maximum(month - 1, 0), patient]).all()


def test_longer_horizons_carry_more_risk(lived):
    risks = lived[0].risks
    short, long = risks.horizon_days == 180, risks.horizon_days == 365
    assert np.array_equal(risks.patient[short], risks.patient[long])
    assert np.all(risks.risk[long] >= risks.risk[short])


def test_without_replicates_only_monthly_risks_are_written(lived, window):
    block = lived[0]
    risks = true_risks(block.patients, block.history, window, 0, generator_of(0, 0, 0, "risk"))
    assert risks.horizon_days.max() <= 31
    assert set(np.unique(risks.outcome)) == {0, 1}
