"""Both generators as their tests ask for them, and what a folder that one of them wrote is compared by."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from claim_transformers.simulation import SIMULATION_VERSION, simulate, simulate_tables
from claim_transformers.simulation.medicare import (
    MEDICARE_SIMULATION_VERSION,
    simulate_medicare,
    simulate_medicare_tables,
)

PATIENTS = 300
SEED = 5
TABLES = ("medical_claim", "pharmacy_claim", "eligibility", "true_risk")
MEDICARE_YEAR = {"start": "2010-01-01", "end": "2010-12-31"}
PEDIATRIC_YEAR = {**MEDICARE_YEAR, "replicates": 2}


@dataclass(frozen=True)
class Generator:
    """A generator, and a short window to ask it for."""

    write: Callable[..., Any]
    in_memory: Callable[..., Any]
    version: int
    window: dict[str, Any]


GENERATORS = {
    "pediatric": Generator(simulate, simulate_tables, SIMULATION_VERSION, PEDIATRIC_YEAR),
    "medicare": Generator(simulate_medicare, simulate_medicare_tables, MEDICARE_SIMULATION_VERSION, MEDICARE_YEAR),
}


def digests(out):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.iterdir())}


def plain(table):
    """The same rows without dictionaries, of which a file and a table in memory have different ones."""
    kinds = [field.type.value_type if pa.types.is_dictionary(field.type) else field.type for field in table.schema]
    return table.cast(pa.schema(list(zip(table.column_names, kinds, strict=True))))
