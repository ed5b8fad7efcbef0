"""How far the inputs of a model have moved: population stability index per field, and codes never seen before.

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

from claim_transformers.analysis.audit.patient_draws import FloatArray

if TYPE_CHECKING:
    from claim_transformers.models.claim import ClaimTokenizer

SLIGHT_INDEX, MARKED_INDEX = 0.1, 0.25
STABLE, SLIGHT, MARKED = "stable", "slight", "marked"
# Added to the rows of each bin, so that an empty one leaves the index finite.
SMOOTHING = 0.5
NOISE_LEVEL = 0.01
NOISE_REPLICATES = 200


@dataclass(frozen=True)
class FieldBins:
    """Bins of one field, fixed by the reference.

    Args:
        edges (`NDArray[float]`, *optional*): Inner edges of a number; `None` for categories.
        categories (`list[str]`): Categories of the reference; empty for a number.

    Examples:
        >>> bins = FieldBins.of_reference([1.0, 2.0, 3.0, 4.0], bins=2)
        >>> bins.place([1.0, 9.0, float("nan")]).tolist(), bins.count
        ([0, 1, 2], 3)
        >>> FieldBins.of_reference(["a", "b"]).place(["b", "new", None]).tolist()
        [1, 2, 3]
    """

    edges: FloatArray | None
    categories: tuple[str, ...]

    @classmethod
    def of_reference(cls, values: npt.ArrayLike, *, bins: int = 10) -> "FieldBins":
        """Take bins from the reference: quantiles of a number, or its categories.

        Args:
            values (array of shape `(N,)`): Numbers, NaN where missing, or categories, `None` where missing.
            bins (`int`, *optional*, defaults to `10`): Quantile bins of a number; equal values share one.

        Returns:
            [`FieldBins`]: The bins.

        Raises:
            ValueError: If there is no known value, or fewer than two bins are asked for.
        """
        found = np.asarray(values)
        if bins < 2:
            raise ValueError(f"expected at least two bins, found {bins}")
        if found.dtype.kind in "iufb":
            numbers = found.astype(np.float64)
            known = numbers[~np.isnan(numbers)]
            if not len(known):
                raise ValueError("expected known values in the reference, found none")
            return cls(np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1])), ())
        names = pc.unique(pa.array(found.tolist(), pa.string())).drop_null().sort()
        if not len(names):
            raise ValueError("expected known values in the reference, found none")
        return cls(None, tuple(names.to_pylist()))

    @property
    def count(self) -> int:
        """Number of bins, those of unseen categories and missing values among them."""
        return len(self.edges) + 2 if self.edges is not None else len(self.categories) + 2

    def place(self, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Find the bin of each value.

        Args:
            values (array of shape `(N,)`): Values of the kind of the reference.

        Returns:
            `NDArray[int]` of shape `(N,)`: Bins; the last is missing, for categories the one before it is unseen.
        """
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
    """The index of one field in one period.

    Args:
        field (`str`): Name.
        index (`float`): Population stability index.
        noise (`float`): What samples of the reference's own patients stay below, but for chance.
        unseen (`float`): Share of rows with a category that the reference has not; 0 for numbers.
    """

    field: str
    index: float
    noise: float
    unseen: float

    @property
    def verdict(self) -> str:
        """`"stable"`, `"slight"` (above 0.1) or `"marked"` (above 0.25), the latter two only beyond the noise."""
        if self.index <= max(SLIGHT_INDEX, self.noise):
            return STABLE
        return MARKED if self.index > MARKED_INDEX else SLIGHT


def population_stability_index(reference: npt.ArrayLike, current: npt.ArrayLike, *, bins: int = 10) -> float:
    """Compute the population stability index of one field.

    Args:
        reference (array of shape `(N,)`): Values of the reference period, which sets the bins.
        current (array of shape `(M,)`): Values of the other period.
        bins (`int`, *optional*, defaults to `10`): Quantile bins of a number.

    Returns:
        `float`: 0 where all shares agree.

    Raises:
        ValueError: If the reference has no known value or the other period no row.

    Examples:
        >>> population_stability_index(["F", "M"] * 50, ["F", "M"] * 50)
        0.0
        >>> round(population_stability_index(["F", "M"] * 500, ["F"] * 750 + ["M"] * 250), 2)
        0.27
    """
    found = FieldBins.of_reference(reference, bins=bins)
    if not len(np.asarray(current)):
        raise ValueError("expected rows in the period, found none")
    counts = [np.bincount(found.place(values), minlength=found.count)[None] for values in (reference, current)]
    return float(_index(*counts)[0])


def field_stability(
    reference: Mapping[str, npt.ArrayLike],
    current: Mapping[str, npt.ArrayLike],
    reference_patients: npt.ArrayLike | None = None,
    current_patients: npt.ArrayLike | None = None,
    *,
    bins: int = 10,
    level: float = NOISE_LEVEL,
    replicates: int = NOISE_REPLICATES,
    seed: int = 0,
) -> list[FieldStability]:
    """Compute the population stability index of every field, and what chance alone would give.

    Args:
        reference (`dict[str, array of shape (N,)]`): Fields of the reference period.
        current (`dict[str, array of shape (M,)]`): The same fields in another period.
        reference_patients (array of shape `(N,)`, *optional*): Patient of each row; rows of a patient are drawn
            together, because they are alike. Each row is a patient without it.
        current_patients (array of shape `(M,)`, *optional*): The same of the other period.
        bins (`int`, *optional*, defaults to `10`): Quantile bins of a number.
        level (`float`, *optional*, defaults to `0.01`): Chance that the index of any field passes its noise without
            a shift.
        replicates (`int`, *optional*, defaults to `200`): Pairs of samples of the reference behind the noise.
        seed (`int`, *optional*, defaults to `0`): Seed of the samples.

    Returns:
        `list[FieldStability]`: In the order of the reference.

    Raises:
        KeyError: If a field is missing in the period.
        ValueError: If lengths differ or a field has no known value in the reference.

    Examples:
        >>> fields = {"sex": ["F", "M"] * 400}
        >>> [found.verdict for found in field_stability(fields, {"sex": ["F"] * 700 + ["M"] * 100})]
        ['marked']
    """
    missing = sorted(set(reference) - set(current))
    if missing:
        raise KeyError(f"expected the fields of the reference in the period, missing {missing}")
    found = {name: FieldBins.of_reference(values, bins=bins) for name, values in reference.items()}
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
    """Codes of a period that the reference did not have.

    Args:
        occurrences (`float`): Their share of all codes in all visits.
        distinct (`float`): Their share of the different codes.
        backed_off (`float`, *optional*): Share of all codes for which a tokenizer has no token of their own, so that a
            shorter code, a category or the system stands in.
    """

    occurrences: float
    distinct: float
    backed_off: float | None = None


def unseen_codes(reference: pa.Table, current: pa.Table, *, tokenizer: "ClaimTokenizer | None" = None) -> UnseenCodes:
    """Measure the share of codes that the reference period did not have.

    Args:
        reference (`pa.Table`): Patients or examples with `codes` (`list<list<string>>`).
        current (`pa.Table`): The same of another period; with `tokenizer`, the columns that it encodes.
        tokenizer (`ClaimTokenizer`, *optional*): Also measure how many codes it backs off.

    Returns:
        [`UnseenCodes`]: The shares; 0 where the period has no code.

    Examples:
        >>> old, new = pa.table({"codes": [[["A/1", "A/2"]]]}), pa.table({"codes": [[["A/1"], ["A/1", "A/3"]]]})
        >>> found = unseen_codes(old, new)
        >>> round(found.occurrences, 3), found.distinct
        (0.333, 0.5)
    """
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
    old, new = (np.where(used, counts + SMOOTHING, 0.0) for counts in (old, new))
    old, new = (counts / counts.sum(axis=1, keepdims=True) for counts in (old, new))
    ratio = np.log(np.where(used, new, 1.0) / np.where(used, old, 1.0))
    index: FloatArray = ((new - old) * ratio).sum(axis=1)
    return index


def _noise(
    bins: Mapping[str, FieldBins],
    placed: Mapping[str, npt.NDArray[np.int64]],
    owner: npt.NDArray[np.int64],
    patients_now: int,
    replicates: int,
    seed: int,
    level: float,
) -> dict[str, float]:
    """What the index of each field stays below when both samples come from the reference.

    The index of two such samples is a sum of squares, near to a gamma distribution; fitted by mean and variance, it
    tells levels that are rarer than the replicates.
    """
    from scipy.stats import gamma

    patients = int(owner.max()) + 1
    random = np.random.Generator(np.random.Philox(key=seed))
    old, new = (
        np.stack([np.bincount(random.integers(patients, size=size), minlength=patients) for _ in range(replicates)])
        for size in (patients, patients_now)
    )
    noise = {}
    for name, places in placed.items():
        per_patient = np.bincount(owner * bins[name].count + places, minlength=patients * bins[name].count)
        table = per_patient.reshape(patients, bins[name].count).astype(np.float64)
        drawn = _index(old @ table, new @ table)
        mean, variance = drawn.mean(), drawn.var()
        # A field of one value never moves.
        noise[name] = float(gamma.isf(level, mean**2 / variance, scale=variance / mean)) if variance > 0 else 0.0
    return noise


def _owner(patients: npt.ArrayLike | None, rows: int) -> npt.NDArray[np.int64]:
    owner = np.arange(rows) if patients is None else np.unique(np.asarray(patients), return_inverse=True)[1]
    if len(owner) != rows or not rows:
        raise ValueError(f"expected one patient for each of {rows} rows, found {len(owner)}")
    return owner
