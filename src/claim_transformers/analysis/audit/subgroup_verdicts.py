"""From the numbers of a group to its verdict: the two looks, their p-values, and the words.

p-values come from a t distribution with as many degrees of freedom as the smaller class has patients, less one: with a
normal one small groups raise false alarms. No standard error is below that of independent rows of a model without
bias: in a group in which no event is flagged, replicates do not differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from claim_transformers.analysis.audit.patient_draws import Draws
from claim_transformers.analysis.audit.subgroup_numbers import BLOCKS, METRICS, TESTED
from claim_transformers.training import MetricInterval
from claim_transformers.training.metrics import FloatArray

# A gap in the Youden index that groups of a perfect model may have.
_TOLERANCE = 0.05
# Where an interval still holds this ratio of observed over expected events, or its inverse, nothing was ruled out.
_LARGE_RATIO = 1.5

_NO_BIAS, _TOO_FEW, _ALONE = "no bias found", "too few to tell", "no other group to compare with"
_RATIO, _YOUDEN, _RECALL, _ALARMS = "observed/expected", "Youden index", "recall", "false positive rate"
AGAINST, _BIAS = "bias against it: ", "bias: "
# What it means that a group has more of a metric than it should have, and less, where that is a bias.
_DIRECTIONS = {
    _RATIO: (f"{AGAINST}risk underestimated", f"{_BIAS}risk overestimated, or outcomes not recorded"),
    _YOUDEN: (None, f"{AGAINST}told apart less well"),
    _RECALL: (None, f"{AGAINST}more missed"),
    _ALARMS: (f"{_BIAS}more false alarms", None),
}


@dataclass(frozen=True)
class Gap:
    """One metric of one group against all other rows."""

    metric: str  # Name out of `METRICS`.
    value: MetricInterval  # Of the group.
    gap: MetricInterval  # Of the group minus that of all other rows.
    # Of the group minus what a calibrated model would show that is as good in the group as elsewhere; for
    # observed/expected that is 1.
    excess: MetricInterval
    p: float | None = None  # Of no bias, of the metrics that are tested; `None` where there is too little.
    verdict: str | None = None  # The bias, where the group has one and it shows in this metric.

    @property
    def expected_gap(self) -> float | None:
        """The gap that a calibrated model would show that is as good in the group as elsewhere."""
        return None if self.gap.value is None or self.excess.value is None else self.gap.value - self.excess.value


@dataclass(frozen=True)
class _GroupSize:
    """How much there is of a group; `observed` and `expected` are the fewest patients of a class in it or in the rest.

    `ratio_error` is the standard error of observed over expected events of independent rows of a calibrated model.
    """

    patients: int
    rows: int
    events: int
    others: int
    observed: float
    expected: float
    ratio_error: float


def group_size(
    labels: FloatArray, probabilities: FloatArray, patients: npt.NDArray[np.int64], member: npt.NDArray[np.bool_]
) -> _GroupSize:
    """Count a group; a class that is not there, but was expected, is not too few to tell."""
    observed, expected, people = list[int](), list[float](), list[int]()
    for inside in (member, ~member):
        people.append(len(np.unique(patients[inside])))
        mean = float(probabilities[inside].mean()) if inside.any() else 0.0
        for outcome, share in ((1, mean), (0, 1.0 - mean)):
            observed.append(len(np.unique(patients[inside & (labels == outcome)])))
            expected.append(max(observed[-1], share * people[-1]))
    own, rows = probabilities[member], int(member.sum())
    error = np.sqrt((own * (1.0 - own)).sum()) / own.sum() if own.sum() > 0 else np.nan
    events = int(labels[member].sum())
    return _GroupSize(people[0], rows, events, people[1], min(observed), min(expected), float(error))


def group_p_values(found: Draws, sizes: Sequence[_GroupSize], min_class_patients: int) -> dict[str, FloatArray]:
    """p-values of no bias `(G,)` by metric, NaN where there is too little."""
    from scipy.stats import t

    value, error = (numbers.reshape(-1, len(sizes)) for numbers in (found.value, found.standard_errors()))
    least = max(min_class_patients, 2)

    def beyond(distance: FloatArray, errors: FloatArray, least_error: FloatArray, fewest: FloatArray) -> FloatArray:
        """Chance of a distance above this one."""
        with np.errstate(invalid="ignore", divide="ignore"):
            p: FloatArray = t.sf(distance / np.fmax(errors, least_error), df=np.maximum(fewest - 1, 1))
        return np.where(fewest >= least, p, np.nan)

    def row(name: str, block: str = "value") -> int:
        return BLOCKS.index(block) * len(METRICS) + METRICS.index(name)

    expected, observed, rows, events, ratio_error = np.array(
        [(size.expected, size.observed, size.rows, size.events, size.ratio_error) for size in sizes], np.float64
    ).T
    own, to_rest = (len(BLOCKS) * len(METRICS) + TESTED.index(name) for name in TESTED)
    both = [2.0 * beyond(np.abs(value[at]), error[at], ratio_error, expected) for at in (own, to_rest)]
    recall, alarms = (value[row(name)] - value[row(name, "excess")] for name in (_RECALL, _ALARMS))
    with np.errstate(invalid="ignore", divide="ignore"):
        index_error = np.sqrt(recall * (1.0 - recall) / events + alarms * (1.0 - alarms) / (rows - events))
    short = -value[row(_YOUDEN, "excess")] - _TOLERANCE
    return {
        # More, or fewer, events than expected, and than elsewhere: the weaker of the two, if they agree.
        _RATIO: np.where(value[own] * value[to_rest] < 0, 1.0, np.maximum(*both)),
        _YOUDEN: beyond(short, error[row(_YOUDEN, "excess")], index_error, observed),
    }


def group_gaps(intervals: npt.NDArray[Any], p: Mapping[str, float], p_holm: float, level: float) -> list[Gap]:
    """The gaps of a group; where it has a bias, those in which it shows say which."""
    group_p = 2.0 * float(np.fmin(p[_RATIO], p[_YOUDEN]))
    # What Holm multiplied the p-value of the group with holds for either of its two looks.
    factor = 2.0 * (p_holm / group_p if group_p > 0 else 1.0)
    gaps = []
    for number, metric in enumerate(METRICS):
        value, gap, excess = intervals[number : len(BLOCKS) * len(METRICS) : len(METRICS)]
        tested, verdict = p.get(metric, np.nan), None
        more, less = _DIRECTIONS.get(metric, (None, None))
        if metric in p:
            if tested * factor <= level:
                verdict = less if excess.value < 0 else more
        elif p_holm <= level and excess.low is not None:
            # Described, not tested: what goes with the bias.
            verdict = less if excess.high < 0 else more if excess.low > 0 else None
        gaps.append(Gap(metric, value, gap, excess, None if np.isnan(tested) else tested, verdict))
    return gaps


def group_verdict(gaps: Sequence[Gap], size: _GroupSize) -> str:
    """What the audit says of a group; never that it is fine."""
    biases = [gap.verdict for gap in gaps if gap.verdict]
    if biases:
        prefix = AGAINST if any(bias.startswith(AGAINST) for bias in biases) else _BIAS
        return prefix + ", ".join(bias.removeprefix(AGAINST).removeprefix(_BIAS) for bias in biases)
    if not size.others:
        return _ALONE
    ratio = next(gap for gap in gaps if gap.metric == _RATIO)
    if ratio.p is None or ratio.value.low is None or ratio.value.high is None:
        return _TOO_FEW
    is_seen = ratio.value.low > 1.0 / _LARGE_RATIO and ratio.value.high < _LARGE_RATIO
    return _NO_BIAS if is_seen else _TOO_FEW


def holm(p: npt.ArrayLike) -> FloatArray:
    """Correct p-values so that the chance of any false finding is held (Holm, 1979)."""
    values = np.asarray(p, np.float64)
    order = np.argsort(values, kind="stable")
    # The smallest p-value times all tests, the next times one less, and none below one before it.
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected
