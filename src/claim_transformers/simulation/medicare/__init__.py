"""A simulated Medicare population: all seven claim types and drugs, and the true risk of readmission."""

from claim_transformers.simulation.medicare.expected_cost import expected_costs
from claim_transformers.simulation.medicare.generate import (
    MEDICARE_SIMULATION_VERSION,
    MedicareClaims,
    MedicareSummary,
    simulate_medicare,
    simulate_medicare_tables,
)
from claim_transformers.simulation.medicare.planted import PlantedBias, PlantedDrift
from claim_transformers.simulation.medicare.tables import OUTCOMES

__all__ = [
    "MEDICARE_SIMULATION_VERSION", "OUTCOMES", "MedicareClaims", "MedicareSummary", "PlantedBias", "PlantedDrift",
    "expected_costs", "simulate_medicare", "simulate_medicare_tables",
]  # fmt: skip
