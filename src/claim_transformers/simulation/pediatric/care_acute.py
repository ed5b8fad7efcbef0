"""Care that comes and goes: acute episodes, viral wheezing, check-ups, birth and pregnancy."""

import numpy as np

from claim_transformers.simulation.engine.calendar import Float, Int, season_table
from claim_transformers.simulation.engine.sampling import unit
from claim_transformers.simulation.pediatric.block import Block
from claim_transformers.simulation.pediatric.causes import EMERGENCY, EPISODES, OFFICE, PREVENTIVE, STAY
from claim_transformers.simulation.pediatric.population import by_age

# Ages in months of the check-ups of the Bright Futures schedule (American Academy of Pediatrics, 2008).
CHECK_UP_MONTHS = (0, 1, 2, 4, 6, 9, 12, 15, 18, 24, 30, *range(36, 252, 12))
_CHECK_UP_SHARE = by_age((0.8, 0.72, 0.64, 0.5, 0.46, 0.4, 0.2))

_BRONCHIOLITIS_RATE = by_age((0.10, 0.035, 0.002, 0, 0, 0, 0))
_BRONCHIOLITIS_PRONE = 5.0
_PREGNANCY_RATE = by_age((0, 0, 0, 0, 0.001, 0.042, 0.12)) / np.float32(12)
_PREGNANCY_MONTHS = 9
_DELIVERED_SHARE = 0.68


def add_episodes(block: Block, burden: Float) -> None:
    """Acute episodes of every insured month, drawn together and then told apart."""
    codes, generator = block.codes, block.generator
    male = block.patients.male[block.patient].astype(np.int32)
    cell = (block.band * 2 + male) * 12 + block.month_of_year
    rate = codes.episode_rate[cell] * burden * block.patients.frailty[block.patient] * block.institution.visit_rate
    at = np.repeat(np.arange(len(rate)), generator.poisson(rate))
    cause = codes.episode_cause[codes.episode_cells.draw(cell[at], generator.random(len(at), dtype=np.float32))]
    patient, month = block.patient[at], block.month[at]
    emergency = np.array([episode.emergency for episode in EPISODES], dtype=np.float32)[cause]
    stay = np.array([episode.stay for episode in EPISODES], dtype=np.float32)[cause]
    # Some families use the emergency department for what others bring to an office.
    habit = 0.4 + 1.2 * block.trait("emergency", patient)
    emergency = np.minimum(emergency * habit * block.institution.emergency_rate, 0.97 - stay)
    chance = generator.random(len(at), dtype=np.float32)
    kind = np.where(chance < stay, STAY, np.where(chance < stay + emergency, EMERGENCY, codes.kind[cause]))
    day = block.days_in(month, patient)
    elective = (kind != STAY) & (kind != EMERGENCY)
    day = np.where(elective, block.on_weekdays(patient, day), day).astype(np.int32)
    block.add_visits(patient, day, cause, kind.astype(np.int32))

    again = np.array([episode.follow_up for episode in EPISODES], dtype=np.float32)[cause]
    chosen = np.flatnonzero(block.happen(again))
    later = (day[chosen] + 4 + generator.integers(0, 25, len(chosen))).astype(np.int32)
    later = block.on_weekdays(patient[chosen], later)
    kept = block.covered(patient[chosen], later)
    chosen, later = chosen[kept], later[kept]
    block.add_visits(patient[chosen], later, cause[chosen], codes.kind[cause[chosen]])


def add_bronchiolitis(block: Block) -> None:
    """Viral wheezing of the first two years, five times as common in the infants prone to it."""
    young = np.flatnonzero(block.age < 36)
    patient, month = block.patient[young], block.month[young]
    season = season_table(["rsv"])[0][block.month_of_year[young]]
    prone = 1 + (_BRONCHIOLITIS_PRONE - 1) * block.patients.wheeze[patient]
    rate = _BRONCHIOLITIS_RATE[block.age[young]] * season * prone / 12 * (0.6 + 0.4 * block.patients.frailty[patient])
    hit = block.happen(rate.astype(np.float32))
    patient, month, age = patient[hit], month[hit], block.age[young][hit]
    stay = np.where(age < 6, 0.22, 0.09) * (1 + block.patients.premature[patient])
    chance = block.generator.random(len(patient))
    kind = np.where(
        chance < stay, STAY, np.where(chance < stay + 0.35 * block.institution.emergency_rate, EMERGENCY, OFFICE)
    )
    cause = block.codes.cause_of["bronchiolitis"]
    block.add_visits(patient, block.days_in(month, patient), cause, kind.astype(np.int32))


def add_check_ups(block: Block) -> None:
    """Check-ups on the schedule of childhood, kept by some families more than by others."""
    due = np.zeros(253, dtype=np.bool_)
    due[list(CHECK_UP_MONTHS)] = True
    late = (block.trait("check-up", block.patient) * np.where(block.age > 30, 8, 1.5)).astype(np.int32)
    at = np.flatnonzero(due[np.maximum(block.age - late, 0)] & (block.age >= late))
    patient = block.patient[at]
    keeps = 0.45 + 0.75 * block.trait("keeps", patient) + 0.3 * (block.patients.adherence[patient] - 0.5)
    chosen = at[
        block.happen((_CHECK_UP_SHARE[block.age[at]] * keeps * block.institution.visit_rate).astype(np.float32))
    ]
    patient = block.patient[chosen]
    day = block.on_weekdays(patient, block.days_in(block.month[chosen], patient))
    block.add_visits(patient, day, block.codes.cause_of["well_child"], PREVENTIVE)


def add_births(block: Block) -> None:
    """The stay in which a patient is born, when coverage begins with birth."""
    patients = block.patients
    born = np.flatnonzero(patients.birth_month >= 0)
    born = born[patients.enrolled[patients.birth_month[born], born]].astype(np.int32)
    codes = block.codes
    pool = np.where(
        patients.premature[born] > 0, codes.diagnoses.pool("prematurity"), codes.diagnoses.pool("newborn")
    ).astype(np.int32)
    block.add_visits(born, patients.birth_day[born], codes.cause_of["newborn"], STAY, pool)


def add_pregnancies(block: Block) -> None:
    """Pregnancies of adolescents: prenatal visits and, for those carried to term, a delivery nine months on."""
    patients, calendar = block.patients, block.calendar
    women = np.flatnonzero(patients.male == 0).astype(np.int32)
    months = np.arange(-_PREGNANCY_MONTHS + 1, calendar.months, dtype=np.int32)[:, None]
    age = np.clip(months - patients.birth_month[women], 0, 252)
    risk = 0.6 + 0.8 * unit(patients.key[women], 991) + 0.5 * patients.hardship[women]
    starts = block.generator.random(age.shape, dtype=np.float32) < _PREGNANCY_RATE[age] * risk
    first = np.argmax(starts, axis=0)
    expecting = np.flatnonzero(starts.any(axis=0))
    woman, start = women[expecting], months[first[expecting], 0]
    carried = block.happen(np.full(len(woman), _DELIVERED_SHARE, dtype=np.float32))
    _add_prenatal(block, woman, start, np.where(carried, _PREGNANCY_MONTHS, 3).astype(np.int32))
    due = start + _PREGNANCY_MONTHS
    woman, due = woman[carried], due[carried]
    inside = (due >= 0) & (due < calendar.months)
    woman, due = woman[inside], due[inside].astype(np.int32)
    day = block.days_in(due, woman)
    kept = block.covered(woman, day)
    block.add_visits(woman[kept], day[kept], block.codes.cause_of["delivery"], STAY)


def _add_prenatal(block: Block, woman: Int, start: Int, length: Int) -> None:
    """Prenatal visits from the second month on."""
    for step in range(1, _PREGNANCY_MONTHS):
        month = (start + step).astype(np.int32)
        chance = np.where((step < length) & (month >= 0) & (month < block.calendar.months), 0.75, 0.0)
        now = np.flatnonzero(block.happen(chance.astype(np.float32)))
        day = block.on_weekdays(woman[now], block.days_in(month[now], woman[now]))
        kept = block.covered(woman[now], day)
        block.add_visits(woman[now][kept], day[kept], block.codes.cause_of["prenatal"], OFFICE)
