"""Claims with known causes, for people without data: a simulated population and the true risk of each patient."""

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
    "INSTITUTIONS",
    "OUTCOMES",
    "SIMULATION_VERSION",
    "DirtRates",
    "Institution",
    "SimulatedClaims",
    "SimulationSummary",
    "simulate",
    "simulate_tables",
]
