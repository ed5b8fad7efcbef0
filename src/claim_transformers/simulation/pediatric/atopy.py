"""Allergic disease month by month, and the hazard of a hospital stay for asthma.

The state is complete: what happens next depends on it and on the month alone. That is what lets `true_risk` carry a
copy of it forward and know the risk of a stay.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from claim_transformers.simulation.engine.calendar import Calendar, Float, Int, season_table
from claim_transformers.simulation.pediatric.courses import Switches, age_months, monthly, noise, occurs, switch
from claim_transformers.simulation.pediatric.population import MAX_AGE_MONTHS, PediatricPopulation, by_age

CONDITIONS = ("eczema", "food_allergy", "rhinitis", "obesity", "asthma")
_ECZEMA, _FOOD, _RHINITIS, _OBESITY, ASTHMA = range(len(CONDITIONS))

# New cases per patient and year by age band; sources in docs/simulation.md.
ONSET = (
    (0.085, 0.05, 0.022, 0.009, 0.006, 0.005, 0.004),
    (0.012, 0.012, 0.004, 0.002, 0.0015, 0.001, 0.001),
    (0.003, 0.014, 0.020, 0.017, 0.014, 0.010, 0.008),
    (0.000, 0.000, 0.020, 0.026, 0.026, 0.018, 0.015),
    (0.009, 0.018, 0.0165, 0.0075, 0.0042, 0.0034, 0.0025),
)
REMISSION = (
    (0.22, 0.22, 0.16, 0.12, 0.10, 0.10, 0.10),
    (0.10, 0.10, 0.10, 0.07, 0.05, 0.04, 0.04),
    (0.05, 0.05, 0.05, 0.06, 0.07, 0.08, 0.08),
    (0.05, 0.05, 0.06, 0.06, 0.05, 0.04, 0.04),
    (0.10, 0.10, 0.10, 0.07, 0.07, 0.07, 0.07),
)
# Boys have more asthma before puberty and less after it; see docs/simulation.md.
_BOYHOOD_MONTHS = 156
_BOYS_ASTHMA = 0.3
_BOYS = np.ones((2, len(CONDITIONS), MAX_AGE_MONTHS + 1), dtype=np.float32)
_BOYS[1, ASTHMA, :_BOYHOOD_MONTHS] += _BOYS_ASTHMA
_BOYS[1, ASTHMA, _BOYHOOD_MONTHS:] -= _BOYS_ASTHMA
# Severe asthma is not outgrown.
_OUTGROWN = np.ones((4, len(CONDITIONS), 1), dtype=np.float32)
_OUTGROWN[:, ASTHMA, 0] = (1.3, 0.9, 0.5, 0.1)
SWITCHES = Switches(
    names=CONDITIONS,
    onset=monthly(ONSET) * _BOYS,
    end=monthly(REMISSION) * _OUTGROWN,
    # The atopic march: each later condition is likelier after an earlier one.
    influences=(
        (),
        (),
        ((_ECZEMA, 1.0), (_FOOD, 0.5)),
        (),
        ((_ECZEMA, 0.9), (_RHINITIS, 0.8), (_FOOD, 0.5), (_OBESITY, 0.25)),
    ),
    recurrence=1.0,
)
SEVERITY_SHARES = (0.45, 0.30, 0.17, 0.08)  # intermittent, mild, moderate, severe persistent
_ASTHMA_SEASON, _POLLEN_SEASON = np.log(season_table(["asthma", "pollen"]))
_STAY_BY_AGE = by_age((0.7, 0.9, 0.75, 0.15, -0.3, -0.45, -0.45))
_MAX_STAY_CHANCE = np.float32(0.4)


@dataclass
class AtopyState:
    """State of allergic disease; one entry per patient, or per path carried forward."""

    birth_month: Int  # Month of birth.
    sex: Int  # 1 for boys, 0 for girls.
    # `smoke`, `adherence`: traits, see `PediatricPopulation`.
    smoke: Float
    adherence: Float
    severity: Float  # Severity asthma has or would have, `0` to `3`.
    # Multiplier of each onset, from liability, smoke and early wheezing, shape `(conditions, patients)`.
    proneness: Float
    conditions: Float  # 1 where a condition of `CONDITIONS` is present, shape `(conditions, patients)`.
    ever: Float  # 1 where one has ever been present, same shape.
    control: Float  # How badly asthma is controlled, mean about zero, larger is worse.
    prescribed: Float  # 1 when a controller has ever been prescribed.
    controller: Float  # 1 while the controller is taken.
    # `stays`, `emergencies`, `steroids`: memory of past events, which fades by the month.
    stays: Float
    emergencies: Float
    steroids: Float


@dataclass
class _AtopyMonth:
    """What one month held; one entry per patient."""

    hazard: Float  # Chance of a hospital stay for asthma in this month, given the state at its start.
    # `stay`, `emergency`, `steroid`: 1 for a stay, an emergency visit, an oral steroid burst in the office.
    stay: Float
    emergency: Float
    steroid: Float


def first_state(patients: PediatricPopulation, generator: np.random.Generator) -> AtopyState:
    """State of newborns, from which life before the window is run."""
    size = len(patients)
    drawn = generator.random(size) - 0.06 * (patients.atopy.clip(-2, 2) + patients.smoke - 0.2)
    severity = len(SEVERITY_SHARES) - 1 - np.searchsorted(np.cumsum(SEVERITY_SHARES[:0:-1]), drawn)
    proneness = np.ones((len(CONDITIONS), size), dtype=np.float32)
    # The mean of the exponential of a normal liability is taken out, so that rates stay those of the table.
    proneness[[_ECZEMA, _FOOD, _RHINITIS, ASTHMA]] *= np.exp(0.75 * patients.atopy - 0.28)
    proneness[ASTHMA] *= (1 + 1.2 * patients.wheeze) * (1 + 0.3 * patients.smoke)
    conditions = np.zeros((2, len(CONDITIONS), size), dtype=np.float32)
    memories = ("control", "prescribed", "controller", "stays", "emergencies", "steroids")
    return AtopyState(
        birth_month=patients.birth_month,
        sex=patients.male.astype(np.int32),
        smoke=patients.smoke,
        adherence=patients.adherence,
        severity=severity.astype(np.float32),
        proneness=proneness,
        conditions=conditions[0],
        ever=conditions[1],
        **{name: np.zeros(size, dtype=np.float32) for name in memories},
    )


def move_conditions(state: AtopyState, month: int | Int, months: float, generator: np.random.Generator) -> None:
    """Let conditions begin and end, in place."""
    age = np.minimum(month - state.birth_month, MAX_AGE_MONTHS)
    grade = state.severity.astype(np.int32)
    SWITCHES.move(state.conditions, state.ever, state.proneness, (), state.sex, grade, age, months, generator)


def _stay_hazard(state: AtopyState, month: int | Int, calendar: Calendar) -> Float:
    """Chance of a hospital stay for asthma within the month, given the state at its start."""
    eczema, food, rhinitis, obesity, asthma = state.conditions
    unprotected = state.prescribed * (1 - state.controller)
    worse = np.maximum(state.control, 0)
    season = _ASTHMA_SEASON[calendar.month_of_year(np.asarray(month))]
    score = 0.62 * state.severity + 0.8 * state.control - 8.3
    score += _STAY_BY_AGE[age_months(month, state.birth_month)]
    score += 1.25 * np.minimum(state.stays, 2) + 0.5 * np.minimum(state.emergencies, 3) + 0.55 * state.steroids
    score += season * (0.7 + 0.8 * unprotected) + 0.25 * obesity + 0.25 * state.smoke + 0.3 * food
    score += 0.45 * worse * eczema * rhinitis + 0.3 * unprotected * state.severity
    hazard: Float = asthma * np.minimum(np.exp(score.astype(np.float32)), _MAX_STAY_CHANCE)
    return hazard


def advance(
    state: AtopyState,
    month: int | Int,
    calendar: Calendar,
    generator: np.random.Generator,
    *,
    stays: bool = True,
    without: Collection[str] = (),
) -> _AtopyMonth:
    """Live through one month, in place; `without` are events that do not happen, whatever is drawn for them."""
    hazard = _stay_hazard(state, month, calendar)
    asthma, rhinitis = state.conditions[ASTHMA], state.conditions[_RHINITIS]
    month_of_year = calendar.month_of_year(np.asarray(month))
    season = _ASTHMA_SEASON[month_of_year]
    score = 0.35 * state.severity + 0.75 * state.control + 0.35 * np.minimum(state.emergencies, 3) + season - 4.75
    emergency = occurs(asthma * np.minimum(np.exp(score), 0.5) * ("emergency" not in without), generator)
    score = 0.3 * state.severity + 0.7 * state.control + 0.6 * season - 4.25
    steroid = occurs(asthma * np.minimum(np.exp(score), 0.5) * ("steroid" not in without), generator)
    stay = occurs(hazard * ("stay" not in without), generator) if stays else np.zeros_like(hazard)

    event = np.maximum(stay, emergency)
    start = asthma * (0.05 + 0.05 * np.minimum(state.severity, 2) + 0.05 * state.adherence + 0.35 * event)
    start *= (0.35 + 0.65 * np.minimum(state.severity, 1)) * ("controller" not in without)
    switch(state.controller, start, 0.02 + 0.26 * (1 - state.adherence) + (1 - asthma), generator)
    np.maximum(state.prescribed, state.controller, out=state.prescribed)

    drift = (
        0.3 * (state.severity - 0.8) - 0.75 * state.controller + 0.3 * state.smoke - 0.5 * np.maximum(steroid, stay)
    )
    drift += 0.35 * season + 0.45 * rhinitis * np.maximum(_POLLEN_SEASON[month_of_year], 0)
    state.control += 0.2 * (drift.astype(np.float32) - state.control) + 0.45 * noise(drift.shape, generator)
    state.stays *= np.float32(0.88)
    state.stays += stay
    state.emergencies *= np.float32(0.82)
    state.emergencies += emergency
    state.steroids *= np.float32(0.65)
    np.maximum(state.steroids, np.maximum(steroid, event), out=state.steroids)
    move_conditions(state, month, 1, generator)
    return _AtopyMonth(hazard, stay, emergency, steroid)
