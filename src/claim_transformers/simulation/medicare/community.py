"""Visits that patients make anyway: to an office, and to an emergency department, some kept for observation.

They are drawn before the stays, because what they were and in which order they came is part of the risk after a stay.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from claim_transformers.simulation.engine.calendar import WEEKEND_SHIFT, Bool, Calendar, Float, Int
from claim_transformers.simulation.medicare.conditions import BURN_IN_MONTHS, CONDITIONS, Illness
from claim_transformers.simulation.medicare.hazards import Community
from claim_transformers.simulation.medicare.planted import DRIFT_VOLUME, PlantedDrift
from claim_transformers.simulation.medicare.population import MedicarePopulation

# Visits a year: to an office for no lasting condition, and to an emergency department without admission (NAMCS,
# NHAMCS).
OFFICE_VISITS, EMERGENCY_VISITS = 1.5, 0.26
OBSERVATION_SHARE = 0.16
ACCESS_EFFECT = 0.22
MINOR = len(CONDITIONS)
_DAY_BITS = 20


@dataclass
class Events:
    """Dated events of one block in order of patient and day, one entry each.

    Attributes:
        patient: Position of the patient.
        day: Days since 1970-01-01.
        reason: Position in `CONDITIONS`, `MINOR` for anything else.
    """

    patient: Int
    day: Int
    reason: Int

    def __len__(self) -> int:
        return len(self.patient)

    def keys(self) -> Int:
        """Patient and day in one number that keeps their order."""
        return event_keys(self.patient, self.day)


@dataclass
class Contacts:
    """Visits outside hospital that the patients of one block make.

    Attributes:
        office: Visits to a doctor's office.
        emergency: Visits to an emergency department without admission.
        is_observation: Which of the latter became observation stays.
        office_keys, emergency_keys: Sorted `event_keys` of both.
    """

    office: Events
    emergency: Events
    is_observation: Bool
    office_keys: Int = field(init=False)
    emergency_keys: Int = field(init=False)

    def __post_init__(self) -> None:
        self.office_keys = self.office.keys()
        self.emergency_keys = self.emergency.keys()


def event_keys(patient: Int, day: Int) -> Int:
    """Patient and day in one number; days may lie before 1970 by up to a thousand years.

    Examples:
        >>> keys = event_keys(np.array([0, 0, 1]), np.array([14000, 14001, 13000]))
        >>> bool((np.diff(keys) > 0).all())
        True
    """
    keys: Int = (patient.astype(np.int64) << _DAY_BITS) + (day.astype(np.int64) + (1 << (_DAY_BITS - 1)))
    return keys


def last_before(keys: Int, patient: Int, day: Int) -> Int:
    """Day of the last event strictly before each day, a day long ago where the patient has none.

    Args:
        keys (`np.ndarray`): Sorted output of `event_keys`.
        patient (`np.ndarray`): Whom to look up.
        day (`np.ndarray`): Before which day.

    Returns:
        `np.ndarray` of `int64`: Days since 1970-01-01.

    Examples:
        >>> keys = event_keys(np.array([0, 0, 1]), np.array([100, 200, 150]))
        >>> last_before(keys, np.array([0, 1]), np.array([200, 300])).tolist()
        [100, 150]
    """
    position = np.searchsorted(keys, event_keys(patient, day)) - 1
    found = keys[np.maximum(position, 0)] if len(keys) else np.zeros(len(patient), dtype=np.int64)
    is_own = (position >= 0) & ((found >> _DAY_BITS) == patient)
    days: Int = np.where(is_own, (found & ((1 << _DAY_BITS) - 1)) - (1 << (_DAY_BITS - 1)), -(1 << 18))
    return days


def draw_contacts(
    patients: MedicarePopulation,
    illness: Illness,
    community: Community,
    calendar: Calendar,
    drift: PlantedDrift,
    generator: np.random.Generator,
) -> Contacts:
    """Draw the visits of one block.

    Args:
        patients (`MedicarePopulation`): Patients.
        illness (`Illness`): Their conditions.
        community (`Community`): Their hidden instability.
        calendar (`Calendar`): The window.
        drift (`PlantedDrift`): Changes the number of visits.
        generator (`np.random.Generator`): Stream.

    Returns:
        `Contacts`: Visits from the burn-in to the end of the window.
    """
    volume = np.exp(
        np.log1p(DRIFT_VOLUME) * drift.share(calendar.first_day(np.arange(-BURN_IN_MONTHS, calendar.months)))
    )
    weights = np.array([condition.visits for condition in CONDITIONS], dtype=np.float32)
    wanted = np.sqrt(illness.burden) @ weights
    own = np.exp(np.float32(ACCESS_EFFECT) * patients.access)[:, None]
    office = (OFFICE_VISITS + wanted.T) * own * np.exp(0.2 * community.instability) * volume
    emergency = EMERGENCY_VISITS * np.sqrt(patients.frailty)[:, None] * (1 + 0.5 * community.illness)
    emergency *= np.exp(0.45 * community.instability - 0.12 * patients.access[:, None]) * np.sqrt(volume)
    visits = _place(office / 12, calendar, generator, on_weekdays=True)
    urgent = _place(emergency / 12, calendar, generator, on_weekdays=False)
    for events in (visits, urgent):
        events.reason = _reasons(events, illness, weights, calendar, generator)
    share = OBSERVATION_SHARE * (1 + drift.share(urgent.day))
    return Contacts(visits, urgent, generator.random(len(urgent), dtype=np.float32) < share)


def _place(rate: Float, calendar: Calendar, generator: np.random.Generator, *, on_weekdays: bool) -> Events:
    """Events at a monthly rate, shape `(patients, months)`, on days of the month."""
    counts = generator.poisson(rate)
    patient, month = np.nonzero(counts)
    repeats = counts[patient, month]
    patient = np.repeat(patient, repeats).astype(np.int32)
    month = np.repeat(month, repeats).astype(np.int32) - np.int32(BURN_IN_MONTHS)
    first = calendar.first_day(month)
    span = calendar.last_day(month) - first + 1
    day = (first + (generator.random(len(month), dtype=np.float32) * span).astype(np.int32)).astype(np.int32)
    if on_weekdays:
        day = day + WEEKEND_SHIFT[(day + 3) % 7]
    keys = event_keys(patient, day)
    day = day[np.argsort(keys, kind="stable")]
    return Events(patient, day, np.zeros(len(day), dtype=np.int32))


def _reasons(
    events: Events, illness: Illness, weights: Float, calendar: Calendar, generator: np.random.Generator
) -> Int:
    """Why each visit is made: one of the patient's conditions, or something minor."""
    month = np.clip(calendar.month_of_day(events.day) + BURN_IN_MONTHS, 0, illness.burden.shape[0] - 1)
    present = illness.burden[month, events.patient] > 0
    steps = np.cumsum(present * weights, axis=1)
    threshold = generator.random(len(events), dtype=np.float32) * (steps[:, -1] + np.float32(OFFICE_VISITS * 0.7))
    reasons: Int = (steps <= threshold[:, None]).sum(axis=1).astype(np.int32)
    return reasons
