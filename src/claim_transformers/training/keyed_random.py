"""Random numbers that are a pure function of (seed, epoch, row, position).

A resumed run must draw the masks and cuts that the first run drew. Generators with a state cannot promise that:
batches are fetched before the state is restored, and data-loader workers hold states of their own.

`numpy.random.Philox` gives the same guarantee with one generator per row, but building 100 generators costs more than
collating the batch. The counter form of SplitMix64 gives every number of a batch in one vectorised call instead.
Source of the constants: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, and the
public reference implementation by Vigna.
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

UInt64Array = npt.NDArray[np.uint64]

_WORD = (1 << 64) - 1
_GOLDEN_GAMMA = 0x9E3779B97F4A7C15


class Stream(IntEnum):
    """Independent purposes of randomness, so that no two decisions about a row share their numbers."""

    CUT_KIND = 0
    CUT_PLACE = 1
    CATEGORY_MASK = 2
    TOKEN_MASK = 3
    TOKEN_REPLACEMENT = 4
    RANDOM_TOKEN = 5
    LANDMARK = 6
    BACKOFF = 7
    BACKOFF_STEP = 8


def _splitmix64(state: UInt64Array) -> UInt64Array:
    """Return the SplitMix64 output for each generator state."""
    # In place, because fresh memory costs as much as the arithmetic.
    mixed = state >> np.uint64(30)
    mixed ^= state
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _descend(key: UInt64Array, branch: npt.NDArray[np.integer]) -> UInt64Array:
    """Output number `branch` of the generator seeded with `key`, elementwise."""
    return _splitmix64(key + (np.atleast_1d(branch).astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN_GAMMA))


def row_keys(seed: int, epoch: npt.ArrayLike, row: npt.ArrayLike, *, stream: Stream) -> UInt64Array:
    """Make the key of each row, from which [`uniform_at`] draws any number of numbers."""
    root = np.array([(seed + stream * 0x2545F4914F6CDD1D) & _WORD], dtype=np.uint64)
    return _descend(_descend(_splitmix64(root), np.asarray(epoch)), np.asarray(row))


def uniform_at(key: UInt64Array, position: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Draw the number at a position of the sequence that a key stands for."""
    return (_descend(key, np.asarray(position)) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def row_digests(values: npt.NDArray[np.integer], lengths: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Digest each row of a ragged array, so that a row can be keyed by what it holds.

    The digest serves equality and keys of random numbers. It hides nothing: anyone who can guess a row can verify it.
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    if int(lengths.sum()) != len(values):
        raise ValueError(f"expected lengths that sum to {len(values)} values, found a sum of {int(lengths.sum())}")
    starts = np.cumsum(lengths) - lengths
    position = np.arange(len(values)) - np.repeat(starts, lengths)
    mixed = _splitmix64(_descend(np.asarray(values).astype(np.uint64), position))
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])
    # A difference of wrapped running sums is the wrapped sum of the row, whatever stands before it.
    sums = total[starts + lengths] - total[starts]
    return (_descend(sums, lengths) >> np.uint64(1)).astype(np.int64)
