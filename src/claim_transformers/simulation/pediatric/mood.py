"""Mental health month by month: six disorders, treatment, acute distress, and the hazard of a suicide attempt.

The state is complete, as in `atopy`, so that `true_risk` can carry a copy of it forward.
"""

from dataclasses import dataclass

import numpy as np

from claim_transformers.simulation.engine.calendar import Calendar, Float, Int, season_table
from claim_transformers.simulation.pediatric.courses import Switches, age_months, monthly, noise, occurs, switch
from claim_transformers.simulation.pediatric.population import MAX_AGE_MONTHS, PediatricPopulation, by_age

DISORDERS = ("adhd", "anxiety", "conduct", "depression", "bipolar", "substance")
ADHD, _ANXIETY, CONDUCT, DEPRESSION, BIPOLAR, _SUBSTANCE = range(len(DISORDERS))
MIN_AGE_YEARS = 10

# New episodes per patient and year by age band, before the multipliers below; sources in docs/simulation.md.
ONSET = (
    (0, 0, 0.0060, 0.0210, 0.0090, 0.0040, 0.0020),
    (0, 0, 0.0020, 0.0070, 0.0095, 0.0130, 0.0150),
    (0, 0, 0.0060, 0.0100, 0.0100, 0.0080, 0.0030),
    (0, 0, 0.0000, 0.0018, 0.0105, 0.0240, 0.0250),
    (0, 0, 0.0000, 0.0004, 0.0014, 0.0026, 0.0030),
    (0, 0, 0.0000, 0.0000, 0.0022, 0.0140, 0.0220),
)
REMISSION = (
    (0.06, 0.06, 0.06, 0.06, 0.09, 0.14, 0.20),
    (0.45, 0.45, 0.45, 0.40, 0.35, 0.30, 0.30),
    (0.30, 0.30, 0.30, 0.25, 0.25, 0.30, 0.40),
    (0.90, 0.90, 0.90, 0.90, 0.85, 0.70, 0.70),
    (0.25, 0.25, 0.25, 0.25, 0.20, 0.15, 0.15),
    (0.60, 0.60, 0.60, 0.60, 0.60, 0.50, 0.45),
)
# Log odds by which boys differ from girls in the onset of each disorder.
_MALE_LOG_RATIO = np.array([0.80, -0.35, 0.55, -0.65, -0.20, 0.35])
_SEXES = np.exp(np.outer([-0.5, 0.5], _MALE_LOG_RATIO)).astype(np.float32)[:, :, None]
_ABUSE = len(DISORDERS)
SWITCHES = Switches(
    names=DISORDERS,
    onset=monthly(ONSET) * _SEXES,
    end=monthly(REMISSION)[None],
    influences=(
        (),
        ((DEPRESSION, 1.2), (ADHD, 0.5), (_ABUSE, 0.7)),
        ((ADHD, 2.0), (_ABUSE, 0.8)),
        ((_ANXIETY, 1.5), (_SUBSTANCE, 0.8), (_ABUSE, 1.2)),
        ((DEPRESSION, 3.0), (ADHD, 1.0)),
        ((CONDUCT, 2.0), (DEPRESSION, 1.0), (_ABUSE, 0.6)),
    ),
    # Disorders that end come back: a recurrence is likelier than a first episode.
    recurrence=2.5,
)
_SCHOOL_SEASON = np.log(season_table(["school"]))[0]
_ATTEMPT_BY_AGE = by_age((-30.0, -30.0, -30.0, -30.0, -10.05, -9.75, -10.75))
_MAX_ATTEMPT_CHANCE = np.float32(0.3)


@dataclass
class MoodState:
    """State of mental health; one entry per patient, or per path carried forward."""

    birth_month: Int  # Month of birth.
    sex: Int  # 1 for boys, 0 for girls.
    # `distress`, `adherence`: traits, see `PediatricPopulation`.
    distress: Float
    adherence: Float
    abuse_month: Int  # Month from which a history of abuse exists.
    proneness: Float  # Multiplier of each onset, from liability, shape `(disorders, patients)`.
    disorders: Float  # 1 while a disorder of `DISORDERS` is active, shape `(disorders, patients)`.
    ever: Float  # 1 when the disorder has ever been active, same shape.
    crisis: Float  # Acute distress, mean about zero, larger is worse.
    antidepressant: Float  # 1 while one is taken.
    # `started`, `stopped`: memory of a start or a stop of it, which fades within months.
    started: Float
    stopped: Float
    attempts: Float  # Memory of past suicide attempts, which fades.
    attempted: Float  # 1 after any attempt.
    contacts: Float  # Memory of emergency contacts for mental health, which fades.


@dataclass
class _MoodMonth:
    """What one month held; one entry per patient."""

    hazard: Float  # Chance of a suicide attempt in this month, given the state at its start.
    # `attempt`, `contact`: 1 for an attempt, for an emergency contact for mental health.
    attempt: Float
    contact: Float


def first_state(patients: PediatricPopulation) -> MoodState:
    """State of newborns, from which life before the window is run."""
    size = len(patients)
    # The mean of the exponential of a normal liability is taken out, so that rates stay those of the table.
    distress, impulse = np.exp(0.7 * patients.distress - 0.22), np.exp(0.7 * patients.conduct - 0.22)
    disorders = np.zeros((2, len(DISORDERS), size), dtype=np.float32)
    memories = ("crisis", "antidepressant", "started", "stopped", "attempts", "attempted", "contacts")
    return MoodState(
        birth_month=patients.birth_month,
        sex=patients.male.astype(np.int32),
        distress=patients.distress,
        adherence=patients.adherence,
        abuse_month=patients.abuse_month,
        proneness=np.stack([impulse, distress, impulse, distress, distress * impulse, impulse]),
        disorders=disorders[0],
        ever=disorders[1],
        **{name: np.zeros(size, dtype=np.float32) for name in memories},
    )


def move_disorders(state: MoodState, month: int | Int, months: float, generator: np.random.Generator) -> None:
    """Let disorders begin and end, in place; each one raises the risk of others."""
    age = np.minimum(month - state.birth_month, MAX_AGE_MONTHS)
    abused = (month >= state.abuse_month).astype(np.float32)
    sex, grade = state.sex, np.zeros(len(age), dtype=np.int32)
    SWITCHES.move(state.disorders, state.ever, state.proneness, (abused,), sex, grade, age, months, generator)


def _attempt_hazard(state: MoodState, month: int | Int, calendar: Calendar) -> Float:
    """Chance of a suicide attempt that is treated within the month, given the state at its start."""
    _, anxiety, conduct, depression, bipolar, substance = state.disorders
    abused = month >= state.abuse_month
    age = age_months(month, state.birth_month)
    score = (
        _ATTEMPT_BY_AGE[age] - 0.8 * state.sex.astype(np.float32) + 1.7 * depression + 1.1 * bipolar + 0.6 * substance
    )
    score += 0.7 * depression * substance + 0.35 * anxiety * depression + 0.35 * conduct + 0.7 * abused
    score += 0.5 * state.ever[DEPRESSION] + 0.9 * state.crisis
    score += 0.8 * state.attempted + 1.7 * np.minimum(state.attempts, 1.5) + 0.5 * np.minimum(state.contacts, 2)
    score += 0.7 * state.started + (0.4 + 0.5 * depression) * state.stopped
    score += 0.6 * _SCHOOL_SEASON[calendar.month_of_year(np.asarray(month))]
    chance = np.minimum(np.exp(score.astype(np.float32)), _MAX_ATTEMPT_CHANCE)
    hazard: Float = chance * (age >= MIN_AGE_YEARS * 12)
    return hazard


def advance(
    state: MoodState, month: int | Int, calendar: Calendar, generator: np.random.Generator, *, attempts: bool = True
) -> _MoodMonth:
    """Live through one month, in place."""
    hazard = _attempt_hazard(state, month, calendar)
    _, anxiety, conduct, depression, bipolar, substance = state.disorders
    abused = month >= state.abuse_month
    ill = np.minimum(depression + bipolar + substance + conduct + anxiety, 1)
    score = 1.1 * depression + 1.3 * bipolar + 0.6 * substance + 0.6 * conduct + 0.85 * state.crisis
    score += 0.5 * np.minimum(state.contacts, 2) + 0.4 * abused - 6.3
    contact = occurs(ill * np.minimum(np.exp(score), 0.4), generator)
    attempt = occurs(hazard, generator) if attempts else np.zeros_like(hazard)

    event = np.maximum(attempt, contact)
    start = depression * (0.06 + 0.06 * state.adherence + 0.3 * event) + 0.02 * anxiety
    stop = 0.03 + 0.16 * (1 - state.adherence) + 0.12 * (1 - np.maximum(depression, anxiety))
    before = state.antidepressant.copy()
    switch(state.antidepressant, start, stop, generator)
    state.started *= np.float32(0.55)
    np.maximum(state.started, state.antidepressant - before, out=state.started)
    state.stopped *= np.float32(0.65)
    np.maximum(state.stopped, before - state.antidepressant, out=state.stopped)

    drift = 0.45 * depression + 0.35 * bipolar + 0.3 * substance + 0.35 * abused + 0.35 * state.distress
    drift += 0.4 * state.stopped - 0.35 * state.antidepressant * (1 - state.started)
    state.crisis += 0.22 * (drift.astype(np.float32) - state.crisis) + 0.42 * noise(drift.shape, generator)
    state.attempts *= np.float32(0.86)
    state.attempts += attempt
    np.maximum(state.attempted, attempt, out=state.attempted)
    state.contacts *= np.float32(0.8)
    state.contacts += contact
    move_disorders(state, month, 1, generator)
    return _MoodMonth(hazard, attempt, contact)
