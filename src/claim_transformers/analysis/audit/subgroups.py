"""Subgroup audit: is a model as good for one group of patients as for the others? One verdict per group.

Each group of each attribute is held against all other rows, by what was observed and never by what the model itself
says of the group. One question is asked of a group, decided in advance, in two looks:

* **Calibration first.** Are there more, or fewer, events than the model expects, and also relative to the other rows?
  Both must hold, so that a misfit of all rows is not blamed on a group, nor that of one group on the others.
* **Then the gap to an equally good model.** At the threshold, are events and other rows of the group told apart less
  well (Youden index: recall less false alarms) than by a calibrated model that is as good in the group as elsewhere,
  see `subgroup_numbers`? Groups differ in risk, and with it recall and false alarms differ for that model too
  (Corbett-Davies and Goel, 2018, section 3). How alike the risks of a group are, scores cannot tell; a gap within
  `_TOLERANCE` may be that, and is no bias. A misfit of other groups only makes a group look better.

The p-value of a group is twice the smaller of the two (Bonferroni), corrected over groups alone: Holm, 1979, which
neither scipy 1.17 nor scikit-learn has, so it is here. Area, recall, false alarms and precision are described; those
that go with a bias are named beside it.

Labels that were never recorded cannot be seen in labels. Where outcomes of a group are missing, a model that knows its
true risk looks as if it overestimated it, and one that learned from such labels looks right.

The bootstrap is one matrix product for all groups, see `patient_draws` and `auroc_parts`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from claim_transformers.analysis.audit.auroc_parts import auroc_parts
from claim_transformers.analysis.audit.calibration_measures import calibration_line
from claim_transformers.analysis.audit.patient_draws import REPLICATES, draw
from claim_transformers.analysis.audit.subgroup_numbers import UNKNOWN, group_columns, group_members, group_numbers
from claim_transformers.analysis.audit.subgroup_verdicts import (
    AGAINST,
    Gap,
    group_gaps,
    group_p_values,
    group_size,
    group_verdict,
    holm,
)
from claim_transformers.analysis.audit.threshold import flagged
from claim_transformers.training.metrics import FloatArray

LEVEL = 0.05
# With fewer patients of either class, in a group or in the rest, nothing is tested: hardly anything could be found.
_MIN_CLASS_PATIENTS = 20


@dataclass(frozen=True)
class Subgroup:
    """One group of one attribute."""

    attribute: str  # Such as `"race"`.
    group: str  # Its value.
    patients: int  # Distinct patients.
    rows: int  # Rows, such as index stays.
    events: int  # Rows with the outcome.
    gaps: Sequence[Gap]  # One per metric.
    p: float | None  # Of no bias; `None` where there is too little.
    p_holm: float | None  # The same, corrected over groups.
    # `"bias against it: ..."`, `"bias: ..."`, `"no bias found"`, `"too few to tell"`, or `"no other group to compare
    # with"`.
    verdict: str

    @property
    def is_biased(self) -> bool:
        """Whether the verdict is a bias."""
        return any(gap.verdict for gap in self.gaps)

    @property
    def is_against(self) -> bool:
        """Whether the verdict is a bias that denies the group what its risk asks for."""
        return self.verdict.startswith(AGAINST)


@dataclass(frozen=True)
class SubgroupAudit:
    """All groups of all attributes.

    Args:
        subgroups (`list[Subgroup]`): In the order of the attributes, groups sorted.
        threshold (`float`): Rows above it are flagged.
        tests (`int`): Groups that were tested, over which p-values are corrected.
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
        """Return the gaps in which a bias shows."""
        return [(found.attribute, found.group, gap) for found in self.subgroups for gap in found.gaps if gap.verdict]


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
            a group and the rest must have to be tested, or be expected to have; otherwise the verdict is `"too few to
            tell"`, as it is where an interval still holds half as many events again as expected.
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
        >>> [(found.group, found.verdict) for found in audit.subgroups]
        [('F', 'bias against it: risk underestimated, more missed'), ('M', 'no bias found')]
    """
    labels, probabilities = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
    if labels.shape != probabilities.shape or labels.ndim != 1:
        raise ValueError(f"expected one label per row, found shapes {labels.shape} and {probabilities.shape}")
    if not np.array_equal(np.unique(labels), [0.0, 1.0]):
        raise ValueError("expected labels 0 and 1, both present, found others")
    if not attributes:
        raise ValueError("expected at least one attribute, found none")
    rows, numbers = len(labels), np.arange(len(labels))
    if patients is not None:
        numbers = np.unique(np.asarray(patients), return_inverse=True)[1]
    names, members = group_members(attributes, rows)
    columns = group_columns(labels, probabilities, threshold, members)
    found = draw(lambda weights: group_numbers(weights, columns), rows, patients, replicates=replicates, seed=seed)
    sizes = [group_size(labels, probabilities, numbers, member) for member in members]
    tests = group_p_values(found, sizes, min_class_patients)
    p = np.minimum(1.0, 2.0 * np.fmin(*tests.values()))
    p_holm = np.full(len(names), np.nan)
    p_holm[~np.isnan(p)] = holm(p[~np.isnan(p)])
    intervals = np.array(found.intervals(), dtype=object).reshape(-1, len(names))
    subgroups = []
    for at, ((attribute, group), size) in enumerate(zip(names, sizes, strict=True)):
        of_group = {metric: float(values[at]) for metric, values in tests.items()}
        gaps = group_gaps(intervals[:, at], of_group, float(p_holm[at]), level)
        own, corrected = (None if np.isnan(values[at]) else float(values[at]) for values in (p, p_holm))
        counts = size.patients, size.rows, size.events
        subgroups.append(Subgroup(attribute, group, *counts, gaps, own, corrected, group_verdict(gaps, size)))
    overall = _overall(labels, probabilities, threshold)
    return SubgroupAudit(subgroups, threshold, int((~np.isnan(p)).sum()), found.patients, overall, level)


def _overall(labels: FloatArray, probabilities: FloatArray, threshold: float) -> dict[str, float]:
    flags = flagged(probabilities, threshold)
    return {
        "AUROC": auroc_parts(probabilities, labels)[0],
        "observed/expected": float(labels.sum() / probabilities.sum()),
        "slope": calibration_line(labels, probabilities)[1],
        "recall": float(flags[labels == 1].mean()),
        "false positive rate": float(flags[labels == 0].mean()),
    }
