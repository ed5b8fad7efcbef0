"""Visits that patients make anyway: to an office, and to an emergency department, some kept for observation.

They are drawn before the stays, because what they were and in which order they came is part of the risk after a stay.
"""

from dataclasses import dataclass, field

import numpy as np

from claim_transformers.simulation.engine.calendar import WEEKEND_SHIFT, Bool, Calendar, Float, Int
from claim_transformers.simulation.medicare.conditions import BURN_IN_MONTHS, CONDITIONS, Illness
from claim_transformers.simulation.medicare.hazards import Community
from claim_transformers.simulation.medicare.planted import DRIFT_VOLUME, PlantedDrift
from claim_transformers.simulation.medicare.population import MedicarePopulation

# Visits a year: to an office for no lasting condition, and to an emergency department without admission (NAMCS,
# NHAMCS).
_OFFICE_VISITS, _EMERGENCY_VISITS = 1.5, 0.26
_OBSERVATION_SHARE = 0.16
_ACCESS_EFFECT = 0.22
MINOR = len(CONDITIONS)
_DAY_BITS = 20


@dataclass
class Events:
    """Dated events of one block in order of patient and day, one entry each."""

    patient: Int  # Position of the patient.
    day: Int  # Days since 1970-01-01.
    reason: Int  # Position in `CONDITIONS`, `MINOR` for anything else.

    def __len__(self) -> int:
        return len(self.patient)

    def keys(self) -> Int:
        """Patient and day in one number that keeps their order."""
        return event_keys(self.patient, self.day)


@dataclass
class Contacts:
    """Visits outside hospital that the patients of one block make."""

    office: Events  # Visits to a doctor's office.
    emergency: Events  # Visits to an emergency department without admission.
    is_observation: Bool  # Which of the latter became observation stays.
    # `office_keys`, `emergency_keys`: sorted `event_keys` of both.
    office_keys: Int = field(init=False)
    emergency_keys: Int = field(init=False)

    def __post_init__(self) -> None:
        self.office_keys = self.office.keys()
        self.emergency_keys = self.emergency.keys()


def event_keys(patient: Int, day: Int) -> Int:
    """Patient and day in one number; days may lie before 1970 by up to a thousand years."""
    # The day takes the low bits and is shifted to be positive, so that sorting by key sorts by patient, then by day,
    # and one binary search over all patients finds a day of one of them.
    keys: Int = (patient.astype(np.int64) << _DAY_BITS) + (day.astype(np.int64) + (1 << (_DAY_BITS - 1)))
    return keys


def last_before(keys: Int, patient: Int, day: Int) -> Int:
    """Day of the last event strictly before each day, a day long ago where the patient has none."""
    # The entry before the insertion point is the last event before the day, of an earlier patient where there is none.
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
    """Draw the visits of one block."""
    volume = np.exp(
        np.log1p(DRIFT_VOLUME) * drift.share(calendar.first_day(np.arange(-BURN_IN_MONTHS, calendar.months)))
    )
    weights = np.array([condition.visits for condition in CONDITIONS], dtype=np.float32)
    wanted = np.sqrt(illness.burden) @ weights
    own = np.exp(np.float32(_ACCESS_EFFECT) * patients.access)[:, None]
    office = (_OFFICE_VISITS + wanted.T) * own * np.exp(0.2 * community.instability) * volume
    emergency = _EMERGENCY_VISITS * np.sqrt(patients.frailty)[:, None] * (1 + 0.5 * community.illness)
    emergency *= np.exp(0.45 * community.instability - 0.12 * patients.access[:, None]) * np.sqrt(volume)
    visits = _place(office / 12, calendar, generator, on_weekdays=True)
    urgent = _place(emergency / 12, calendar, generator, on_weekdays=False)
    for events in (visits, urgent):
        events.reason = _reasons(events, illness, weights, calendar, generator)
    share = _OBSERVATION_SHARE * (1 + drift.share(urgent.day))
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
    # The part above the last step is the share of minor reasons: its position is `MINOR`, one past the conditions.
    threshold = generator.random(len(events), dtype=np.float32) * (steps[:, -1] + np.float32(_OFFICE_VISITS * 0.7))
    reasons: Int = (steps <= threshold[:, None]).sum(axis=1).astype(np.int32)
    return reasons
