"""Subgroup metrics from rows: one matrix product per block of bootstrap replicates.

Sums over the rows of a group give its rates exactly; areas under the ROC are taken to first order (`auroc_parts`).

Letters: `R` sets of weights, `N` rows, `G` groups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.analysis.audit.auroc_parts import auroc_parts
from claim_transformers.training.metrics import FloatArray

METRICS = ("AUROC", "observed/expected", "recall", "false positive rate")
# Of each group and metric: its value, the gap to all other rows, the gap beyond what the mix of risk explains, and the
# two gaps on the scale on which they are tested.
BLOCKS = ("value", "gap", "excess", "tested gap", "tested excess")
UNKNOWN = "unknown"

# Sums over the rows of a group: rows, events, expected events, flagged rows, flagged events, expected flagged events.
_SUMS = 6
# Shares of rows in areas: of the group, of the gap to the rest, of the gap that calibrated scores would show.
_AREAS = 3


@dataclass(frozen=True)
class _GroupColumns:
    """What the weights of the rows are multiplied with.

    Args:
        rows (`NDArray[float]` of shape `(N, 6 + 9 G)`): Sums over everybody, then of each group its six sums and the
            share of each row in three areas.
        areas (`NDArray[float]` of shape `(3, G)`): These areas on all rows: of the group, its gap to the rest, and the
            gap that calibrated scores would show.
    """

    rows: FloatArray
    areas: FloatArray


def group_members(
    attributes: Mapping[str, npt.ArrayLike], rows: int
) -> tuple[list[tuple[str, str]], list[npt.NDArray[np.bool_]]]:
    """Find the groups of every attribute, sorted, and the rows `(N,)` of each; missing is the group `"unknown"`."""
    names, members = [], []
    for attribute, values in attributes.items():
        found = np.asarray(values, dtype=object)
        if found.shape != (rows,):
            raise ValueError(f"expected one {attribute} for each of {rows} rows, found shape {found.shape}")
        # `from_pandas` takes NaN for missing, as None is.
        known = pc.fill_null(pa.array(found, from_pandas=True).cast(pa.string()), UNKNOWN)
        texts = known.to_numpy(zero_copy_only=False).astype(str)
        for group in np.unique(texts).tolist():
            names.append((attribute, group))
            members.append(texts == group)
    return names, members


def group_columns(
    labels: FloatArray, probabilities: FloatArray, threshold: float, members: Sequence[npt.NDArray[np.bool_]]
) -> _GroupColumns:
    """Compute what the weights of the rows are multiplied with, once for all replicates."""
    flagged = (probabilities > threshold).astype(np.float64)
    sums = np.stack(
        [np.ones(len(labels)), labels, probabilities, flagged, flagged * labels, flagged * probabilities], axis=1
    )
    # Everybody first, then six sums and three shares for each group: `group_numbers` cuts products at these widths.
    parts, areas = [sums], []
    for member in members:
        observed, shares = _area_gap(probabilities, labels, member)
        expected, expected_shares = _area_gap(probabilities, probabilities, member)
        areas.append([observed[0], observed[0] - observed[1], expected[0] - expected[1]])
        gap_shares = [shares[0], shares[0] - shares[1], expected_shares[0] - expected_shares[1]]
        parts += [sums * member[:, None], np.stack(gap_shares, axis=1)]
    return _GroupColumns(np.concatenate(parts, axis=1), np.array(areas).T)


def _area_gap(
    scores: FloatArray, positive: FloatArray, member: npt.NDArray[np.bool_]
) -> tuple[list[float], list[FloatArray]]:
    """Areas of the group and of the rest, and the share of each row in them, 0 outside."""
    areas, shares = [], []
    for inside in (member, ~member):
        area, own = auroc_parts(scores[inside], positive[inside])
        share = np.zeros(len(scores))
        share[inside] = own
        areas.append(area)
        shares.append(share)
    return areas, shares


def group_numbers(weights: FloatArray, columns: _GroupColumns) -> FloatArray:
    """Compute `(R, 5 * 4 * G)` numbers by `BLOCKS`, `METRICS` and group, NaN where undefined."""
    products, groups = weights @ columns.rows, columns.areas.shape[1]
    # The rest of a group is everybody less the group, so that the other rows are never summed.
    everybody = products[:, :_SUMS, None]
    # (R, 9 G) to (R, 9, G): the six sums and the three areas of each group along the middle axis.
    own = products[:, _SUMS:].reshape(len(products), groups, _SUMS + _AREAS).transpose(0, 2, 1)
    # Shares sum to 0 over the rows, so weights of 1 give the areas themselves and others move them to first order.
    group, areas = own[:, :_SUMS], own[:, _SUMS:] + columns.areas
    with np.errstate(invalid="ignore", divide="ignore"):
        one, rest = _rates(group), _rates(everybody - group)
        ratio, ratio_rest = one["ratio"], rest["ratio"]
        gaps = [areas[:, 1], ratio - ratio_rest, *(one[name] - rest[name] for name in ("recall", "alarms"))]
        explained = [
            areas[:, 2],
            np.zeros_like(ratio),
            *(one[name] - rest[name] for name in ("expected recall", "expected alarms")),
        ]
        excess = [gap - part for gap, part in zip(gaps, explained, strict=True)]
        log_ratio = np.where((ratio > 0) & (ratio_rest > 0), np.log(ratio) - np.log(ratio_rest), np.nan)
    values = [areas[:, 0], ratio, one["recall"], one["alarms"]]
    # A ratio is judged on its logarithm, whose spread is nearer to a normal one.
    tested = [[found[0], log_ratio, *found[2:]] for found in (gaps, excess)]
    # (R, 5 blocks, 4 metrics, G), then flat, as the bootstrap takes numbers.
    blocks = np.stack([np.stack(block, axis=1) for block in (values, gaps, excess, *tested)], axis=1)
    return blocks.reshape(len(products), -1)


def _rates(sums: FloatArray) -> dict[str, FloatArray]:
    """Rates of a group from its six sums `(R, 6, G)`, as seen and as calibrated scores would give them."""
    rows, events, expected, flagged, hits, expected_hits = np.moveaxis(sums, 1, 0)
    return {
        "ratio": events / expected,
        "recall": hits / events,
        "alarms": (flagged - hits) / (rows - events),
        "expected recall": expected_hits / expected,
        "expected alarms": (flagged - expected_hits) / (rows - expected),
    }
