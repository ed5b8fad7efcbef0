"""Who is insured, from when to when, and the traits that illness and use of care depend on."""

from dataclasses import dataclass

import numpy as np

from claim_transformers.simulation.engine.calendar import NEVER, Bool, Calendar, Float, Int, Key
from claim_transformers.simulation.engine.identifiers import patient_keys

MAX_AGE_MONTHS = 21 * 12

# Age bands of every rate in this room, in months: under 1, 1, 2-4, 5-9, 10-13, 14-17 and 18-21 years.
BAND_STARTS = (0, 12, 24, 60, 120, 168, 216)

# Share of children of each band with Medicaid, relative to infants. Source: docs/simulation.md.
COVERAGE = (1.0, 0.95, 0.92, 0.8, 0.72, 0.66, 0.4)

RACES = ("white", "black", "hispanic", "asian", "other", "unknown")
RACE_SHARES = (0.47, 0.27, 0.14, 0.02, 0.05, 0.05)

# Monthly chance to leave, by band: infants are covered for their first year, churn is highest when childhood ends.
LEAVE = (0.003, 0.013, 0.014, 0.014, 0.014, 0.015, 0.035)
_RETURN = 0.09


@dataclass
class PediatricPopulation:
    """Patients of one block; every array has one entry per patient unless a shape is given."""

    key: Key  # Identity, a 64-bit hash.
    male: Float  # 1 for boys, 0 for girls.
    race: Int  # Index into `RACES`.
    birth_month: Int  # Month of birth, counted from the start of the window, negative before it.
    birth_day: Int  # Day of birth, days since 1970-01-01.
    death_day: Int  # Day of death, `NEVER` for the living.
    frailty: Float  # Multiplier of the rate of illness and visits, mean one.
    atopy: Float  # Liability to allergic disease, standard normal.
    distress: Float  # Liability to internalising disorders, mean zero.
    conduct: Float  # Liability to externalising disorders, mean zero.
    adherence: Float  # Chance-like trait in `[0, 1]` to take and to go on with treatment.
    smoke: Float  # Exposed to tobacco smoke at home.
    hardship: Float  # Without stable housing or income.
    wheeze: Float  # Prone to viral wheezing in the first two years.
    premature: Float  # Born before term.
    abuse_month: Int  # Month from which a history of abuse exists, `NEVER` for most.
    enrolled: Bool  # Insured in a month, shape `(months, patients)`.

    def __len__(self) -> int:
        return len(self.key)


def band_of_age() -> Int:
    """Age band of every age in months up to the oldest patient, as a table to index."""
    ages = np.arange(MAX_AGE_MONTHS + 1)
    return (np.searchsorted(BAND_STARTS, ages, side="right") - 1).astype(np.int32)


def by_age(rates: tuple[float, ...]) -> Float:
    """Spread one rate per age band over months of age."""
    if len(rates) != len(BAND_STARTS):
        raise ValueError(f"expected {len(BAND_STARTS)} rates, one per age band, found {len(rates)}")
    return np.array(rates, dtype=np.float32)[band_of_age()]


def draw_population(
    size: int, calendar: Calendar, block_key: int, generator: np.random.Generator
) -> PediatricPopulation:
    """Draw the patients of one block."""
    random = generator.random
    key = patient_keys(size, block_key, 29)
    male = (random(size) < 0.51).astype(np.float32)
    race = np.searchsorted(np.cumsum(RACE_SHARES)[:-1], random(size)).astype(np.int32)
    birth_month = _draw_birth_months(size, calendar, generator)
    birth_day = _draw_day(calendar.first_day(birth_month), calendar.last_day(birth_month), generator)
    hardship = (random(size) < 0.12).astype(np.float32)
    shared, own = generator.standard_normal((2, size), dtype=np.float32)
    liability = generator.standard_normal((2, size), dtype=np.float32)
    female = 1.0 - male
    abused = random(size) < 0.05 + 0.04 * female + 0.08 * hardship
    abuse_month = birth_month + (24 + 180 * random(size)).astype(np.int32)
    premature = (random(size) < 0.115).astype(np.float32)
    patients = PediatricPopulation(
        key=key,
        male=male,
        race=race,
        birth_month=birth_month,
        birth_day=birth_day,
        death_day=np.full(size, NEVER, dtype=np.int32),
        frailty=generator.standard_gamma(2.5, size, dtype=np.float32) / np.float32(2.5),
        atopy=own,
        distress=0.5 * shared + 0.8 * liability[0] + 0.5 * (hardship - 0.12),
        conduct=0.5 * shared + 0.8 * liability[1] + 0.4 * (hardship - 0.12),
        adherence=generator.beta(2.2, 1.8, size).astype(np.float32),
        smoke=(random(size) < 0.22 + 0.15 * hardship).astype(np.float32),
        hardship=hardship,
        wheeze=(random(size) < 0.16 + 0.12 * premature).astype(np.float32),
        premature=premature,
        abuse_month=np.where(abused, abuse_month, NEVER).astype(np.int32),
        enrolled=np.zeros((calendar.months, size), dtype=np.bool_),
    )
    _draw_deaths(patients, calendar, generator)
    patients.enrolled = _draw_enrolment(patients, calendar, generator)
    return patients


def _draw_birth_months(size: int, calendar: Calendar, generator: np.random.Generator) -> Int:
    """Birth months such that ages follow coverage by age and births go on inside the window."""
    months = np.arange(-MAX_AGE_MONTHS + 2, calendar.months)
    ages = np.clip(-months, 0, MAX_AGE_MONTHS - 1)
    exposure = np.minimum(calendar.months - np.maximum(months, 0), MAX_AGE_MONTHS - ages)
    weights = by_age(COVERAGE)[ages] * np.minimum(exposure / 24.0, 1.0)
    steps = np.cumsum(weights / weights.sum())
    drawn = np.minimum(np.searchsorted(steps, generator.random(size)), len(months) - 1)
    return months[drawn].astype(np.int32)


def _draw_day(first: Int, last: Int, generator: np.random.Generator) -> Int:
    """One day between two days, both included."""
    return (first + (generator.random(len(first)) * (last - first + 1)).astype(np.int32)).astype(np.int32)


def _draw_deaths(patients: PediatricPopulation, calendar: Calendar, generator: np.random.Generator) -> None:
    """Deaths inside the window, most of them in the first month of life."""
    size = len(patients)
    born_inside = patients.birth_month >= 0
    infant = born_inside & (generator.random(size) < 0.004 + 0.02 * patients.premature)
    infant_day = patients.birth_day + generator.geometric(0.04, size).astype(np.int32)
    later_day = calendar.first + (generator.random(size) * (calendar.last - calendar.first + 1)).astype(np.int32)
    later = (generator.random(size) < 0.0003 * calendar.months / 12) & (later_day > patients.birth_day)
    day = np.where(infant, infant_day, np.where(later, later_day, NEVER))
    patients.death_day = np.where(day > calendar.last, NEVER, day).astype(np.int32)


def _draw_enrolment(patients: PediatricPopulation, calendar: Calendar, generator: np.random.Generator) -> Bool:
    """Months of coverage: entry, churn and return, never before birth, after death or past the oldest age."""
    size = len(patients)
    first = np.maximum(patients.birth_month, 0)
    at_once = generator.random(size) < np.where(patients.birth_month >= 0, 0.92, 0.64)
    last = np.minimum(patients.birth_month + MAX_AGE_MONTHS, calendar.months - 1)
    entry = first + (~at_once) * (generator.random(size) * (last - first + 1)).astype(np.int32)
    death_month = np.where(patients.death_day < NEVER, calendar.month_of_day(patients.death_day), NEVER)
    entry = np.minimum(entry, death_month)
    leave = by_age(LEAVE)
    enrolled = np.zeros((calendar.months, size), dtype=np.bool_)
    covered = np.zeros(size, dtype=np.bool_)
    for month in range(calendar.months):
        age = np.clip(month - patients.birth_month, 0, MAX_AGE_MONTHS)
        chance = generator.random(size, dtype=np.float32)
        stays = covered & (chance >= leave[age])
        returns = ~covered & (month > entry) & (chance < _RETURN)
        covered = (stays | returns | (month == entry)) & (month <= last) & (month <= death_month)
        enrolled[month] = covered
    return enrolled
