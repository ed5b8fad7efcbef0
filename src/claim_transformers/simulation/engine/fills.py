"""Prescriptions filled: their order, and the pharmacy claims that they become."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from claim_transformers.simulation.engine.calendar import Int, Key
from claim_transformers.simulation.engine.columns import (
    constant_column,
    day_column,
    money_column,
    text_column,
    text_of_bytes,
)
from claim_transformers.simulation.engine.identifiers import claim_names, patient_names
from claim_transformers.simulation.engine.schemas import PHARMACY_SCHEMA


@dataclass
class Fills:
    """Prescriptions filled in one block, one entry each."""

    patient: Int  # Position of the patient in the block.
    day: Int  # Day of dispensing, days since 1970-01-01.
    drug_class: Int  # Pool of drugs in the codebook of the population.
    days_supply: Int  # Days the fill lasts.

    def __len__(self) -> int:
        return len(self.patient)


def order_of(patient: Int, day: Int) -> Int:
    """Order by patient and day in which ties keep their place."""
    # Days since 1970 stay below 2**20 until the year 4840, so both numbers fit one key and one sort does.
    return np.argsort(patient.astype(np.int64) << 20 | day.astype(np.int64), kind="stable")


def join_fills(parts: list[Fills]) -> Fills:
    """Put fills of all kinds in order of patient and day."""
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in Fills.__annotations__}
    order = order_of(columns["patient"], columns["day"])
    return Fills(**{name: column[order].astype(np.int32, copy=False) for name, column in columns.items()})


def fills_table(
    fills: Fills,
    key: Key,
    ingredient: Int,
    product: pa.Array,
    cents: np.ndarray[Any, np.dtype[np.int64]],
    generator: np.random.Generator,
    *,
    salt: int,
    data_source: str,
) -> pa.Table:
    """Pharmacy claims in the order of the fills."""
    refills = generator.integers(0, 6, len(fills), dtype=np.int32) * (fills.days_supply >= 25)
    columns = [
        text_column(fills.patient, patient_names(key)),
        text_of_bytes(claim_names(key[fills.patient], fills.day, salt)),
        pa.array(np.ones(len(fills), dtype=np.int32)),
        day_column(fills.day),
        product,
        pa.array((fills.days_supply * (1 + ingredient % 3)).astype(np.float32)),
        pa.array(fills.days_supply),
        pa.array(refills.astype(np.int32)),
        day_column((fills.day + 3 + refills).astype(np.int32)),
        money_column(cents),
        money_column(cents),
        constant_column(data_source, len(fills)),
    ]
    return pa.Table.from_arrays(columns, schema=PHARMACY_SCHEMA)
