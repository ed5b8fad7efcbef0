"""Care for allergic disease: what its hidden course shows on claims."""

import numpy as np

from claim_transformers.simulation.engine.calendar import Bool, Float, Int
from claim_transformers.simulation.pediatric import atopy
from claim_transformers.simulation.pediatric.block import Block
from claim_transformers.simulation.pediatric.causes import EMERGENCY, OFFICE, STAY

# Visits per year for each condition besides asthma, and the classes filled month by month with the share treated.
_VISITS_PER_YEAR = {"eczema": 0.75, "rhinitis": 0.9, "food_allergy": 0.5, "obesity": 0.35}
_REGIMENS = {"eczema": (("steroid_cream", 0.12),), "rhinitis": (("antihistamine", 0.22), ("nasal_spray", 0.12))}


def add_allergic_care(block: Block) -> None:
    """Visits and fills of asthma and of the conditions around it."""
    _add_asthma_events(block)
    _add_asthma_routine(block, block.history.severity)
    _add_asthma_fills(block, block.history.severity)
    for name, visits in _VISITS_PER_YEAR.items():
        here = block.history.conditions[block.month, atopy.CONDITIONS.index(name), block.patient]
        rate = visits / 12 * block.institution.visit_rate * np.sqrt(block.patients.frailty[block.patient])
        hit = np.flatnonzero(block.happen((here * rate).astype(np.float32)))
        patient, month = block.patient[hit], block.month[hit]
        day = block.on_weekdays(patient, block.days_in(month, patient))
        block.add_visits(patient, day, block.codes.cause_of[name], OFFICE)
        for drug_class, share in _REGIMENS.get(name, ()):
            treated = block.trait(drug_class, block.patient) < 2 * share
            hit = np.flatnonzero(treated & block.happen((here * np.float32(0.5)).astype(np.float32)))
            day = block.days_in(block.month[hit], block.patient[hit])
            block.add_fills(block.patient[hit], day, block.codes.drugs.pool(drug_class), 30)


def _allergic(block: Block, patient: Int) -> Bool:
    """Whether the asthma of a patient is coded as allergic, a lasting trait."""
    eczema_or_worse = block.patients.atopy[patient] > 0
    kind: Bool = block.trait("allergic", patient) < 0.3 + 0.35 * eczema_or_worse
    return kind


def _by_type(block: Block, patient: Int, name: str) -> Int:
    """Pool of allergic or of other asthma."""
    pools = block.codes.diagnoses
    chosen = np.where(_allergic(block, patient), pools.pool(f"{name}_allergic"), pools.pool(f"{name}_other"))
    return chosen.astype(np.int32)


def _events(block: Block, events: Float) -> tuple[Int, Int]:
    """Month and patient of events that happened to insured patients."""
    month, patient = np.nonzero((events > 0) & block.patients.enrolled)
    return month.astype(np.int32), patient.astype(np.int32)


def _add_asthma_events(block: Block) -> None:
    """Stays, emergency visits and flares in the office, each with what follows."""
    cause_of = block.codes.cause_of
    month, patient = _events(block, block.history.stay)
    day = block.days_in(month, patient)
    block.add_visits(patient, day, cause_of["asthma_stay"], STAY, _by_type(block, patient, "asthma_stay"))
    through = block.happen(np.full(len(patient), 0.7, dtype=np.float32))
    arrivals, arrival_day = patient[through], day[through]
    pool = _by_type(block, arrivals, "asthma_flare")
    block.add_visits(arrivals, arrival_day, cause_of["asthma_emergency"], EMERGENCY, pool)
    _follow_up(block, patient, day, 0.55)

    month, patient = _events(block, block.history.emergency)
    day = block.days_in(month, patient)
    block.add_visits(patient, day, cause_of["asthma_emergency"], EMERGENCY, _by_type(block, patient, "asthma_flare"))
    _follow_up(block, patient, day, 0.3)

    month, patient = _events(block, block.history.steroid)
    day = block.on_weekdays(patient, block.days_in(month, patient))
    block.add_visits(patient, day, cause_of["asthma_flare"], OFFICE, _by_type(block, patient, "asthma_flare"))
    _follow_up(block, patient, day, 0.15)


def _follow_up(block: Block, patient: Int, day: Int, chance: float) -> None:
    """An office visit within weeks."""
    chosen = np.flatnonzero(block.happen(np.full(len(patient), chance, dtype=np.float32)))
    patient = patient[chosen]
    later = (day[chosen] + 5 + block.generator.integers(0, 20, len(chosen))).astype(np.int32)
    later = block.on_weekdays(patient, later)
    kept = block.covered(patient, later)
    pool = _by_type(block, patient[kept], "asthma")
    block.add_visits(patient[kept], later[kept], block.codes.cause_of["asthma_follow_up"], OFFICE, pool)


def _add_asthma_routine(block: Block, severity: Float) -> None:
    """Routine visits, likelier and coded otherwise when asthma is severe or badly controlled."""
    history = block.history
    asthma = history.conditions[block.month, atopy.ASTHMA, block.patient]
    control = history.control[block.month, block.patient]
    rate = 0.035 + 0.02 * severity[block.patient] + 0.03 * np.maximum(control, 0)
    rate *= block.institution.visit_rate * np.sqrt(block.patients.frailty[block.patient])
    hit = np.flatnonzero(block.happen((asthma * rate).astype(np.float32)))
    patient, month = block.patient[hit], block.month[hit]
    mild = (severity[patient] < 1) | (control[hit] < -0.3)
    pool = np.where(mild, block.codes.diagnoses.pool("asthma_mild"), _by_type(block, patient, "asthma"))
    day = block.on_weekdays(patient, block.days_in(month, patient))
    block.add_visits(patient, day, block.codes.cause_of["asthma_visit"], OFFICE, pool.astype(np.int32))


def _add_asthma_fills(block: Block, severity: Float) -> None:
    """Rescue inhalers follow control, controllers follow adherence."""
    history, drugs = block.history, block.codes.drugs
    asthma = history.conditions[block.month, atopy.ASTHMA, block.patient]
    control = history.control[block.month, block.patient]
    rescue = 0.09 / (0.25 + np.exp(-1.2 * control)) * (1 + 0.35 * severity[block.patient])
    for share in (1.0, 0.35):
        hit = np.flatnonzero(block.happen((asthma * np.minimum(rescue * share, 0.85)).astype(np.float32)))
        day = block.days_in(block.month[hit], block.patient[hit])
        block.add_fills(block.patient[hit], day, drugs.pool("saba"), 25)
    taken = asthma * history.controller[block.month, block.patient]
    hit = np.flatnonzero(block.happen(np.float32(0.72) * taken))
    patient = block.patient[hit]
    oral = block.trait("montelukast", patient) < 0.3
    drug_class = np.where(oral, drugs.pool("montelukast"), drugs.pool("ics")).astype(np.int32)
    block.add_fills(patient, block.days_in(block.month[hit], patient), drug_class, 30)
