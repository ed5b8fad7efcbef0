"""Run both disease processes over the life of a block of patients and keep what claims and risks are made from."""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from claim_transformers.simulation.engine.calendar import Calendar, Float, Int
from claim_transformers.simulation.pediatric import atopy, mood
from claim_transformers.simulation.pediatric.atopy import AtopyState
from claim_transformers.simulation.pediatric.courses import take
from claim_transformers.simulation.pediatric.mood import MoodState
from claim_transformers.simulation.pediatric.population import MAX_AGE_MONTHS, PediatricPopulation

# Full months are lived before the window so that memories and treatments are in swing when it opens.
_RUN_IN_MONTHS = 12

# Fields of `History` with one number per month and patient.
_MONTHLY = (
    *("ever_asthma", "stay", "emergency", "steroid", "attempt", "contact", "stay_hazard", "attempt_hazard"),
    *("control", "controller", "prescribed", "recent_steroid", "crisis", "antidepressant"),
)


@dataclass
class History:
    """Everything one block lived through inside the window, by month and patient."""

    conditions: Float  # Presence of `atopy.CONDITIONS`, shape `(months, conditions, patients)`.
    disorders: Float  # Presence of `mood.DISORDERS`, shape `(months, disorders, patients)`.
    ever_asthma: Float  # Asthma present now or before.
    # `stay`, `emergency`, `steroid`: events of asthma.
    stay: Float
    emergency: Float
    steroid: Float
    # `attempt`, `contact`: suicide attempts and emergency contacts for mental health.
    attempt: Float
    contact: Float
    # `stay_hazard`, `attempt_hazard`: chance of the two outcomes in the month, given its start.
    stay_hazard: Float
    attempt_hazard: Float
    # `control`, `controller`, `prescribed`, `recent_steroid`: state of asthma at the start of the month.
    control: Float
    controller: Float
    prescribed: Float
    recent_steroid: Float
    # `crisis`, `antidepressant`: state of mental health at the start of the month.
    crisis: Float
    antidepressant: Float
    severity: Float  # Severity asthma has or would have, one entry per patient.
    snapshots: Int  # Months at whose start the full states are kept.
    atopy_states: list[AtopyState] = field(default_factory=list, init=False)
    mood_states: list[MoodState] = field(default_factory=list, init=False)


def live(
    patients: PediatricPopulation, calendar: Calendar, generator: np.random.Generator, *, without: Collection[str] = ()
) -> History:
    """Simulate both processes from birth to the end of the window.

    `without` names conditions of `atopy.CONDITIONS` that never begin, and events of asthma (`stay`, `emergency`,
    `steroid`, `controller`) that never happen: the same lives, drawn with the same numbers, but for what follows from
    these.
    """
    size, everyone = len(patients), np.arange(len(patients))
    allergic, mental = atopy.first_state(patients, generator), mood.first_state(patients)
    allergic.proneness[[name in without for name in atopy.CONDITIONS]] = 0
    for month in range(-MAX_AGE_MONTHS - _RUN_IN_MONTHS, -_RUN_IN_MONTHS, 12):
        atopy.move_conditions(allergic, month, 12, generator)
        mood.move_disorders(mental, month, 12, generator)
    for month in range(-_RUN_IN_MONTHS, 0):
        atopy.advance(allergic, month, calendar, generator, without=without)
        mood.advance(mental, month, calendar, generator)

    history = History(
        conditions=np.zeros((calendar.months, len(atopy.CONDITIONS), size), dtype=np.float32),
        disorders=np.zeros((calendar.months, len(mood.DISORDERS), size), dtype=np.float32),
        severity=allergic.severity,
        snapshots=calendar.snapshots(),
        **{name: np.zeros((calendar.months, size), dtype=np.float32) for name in _MONTHLY},
    )
    snapshots = set(history.snapshots.tolist())
    for month in range(calendar.months):
        if month in snapshots:
            history.atopy_states.append(take(allergic, everyone))
            history.mood_states.append(take(mental, everyone))
        history.conditions[month], history.disorders[month] = allergic.conditions, mental.disorders
        history.ever_asthma[month], history.control[month] = allergic.ever[atopy.ASTHMA], allergic.control
        history.controller[month], history.prescribed[month] = allergic.controller, allergic.prescribed
        history.recent_steroid[month] = allergic.steroids
        history.crisis[month], history.antidepressant[month] = mental.crisis, mental.antidepressant
        asthma = atopy.advance(allergic, month, calendar, generator, without=without)
        history.stay[month], history.stay_hazard[month] = asthma.stay, asthma.hazard
        history.emergency[month], history.steroid[month] = asthma.emergency, asthma.steroid
        minds = mood.advance(mental, month, calendar, generator)
        history.attempt[month], history.contact[month] = minds.attempt, minds.contact
        history.attempt_hazard[month] = minds.hazard
    return history
