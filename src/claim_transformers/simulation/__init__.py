"""Simulated claims with known causes, for people without data: two populations and the true risk of each patient."""

from claim_transformers.simulation.medicare import (
    MEDICARE_SIMULATION_VERSION,
    MedicareClaims,
    MedicareSummary,
    PlantedBias,
    PlantedDrift,
    simulate_medicare,
    simulate_medicare_tables,
)
from claim_transformers.simulation.pediatric.dirt import DirtRates
from claim_transformers.simulation.pediatric.generate import (
    SIMULATION_VERSION,
    SimulatedClaims,
    SimulationSummary,
    simulate,
    simulate_tables,
)
from claim_transformers.simulation.pediatric.institutions import INSTITUTIONS, Institution
from claim_transformers.simulation.pediatric.risk import OUTCOMES

__all__ = [
    "INSTITUTIONS", "MEDICARE_SIMULATION_VERSION", "OUTCOMES", "SIMULATION_VERSION", "DirtRates", "Institution",
    "MedicareClaims", "MedicareSummary", "PlantedBias", "PlantedDrift", "SimulatedClaims", "SimulationSummary",
    "simulate", "simulate_medicare", "simulate_medicare_tables", "simulate_tables",
]  # fmt: skip
