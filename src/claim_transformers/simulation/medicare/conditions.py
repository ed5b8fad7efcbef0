"""Chronic conditions of an older population: who has them from which age on, and how severe they are.

The share of patients who have a condition is a curve over age. A patient has the condition from the age at which the
curve, moved by what raises the odds for this patient, passes a number drawn once. So the share at each age is the
curve itself, and new cases come in as patients grow older.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from claim_transformers.simulation.engine.calendar import Calendar, Float
from claim_transformers.simulation.engine.data_files import read_rows
from claim_transformers.simulation.medicare.population import MedicarePopulation

DATA = Path(__file__).parent / "data"

_CURVE_AGES = (35.0, 50.0, 65.0, 75.0, 85.0, 95.0)
BURN_IN_MONTHS = 6
_MONTH_YEARS = 1 / 12
# Spread of the logarithm of the hidden severity of each condition of a patient, and its growth a year; judgements.
_SEVERITY_SPREAD = 0.45
_SEVERITY_GROWTH = 0.06
_CANCER_TREATMENT_MONTHS = 14


@dataclass(frozen=True)
class _Condition:
    """One chronic condition."""

    name: str  # Name, also of its pool of diagnoses.
    share: tuple[float, float, float, float, float, float]  # Share of patients at `_CURVE_AGES` who have it.
    odds: tuple[tuple[str, float], ...] = ()  # What multiplies the odds: traits or conditions listed earlier.
    visits: float = 0.3  # Office visits a year for it.
    mention: float = 0.3  # Weight with which other claims name it.
    drugs: tuple[str, ...] = ()  # Drug classes.
    treated: float = 0.0  # Share of patients on each of them.
    mortality: float = 0.0  # What it adds to the logarithm of mortality at average severity.

    def __post_init__(self) -> None:
        if not all(0 < share < 1 for share in self.share) or not 0 <= self.treated <= 1:
            raise ValueError("expected shares above 0 and below 1 and a treated share from 0 to 1, found others")
        if not all(ratio > 0 for _, ratio in self.odds):
            raise ValueError("expected odds above 0, found others")


CONDITIONS: tuple[_Condition, ...] = read_rows(DATA / "conditions.yaml", _Condition)
CONDITION_NAMES = tuple(condition.name for condition in CONDITIONS)
CANCER = CONDITION_NAMES.index("cancer")
ESRD = CONDITION_NAMES.index("esrd")


@dataclass
class Illness:
    """Conditions of the patients of one block."""

    # First month with each condition, counted from the window's start, shape `(patients, conditions)`; large for those
    # who never get it.
    onset_month: Float
    # Severity where present and zero where not, shape `(months, patients, conditions)`; months begin `BURN_IN_MONTHS`
    # before the window.
    burden: Float
    in_treatment: Float  # Cancer under treatment, shape `(months, patients)`.


def _logit(share: Float) -> Float:
    odds: Float = np.log(share / (1 - share))
    return odds


def _draw_onset_ages(patients: MedicarePopulation, generator: np.random.Generator) -> Float:
    """Age at which each condition begins."""
    traits = patients.traits()
    size = len(patients)
    ages = np.array(_CURVE_AGES)
    # At the age at which a trait or an earlier condition counts, it is present or not: the age of entry decides.
    age_now = patients.entry_age + 2.0
    onset = np.empty((size, len(CONDITIONS)), dtype=np.float64)
    for position, condition in enumerate(CONDITIONS):
        shift = np.zeros(size)
        for name, ratio in condition.odds:
            if name in traits:
                present = traits[name]
            else:
                present = (onset[:, CONDITION_NAMES.index(name)] <= age_now).astype(np.float32)
            # Centred by the share of those concerned, so that the curve stays the share of the whole population.
            shift += np.log(ratio) * (present - (present.mean() if ratio < 1e3 else 0.0))
        uniform = generator.random(size).clip(1e-9, 1 - 1e-9)
        need = _logit(uniform) - shift
        curve = np.maximum.accumulate(_logit(np.array(condition.share)))
        curve += np.arange(len(curve)) * 1e-6
        # The curve is the odds of having the condition by each age, so the age at which it passes the patient's own
        # number is the age of onset. It is made to rise strictly, because a falling curve has no inverse.
        age = np.interp(need, curve, ages, left=18.0, right=np.inf)
        onset[:, position] = np.where(need < curve[0], 18.0 + 17.0 * generator.random(size), age)
    onset[:, ESRD] = np.where(
        traits["esrd_entitled"] > 0, np.minimum(onset[:, ESRD], patients.entry_age), onset[:, ESRD]
    )
    return onset


def draw_illness(patients: MedicarePopulation, calendar: Calendar, generator: np.random.Generator) -> Illness:
    """Conditions of all patients in every month."""
    onset_age = _draw_onset_ages(patients, generator)
    start_age = (calendar.first - patients.birth_day) / 365.25
    onset_month = ((onset_age - start_age[:, None]) * 12).astype(np.float32)
    spread = generator.standard_normal(onset_month.shape, dtype=np.float32)
    severity = np.exp(np.float32(_SEVERITY_SPREAD) * spread - np.float32(_SEVERITY_SPREAD**2 / 2))
    months = np.arange(-BURN_IN_MONTHS, calendar.months, dtype=np.float32)
    # Most conditions of most patients never begin, so only those that do are worked out.
    patient, condition = np.nonzero(onset_month < calendar.months)
    since = months[:, None] - onset_month[patient, condition]
    grown = np.minimum(since, np.float32(180)) * np.float32(_SEVERITY_GROWTH * _MONTH_YEARS) + 1
    grown *= severity[patient, condition]
    grown *= since >= 0
    burden = np.zeros((len(months), *onset_month.shape), dtype=np.float32)
    burden[:, patient, condition] = grown
    # Treatment recurs in some: a third is treated again every few years.
    cycle = np.where(generator.random(len(patients), dtype=np.float32) < 0.33, np.float32(40), np.float32(1e6))
    age_of_cancer = months[:, None] - onset_month[:, CANCER]
    in_treatment = (age_of_cancer >= 0) & (np.mod(np.maximum(age_of_cancer, 0), cycle) < _CANCER_TREATMENT_MONTHS)
    burden[:, :, CANCER] *= np.float32(0.5) + in_treatment
    return Illness(onset_month, burden, in_treatment.astype(np.float32))
