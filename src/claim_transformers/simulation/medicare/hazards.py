"""Monthly hazards of admission and death in the community, and the daily hazards in the weeks after a discharge.

Everything that makes up a hazard is known here, so the true risk after a discharge is a sum over days, not a count of
what happened to happen.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from claim_transformers.simulation.engine.calendar import Calendar, Float, Int
from claim_transformers.simulation.medicare.causes import (
    CHEMOTHERAPY_SHARE,
    CHEMOTHERAPY_STAYS,
    IS_PLANNED,
    STAY_CAUSES,
    column,
    rate_table,
)
from claim_transformers.simulation.medicare.conditions import BURN_IN_MONTHS, CANCER, CONDITIONS, Illness
from claim_transformers.simulation.medicare.population import MedicarePopulation

HORIZON_DAYS = 30
# Days after discharge over which the hazard is raised: each of the first 30, then five periods of 30 days.
PERIODS = 5
PERIOD_DAYS = 30
ELEVATED_DAYS = HORIZON_DAYS + PERIODS * PERIOD_DAYS
FADING_DAYS = 45.0
# The hidden instability of a patient: how much of it lasts from month to month, and what it adds to the hazards.
_INSTABILITY_MEMORY = 0.72
_INSTABILITY_EFFECT = 0.45
# The weeks after a discharge depend on the burden of illness less than the rest of life does: who was ill enough to be
# admitted is ill. The daily hazard is `REFERENCE_HAZARD` to the part that is left, a judgement.
SHARE_OF_BURDEN, REFERENCE_HAZARD = 0.45, np.float32(0.0012)
# Mortality a year at 75 without any condition and its growth by age (SSA period life table 2009, lowered for the
# healthy).
_MORTALITY, _MORTALITY_GROWTH = 0.007, 0.088
_DRUG_SWITCH = 0.16
_UNPROTECTED_EFFECT = 0.25
FOLLOW_UP_EFFECT = 0.62
NOT_FILLED_EFFECT = 1.4
# Excess of the hazard on the first day after discharge over that of later weeks, and its fading in days; Jencks et al.
# 2009 and Dharmarajan et al. 2013 for the shape: most readmissions fall in the first two weeks.
_EARLY_EXCESS, _EARLY_DAYS = 0.9, 8.0


@dataclass
class Community:
    """Hazards outside hospital, shape `(patients, months)` with months from `BURN_IN_MONTHS` before the window."""

    # `unplanned`, `planned`, `death`: per day.
    unplanned: Float
    planned: Float
    death: Float
    instability: Float  # Hidden, standard normal, slow.
    on_drugs: Float  # 1 in months in which prescribed drugs are taken.
    illness: Float  # Sum of what conditions add to mortality.
    cause_age: Float  # Age factor of each cause, shape `(patients, causes)`.
    chemotherapy: Float  # Patients whose cancer is treated in hospital.
    age: Float  # Age in years in the middle of the window.


def draw_community(
    patients: MedicarePopulation, illness: Illness, calendar: Calendar, generator: np.random.Generator
) -> Community:
    """Draw the hidden processes of every patient and work out the monthly hazards."""
    size, months = len(patients), calendar.months + BURN_IN_MONTHS
    instability, on_drugs = _hidden_processes(patients, months, generator)
    age = ((calendar.first + calendar.last) / 2 - patients.birth_day).astype(np.float32) / np.float32(365.25)
    decades = (np.clip(age, 60, 95) - 75)[:, None] / 10
    cause_age = np.exp(column("age") * decades).astype(np.float32)
    everyone, per_burden = rate_table()
    scale = np.exp(np.float32(_INSTABILITY_EFFECT) * instability - np.float32(_INSTABILITY_EFFECT**2 / 2)) / 365.25
    scale *= patients.frailty[:, None]
    unplanned_age, planned_age = cause_age * ~IS_PLANNED, cause_age * IS_PLANNED
    unplanned = _total(illness, everyone, per_burden, unplanned_age)
    unplanned *= scale * (1 + np.float32(_UNPROTECTED_EFFECT) * (1 - on_drugs))
    treated_inside = (generator.random(size, dtype=np.float32) < CHEMOTHERAPY_SHARE).astype(np.float32)
    planned = _total(illness, everyone, per_burden, planned_age) / np.float32(365.25)
    planned += illness.in_treatment.T * treated_inside[:, None] * np.float32(CHEMOTHERAPY_STAYS / 365.25)
    grave = illness.burden @ np.array([condition.mortality for condition in CONDITIONS], dtype=np.float32)
    grave = np.minimum(grave.T + 0.35 * illness.burden[:, :, CANCER].T, 4.5)
    death = _MORTALITY / 365.25 * np.exp(_MORTALITY_GROWTH * (age - 75))[:, None] * np.exp(0.85 * grave)
    alive_until = np.maximum(patients.entry_month, 0) + 1 + BURN_IN_MONTHS
    death *= np.arange(months)[None, :] >= alive_until[:, None]
    return Community(
        unplanned=unplanned,
        planned=planned,
        death=death.astype(np.float32),
        instability=instability,
        on_drugs=on_drugs,
        illness=np.ascontiguousarray(grave, dtype=np.float32),
        cause_age=cause_age,
        chemotherapy=treated_inside,
        age=age,
    )


def _total(illness: Illness, everyone: Float, per_burden: Float, age: Float) -> Float:
    """Rate of all causes together, by patient and month."""
    own = age @ everyone
    weights = age @ per_burden.T
    # Burden by month, patient, disease against the patient's own rate per unit of burden: m months, p patients, d
    # diseases. `optimize` would contract in another order, and sums of floats depend on the order.
    total: Float = np.einsum("mpd,pd->pm", illness.burden, weights, optimize=False) + own[:, None]
    return total


def _hidden_processes(
    patients: MedicarePopulation, months: int, generator: np.random.Generator
) -> tuple[Float, Float]:
    """Instability and use of drugs, month by month."""
    size = len(patients)
    shock = generator.standard_normal((months, size), dtype=np.float32)
    switch = generator.random((months, size), dtype=np.float32)
    instability, on_drugs = np.empty_like(shock), np.empty_like(shock)
    state = shock[0]
    taking = switch[0] < patients.adherence
    fresh = np.float32(np.sqrt(1 - _INSTABILITY_MEMORY**2))
    start, stop = _DRUG_SWITCH * patients.adherence, _DRUG_SWITCH * (1 - patients.adherence)
    for month in range(months):
        if month:
            state = np.float32(_INSTABILITY_MEMORY) * state + fresh * shock[month]
            taking = np.where(taking, switch[month] >= stop, switch[month] < start)
        instability[month], on_drugs[month] = state, taking
    return np.ascontiguousarray(instability.T), np.ascontiguousarray(on_drugs.T)


@dataclass
class Discharge:
    """Patients who have just left hospital, one entry each."""

    unplanned: Float  # Daily hazard of an unplanned admission on a day far from discharge, history included.
    boost: Float  # What multiplies it after this discharge, before the effects of time, follow-up visit and fill.
    # `planned`, `death`: daily hazards of the other two ends.
    planned: Float
    death: Float
    follow_up: Float  # Daily chance of a first follow-up visit, before its profile over days.
    fill_chance: Float  # Chance that the drug is filled; `1` where none was prescribed.


@cache
def day_profiles() -> tuple[Float, Float, Float, Float]:
    """Profiles over the first 30 days: excess hazard, planned stays, deaths, chance of a follow-up visit."""
    day = np.arange(1, HORIZON_DAYS + 1, dtype=np.float32)
    early = 1 + np.float32(_EARLY_EXCESS) * np.exp(-(day - 1) / np.float32(_EARLY_DAYS))
    # Nobody plans a stay for the first days after another one.
    planned = np.where(day <= 5, 0.35, 1.35).astype(np.float32)
    death = 1 + 1.5 * np.exp(-(day - 1) / np.float32(12.0))
    visit = np.where(day < 2, 0.0, np.where(day <= 14, 0.058, 0.034)).astype(np.float32)
    return early.astype(np.float32), planned, death.astype(np.float32), visit


def follow_up_chance(discharge: Discharge) -> Float:
    """Chance of a first follow-up visit on each day, given none before, shape `(discharges, 30)`."""
    visit = day_profiles()[3]
    chance: Float = np.minimum(discharge.follow_up[:, None] * visit[None, :], np.float32(0.35))
    return chance


def true_risk(discharge: Discharge) -> tuple[Float, Float]:
    """Risk that the next event within 30 days is an unplanned readmission, and that it is any readmission.

    The visit and the fill have not happened yet at discharge, so the risk is the mean over both: the chance of having
    had a visit is carried along day by day, and the fill has two branches. Death competes.
    """
    early, planned_profile, death_profile, _ = day_profiles()
    visit = follow_up_chance(discharge)
    base = discharge.unplanned * discharge.boost
    unplanned, either = np.zeros_like(base), np.zeros_like(base)
    for factor, share in (
        (np.float32(1), discharge.fill_chance),
        (np.float32(NOT_FILLED_EFFECT), 1 - discharge.fill_chance),
    ):
        waiting, seen = share.copy(), np.zeros_like(base)
        for day in range(HORIZON_DAYS):
            planned = discharge.planned * planned_profile[day]
            death = discharge.death * death_profile[day]
            before = base * early[day] * factor
            after = before * np.float32(FOLLOW_UP_EFFECT)
            # The chance to reach this day is split by whether the visit has come. Of the hazard of three competing
            # ends, each end takes its share of the chance that any happens, `1 - exp(-total)`; both arrays are updated
            # in place.
            for group, hazard in ((waiting, before), (seen, after)):
                total = hazard + planned + death
                ends = -np.expm1(-total) * group / np.maximum(total, np.float32(1e-20))
                unplanned += ends * hazard
                either += ends * (hazard + planned)
                group *= np.exp(-total)
            visits = waiting * visit[:, day]
            waiting -= visits
            seen += visits
    return unplanned, either


@cache
def drug_condition_index() -> Int:
    """Position in `CONDITIONS` of the condition whose drugs protect after a stay, `-1` for none, by cause."""
    names = [condition.name for condition in CONDITIONS]
    positions = [names.index(cause.drug_condition) if cause.drug_condition else -1 for cause in STAY_CAUSES]
    return np.array(positions, dtype=np.int32)
