"""Identifiers that tell nothing: keys of patients, and the names of patients and claims hashed from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from claim_transformers.simulation.engine.calendar import Int, Key
from claim_transformers.simulation.engine.columns import hex_bytes, text_of_bytes
from claim_transformers.simulation.engine.sampling import mix


def patient_keys(size: int, block_key: int, salt: int) -> Key:
    """Keys of the patients of one block, from which all that lasts about a patient is hashed.

    Args:
        size (`int`): Number of patients.
        block_key (`int`): Unique per seed and block.
        salt (`int`): What tells the keys of one population from those of another.

    Returns:
        `np.ndarray` of `uint64`: One key per patient.

    Examples:
        >>> few, more = patient_keys(2, 7, 29), patient_keys(3, 7, 29)
        >>> bool((few == more[:2]).all())
        True
    """
    return mix(mix(np.arange(size, dtype=np.uint64), 0) ^ mix(np.full(1, block_key, dtype=np.uint64), 17), salt)


def patient_names(key: Key) -> pa.Array:
    """Names of patients, sixteen hexadecimal digits each.

    Args:
        key (`np.ndarray` of `uint64`): Keys of the patients.

    Returns:
        `pa.StringArray`: One name per key.

    Examples:
        >>> patient_names(np.array([255], dtype=np.uint64)).to_pylist()
        ['00000000000000ff']
    """
    return text_of_bytes(hex_bytes(key))


def claim_names(key: Key, day: Int, salt: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Names of claims, from the patient, the day and the position among all claims of the block.

    Args:
        key (`np.ndarray` of `uint64`): Key of the patient of each claim.
        day (`np.ndarray` of `int32`): First day of each claim.
        salt (`int`): What tells one kind of claims from another.

    Returns:
        `np.ndarray` of `uint8` and shape `(len(key), 16)`: ASCII codes, to be repeated over the lines of a claim.

    Examples:
        >>> key, day = np.array([7, 7], dtype=np.uint64), np.array([14610, 14610], dtype=np.int32)
        >>> first, second = (row.tobytes() for row in claim_names(key, day, 101))
        >>> first == second
        False
    """
    order = np.arange(len(key), dtype=np.uint64) << np.uint64(20) | day.astype(np.uint64)
    return hex_bytes(mix(key ^ mix(order, salt), salt + 1))
