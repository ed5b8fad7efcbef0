"""Population stability index per field, and codes never seen before: how far the inputs of a model have moved.

The index compares shares of bins, `sum((new - old) * log(new / old))` (Siddiqi, 2006, chapter 6; it is the symmetric
Kullback-Leibler divergence). Bins come from the reference alone. Below 0.1 is taken for stable and above 0.25 for a
marked shift by custom; in small samples chance alone passes 0.1, so a verdict also asks that the index exceeds what
samples of the reference's own patients show against each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.training.metrics import FloatArray

if TYPE_CHECKING:
    from claim_transformers.models.claim import ClaimTokenizer

SLIGHT_INDEX, _MARKED_INDEX = 0.1, 0.25
STABLE, SLIGHT, MARKED = "stable", "slight", "marked"
# Added to the rows of each bin, so that an empty one leaves the index finite.
_SMOOTHING = 0.5
_NOISE_LEVEL = 0.01
_NOISE_REPLICATES = 200


@dataclass(frozen=True)
class _FieldBins:
    """Bins of one field, fixed by the reference."""

    edges: FloatArray | None  # Inner edges of a number; `None` for categories.
    categories: tuple[str, ...]  # Categories of the reference; empty for a number.

    @classmethod
    def of_reference(cls, values: npt.ArrayLike, *, bins: int = 10) -> "_FieldBins":
        """Take bins from the reference: quantiles of a number, or its categories."""
        found = np.asarray(values)
        if bins < 2:
            raise ValueError(f"expected at least two bins, found {bins}")
        if found.dtype.kind in "iufb":
            numbers = found.astype(np.float64)
            known = numbers[~np.isnan(numbers)]
            if not len(known):
                raise ValueError("expected known values in the reference, found none")
            # Equal quantiles are one edge: a value that many rows share has one bin.
            return cls(np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1])), ())
        names = pc.unique(pa.array(found.tolist(), pa.string())).drop_null().sort()
        if not len(names):
            raise ValueError("expected known values in the reference, found none")
        return cls(None, tuple(names.to_pylist()))

    @property
    def count(self) -> int:
        """Number of bins: of a number one more than edges, of categories one for unseen ones; the last is missing."""
        return len(self.edges if self.edges is not None else self.categories) + 2

    def place(self, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Find the bin of each value: the last is missing, and for categories the one before it unseen."""
        if self.edges is not None:
            numbers = np.asarray(values, np.float64)
            places = np.searchsorted(self.edges, np.nan_to_num(numbers), side="left")
            return np.where(np.isnan(numbers), self.count - 1, places)
        texts = pa.array(np.asarray(values).tolist(), pa.string())
        places = pc.fill_null(pc.index_in(texts, value_set=pa.array(self.categories)), len(self.categories))
        found = places.to_numpy(zero_copy_only=False).astype(np.int64)
        return np.where(pc.is_null(texts).to_numpy(zero_copy_only=False), self.count - 1, found)


@dataclass(frozen=True)
class FieldStability:
    """The index of one field in one period."""

    field: str
    index: float  # Population stability index.
    noise: float  # What samples of the reference's own patients stay below, but for chance.
    unseen: float  # Share of rows with a category that the reference has not; 0 for numbers.

    @property
    def verdict(self) -> str:
        """`"stable"`, `"slight"` (above 0.1) or `"marked"` (above 0.25), the latter two only beyond the noise."""
        if self.index <= max(SLIGHT_INDEX, self.noise):
            return STABLE
        return MARKED if self.index > _MARKED_INDEX else SLIGHT


def field_stability(
    reference: Mapping[str, npt.ArrayLike],
    current: Mapping[str, npt.ArrayLike],
    reference_patients: npt.ArrayLike | None = None,
    current_patients: npt.ArrayLike | None = None,
    *,
    bins: int = 10,
    level: float = _NOISE_LEVEL,
    replicates: int = _NOISE_REPLICATES,
    seed: int = 0,
) -> list[FieldStability]:
    """Compute the index of every field and its noise, which any unmoved field passes with a chance of `level`."""
    missing = sorted(set(reference) - set(current))
    if missing:
        raise KeyError(f"expected the fields of the reference in the period, missing {missing}")
    found = {name: _FieldBins.of_reference(values, bins=bins) for name, values in reference.items()}
    placed = {name: found[name].place(values) for name, values in reference.items()}
    rows, rows_now = (len(np.asarray(next(iter(fields.values())))) for fields in (reference, current))
    owner = _owner(reference_patients, rows)
    patients_now = int(_owner(current_patients, rows_now).max()) + 1
    noise = _noise(found, placed, owner, patients_now, replicates, seed, level / len(found))
    results = []
    for name, values in current.items():
        if name not in found:
            continue
        places = found[name].place(values)
        if len(places) != rows_now:
            raise ValueError(f"expected {rows_now} rows of every field, found {len(places)} of {name!r}")
        counts = [np.bincount(part, minlength=found[name].count)[None] for part in (placed[name], places)]
        is_category = found[name].edges is None
        unseen = float((places == found[name].count - 2).mean()) if is_category else 0.0
        results.append(FieldStability(name, float(_index(*counts)[0]), noise[name], unseen))
    return results


@dataclass(frozen=True)
class UnseenCodes:
    """Codes of a period that the reference did not have."""

    occurrences: float  # Their share of all codes in all visits.
    distinct: float  # Their share of the different codes.
    # Share of all codes for which a tokenizer has no token of their own, so that a shorter code, a category or the
    # system stands in.
    backed_off: float | None = None


def unseen_codes(reference: pa.Table, current: pa.Table, *, tokenizer: "ClaimTokenizer | None" = None) -> UnseenCodes:
    """Measure the share of codes (`codes`, `list<list<string>>`) that the reference period did not have."""
    known = pc.unique(_flat_codes(reference))
    counted = _flat_codes(current).value_counts()
    names, counts = counted.field("values"), counted.field("counts").to_numpy(zero_copy_only=False)
    if not len(names):
        return UnseenCodes(0.0, 0.0, None if tokenizer is None else 0.0)
    is_new = ~pc.is_in(names, value_set=known).to_numpy(zero_copy_only=False).astype(bool)
    backed_off = None
    if tokenizer is not None:
        levels = tokenizer.count_backoffs(current)
        total = sum(sum(found.values()) for found in levels.values())
        backed_off = 1.0 - sum(found.get("exact", 0) for found in levels.values()) / max(total, 1)
    return UnseenCodes(float(counts[is_new].sum() / counts.sum()), float(is_new.mean()), backed_off)


def _flat_codes(table: pa.Table) -> pa.Array:
    codes = pc.list_flatten(pc.list_flatten(table["codes"])).cast(pa.string())
    combined: pa.Array = codes.combine_chunks()
    return combined.drop_null()


def _index(reference: npt.NDArray[np.number], current: npt.NDArray[np.number]) -> FloatArray:
    """Index of counts `(R, B)` against counts `(R, B)`; bins that are empty in both do not count."""
    old, new = reference.astype(np.float64), current.astype(np.float64)
    used = (old + new) > 0
    old, new = (np.where(used, counts + _SMOOTHING, 0.0) for counts in (old, new))
    old, new = (counts / counts.sum(axis=1, keepdims=True) for counts in (old, new))
    ratio = np.log(np.where(used, new, 1.0) / np.where(used, old, 1.0))
    index: FloatArray = ((new - old) * ratio).sum(axis=1)
    return index


def _noise(
    bins: Mapping[str, _FieldBins],
    placed: Mapping[str, npt.NDArray[np.int64]],
    owner: npt.NDArray[np.int64],
    patients_now: int,
    replicates: int,
    seed: int,
    level: float,
) -> dict[str, float]:
    """What the index of each field stays below when both samples come from the reference."""
    from scipy.stats import gamma

    patients = int(owner.max()) + 1
    random = np.random.Generator(np.random.Philox(key=seed))
    # As many patients as either period has: a small period is noisier.
    old, new = (
        np.stack([np.bincount(random.integers(patients, size=size), minlength=patients) for _ in range(replicates)])
        for size in (patients, patients_now)
    )
    noise = {}
    for name, places in placed.items():
        # Rows of each patient by bin; two draws of patients give the counts of two samples as matrix products.
        per_patient = np.bincount(owner * bins[name].count + places, minlength=patients * bins[name].count)
        table = per_patient.reshape(patients, bins[name].count).astype(np.float64)
        drawn = _index(old @ table, new @ table)
        # The index of two such samples is a sum of squares, near to a gamma distribution; fitted by mean and variance,
        # it tells levels that are rarer than the replicates.
        mean, variance = drawn.mean(), drawn.var()
        # A field of one value never moves.
        noise[name] = float(gamma.isf(level, mean**2 / variance, scale=variance / mean)) if variance > 0 else 0.0
    return noise


def _owner(patients: npt.ArrayLike | None, rows: int) -> npt.NDArray[np.int64]:
    owner = np.arange(rows) if patients is None else np.unique(np.asarray(patients), return_inverse=True)[1]
    if len(owner) != rows or not rows:
        raise ValueError(f"expected one patient for each of {rows} rows, found {len(owner)}")
    return owner
