"""Care for mental health: therapy, medication, emergencies and suicide attempts as claims show them."""

import numpy as np

from claim_transformers.simulation.engine.calendar import Float, Int
from claim_transformers.simulation.pediatric import mood
from claim_transformers.simulation.pediatric.block import Block
from claim_transformers.simulation.pediatric.causes import BEHAVIOURAL, EMERGENCY, OFFICE, STAY

# Visits per active year and how far they follow acute distress.
_VISITS_PER_YEAR = {"adhd": 3.6, "anxiety": 4.5, "conduct": 5.0, "depression": 6.5, "bipolar": 8.0, "substance": 6.0}
# Classes filled month by month, with the share of patients treated.
_REGIMENS = {
    "adhd": (("stimulant", 0.68), ("alpha_agonist", 0.14)),
    "conduct": (("antipsychotic", 0.12),),
    "bipolar": (("mood_stabiliser", 0.75),),
    "substance": (("substance_drug", 0.03),),
}
_FILL_CHANCE = 0.72


def add_mental_care(block: Block) -> None:
    """Visits and fills of the mental disorders, and the claims of emergencies and attempts."""
    crisis = block.history.crisis[block.month, block.patient]
    keeps = 0.5 + block.patients.adherence[block.patient]
    for position, name in enumerate(mood.DISORDERS):
        active = block.history.disorders[block.month, position, block.patient]
        seeks = np.exp(np.float32(0.35) * np.minimum(crisis, 2.0)) if name != "adhd" else np.float32(1)
        rate = _VISITS_PER_YEAR[name] / 12 * block.institution.visit_rate
        _add_therapy(block, name, active * rate * keeps * seeks, crisis)
        for drug_class, share in _REGIMENS.get(name, ()):
            treated = block.trait(drug_class, block.patient) < share
            hit = np.flatnonzero(treated & block.happen((active * np.float32(_FILL_CHANCE)).astype(np.float32)))
            day = block.days_in(block.month[hit], block.patient[hit])
            block.add_fills(block.patient[hit], day, block.codes.drugs.pool(drug_class), 30)
    taken = block.history.antidepressant[block.month, block.patient]
    hit = np.flatnonzero(block.happen(taken * np.float32(0.8)))
    day = block.days_in(block.month[hit], block.patient[hit])
    block.add_fills(block.patient[hit], day, block.codes.drugs.pool("antidepressant"), 30)
    _add_emergencies(block)
    _add_attempts(block)


def _add_therapy(block: Block, name: str, rate: Float, crisis: Float) -> None:
    """Visits for one disorder; the codes of depression grow graver with distress."""
    pools = block.codes.diagnoses
    cause = block.codes.cause_of[name]
    at = np.repeat(np.arange(len(rate)), block.generator.poisson(np.maximum(rate, 0)))
    patient, month = block.patient[at], block.month[at]
    day = block.on_weekdays(patient, block.days_in(month, patient))
    # About a quarter of mental health care of children is given in primary care.
    kind = np.where(block.happen(np.full(len(at), 0.28, dtype=np.float32)), OFFICE, BEHAVIOURAL).astype(np.int32)
    if name == "depression":
        grave = block.happen((0.2 + 0.35 * np.clip(crisis[at], -0.3, 1.7)).astype(np.float32))
        pool = np.where(grave, pools.pool("depression_severe"), pools.pool("depression_mild")).astype(np.int32)
        block.add_visits(patient, day, cause, kind, pool)
    else:
        block.add_visits(patient, day, cause, kind)


def _leading_pool(block: Block, month: Int, patient: Int) -> Int:
    """Pool of the gravest active disorder."""
    pools = block.codes.diagnoses
    disorders = block.history.disorders[month, :, patient]
    pool = np.full(len(patient), pools.pool("adjustment"), dtype=np.int32)
    for name in ("adhd", "conduct", "anxiety", "substance"):
        pool = np.where(disorders[:, mood.DISORDERS.index(name)] > 0, pools.pool(name), pool)
    pool = np.where(disorders[:, mood.DEPRESSION] > 0, pools.pool("depression_severe"), pool)
    pool = np.where(disorders[:, mood.BIPOLAR] > 0, pools.pool("bipolar"), pool)
    return pool.astype(np.int32)


def _add_emergencies(block: Block) -> None:
    """Emergency contacts without an attempt; about a third end in a psychiatric stay."""
    month, patient = (
        part.astype(np.int32) for part in np.nonzero((block.history.contact > 0) & block.patients.enrolled)
    )
    day = block.days_in(month, patient)
    pool = _leading_pool(block, month, patient)
    cause = block.codes.cause_of["mind_emergency"]
    admitted = block.happen(np.full(len(patient), 0.32, dtype=np.float32))
    block.add_visits(patient, day, cause, np.where(admitted, STAY, EMERGENCY).astype(np.int32), pool)
    _follow_up(block, month, patient, day, 0.5)


def _add_attempts(block: Block) -> None:
    """Suicide attempts: an emergency claim with its external cause, and for half of them a stay."""
    pools = block.codes.diagnoses
    month, patient = (
        part.astype(np.int32) for part in np.nonzero((block.history.attempt > 0) & block.patients.enrolled)
    )
    day = block.days_in(month, patient)
    cut = block.trait("self-harm", patient) < np.where(block.patients.male[patient] > 0, 0.38, 0.24)
    pool = np.where(cut, pools.pool("self_harm_injury"), pools.pool("self_harm_poisoning")).astype(np.int32)
    cause = block.codes.cause_of["self_harm"]
    block.add_visits(patient, day, cause, EMERGENCY, pool)
    admitted = block.happen(np.full(len(patient), 0.5, dtype=np.float32))
    psychiatric = block.happen(np.full(len(patient), 0.4, dtype=np.float32))
    stay_pool = np.where(psychiatric, _leading_pool(block, month, patient), pool)[admitted]
    block.add_visits(patient[admitted], day[admitted], cause, STAY, stay_pool.astype(np.int32))
    _follow_up(block, month, patient, day, 0.6)


def _follow_up(block: Block, month: Int, patient: Int, day: Int, chance: float) -> None:
    """A visit to mental health care within a month."""
    chosen = np.flatnonzero(block.happen(np.full(len(patient), chance, dtype=np.float32)))
    later = (day[chosen] + 3 + block.generator.integers(0, 25, len(chosen))).astype(np.int32)
    later = block.on_weekdays(patient[chosen], later)
    kept = block.covered(patient[chosen], later)
    chosen, later = chosen[kept], later[kept]
    pool = _leading_pool(block, month[chosen], patient[chosen])
    block.add_visits(patient[chosen], later, block.codes.cause_of["mind_follow_up"], BEHAVIOURAL, pool)
