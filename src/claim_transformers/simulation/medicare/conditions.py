"""Chronic conditions of an older population: who has them from which age on, and how severe they are.

The share of patients who have a condition is a curve over age. A patient has the condition from the age at which the
curve, moved by what raises the odds for this patient, passes a number drawn once. So the share at each age is the
curve itself, and new cases come in as patients grow older.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from claim_transformers.simulation.engine.calendar import Calendar, Float
from claim_transformers.simulation.medicare.beneficiaries import Beneficiaries

CURVE_AGES = (35.0, 50.0, 65.0, 75.0, 85.0, 95.0)
BURN_IN_MONTHS = 6
MONTH_YEARS = 1 / 12
# Spread of the logarithm of the hidden severity of each condition of a patient, and its growth a year; judgements.
SEVERITY_SPREAD = 0.45
SEVERITY_GROWTH = 0.06
CANCER_TREATMENT_MONTHS = 14


@dataclass(frozen=True)
class Condition:
    """One chronic condition.

    Args:
        name (`str`): Name, also of its pool of diagnoses.
        share (`tuple[float, ...]`): Share of patients at `CURVE_AGES` who have it.
        odds (`tuple[tuple[str, float], ...]`): What multiplies the odds: traits or conditions listed earlier.
        visits (`float`): Office visits a year for it.
        mention (`float`): Weight with which other claims name it.
        drugs (`tuple[str, ...]`): Drug classes.
        treated (`float`): Share of patients on each of them.
        mortality (`float`): What it adds to the logarithm of mortality at average severity.

    Examples:
        >>> CONDITIONS[0].name
        'hypertension'
    """

    name: str
    share: tuple[float, float, float, float, float, float]
    odds: tuple[tuple[str, float], ...] = ()
    visits: float = 0.3
    mention: float = 0.3
    drugs: tuple[str, ...] = ()
    treated: float = 0.0
    mortality: float = 0.0


# Shares: CMS, Chronic Conditions among Medicare Beneficiaries, Chartbook 2012, rounded; see
# docs/simulation_medicare.md.
CONDITIONS: tuple[Condition, ...] = (
    Condition(
        "hypertension",
        (0.12, 0.3, 0.47, 0.6, 0.68, 0.68),
        (("black", 1.7), ("deprived", 1.15)),
        visits=0.9,
        mention=0.6,
        drugs=("ace_inhibitor", "calcium_blocker", "thiazide"),
        treated=0.42,
    ),
    Condition(
        "lipids", (0.08, 0.25, 0.42, 0.5, 0.44, 0.3), visits=0.5, mention=0.35, drugs=("statin",), treated=0.62
    ),
    Condition(
        "diabetes",
        (0.06, 0.15, 0.25, 0.29, 0.25, 0.17),
        (("black", 1.6), ("hispanic", 1.6), ("deprived", 1.25), ("esrd_entitled", 3.0)),
        visits=1.2,
        mention=0.6,
        drugs=("oral_diabetes", "insulin"),
        treated=0.5,
        mortality=0.15,
    ),
    Condition(
        "ischemic",
        (0.02, 0.09, 0.21, 0.32, 0.4, 0.42),
        (("male", 1.7), ("diabetes", 2.0), ("hypertension", 1.7), ("lipids", 1.6)),
        visits=0.7,
        mention=0.5,
        drugs=("beta_blocker", "antiplatelet"),
        treated=0.55,
        mortality=0.1,
    ),
    Condition(
        "atrial_fibrillation",
        (0.002, 0.01, 0.04, 0.09, 0.15, 0.19),
        (("male", 1.3), ("hypertension", 1.4), ("ischemic", 1.5)),
        visits=0.8,
        mention=0.55,
        drugs=("anticoagulant", "beta_blocker"),
        treated=0.55,
        mortality=0.15,
    ),
    Condition(
        "heart_failure",
        (0.005, 0.03, 0.06, 0.11, 0.2, 0.28),
        (("ischemic", 2.8), ("diabetes", 1.7), ("hypertension", 1.6), ("atrial_fibrillation", 2.2), ("black", 1.3)),
        visits=1.4,
        mention=0.75,
        drugs=("loop_diuretic", "beta_blocker", "ace_inhibitor"),
        treated=0.6,
        mortality=0.5,
    ),
    Condition(
        "copd",
        (0.02, 0.06, 0.11, 0.13, 0.12, 0.09),
        (("disabled", 1.5), ("deprived", 1.3)),
        visits=1.0,
        mention=0.65,
        drugs=("bronchodilator", "inhaled_steroid"),
        treated=0.55,
        mortality=0.35,
    ),
    Condition(
        "ckd",
        (0.01, 0.04, 0.09, 0.15, 0.22, 0.24),
        (("diabetes", 2.4), ("hypertension", 1.8), ("heart_failure", 1.9), ("black", 1.3)),
        visits=0.6,
        mention=0.5,
        mortality=0.25,
    ),
    Condition(
        "esrd",
        (0.0005, 0.002, 0.004, 0.005, 0.005, 0.003),
        (("esrd_entitled", 1e6), ("ckd", 5.0), ("black", 2.2)),
        visits=1.0,
        mention=0.95,
        drugs=("phosphate_binder",),
        treated=0.6,
        mortality=0.9,
    ),
    Condition(
        "stroke",
        (0.004, 0.015, 0.03, 0.055, 0.09, 0.11),
        (("hypertension", 1.5), ("atrial_fibrillation", 1.7), ("black", 1.4)),
        visits=0.5,
        mention=0.4,
        drugs=("antiplatelet",),
        treated=0.5,
        mortality=0.2,
    ),
    Condition(
        "dementia",
        (0.001, 0.006, 0.025, 0.09, 0.25, 0.4),
        (("stroke", 1.8), ("disabled", 1.3)),
        visits=0.7,
        mention=0.55,
        drugs=("dementia_drug",),
        treated=0.5,
        mortality=0.6,
    ),
    Condition(
        "cancer",
        (0.01, 0.03, 0.07, 0.1, 0.12, 0.11),
        (("male", 1.2),),
        visits=1.8,
        mention=0.7,
        drugs=("antiemetic",),
        treated=0.3,
        mortality=0.4,
    ),
    Condition(
        "depression",
        (0.14, 0.15, 0.12, 0.12, 0.13, 0.12),
        (("disabled", 2.6), ("male", 0.55), ("dementia", 1.6)),
        visits=0.9,
        mention=0.45,
        drugs=("antidepressant",),
        treated=0.65,
        mortality=0.1,
    ),
    Condition(
        "psychosis",
        (0.05, 0.04, 0.014, 0.01, 0.012, 0.01),
        (("disabled", 6.0), ("dual", 2.0)),
        visits=2.2,
        mention=0.7,
        drugs=("antipsychotic",),
        treated=0.75,
        mortality=0.25,
    ),
    Condition(
        "alcohol",
        (0.05, 0.05, 0.025, 0.012, 0.005, 0.002),
        (("disabled", 2.5), ("male", 1.8), ("depression", 1.7), ("psychosis", 1.8)),
        visits=0.4,
        mention=0.45,
        mortality=0.3,
    ),
    Condition(
        "liver",
        (0.02, 0.03, 0.02, 0.016, 0.01, 0.006),
        (("alcohol", 5.0), ("disabled", 1.5)),
        visits=0.6,
        mention=0.5,
        mortality=0.55,
    ),
    Condition(
        "arthritis",
        (0.06, 0.15, 0.25, 0.31, 0.33, 0.3),
        (("male", 0.65),),
        visits=0.7,
        mention=0.3,
        drugs=("pain_drug",),
        treated=0.4,
    ),
    Condition(
        "osteoporosis",
        (0.004, 0.02, 0.05, 0.085, 0.11, 0.11),
        (("male", 0.18),),
        visits=0.3,
        mention=0.25,
        drugs=("bone_drug",),
        treated=0.45,
    ),
    Condition(
        "anemia",
        (0.03, 0.05, 0.1, 0.16, 0.24, 0.28),
        (("ckd", 2.5), ("cancer", 2.0), ("esrd", 6.0)),
        visits=0.4,
        mention=0.4,
        mortality=0.15,
    ),
    Condition(
        "vascular",
        (0.006, 0.03, 0.08, 0.13, 0.18, 0.2),
        (("diabetes", 1.8), ("ischemic", 1.8)),
        visits=0.4,
        mention=0.35,
        drugs=("antiplatelet",),
        treated=0.3,
        mortality=0.15,
    ),
    Condition(
        "parkinson", (0.0005, 0.002, 0.008, 0.018, 0.027, 0.025), visits=1.0, mention=0.5, drugs=("parkinson_drug",),
        treated=0.8, mortality=0.3,
    ),
    Condition(
        "thyroid", (0.03, 0.07, 0.12, 0.16, 0.18, 0.17), (("male", 0.35),), drugs=("thyroid_drug",), treated=0.8
    ),
    Condition("reflux", (0.08, 0.12, 0.16, 0.18, 0.17, 0.14), drugs=("acid_drug",), treated=0.5),
    Condition("eye", (0.02, 0.08, 0.22, 0.36, 0.38, 0.3), visits=0.9, mention=0.1, drugs=("eye_drug",), treated=0.25),
)  # fmt: skip
CONDITION_NAMES = tuple(condition.name for condition in CONDITIONS)
CANCER = CONDITION_NAMES.index("cancer")
ESRD = CONDITION_NAMES.index("esrd")


@dataclass
class Illness:
    """Conditions of the patients of one block.

    Attributes:
        onset_month: First month with each condition, counted from the window's start, shape `(patients, conditions)`;
            large for those who never get it.
        burden: Severity where present and zero where not, shape `(months, patients, conditions)`; months begin
            `BURN_IN_MONTHS` before the window.
        in_treatment: Cancer under treatment, shape `(months, patients)`.
    """

    onset_month: Float
    burden: Float
    in_treatment: Float


def _logit(share: Float) -> Float:
    odds: Float = np.log(share / (1 - share))
    return odds


def draw_onset_ages(patients: Beneficiaries, generator: np.random.Generator) -> Float:
    """Age at which each condition begins.

    Args:
        patients (`Beneficiaries`): Patients of one block.
        generator (`np.random.Generator`): Stream.

    Returns:
        `np.ndarray` of shape `(patients, conditions)`: Years; infinite where it never does.
    """
    traits = patients.traits()
    size = len(patients)
    ages = np.array(CURVE_AGES)
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
        age = np.interp(need, curve, ages, left=18.0, right=np.inf)
        onset[:, position] = np.where(need < curve[0], 18.0 + 17.0 * generator.random(size), age)
    onset[:, ESRD] = np.where(
        traits["esrd_entitled"] > 0, np.minimum(onset[:, ESRD], patients.entry_age), onset[:, ESRD]
    )
    return onset


def draw_illness(patients: Beneficiaries, calendar: Calendar, generator: np.random.Generator) -> Illness:
    """Conditions of all patients in every month.

    Args:
        patients (`Beneficiaries`): Patients of one block.
        calendar (`Calendar`): The window.
        generator (`np.random.Generator`): Stream.

    Returns:
        `Illness`: By patient, and by month and patient.
    """
    onset_age = draw_onset_ages(patients, generator)
    start_age = (calendar.first - patients.birth_day) / 365.25
    onset_month = ((onset_age - start_age[:, None]) * 12).astype(np.float32)
    spread = generator.standard_normal(onset_month.shape, dtype=np.float32)
    severity = np.exp(np.float32(SEVERITY_SPREAD) * spread - np.float32(SEVERITY_SPREAD**2 / 2))
    months = np.arange(-BURN_IN_MONTHS, calendar.months, dtype=np.float32)
    # Most conditions of most patients never begin, so only those that do are worked out.
    patient, condition = np.nonzero(onset_month < calendar.months)
    since = months[:, None] - onset_month[patient, condition]
    grown = np.minimum(since, np.float32(180)) * np.float32(SEVERITY_GROWTH * MONTH_YEARS) + 1
    grown *= severity[patient, condition]
    grown *= since >= 0
    burden = np.zeros((len(months), *onset_month.shape), dtype=np.float32)
    burden[:, patient, condition] = grown
    # Treatment recurs in some: a third is treated again every few years.
    cycle = np.where(generator.random(len(patients), dtype=np.float32) < 0.33, np.float32(40), np.float32(1e6))
    age_of_cancer = months[:, None] - onset_month[:, CANCER]
    in_treatment = (age_of_cancer >= 0) & (np.mod(np.maximum(age_of_cancer, 0), cycle) < CANCER_TREATMENT_MONTHS)
    burden[:, :, CANCER] *= np.float32(0.5) + in_treatment
    return Illness(onset_month, burden, in_treatment.astype(np.float32))
