"""A simulated Medicare population: all seven claim types and drugs, and the true risk of readmission."""

from .generate import (
    MEDICARE_SIMULATION_VERSION,
    MedicareClaims,
    MedicareSummary,
    simulate_medicare,
    simulate_medicare_tables,
)
from .planted import PlantedBias, PlantedDrift
from .tables import OUTCOMES

__all__ = [
    "MEDICARE_SIMULATION_VERSION",
    "OUTCOMES",
    "MedicareClaims",
    "MedicareSummary",
    "PlantedBias",
    "PlantedDrift",
    "simulate_medicare",
    "simulate_medicare_tables",
]
