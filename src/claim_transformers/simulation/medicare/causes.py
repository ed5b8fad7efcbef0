"""Causes of stays: why older patients are admitted, how often, and what a stay for each looks like.

A cause is planned where the public lists of the Centers for Medicare and Medicaid Services make it so (planned
readmission algorithm, version 4.0): a procedure or diagnosis that is always planned (transplants, chemotherapy,
rehabilitation), or a potentially planned procedure without an acute principal diagnosis. Unplanned causes carry no
procedure of those lists unless their diagnosis is acute.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from claim_transformers.simulation.engine.calendar import Float
from claim_transformers.simulation.engine.data_files import read_rows
from claim_transformers.simulation.engine.menus import parse_menu
from claim_transformers.simulation.medicare.conditions import CONDITION_NAMES, DATA


@dataclass(frozen=True)
class _StayCause:
    """One reason for a stay."""

    name: str  # Name; the pool of its principal diagnoses is `stay_` or `planned_` and the name.
    # Stays per 1,000 patient-years: a number for everyone, then a number per unit of burden of a condition, as `"1
    # heart_failure:95"`.
    rate: str
    drg: str  # MS-DRGs with major complication, with complication, without.
    days: float = 4.5  # Mean length of stay in days.
    mortality: float = 0.02  # Share who die in hospital at average severity.
    facility: float = 0.15  # Share discharged to a nursing facility.
    home_health: float = 0.15  # Share discharged home with home health.
    readmission: float = 0.0  # What the cause adds to the logarithm of the hazard after discharge.
    age: float = 0.15  # Growth of the logarithm of the rate per ten years of age.
    procedures: str = "general:0.3"  # Pools of procedures with their chance.
    planned: bool = False  # Planned by the rules above.
    emergency: float = 0.8  # Share that comes through the emergency department.
    drug_condition: str = ""  # The condition whose drugs protect after discharge.

    def __post_init__(self) -> None:
        parse_menu(self.procedures)
        for part in self.rate.split():
            name, _, rate = part.rpartition(":")
            if float(rate) < 0 or (name and name not in CONDITION_NAMES):
                raise ValueError(f"expected rates of at least 0 per known condition, found {part!r}")
        if len(self.drg.split()) != 3 or not all(len(group) == 3 and group.isdigit() for group in self.drg.split()):
            raise ValueError(f"expected three MS-DRGs of three digits, found {self.drg!r}")
        if not (self.days > 0 and 0 <= self.mortality + self.facility + self.home_health <= 1):
            raise ValueError("expected days above 0 and shares of dispositions that sum to at most 1, found others")
        if self.drug_condition and self.drug_condition not in CONDITION_NAMES:
            raise ValueError(f"expected a drug condition of the table of conditions, found {self.drug_condition!r}")

    @property
    def pool(self) -> str:
        """Pool of principal diagnoses."""
        if self.name == "rehabilitation":
            return self.name
        return ("planned_" if self.planned else "stay_") + self.name


STAY_CAUSES: tuple[_StayCause, ...] = read_rows(DATA / "stay_causes.yaml", _StayCause)
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
    """Stays per patient-year at age 75: of everyone, and per unit of burden."""
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
    """One number of every cause."""
    return np.array([getattr(cause, name) for cause in STAY_CAUSES], dtype=np.float32)
