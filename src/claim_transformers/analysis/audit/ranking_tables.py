"""Ranking tables: what is found where a model predicts most, by tenths and by how many are flagged.

Letters: `R` sets of weights, `N` rows, `K` groups of rows.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from claim_transformers.analysis.audit.patient_draws import REPLICATES, draw
from claim_transformers.analysis.audit.risk_bins import Bins, group_bins, risk_bins
from claim_transformers.analysis.result_table import Cell, ResultTable
from claim_transformers.training import MetricInterval
from claim_transformers.training.metrics import FloatArray

_SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
_JOINED = "Neighbouring rows share a line where fewer than 11 with, or without, the outcome would stand in one."
_JOINED_NUMBERS = "Neighbouring rows share a line where fewer than 11 would stand in one."


def decile_table(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    patients: npt.ArrayLike | None = None,
    *,
    bands: int = 10,
    raw_counts: bool = False,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> ResultTable:
    """Show rows in bands of equal size from the highest prediction down: predicted, observed, and the lift.

    Args:
        labels (array of shape `(N,)`): 0 or 1, or the number that is predicted.
        scores (array of shape `(N,)`): Predictions.
        patients (array of shape `(N,)`, *optional*): Patient of each row; each row is a patient without it.
        bands (`int`, *optional*, defaults to `10`): Bands of equal size; fewer where small cells ask for it.
        raw_counts (`bool`, *optional*, defaults to `False`): Whether a line may hold 1 to 10 rows of an outcome.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.
        seed (`int`, *optional*, defaults to `0`): Seed of the draws.

    Returns:
        [`ResultTable`]: One row per band: `rows`, the mean `predicted` and `observed`, `observed/predicted`, the
        `lift` (observed over that of all rows) and the `share found` of all that was observed, with the bands above.
        No row where there are too few for one.

    Examples:
        >>> table = decile_table([0, 0, 0, 1] * 25 + [0, 1, 1, 1] * 25, [0.25] * 100 + [0.75] * 100, replicates=20)
        >>> [(row["rows"], round(row["lift"].value, 2)) for row in table.rows]
        [(100, 1.5), (100, 0.5)]
    """
    labels, scores = np.asarray(labels, np.float64), np.asarray(scores, np.float64)
    bins = risk_bins(labels, scores, raw_counts=raw_counts)
    notes = _notes(labels, raw_counts)
    if bins is None:
        return ResultTable("By predicted band", [], notes)
    member = group_bins(bins, bands)
    member = member.max() - member
    one_hot = np.zeros((len(labels), member.max() + 1))
    one_hot[np.arange(len(labels)), member] = 1.0

    def numbers(weights: FloatArray) -> FloatArray:
        rows, observed, predicted = (
            weights @ (one_hot * values[:, None]) for values in (1 + 0 * labels, labels, scores)
        )
        total = observed.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = observed / rows
            lift = mean * rows.sum(axis=1, keepdims=True) / total
            return np.concatenate([mean, observed / predicted, lift, observed.cumsum(axis=1) / total], axis=1)

    found = draw(numbers, len(labels), patients, replicates=replicates, seed=seed).intervals()
    names, count = ("observed", "observed/predicted", "lift", "share found"), one_hot.shape[1]
    table: list[dict[str, Cell]] = []
    for band in range(count):
        own = one_hot[:, band] > 0
        row: dict[str, Cell] = {"band": _band_name(band, count), "rows": int(own.sum())}
        row["predicted"] = float(scores[own].mean())
        table.append(row | {name: found[place * count + band] for place, name in enumerate(names)})
    return ResultTable("By predicted band", table, notes)


def alert_table(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    patients: npt.ArrayLike | None = None,
    *,
    threshold: float | None = None,
    shares: Sequence[float] = _SHARES,
    raw_counts: bool = False,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> ResultTable:
    """Show what flagging the rows of the highest predictions costs and finds, from few of them to many.

    Args:
        labels (array of shape `(N,)`): 0 or 1, or the number that is predicted.
        scores (array of shape `(N,)`): Predictions.
        patients (array of shape `(N,)`, *optional*): Patient of each row; each row is a patient without it.
        threshold (`float`, *optional*): A threshold chosen elsewhere, such as by [`gmean_threshold`]: its line is
            marked.
        shares (`list[float]`, *optional*): Shares of rows that are flagged.
        raw_counts (`bool`, *optional*, defaults to `False`): Whether lines may differ by 1 to 10 rows of an outcome.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.
        seed (`int`, *optional*, defaults to `0`): Seed of the draws.

    Returns:
        [`ResultTable`]: One row per threshold: `alerts per 1,000` rows; of an outcome `PPV`, `sensitivity`,
        `specificity` and `to evaluate` (rows flagged for one with the outcome), of a number the mean `observed` and
        the `share found` of the sum; and the `lift`. Each is at the nearest threshold that small cells allow.

    Examples:
        >>> table = alert_table([0, 0, 0, 1] * 25 + [0, 1, 1, 1] * 25, [0.25] * 100 + [0.75] * 100, replicates=20)
        >>> [(row["alerts per 1,000"], row["PPV"].value, row["sensitivity"].value) for row in table.rows]
        [(500.0, 0.75, 0.75)]
    """
    labels, scores = np.asarray(labels, np.float64), np.asarray(scores, np.float64)
    bins = risk_bins(labels, scores, raw_counts=raw_counts)
    notes = _notes(labels, raw_counts)
    cuts = [] if bins is None else _cuts(bins, scores, shares, threshold)
    if bins is None or not cuts:
        return ResultTable("What a threshold costs and finds", [], notes)
    flags = np.stack([bins >= cut for cut in cuts], axis=1).astype(np.float64)

    def numbers(weights: FloatArray) -> FloatArray:
        flagged, found = weights @ flags, weights @ (flags * labels[:, None])
        rows, total = weights.sum(axis=1, keepdims=True), weights @ labels[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            mean, share = found / flagged, found / total
            specificity = 1 - (flagged - found) / (rows - total)
            # Where nobody is found, there is no number to evaluate for one.
            effort = np.where(found > 0, flagged / found, np.nan)
            return np.concatenate([mean, share, specificity, effort, mean * rows / total], axis=1)

    drawn = draw(numbers, len(labels), patients, replicates=replicates, seed=seed).intervals()
    chosen = None if threshold is None else nearest_cut(bins, int((scores > threshold).sum()))
    columns = {0: "PPV", 1: "sensitivity", 2: "specificity", 3: "to evaluate", 4: "lift"}
    columns = columns if _is_outcome(labels) else {0: "observed", 1: "share found", 4: "lift"}
    table: list[dict[str, Cell]] = []
    for place, cut in enumerate(cuts):
        own: dict[int, MetricInterval] = {number: drawn[number * len(cuts) + place] for number in columns}
        row: dict[str, Cell] = {
            "threshold": cut_value(bins, scores, cut),
            "alerts per 1,000": 1000 * float(flags[:, place].mean()),
        }
        row |= {name: own[number] for number, name in columns.items()}
        table.append(row | ({} if threshold is None else {"chosen": "yes" if cut == chosen else ""}))
    return ResultTable("What a threshold costs and finds", table, notes, formats={"alerts per 1,000": ".0f"})


def nearest_cut(bins: Bins, flagged: int) -> int:
    """The bin from which on about so many rows are flagged: at least those of one bin, and never all."""
    counts = np.bincount(bins)[::-1].cumsum()[::-1]
    return int(1 + np.argmin(np.abs(counts[1:] - flagged))) if len(counts) > 1 else 0


def cut_value(bins: Bins, scores: FloatArray, cut: int) -> float:
    """A threshold above which the rows of a bin and those above it lie."""
    return float(scores[bins >= cut].min() + scores[bins < cut].max()) / 2


def _cuts(bins: Bins, scores: FloatArray, shares: Sequence[float], threshold: float | None) -> list[int]:
    """The bins from which on rows are flagged, from few rows to many."""
    wanted = [round(share * len(bins)) for share in shares]
    wanted += [] if threshold is None else [int((scores > threshold).sum())]
    return sorted({nearest_cut(bins, count) for count in wanted} - {0}, reverse=True)


def _is_outcome(labels: FloatArray) -> bool:
    return bool(np.isin(labels, (0, 1)).all())


def _notes(labels: FloatArray, raw_counts: bool) -> list[str]:
    joined = _JOINED if _is_outcome(labels) else _JOINED_NUMBERS
    return ["95 % intervals draw patients.", *([] if raw_counts else [joined])]


def _band_name(band: int, count: int) -> str:
    return {0: "1 (highest)", count - 1: f"{count} (lowest)"}.get(band, str(band + 1))
