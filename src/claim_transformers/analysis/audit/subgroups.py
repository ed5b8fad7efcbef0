"""Subgroup audit: is a model as good for one group of patients as for the others? One verdict per gap.

Each group of each attribute is held against all other rows: AUROC, observed over expected events (calibration in the
large), recall and false alarms at the threshold. Two questions are kept apart, because groups differ in risk:

* **Is there a difference?** Recall and false alarms differ between groups with different risks also for a perfect
  model, and so may AUROC (Corbett-Davies and Goel, 2018, section 3, call it infra-marginality).
* **Is there more of a difference than the mix of risk explains?** What a calibrated model would show in each group
  follows from its own probabilities; the excess over that is a bias of the model, and it is what the verdict is about.

So the scores have to be calibrated over all (see `recalibration`); the table says whether they are.

The bootstrap is one matrix product for all groups, see `patient_draws` and `auroc_parts`. p-values compare a gap with
its spread over replicates, by a t distribution with as many degrees of freedom as the smaller class has patients, less
one: with a normal one small groups raise false alarms. They are corrected over all tests of the audit: Holm, 1979
(family-wise; neither scipy 1.17 nor scikit-learn has it, so it is here) and Benjamini and Hochberg, 1995 (scipy).
Verdicts go by Holm.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from claim_transformers.analysis.audit.auroc_parts import auroc_parts
from claim_transformers.analysis.audit.calibration_measures import calibration_line
from claim_transformers.analysis.audit.patient_draws import REPLICATES, Draws, draw
from claim_transformers.analysis.audit.subgroup_numbers import (
    BLOCKS,
    METRICS,
    UNKNOWN,
    group_columns,
    group_members,
    group_numbers,
)
from claim_transformers.training import MetricInterval
from claim_transformers.training.metrics import FloatArray

LEVEL = 0.05
# With fewer patients of either class, in a group or in the rest, a gap is not tested: hardly any could be found.
_MIN_CLASS_PATIENTS = 20
# No count of 1 to 10 patients is shown or can be derived (CMS cell-size policy).
MIN_SHOWN_PATIENTS = 11

NO_GAP, _EXPLAINED, TOO_FEW = "no gap found", "differs as the mix of risk explains", "too few to tell"
# Of each metric: what it means that the group has more than the others, and less.
_DIRECTIONS = {
    "AUROC": ("bias: ranked better", "bias: ranked worse"),
    "observed/expected": ("bias: risk underestimated", "bias: risk overestimated"),
    "recall": ("bias: fewer missed", "bias: more missed"),
    "false positive rate": ("bias: more false alarms", "bias: fewer false alarms"),
}


@dataclass(frozen=True)
class Gap:
    """One metric of one group against all other rows.

    Args:
        metric (`str`): Name out of `METRICS`.
        value (`MetricInterval`): Of the group.
        gap (`MetricInterval`): Of the group minus that of all other rows.
        explained (`float`): The gap that calibrated scores would show with this mix of risk; 0 for observed/expected.
        excess (`MetricInterval`): The gap minus what is explained.
        p (`float`, *optional*): Of no excess; `None` where it is not tested.
        p_holm (`float`, *optional*): The same, corrected over the audit (Holm).
        p_bh (`float`, *optional*): The same (Benjamini and Hochberg: share of false findings).
        p_gap_holm (`float`, *optional*): Of no gap at all, corrected (Holm).
        verdict (`str`): `"no gap found"`, `"differs as the mix of risk explains"`, `"too few to tell"`, or a bias.
    """

    metric: str
    value: MetricInterval
    gap: MetricInterval
    explained: float
    excess: MetricInterval
    p: float | None = None
    p_holm: float | None = None
    p_bh: float | None = None
    p_gap_holm: float | None = None
    verdict: str = TOO_FEW

    @property
    def is_bias(self) -> bool:
        """Whether the verdict is a bias."""
        return self.verdict.startswith("bias")


@dataclass(frozen=True)
class Subgroup:
    """One group of one attribute.

    Args:
        attribute (`str`): Such as `"race"`.
        group (`str`): Its value.
        patients (`int`): Distinct patients.
        rows (`int`): Rows, such as index stays.
        events (`int`): Rows with the outcome.
        gaps (`list[Gap]`): One per metric.
    """

    attribute: str
    group: str
    patients: int
    rows: int
    events: int
    gaps: Sequence[Gap]


@dataclass(frozen=True)
class SubgroupAudit:
    """All groups of all attributes.

    Args:
        subgroups (`list[Subgroup]`): In the order of the attributes, groups sorted.
        threshold (`float`): Rows above it are flagged.
        tests (`int`): Distinct hypotheses that the corrections count.
        patients (`int`): Patients that were drawn.
        overall (`dict[str, float]`): AUROC, `observed/expected`, slope of the calibration line, recall and false
            positive rate of all rows.
        level (`float`): Chance of any false bias that the verdicts allow.
    """

    subgroups: Sequence[Subgroup]
    threshold: float
    tests: int
    patients: int
    overall: Mapping[str, float]
    level: float = LEVEL

    def biases(self) -> list[tuple[str, str, Gap]]:
        """Return the gaps whose verdict is a bias.

        Returns:
            `list[tuple[str, str, Gap]]`: Attribute, group and gap.
        """
        return [(found.attribute, found.group, gap) for found in self.subgroups for gap in found.gaps if gap.is_bias]


def age_bands(age_years: npt.ArrayLike, edges: Sequence[float] = (65, 75, 85)) -> npt.NDArray[np.str_]:
    """Name the age band of each row, as an attribute for [`audit_subgroups`].

    Args:
        age_years (array of shape `(N,)`): Ages; NaN where unknown.
        edges (`list[float]`, *optional*, defaults to `(65, 75, 85)`): First ages of the bands after the youngest.

    Returns:
        `NDArray[str]` of shape `(N,)`.

    Raises:
        ValueError: If the edges do not increase.

    Examples:
        >>> age_bands([50, 65, 80.5, float("nan"), 90]).tolist()
        ['under 65', '65 to 74', '75 to 84', 'unknown', '85 and over']
    """
    ages = np.asarray(age_years, np.float64)
    if len(edges) == 0 or (np.diff(edges) <= 0).any():
        raise ValueError(f"expected increasing edges, found {list(edges)}")
    names = [f"under {edges[0]:g}"]
    names += [f"{low:g} to {high - 1:g}" for low, high in pairwise(edges)]
    names += [f"{edges[-1]:g} and over"]
    band = np.searchsorted(edges, np.nan_to_num(ages), side="right")
    return np.where(np.isnan(ages), UNKNOWN, np.array(names)[band])


def audit_subgroups(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    attributes: Mapping[str, npt.ArrayLike],
    *,
    threshold: float,
    patients: npt.ArrayLike | None = None,
    min_class_patients: int = _MIN_CLASS_PATIENTS,
    level: float = LEVEL,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> SubgroupAudit:
    """Hold every group of every attribute against the other rows.

    Args:
        labels (array of shape `(N,)`): 0 or 1.
        probabilities (array of shape `(N,)`): Probabilities of 1, calibrated over all rows.
        attributes (`dict[str, array of shape (N,)]`): Categories of each row by attribute, such as `sex`, `race`,
            `entitlement`, `region` and [`age_bands`]; `None` and NaN are the group `"unknown"`.
        threshold (`float`): A row is flagged if its probability is above it, see [`gmean_threshold`].
        patients (array of shape `(N,)`, *optional*): Patient of each row; each row is a patient without it.
        min_class_patients (`int`, *optional*, defaults to `20`): Patients with, and patients without, the outcome that
            a group and the rest must have to be tested; otherwise the verdict is `"too few to tell"`.
        level (`float`, *optional*, defaults to `0.05`): Chance of any false bias that the verdicts allow.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.
        seed (`int`, *optional*, defaults to `0`): Seed of the draws.

    Returns:
        [`SubgroupAudit`]: Values, gaps and verdicts; [`subgroup_table`] and [`gap_table`] show them.

    Raises:
        ValueError: If lengths differ, there is no attribute, the outcome has one class, or a probability is not in
            [0, 1].

    Examples:
        >>> random = np.random.default_rng(0)
        >>> risk = random.uniform(0.05, 0.4, 6000)
        >>> labels, sex = random.random(6000) < risk, random.choice(["F", "M"], 6000)
        >>> biased = np.where(sex == "F", 0.7, 1.0) * risk
        >>> audit = audit_subgroups(labels, biased, {"sex": sex}, threshold=0.2, replicates=200)
        >>> [(group, gap.verdict) for _, group, gap in audit.biases() if gap.metric == "observed/expected"]
        [('F', 'bias: risk underestimated'), ('M', 'bias: risk overestimated')]
    """
    labels, probabilities = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
    if labels.shape != probabilities.shape or labels.ndim != 1:
        raise ValueError(f"expected one label per row, found shapes {labels.shape} and {probabilities.shape}")
    if not np.array_equal(np.unique(labels), [0.0, 1.0]):
        raise ValueError("expected labels 0 and 1, both present, found others")
    if not attributes:
        raise ValueError("expected at least one attribute, found none")
    rows, numbers = len(labels), np.arange(len(labels)) if patients is None else np.asarray(patients)
    names, members = group_members(attributes, rows)
    columns = group_columns(labels, probabilities, threshold, members)
    found = draw(lambda weights: group_numbers(weights, columns), rows, patients, replicates=replicates, seed=seed)
    fewest = _smallest_class(labels, numbers, members)
    gaps, tests = _judge(names, found, fewest, min_class_patients, level)
    subgroups = [
        Subgroup(
            attribute,
            group,
            patients=len(np.unique(numbers[member])),
            rows=int(member.sum()),
            events=int(labels[member].sum()),
            gaps=gaps[number],
        )
        for number, ((attribute, group), member) in enumerate(zip(names, members, strict=True))
    ]
    overall = _overall(labels, probabilities, threshold)
    return SubgroupAudit(subgroups, threshold, tests, found.patients, overall, level)


def _overall(labels: FloatArray, probabilities: FloatArray, threshold: float) -> dict[str, float]:
    flagged = probabilities > threshold
    return {
        "AUROC": auroc_parts(probabilities, labels)[0],
        "observed/expected": float(labels.sum() / probabilities.sum()),
        "slope": calibration_line(labels, probabilities)[1],
        "recall": float(flagged[labels == 1].mean()),
        "false positive rate": float(flagged[labels == 0].mean()),
    }


# ---- From numbers to verdicts ----


def _smallest_class(
    labels: FloatArray, patients: npt.NDArray[Any], members: Sequence[npt.NDArray[np.bool_]]
) -> npt.NDArray[np.int64]:
    """Of each group the fewest patients of a class, in the group or in the rest."""
    counts = [
        len(np.unique(patients[inside & (labels == outcome)]))
        for member in members
        for inside in (member, ~member)
        for outcome in (0, 1)
    ]
    fewest: npt.NDArray[np.int64] = np.array(counts).reshape(len(members), 4).min(axis=1)
    return fewest


def _judge(
    names: Sequence[tuple[str, str]],
    found: Draws,
    fewest: npt.NDArray[np.int64],
    min_class_patients: int,
    level: float,
) -> tuple[list[list[Gap]], int]:
    """Gaps of each group with p-values and verdicts, and how many hypotheses there were."""
    from scipy.stats import false_discovery_control, t

    shape = (len(BLOCKS), len(METRICS), len(names))
    value, error = found.value.reshape(shape), found.standard_errors().reshape(shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = np.abs(value) / error
    enough = (fewest >= max(min_class_patients, 2)) & np.isfinite(distance)
    # As many degrees of freedom as the smaller class has patients, less one: under a normal one small groups raise
    # false alarms.
    p = np.where(enough, 2.0 * t.sf(distance, df=np.maximum(fewest - 1, 1)), np.nan)
    p_gap, p_excess = p[BLOCKS.index("tested gap")], p[BLOCKS.index("tested excess")]
    twin = _twins([attribute for attribute, _ in names])
    # One hypothesis of each pair is corrected for; `_spread` hands its value to the twin.
    tested = ~np.isnan(p_excess) & (twin == np.arange(len(names)))
    corrected = {
        "p_holm": _spread(holm(p_excess[tested]), tested, twin),
        "p_bh": _spread(false_discovery_control(p_excess[tested]) if tested.any() else np.zeros(0), tested, twin),
        "p_gap_holm": _spread(holm(p_gap[tested]), tested, twin),
    }
    intervals = found.intervals()
    gaps = []
    for group in range(len(names)):
        of_group = []
        for number, metric in enumerate(METRICS):
            # The numbers lie flat by block, metric and group; the first three blocks are value, gap and excess.
            interval = [intervals[int(np.ravel_multi_index((block, number, group), shape))] for block in range(3)]
            explained = float(value[1, number, group] - value[2, number, group])
            ps = {name: float(values[number, group]) for name, values in corrected.items()}
            if np.isnan(ps["p_holm"]):
                of_group.append(Gap(metric, interval[0], interval[1], explained, interval[2]))
                continue
            verdict = NO_GAP if ps["p_gap_holm"] > level else _EXPLAINED
            if ps["p_holm"] <= level:
                verdict = _DIRECTIONS[metric][int(value[2, number, group] < 0)]
            p_here = float(p_excess[number, twin[group]])
            of_group.append(
                Gap(metric, interval[0], interval[1], explained, interval[2], p_here, **ps, verdict=verdict)
            )
        gaps.append(of_group)
    return gaps, int(tested.sum())


def _twins(attribute_of: Sequence[str]) -> npt.NDArray[np.int64]:
    """Of each group the one whose test it shares: the two groups of an attribute are one hypothesis, seen twice."""
    is_pair = [attribute_of.count(name) == 2 for name in attribute_of]
    return np.array([attribute_of.index(name) if is_pair[at] else at for at, name in enumerate(attribute_of)])


def holm(p: npt.ArrayLike) -> FloatArray:
    """Correct p-values so that the chance of any false finding is held (Holm, 1979)."""
    values = np.asarray(p, np.float64)
    order = np.argsort(values, kind="stable")
    # The smallest p-value times all tests, the next times one less, and none below one before it.
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def _spread(corrected: FloatArray, tested: npt.NDArray[np.bool_], twin: npt.NDArray[np.int64]) -> FloatArray:
    """Corrected p-values at their metric and group, NaN where nothing was tested; twins share theirs."""
    found = np.full(tested.shape, np.nan)
    found[tested] = corrected
    return found[:, twin]
