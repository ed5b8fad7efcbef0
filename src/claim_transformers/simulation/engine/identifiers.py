"""Identifiers that tell nothing: keys of patients, and the names of patients and claims hashed from them."""

from typing import Any

import numpy as np
import pyarrow as pa

from claim_transformers.simulation.engine.calendar import Int, Key
from claim_transformers.simulation.engine.columns import hex_bytes, text_of_bytes
from claim_transformers.simulation.engine.sampling import mix


def patient_keys(size: int, block_key: int, salt: int) -> Key:
    """Keys of the patients of one block, from which all that lasts about a patient is hashed."""
    return mix(mix(np.arange(size, dtype=np.uint64), 0) ^ mix(np.full(1, block_key, dtype=np.uint64), 17), salt)


def patient_names(key: Key) -> pa.Array:
    """Names of patients, sixteen hexadecimal digits each."""
    return text_of_bytes(hex_bytes(key))


def claim_names(key: Key, day: Int, salt: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Names of claims, from the patient, the day and the position among all claims of the block."""
    order = np.arange(len(key), dtype=np.uint64) << np.uint64(20) | day.astype(np.uint64)
    return hex_bytes(mix(key ^ mix(order, salt), salt + 1))
