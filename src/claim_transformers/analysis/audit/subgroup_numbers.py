"""Subgroup metrics from rows: one matrix product per block of bootstrap replicates.

Sums over the rows of a group give its rates exactly; areas under the ROC are taken to first order (`auroc_parts`).

What a calibrated model that is as good in the group as elsewhere would show there follows from the other rows and the
rate that was observed in the group, and from nothing that the model says of the group: its events score as events
elsewhere do, its other rows as other rows elsewhere, and the odds of every row are multiplied by how the observed odds
of the group differ (Bayes' rule at another prior; Saerens et al., 2002, Neural Computation 14, equation 2.4).

Letters: `R` sets of weights, `N` rows, `G` groups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.analysis.audit.auroc_parts import auroc_parts
from claim_transformers.analysis.audit.threshold import flagged
from claim_transformers.training.metrics import FloatArray

METRICS = ("AUROC", "observed/expected", "recall", "false positive rate", "precision", "Youden index")
# Of each group and metric: its value, the gap to all other rows, and the gap beyond what an equally good model shows.
BLOCKS = ("value", "gap", "excess")
# Beside them of each group: the logarithm of observed over expected, on which it is tested, and its gap to the rest.
TESTED = ("log ratio", "log ratio to the rest")
UNKNOWN = "unknown"

# Sums over the rows of a group: rows, events, expected events, flagged rows, flagged events.
_SUMS = 5
# Sums over the other rows: those, and the events, that are flagged once they have the odds of the group.
_FAIR = 2
# Shares of rows in areas: of the group, and of the gap to the rest.
_AREAS = 2


@dataclass(frozen=True)
class _GroupColumns:
    """What the weights of the rows are multiplied with."""

    # Sums over everybody, then of each group its five sums, the two of an equally good model, and the share of each
    # row in two areas, shape `(N, 5 + 9 G)`.
    rows: FloatArray
    areas: FloatArray  # These areas on all rows, shape `(2, G)`.
    log_odds: FloatArray  # Observed log odds of each group less those of the rest, shape `(G,)`.
    slopes: FloatArray  # By how much recall and false alarms of an equally good model grow with these, shape `(2, G)`.


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
    flags = flagged(probabilities, threshold).astype(np.float64)
    sums = np.stack([np.ones(len(labels)), labels, probabilities, flags, flags * labels], axis=1)
    # Everybody first, then of each group sums, fair sums and shares: `group_numbers` cuts products at these widths.
    parts, areas, log_odds, slopes = [sums], [], [], []
    for member in members:
        own_areas, shares = _area_gap(probabilities, labels, member)
        shift, slope, fair = _fair_flags(labels, probabilities, threshold, member)
        parts += [sums * member[:, None], fair, shares]
        areas.append(own_areas)
        log_odds.append(shift)
        slopes.append(slope)
    return _GroupColumns(np.concatenate(parts, axis=1), np.array(areas).T, np.array(log_odds), np.array(slopes).T)


def _area_gap(
    scores: FloatArray, labels: FloatArray, member: npt.NDArray[np.bool_]
) -> tuple[tuple[float, float], FloatArray]:
    """The area of the group and its gap to that of the rest, and the share of each row `(N, 2)` in them."""
    shares = np.zeros((len(scores), _AREAS))
    own, shares[member, 0] = auroc_parts(scores[member], labels[member])
    rest, of_rest = auroc_parts(scores[~member], labels[~member])
    shares[member, 1], shares[~member, 1] = shares[member, 0], -of_rest
    return (own, own - rest), shares


def _fair_flags(
    labels: FloatArray, probabilities: FloatArray, threshold: float, member: npt.NDArray[np.bool_]
) -> tuple[float, tuple[float, float], FloatArray]:
    """What the other rows would show at the rate of the group.

    Returns the shift in log odds, how recall and false alarms grow with it, and per row `(N, 2)` whether it is one of
    the other rows that are flagged, and an event.
    """
    rest = ~member
    counts = np.array([[(labels[rows] == label).sum() for label in (1, 0)] for rows in (member, rest)], np.float64)
    if (counts == 0).any():
        return float("nan"), (float("nan"), float("nan")), np.zeros((len(labels), _FAIR))
    ratio = (counts[0, 0] / counts[0, 1]) / (counts[1, 0] / counts[1, 1])
    # Replicates differ in the shift by about its standard error, so that is the width over which a slope is taken.
    width = float(np.sqrt((1.0 / counts).sum()))
    here, less, more = (
        flagged(probabilities, _moved(threshold, ratio * factor)) & rest
        for factor in (1.0, np.exp(-width), np.exp(width))
    )
    grown = more.astype(np.float64) - less
    recall, alarms = (
        float(grown[labels == label].sum() / counts[1, place] / (2.0 * width)) for place, label in enumerate((1, 0))
    )
    return float(np.log(ratio)), (recall, alarms), np.stack([here, here * labels], axis=1)


def _moved(threshold: float, odds_ratio: float) -> float:
    """The risk whose odds times the ratio are those of the threshold; no risk lies above 1 or below 0."""
    return threshold / (threshold + (1.0 - threshold) * odds_ratio) if 0.0 < threshold < 1.0 else threshold


def group_numbers(weights: FloatArray, columns: _GroupColumns) -> FloatArray:
    """Compute `(R, (3 * 6 + 2) * G)` numbers by `BLOCKS` and `METRICS`, then `TESTED`, and group; NaN if undefined."""
    products, groups = weights @ columns.rows, columns.areas.shape[1]
    # The rest of a group is everybody less the group, so that the other rows are never summed.
    everybody = products[:, :_SUMS, None]
    # (R, 9 G) to (R, 9, G): sums, fair sums and areas of each group along the middle axis.
    own = products[:, _SUMS:].reshape(len(products), groups, -1).transpose(0, 2, 1)
    group, fair = own[:, :_SUMS], own[:, _SUMS : _SUMS + _FAIR]
    # Shares sum to 0 over the rows, so weights of 1 give the areas themselves and others move them to first order.
    areas = own[:, -_AREAS:] + columns.areas
    with np.errstate(invalid="ignore", divide="ignore"):
        one, rest = _rates(group), _rates(everybody - group)
        moved = one["log odds"] - rest["log odds"] - columns.log_odds
        rest_rows, rest_events = (everybody - group)[:, 0], (everybody - group)[:, 1]
        fair_recall = np.clip(fair[:, 1] / rest_events + columns.slopes[0] * moved, 0.0, 1.0)
        fair_alarms = (fair[:, 0] - fair[:, 1]) / (rest_rows - rest_events) + columns.slopes[1] * moved
        fair_alarms = np.clip(fair_alarms, 0.0, 1.0)
        hits = one["rate"] * fair_recall
        expected = [
            areas[:, 0] - areas[:, 1],
            np.ones_like(moved),
            fair_recall,
            fair_alarms,
            hits / (hits + (1.0 - one["rate"]) * fair_alarms),
            fair_recall - fair_alarms,
        ]
    names = ("ratio", "recall", "alarms", "precision", "Youden")
    values = [areas[:, 0], *(one[name] for name in names)]
    gaps = [areas[:, 1], *(one[name] - rest[name] for name in names)]
    excess = [value - fair_value for value, fair_value in zip(values, expected, strict=True)]
    tested = [one["log ratio"], one["log ratio"] - rest["log ratio"]]
    return np.stack([*values, *gaps, *excess, *tested], axis=1).reshape(len(products), -1)


def _rates(sums: FloatArray) -> dict[str, FloatArray]:
    """Rates of a group from its five sums `(R, 5, G)`."""
    rows, events, expected, flags, hits = np.moveaxis(sums, 1, 0)
    recall, alarms = hits / events, (flags - hits) / (rows - events)
    return {
        "rate": events / rows,
        "log odds": np.log(events / (rows - events)),
        "ratio": np.where(expected > 0, events / expected, np.nan),
        # Half an event on either side, so that a group without any has a logarithm too.
        "log ratio": np.where(expected > 0, np.log((events + 0.5) / (expected + 0.5)), np.nan),
        "recall": recall,
        "alarms": alarms,
        "precision": hits / flags,
        "Youden": recall - alarms,
    }
