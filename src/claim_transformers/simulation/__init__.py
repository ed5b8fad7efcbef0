"""Claims with known causes, for people without data: a simulated population and the true risk of each patient."""

from .dirt import DirtRates
from .generate import SIMULATION_VERSION, SimulatedClaims, SimulationSummary, simulate, simulate_tables
from .institutions import INSTITUTIONS, Institution
from .risk import OUTCOMES

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
