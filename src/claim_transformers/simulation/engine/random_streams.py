"""Random streams of a block of patients, one for each purpose, and the key of its identities."""

import hashlib

import numpy as np

_STREAMS = {"people": 0, "disease": 1, "care": 2, "risk": 3, "dirt": 4, "coding": 5, "again": 6}


def generator_of(seed: int, population: int, block: int, purpose: str) -> np.random.Generator:
    """Random stream of one block for one purpose, independent of all others (Philox, Salmon et al., 2011)."""
    key = np.array([seed, (population << 48) | (_STREAMS[purpose] << 40) | block], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def streams_of(seed: int, population: int, block: int) -> dict[str, np.random.Generator]:
    """Every random stream of one block."""
    return {purpose: generator_of(seed, population, block, purpose) for purpose in _STREAMS}


def block_key_of(name: str) -> int:
    """Key from which the identities of a block are hashed."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
