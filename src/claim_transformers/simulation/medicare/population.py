"""Who is entitled to Medicare, why, since when, where they live, and the traits that care depends on."""

from dataclasses import dataclass

import numpy as np

from claim_transformers.simulation.engine.calendar import Bool, Calendar, Float, Int, Key
from claim_transformers.simulation.engine.identifiers import patient_keys
from claim_transformers.simulation.medicare.counties import counties, draw_counties

RACES = ("white", "black", "hispanic", "asian", "north_american_native", "other", "unknown")
# CMS, Medicare and Medicaid Statistical Supplement, 2012 edition, approximate.
_RACE_SHARES = (0.765, 0.105, 0.075, 0.022, 0.006, 0.02, 0.007)
_BLACK, _HISPANIC = RACES.index("black"), RACES.index("hispanic")

# Original reason for entitlement: age, disability, end-stage renal disease, both (CMS, Master Beneficiary Summary
# File).
_AGED, _DISABLED, _RENAL, _DISABLED_RENAL = range(4)
# Share of each group of patients at the start of the window, by age: CMS Statistical Supplement, approximate.
_AGE_BANDS = ((25, 45), (45, 55), (55, 65), (65, 70), (70, 75), (75, 80), (80, 85), (85, 90), (90, 98))
_AGE_SHARES = (0.04, 0.05, 0.075, 0.225, 0.195, 0.155, 0.125, 0.085, 0.05)
# Share of patients over 65 whose entitlement began with a disability.
_FORMERLY_DISABLED = 0.085
_TURNING_65 = 0.13
_LEAVE_MONTHLY, _RETURN_MONTHLY, _GAP_MONTHLY = 0.0035, 0.012, 0.0015
_PART_D_SHARE = 0.62
DUAL_CODES = ("NA", "02", "08", "01", "03", "04", "06")


@dataclass
class MedicarePopulation:
    """Patients of one block; one entry per patient unless a shape is given."""

    key: Key  # Identity, a 64-bit hash.
    male: Bool  # True for men.
    race: Int  # Index into `RACES`.
    birth_day: Int  # Day of birth, days since 1970-01-01.
    entry_month: Int  # First month of entitlement, negative where it began before the window.
    entry_age: Float  # Age at the start of entitlement or of the window, whichever is later, in years.
    entitlement: Int  # Original reason, `_AGED`, `_DISABLED`, `_RENAL` or `_DISABLED_RENAL`.
    dual: Int  # Index into `DUAL_CODES`, 0 for those without Medicaid.
    county: Int  # Position in `Counties.fips`.
    deprivation: Float  # Latent deprivation of the county.
    rural: Bool  # True in a rural county.
    frailty: Float  # Hidden multiplier of the hazard of admission, mean one.
    adherence: Float  # Chance to be on a prescribed drug in a month.
    access: Float  # Tendency to see a doctor soon, standard normal; lower where deprived or rural.
    has_part_d: Bool  # Drug coverage.
    enrolled: Bool  # Covered by parts A and B, shape `(months, patients)`, before deaths are known.

    def __len__(self) -> int:
        return len(self.key)

    def traits(self) -> dict[str, Float]:
        """What the odds of conditions may depend on, as numbers per patient."""
        return {
            "male": self.male.astype(np.float32),
            "black": (self.race == _BLACK).astype(np.float32),
            "hispanic": (self.race == _HISPANIC).astype(np.float32),
            "deprived": self.deprivation,
            "dual": (self.dual > 0).astype(np.float32),
            "disabled": np.isin(self.entitlement, (_DISABLED, _DISABLED_RENAL)).astype(np.float32),
            "esrd_entitled": (self.entitlement >= _RENAL).astype(np.float32),
        }


def draw_population(
    size: int, calendar: Calendar, block_key: int, generator: np.random.Generator
) -> MedicarePopulation:
    """Draw the patients of one block."""
    random = generator.random
    key = patient_keys(size, block_key, 31)
    birth_day, entry_month, entry_age, is_disabled = _draw_entry(size, calendar, generator)
    renal = random(size) < np.where(is_disabled, 0.025, 0.0015)
    formerly = ~is_disabled & (entry_age > 65.5) & (random(size) < _FORMERLY_DISABLED)
    entitlement = np.where(is_disabled | formerly, _DISABLED, _AGED) + 2 * renal
    male = random(size) < np.where(is_disabled, 0.53, np.interp(entry_age, (65, 75, 85, 95), (0.47, 0.44, 0.36, 0.25)))
    county = draw_counties(random(size))
    deprivation = counties().deprivation[county]
    race = _draw_races(deprivation, generator)
    minority = (race > 0).astype(np.float32)
    poor = -2.35 + 1.75 * is_disabled + 0.45 * deprivation + 0.95 * minority + 0.02 * np.maximum(entry_age - 75, 0)
    is_dual = random(size) < 1 / (1 + np.exp(-poor))
    kind = np.searchsorted(np.cumsum((0.5, 0.24, 0.1, 0.06, 0.03)), random(size)) + 1
    rural = counties().is_rural[county]
    access = generator.standard_normal(size, dtype=np.float32) - 0.35 * deprivation - 0.4 * rural
    return MedicarePopulation(
        key=key,
        male=male,
        race=race,
        birth_day=birth_day,
        entry_month=entry_month,
        entry_age=entry_age,
        entitlement=np.minimum(entitlement, _DISABLED_RENAL).astype(np.int32),
        dual=np.where(is_dual, kind, 0).astype(np.int32),
        county=county,
        deprivation=deprivation,
        rural=rural,
        frailty=generator.standard_gamma(3.0, size, dtype=np.float32) / np.float32(3.0),
        adherence=generator.beta(2.6, 1.3, size).astype(np.float32),
        access=access.astype(np.float32),
        has_part_d=random(size) < np.where(is_dual, 0.95, _PART_D_SHARE - 0.08),
        enrolled=_draw_enrolment(size, entry_month, calendar, generator),
    )


def _draw_entry(size: int, calendar: Calendar, generator: np.random.Generator) -> tuple[Int, Int, Float, Bool]:
    """Day of birth, first month, age then, and whether entitled under 65."""
    random = generator.random
    band = np.searchsorted(np.cumsum(_AGE_SHARES)[:-1], random(size))
    low, high = np.array(_AGE_BANDS, dtype=np.float64).T
    start_age = low[band] + random(size) * (high - low)[band]
    # A part of the patients comes in while the window lasts: most of them turn 65, the rest become disabled.
    share = _TURNING_65 * min(calendar.months / 60, 1.5)
    late = random(size) < share
    entry_month = np.where(late, (random(size) * calendar.months).astype(np.int32), -1)
    turns_65 = late & (random(size) < 0.85)
    late_disabled = late & ~turns_65
    start_age = np.where(turns_65, 65.0 - entry_month / 12, start_age)
    start_age = np.where(late_disabled, 30 + 32 * random(size) ** 0.6, start_age)
    birth_day = (calendar.first - start_age * 365.25).astype(np.int32)
    entry_age = start_age + np.maximum(entry_month, 0) / 12
    return birth_day, entry_month.astype(np.int32), entry_age.astype(np.float32), entry_age < 64.9


def _draw_races(deprivation: Float, generator: np.random.Generator) -> Int:
    """Race, black and Hispanic more often where a county is deprived."""
    weight = np.tile(np.array(_RACE_SHARES), (len(deprivation), 1))
    weight[:, (_BLACK, _HISPANIC)] *= np.exp(0.3 * deprivation - 0.045)[:, None]
    steps = np.cumsum(weight / weight.sum(axis=1, keepdims=True), axis=1)
    drawn: Int = (steps[:, :-1] <= generator.random(len(deprivation))[:, None]).sum(axis=1).astype(np.int32)
    return drawn


def _draw_enrolment(size: int, entry_month: Int, calendar: Calendar, generator: np.random.Generator) -> Bool:
    """Months with parts A and B: entry, leavers to private plans, some of whom return, and short gaps."""
    first = np.maximum(entry_month, 0)
    enrolled = np.zeros((calendar.months, size), dtype=np.bool_)
    covered = np.zeros(size, dtype=np.bool_)
    for month in range(calendar.months):
        chance = generator.random(size, dtype=np.float32)
        # Most moves between plans take effect on January 1 (annual enrolment period).
        moves = 4.0 if calendar.month_of_year(np.array(month)) == 0 else 0.73
        stays = covered & (chance >= _LEAVE_MONTHLY * moves + _GAP_MONTHLY)
        returns = ~covered & (month > first) & (chance < _RETURN_MONTHLY * moves)
        covered = stays | returns | (month == first)
        enrolled[month] = covered
    return enrolled


def medicare_status(entitlement: Int, age_years: Int, has_esrd: Bool) -> Int:
    """Medicare status codes (CMS: 10, 11 aged, 20, 21 disabled, 31 ESRD only; the second digit tells of ESRD)."""
    young = np.where(entitlement == _RENAL, 31, 20 + has_esrd)
    status: Int = np.where(age_years >= 65, 10 + has_esrd, young).astype(np.int32)
    return status
