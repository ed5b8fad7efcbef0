"""Why older patients are admitted: each cause with its rate, its diagnoses and what a stay for it looks like.

A cause is planned where the public lists of the Centers for Medicare and Medicaid Services make it so (planned
readmission algorithm, version 4.0): a procedure or diagnosis that is always planned (transplants, chemotherapy,
rehabilitation), or a potentially planned procedure without an acute principal diagnosis. Unplanned causes carry no
procedure of those lists unless their diagnosis is acute.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from claim_transformers.simulation.engine.calendar import Float
from claim_transformers.simulation.medicare.conditions import CONDITION_NAMES


@dataclass(frozen=True)
class StayCause:
    """One reason for a stay.

    Args:
        name (`str`): Name; the pool of its principal diagnoses is `stay_` or `planned_` and the name.
        rate (`str`):
            Stays per 1,000 patient-years: a number for everyone, then a number per unit of burden of a condition, as
            `"1 heart_failure:95"`.
        drg (`str`): MS-DRGs with major complication, with complication, without.
        days (`float`): Mean length of stay in days.
        mortality (`float`): Share who die in hospital at average severity.
        facility (`float`): Share discharged to a nursing facility.
        home_health (`float`): Share discharged home with home health.
        readmission (`float`): What the cause adds to the logarithm of the hazard after discharge.
        age (`float`): Growth of the logarithm of the rate per ten years of age.
        procedures (`str`): Pools of procedures with their chance.
        planned (`bool`): Planned by the rules above.
        emergency (`float`): Share that comes through the emergency department.
        drug_condition (`str`): The condition whose drugs protect after discharge.

    Examples:
        >>> STAY_CAUSES[0].name
        'heart_failure'
    """

    name: str
    rate: str
    drg: str
    days: float = 4.5
    mortality: float = 0.02
    facility: float = 0.15
    home_health: float = 0.15
    readmission: float = 0.0
    age: float = 0.15
    procedures: str = "general:0.3"
    planned: bool = False
    emergency: float = 0.8
    drug_condition: str = ""

    @property
    def pool(self) -> str:
        """Pool of principal diagnoses."""
        if self.name == "rehabilitation":
            return self.name
        return ("planned_" if self.planned else "stay_") + self.name


def _planned(name: str, rate: str, drg: str, procedures: str, days: float, **more: float) -> StayCause:
    """A planned cause, which differs from others in what is usual."""
    details: dict[str, Any] = {
        "mortality": 0.006,
        "facility": 0.12,
        "home_health": 0.22,
        "readmission": -0.55,
        "age": -0.1,
        **more,
    }
    return StayCause(name, rate, drg, days, procedures=procedures, planned=True, emergency=0.0, **details)


# Rates: approximate, HCUP National Inpatient Sample and MedPAR short-stay files around 2010; see docs.
STAY_CAUSES: tuple[StayCause, ...] = (
    StayCause(
        "heart_failure",
        "0.8 heart_failure:60 ischemic:4 ckd:6 esrd:30",
        "291 292 293",
        5.2, 0.035, 0.18, 0.22, 0.22, 0.1, "echo:0.35 dialysis:0.05 general:0.2", drug_condition="heart_failure",
    ),
    StayCause(
        "pneumonia",
        "5.5 copd:24 heart_failure:12 dementia:20 cancer:11 parkinson:15 stroke:6",
        "193 194 195",
        5.3, 0.045, 0.22, 0.14, 0.02, 0.4, "imaging:0.2 ventilation:0.05 general:0.2",
    ),
    StayCause(
        "copd", "0.5 copd:60 heart_failure:2", "190 191 192", 4.6, 0.02, 0.11, 0.17, 0.12, -0.05,
        "ventilation:0.12 general:0.2", drug_condition="copd",
    ),
    StayCause(
        "sepsis",
        "3 diabetes:3 ckd:7 esrd:55 cancer:17 dementia:19 parkinson:10 liver:18 heart_failure:6",
        "871 872 872",
        6.8, 0.14, 0.32, 0.14, 0.18, 0.25, "catheter:0.4 ventilation:0.14 transfusion:0.15",
    ),
    StayCause(
        "uti", "2.4 dementia:20 parkinson:17 stroke:9 diabetes:4 ckd:4", "689 690 690", 4.1, 0.015, 0.3, 0.17, 0.02,
        0.5, "general:0.2",
    ),
    StayCause(
        "ami", "1.6 ischemic:7 diabetes:2 heart_failure:4 ckd:3", "280 281 282", 4.4, 0.06, 0.13, 0.13, 0.1, 0.25,
        "cardiac_catheter:0.45 angioplasty:0.35", drug_condition="ischemic",
    ),
    StayCause(
        "chest_pain", "2.2 ischemic:8 depression:3 reflux:2", "313 313 313", 1.9, 0.001, 0.02, 0.06, -0.15, -0.1,
        "cardiac_catheter:0.3 imaging:0.2",
    ),
    StayCause(
        "arrhythmia", "2 atrial_fibrillation:34 ischemic:4 heart_failure:7", "308 309 310", 3.4, 0.01, 0.09, 0.13,
        0.04, 0.2, "pacemaker:0.2 echo:0.3", drug_condition="atrial_fibrillation",
    ),
    StayCause(
        "stroke", "2.6 hypertension:1.5 atrial_fibrillation:10 stroke:13 diabetes:2 vascular:3", "064 065 066",
        5.2, 0.09, 0.36, 0.13, -0.06, 0.45, "imaging:0.4 echo:0.3", drug_condition="stroke",
    ),
    StayCause("syncope", "2.6 ischemic:3 parkinson:10 hypertension:1", "312 312 312", 2.6, 0.003, 0.12, 0.14,
        -0.15, 0.4),
    StayCause(
        "hip_fracture", "2 osteoporosis:12 dementia:11 parkinson:10", "480 481 482", 5.8, 0.025, 0.74, 0.1, -0.12,
        0.85, "hip_repair:1.0",
    ),
    StayCause(
        "fracture", "2.6 osteoporosis:11 dementia:8 alcohol:9", "562 563 563", 4.4, 0.012, 0.5, 0.14, -0.1, 0.5,
        "general:0.3",
    ),
    StayCause(
        "gi_bleed", "3.2 liver:24 atrial_fibrillation:8 ckd:4 anemia:7 alcohol:9", "377 378 379", 4.4, 0.025,
        0.12, 0.13,
        0.06, 0.35, "endoscopy:0.6 transfusion:0.2",
    ),
    StayCause("obstruction", "4.4 cancer:11 diabetes:1", "388 389 390", 4.7, 0.02, 0.1, 0.13, -0.02, 0.25,
        "general:0.2"),
    StayCause(
        "gallbladder", "5 liver:9 diabetes:2", "444 445 446", 4.6, 0.012, 0.09, 0.1, -0.08, 0.1,
        "biliary:0.3 imaging:0.2",
    ),
    StayCause(
        "renal_failure", "1.4 ckd:15 heart_failure:7 diabetes:3 liver:10 cancer:5", "682 683 684", 5.2, 0.04, 0.24,
        0.17, 0.1, 0.3, "dialysis:0.12 catheter:0.15",
    ),
    StayCause(
        "fluid", "2.2 ckd:4 dementia:10 cancer:7 diabetes:2 psychosis:5", "640 641 641", 3.7, 0.015, 0.2, 0.16, 0.05,
        0.4,
    ),
    StayCause(
        "diabetes", "0.1 diabetes:11", "637 638 639", 4.6, 0.008, 0.13, 0.18, 0.05, -0.25, "general:0.2",
        drug_condition="diabetes",
    ),
    StayCause("skin", "3.2 diabetes:8 vascular:8 liver:5", "602 603 603", 4.5, 0.006, 0.15, 0.19, -0.05, 0.0,
        "drain:0.2"),
    StayCause(
        "delirium", "0.2 dementia:20 parkinson:6 alcohol:3", "884 884 884", 7.5, 0.012, 0.5, 0.1, 0.05, 0.3,
        "imaging:0.2", drug_condition="dementia",
    ),
    StayCause("mood", "0.4 depression:8 psychosis:10", "885 885 885", 8.4, 0.001, 0.08, 0.05, 0.05, -0.35,
        "general:0.05",
              drug_condition="depression"),
    StayCause("psychosis", "0.1 psychosis:26", "885 885 885", 9.5, 0.001, 0.1, 0.03, 0.15, -0.35, "general:0.05",
              drug_condition="psychosis"),
    StayCause("seizure", "1 stroke:11 alcohol:16 dementia:6 cancer:3", "100 101 101", 3.7, 0.015, 0.19, 0.12,
        0.04, 0.0,
              "imaging:0.4"),
    StayCause("embolism", "2 cancer:15 osteoporosis:1", "175 176 176", 4.6, 0.02, 0.11, 0.18, 0.02, 0.15),
    StayCause(
        "respiratory_failure", "0.7 copd:17 heart_failure:7 parkinson:10 dementia:9", "189 189 189", 6.2, 0.15, 0.28,
        0.13, 0.15, 0.2, "ventilation:0.55 catheter:0.2", drug_condition="copd",
    ),
    StayCause("intestinal_infection", "2.4 ckd:4 cancer:6 dementia:6", "371 372 373", 4.9, 0.015, 0.19, 0.14,
        0.16, 0.35),
    StayCause(
        "device", "3 esrd:190 diabetes:4 vascular:8 cancer:9 arthritis:2", "919 920 921", 5.2, 0.02, 0.19, 0.2,
        0.12, 0.0,
        "drain:0.3 dialysis:0.1 catheter:0.2",
    ),
    StayCause("cancer", "0.1 cancer:48", "180 181 182", 6.2, 0.1, 0.16, 0.2, 0.3, 0.0, "transfusion:0.3 catheter:0.2"),
    StayCause("liver", "0.1 liver:60", "432 433 434", 5.3, 0.08, 0.15, 0.14, 0.35, -0.2, "drain:0.4 transfusion:0.2"),
    StayCause("alcohol", "0.2 alcohol:20 depression:2", "896 897 897", 4.6, 0.006, 0.08, 0.05, 0.15, -0.5,
        "general:0.05"),
    StayCause("back", "2.2 arthritis:5 osteoporosis:7", "551 552 552", 3.9, 0.004, 0.3, 0.15, -0.1, 0.2),
    _planned("knee", "3.5 arthritis:20", "469 470 470", "knee:1.0", 3.4, facility=0.32, home_health=0.45),
    _planned("hip", "2.2 arthritis:13", "469 470 470", "hip:1.0", 3.5, facility=0.36, home_health=0.38),
    _planned("chemotherapy", "", "846 847 848", "chemotherapy:1.0", 3.6, facility=0.02, home_health=0.1,
        readmission=0.0),
    _planned("coronary", "1 ischemic:26", "246 247 247", "bypass:0.35 angioplasty:0.65", 4.2, readmission=-0.35),
    _planned("spine", "2.5 arthritis:7", "459 460 460", "spine:1.0", 3.7),
    _planned("carotid", "1 vascular:6 stroke:9", "037 038 039", "carotid:1.0", 2.5),
    _planned("colectomy", "1.2 cancer:19", "329 330 331", "colectomy:1.0", 8.0, mortality=0.02, readmission=-0.2),
    _planned("prostate", "1", "713 714 714", "prostate:1.0", 2.0),
    _planned("valve", "0.6 ischemic:2 heart_failure:5", "219 220 221", "valve:1.0", 9.0, mortality=0.03,
        readmission=-0.1),
    _planned("transplant", "esrd:20", "652 652 652", "transplant:1.0", 6.5, readmission=0.2),
    _planned("aneurysm", "0.8 vascular:20", "238 237 238", "aneurysm:0.45 bypass_leg:0.55", 4.6, readmission=-0.2),
    _planned("hernia", "1.8", "354 355 355", "hernia:1.0", 3.6),
    _planned("breast", "0.4 cancer:5", "582 583 583", "breast:1.0", 1.8),
    _planned("rehabilitation", "", "945 946 946", "rehabilitation:1.0", 12.0, facility=0.2, home_health=0.5),
)  # fmt: skip
CAUSE_NAMES = tuple(cause.name for cause in STAY_CAUSES)
CHEMOTHERAPY, REHABILITATION = CAUSE_NAMES.index("chemotherapy"), CAUSE_NAMES.index("rehabilitation")
IS_PLANNED = np.array([cause.planned for cause in STAY_CAUSES])
# Stays a year for chemotherapy while cancer is treated in hospital, and the share of patients so treated.
CHEMOTHERAPY_STAYS = 6.0
CHEMOTHERAPY_SHARE = 0.03
# Stays per day for rehabilitation in the weeks after a stay that left the patient weak.
REHABILITATION_DAILY = 0.0022
WEAKENING = ("stroke", "hip_fracture", "fracture", "valve", "sepsis")


@cache
def rate_table() -> tuple[Float, Float]:
    """Stays per patient-year at age 75: of everyone, and per unit of burden.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: Shapes `(causes,)` and `(conditions, causes)`.

    Examples:
        >>> everyone, per_burden = rate_table()
        >>> round(float(everyone[0]) * 1000, 1)
        0.8
    """
    everyone = np.zeros(len(STAY_CAUSES), dtype=np.float32)
    per_burden = np.zeros((len(CONDITION_NAMES), len(STAY_CAUSES)), dtype=np.float32)
    for position, cause in enumerate(STAY_CAUSES):
        for part in cause.rate.split():
            name, _, rate = part.rpartition(":")
            if name:
                per_burden[CONDITION_NAMES.index(name), position] = float(rate) / 1000
            else:
                everyone[position] = float(rate) / 1000
    return everyone, per_burden


@cache
def column(name: str) -> Float:
    """One number of every cause.

    Args:
        name (`str`): A field of `StayCause` that is a number.

    Returns:
        `np.ndarray` of shape `(causes,)`.

    Examples:
        >>> float(column("days")[0])
        5.199999809265137
    """
    return np.array([getattr(cause, name) for cause in STAY_CAUSES], dtype=np.float32)
