"""Drawing codes: weighted pools with a long tail, and the habit of a patient to come back under the same code."""

from collections.abc import Mapping, Sequence

import numpy as np

from claim_transformers.simulation.engine.calendar import Float, Int, Key

# Exponent of the rank-frequency law of codes inside a pool; a judgement, close to Zipf's law.
_RANK_EXPONENT = 1.15


def mix(key: Key, salt: int | Key) -> Key:
    """Hash 64-bit keys, so that a habit can be recomputed instead of stored (splitmix64, Steele et al., 2014)."""
    salt_key = np.asarray(salt, dtype=np.uint64)
    with np.errstate(over="ignore"):
        mixed = key + (salt_key + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        finished: Key = mixed ^ (mixed >> np.uint64(31))
    return finished


def unit(key: Key, salt: int | Key) -> Float:
    """Turn keys into numbers in `[0, 1)` that stay the same for the same key and salt."""
    return (mix(key, salt) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


def _parse_weights(text: str) -> tuple[list[str], np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Read `"A:3 B:1"`, or `"A B"` whose weights fall with the rank."""
    parts = [part.partition(":") for part in text.split()]
    if not parts:
        raise ValueError("expected at least one code in a pool, found none")
    ranks = np.arange(1, len(parts) + 1, dtype=np.float64)
    given = [float(weight) if weight else 0.0 for _, _, weight in parts]
    weights = np.array(given) if any(given) else ranks**-_RANK_EXPONENT
    return [code for code, _, _ in parts], weights / weights.sum()


class CodeTable:
    """Pools of weighted codes that are drawn from in constant time (alias method, Walker 1977).

    `jitter` is the standard deviation of the logarithm by which each weight is moved, the coding habit of an
    institution, and `seed` that of the movement.
    """

    def __init__(self, pools: Mapping[str, str], *, jitter: float = 0.0, seed: int = 0) -> None:
        self.names = list(pools)
        self._pool_of = {name: pool for pool, name in enumerate(self.names)}
        generator = np.random.Generator(np.random.Philox(seed))
        code_of: dict[str, int] = {}
        sizes, codes, accept, alias = [], [], [], []
        for text in pools.values():
            members, weights = _parse_weights(text)
            weights = weights * np.exp(jitter * generator.standard_normal(len(weights)))
            threshold, other = _alias_tables(weights / weights.sum())
            sizes.append(len(members))
            codes.append([code_of.setdefault(code, len(code_of)) for code in members])
            accept.append(threshold)
            alias.append(other)
        self.vocabulary = list(code_of)
        self.size: Float = np.array(sizes, dtype=np.float32)
        self.offset: Int = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
        self._code: Int = np.concatenate(codes).astype(np.int32)
        self._accept: Float = np.concatenate(accept).astype(np.float32)
        self._alias: Int = np.concatenate(alias).astype(np.int32)

    def pool(self, name: str) -> int:
        """Number of a pool."""
        if name not in self._pool_of:
            raise KeyError(f"expected one of {len(self.names)} pools such as {self.names[0]!r}, found {name!r}")
        return self._pool_of[name]

    def pool_ids(self, names: Sequence[str]) -> Int:
        """Numbers of several pools."""
        return np.array([self.pool(name) for name in names], dtype=np.int32)

    def draw(self, pool: Int, uniform: Float) -> Int:
        """Draw one code per entry; the same number in `[0, 1)` gives the same code of a pool."""
        scaled = uniform * self.size[pool]
        # One number does two things: its whole part picks a slot of the pool, its fraction decides between the slot's
        # own code and its alias. Multiplying the swap instead of branching keeps it one pass.
        slot = scaled.astype(np.int32)
        position = slot + self.offset[pool]
        swapped = (scaled - slot) >= self._accept[position]
        position += swapped * (self._alias[position] - slot)
        codes: Int = self._code[position]
        return codes

    def draw_habit(self, pool: Int, key: Key, repeat: float, generator: np.random.Generator) -> Int:
        """Draw one code per entry, with probability `repeat` the one the patient has for this pool."""
        uniform = generator.random(len(pool), dtype=np.float32)
        habit = generator.random(len(pool), dtype=np.float32)
        # Two favourites per patient and pool, the first three times as common as the second.
        second = (habit > np.float32(0.75 * repeat)).astype(np.uint64)
        favourite = unit(key, pool.astype(np.uint64) * np.uint64(2) + second)
        blended = uniform + (habit < np.float32(repeat)) * (favourite - uniform)
        # The blend can round up to one, which is outside every pool.
        return self.draw(pool, np.minimum(blended, np.float32(1 - 2**-23)))


def _alias_tables(weights: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[list[float], list[int]]:
    """Split weights into slots of equal size, each shared by at most two codes."""
    scaled = (weights * len(weights)).tolist()
    accept, alias = [1.0] * len(scaled), list(range(len(scaled)))
    small = [slot for slot, weight in enumerate(scaled) if weight < 1.0]
    large = [slot for slot, weight in enumerate(scaled) if weight >= 1.0]
    while small and large:
        low, high = small.pop(), large.pop()
        accept[low], alias[low] = scaled[low], high
        scaled[high] -= 1.0 - scaled[low]
        (small if scaled[high] < 1.0 else large).append(high)
    return accept, alias
