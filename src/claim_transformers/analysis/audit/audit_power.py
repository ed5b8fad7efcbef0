"""Power of the subgroup audit, measured on simulated stays: how often it finds a bias, and raises one that is not.

Stays of a patient share what the claims do not show, groups differ in risk, and a calibrated model knows the risk of
every stay. Then nothing is a bias, and every one that the audit reports is a false alarm. Three kinds can be planted:
a part of the risk of a group that the model does not see, scores of a group that are lowered, and outcomes of a group
that are not recorded, from which the model has learned or not.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from claim_transformers.analysis.audit.calibration_measures import logit
from claim_transformers.analysis.audit.subgroups import LEVEL, Subgroup, SubgroupAudit, audit_subgroups
from claim_transformers.analysis.audit.threshold import gmean_threshold
from claim_transformers.analysis.result_table import Cell, ResultTable
from claim_transformers.training.metrics import FloatArray

# Shares of the groups of a Medicare population, rounded from the attributes that Lahlou et al. audit (section 5.3).
# Dual and rural patients: shares of those with a stay in the simulated population.
_SHARES: Mapping[str, Mapping[str, float]] = {
    "sex": {"F": 0.56, "M": 0.44},
    "age": {"under 65": 0.16, "65 to 74": 0.36, "75 to 84": 0.30, "85 and over": 0.18},
    "race": {"white": 0.80, "black": 0.10, "hispanic": 0.05, "asian": 0.03, "other": 0.02},
    "entitlement": {"age": 0.80, "disability": 0.17, "renal disease": 0.03},
    "dual status": {"dual": 0.17, "not dual": 0.83},
    "region": {"Northeast": 0.19, "Midwest": 0.23, "South": 0.39, "West": 0.19},
    "place": {"rural": 0.15, "urban": 0.85},
}
# Log odds by which the risk of a group differs, known to the model.
_RISKS: Mapping[str, Mapping[str, float]] = {
    "age": {"under 65": 0.2, "85 and over": 0.3},
    "race": {"black": 0.15},
    "entitlement": {"disability": 0.2, "renal disease": 0.7},
    "dual status": {"dual": 0.2},
}
_MEAN_LOG_ODDS = -2.0
_RISK_SPREAD, _HIDDEN_SPREAD = 0.9, 0.5

Kind = Literal["hidden risk", "lowered scores", "missing labels", "learned labels"]
_KINDS: Mapping[str, str] = {
    "hidden risk": "{group} at {size:g} more log odds than the model sees",
    "lowered scores": "scores of {group} lowered by {size:g} log odds",
    "missing labels": "outcomes of {group} not recorded in {size:.0%}",
    "learned labels": "outcomes of {group} not recorded in {size:.0%}, and the model learned from that",
}


@dataclass(frozen=True)
class PlantedGap:
    """A bias that is put into simulated stays.

    Args:
        attribute (`str`): Attribute of the group.
        group (`str`): The group that the bias is against.
        size (`float`): Log odds, below 0 for a bias the other way; of missing labels the share of its outcomes that
            are not recorded.
        kind (`str`, *optional*, defaults to `"hidden risk"`): `"hidden risk"`, more than the model sees; `"lowered
            scores"`; `"missing labels"`; or `"learned labels"`, missing ones to which the model is calibrated, so that
            no audit of these labels can see it.

    Raises:
        ValueError: If the kind is another, or a share of outcomes is not in [0, 1].

    Examples:
        >>> str(PlantedGap("race", "black", 0.3, "missing labels"))
        'outcomes of race black not recorded in 30%'
    """

    attribute: str
    group: str
    size: float
    kind: Kind = "hidden risk"

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ValueError(f"expected a kind out of {list(_KINDS)}, found {self.kind!r}")
        if self.kind.endswith("labels") and not 0 <= self.size <= 1:
            raise ValueError(f"expected a share of outcomes from 0 to 1, found {self.size}")

    def __str__(self) -> str:
        return _KINDS[self.kind].format(group=f"{self.attribute} {self.group}", size=self.size)

    @property
    def shows_against(self) -> bool:
        """Whether a report of it is one of a bias against the group: missing labels look like the opposite."""
        return (self.size > 0) != self.kind.endswith("labels")


@dataclass(frozen=True)
class SimulatedStays:
    """Simulated index stays and what a model says of them.

    Args:
        labels (`NDArray[int]` of shape `(N,)`): Readmitted or not.
        probabilities (`NDArray[float]` of shape `(N,)`): Risks by the model.
        attributes (`dict[str, NDArray[str]]`): Groups of each stay.
        patients (`NDArray[int]` of shape `(N,)`): Patient of each stay.
        threshold (`float`, *optional*): Chosen elsewhere, such as on validation; without it the audit chooses its own.
    """

    labels: npt.NDArray[np.int64]
    probabilities: FloatArray
    attributes: Mapping[str, npt.NDArray[np.str_]]
    patients: npt.NDArray[np.int64]
    threshold: float | None = None


@dataclass(frozen=True)
class AuditPower:
    """How often the audit was right.

    Args:
        simulations (`int`): Populations with each planted bias, and as many without any.
        found (`dict[str, int]`): By planted bias, populations in which its group was reported its way.
        false_alarms (`int`): Populations without a bias in which any was reported.
        alarms_by_metric (`dict[str, int]`): Of these, those with an alarm of the metric.
        level (`float`): Family-wise level of the audit.
    """

    simulations: int
    found: Mapping[str, int]
    false_alarms: int
    alarms_by_metric: Mapping[str, int] = field(default_factory=dict)
    level: float = LEVEL

    def to_table(self, title: str = "Power and false alarms of the subgroup audit") -> ResultTable:
        """The shares as a table.

        Args:
            title (`str`, *optional*): Heading.

        Returns:
            [`ResultTable`]: One row per planted bias and one for none, with exact 95 % intervals.
        """
        header = ("population", "audits", "reported", "share", "low", "high")
        counted = [*self.found.items(), ("no bias: any reported", self.false_alarms)]
        rows: list[dict[str, Cell]] = [
            dict(
                zip(
                    header, (name, self.simulations, count, *share_with_interval(count, self.simulations)), strict=True
                )
            )
            for name, count in counted
        ]
        by_metric = ", ".join(f"{metric} {count}" for metric, count in self.alarms_by_metric.items())
        return ResultTable(title, rows, [f"Exact 95 % intervals. False alarms by metric: {by_metric or 'none'}."])


def share_with_interval(count: int, total: int) -> tuple[float, float, float]:
    """Return a share with its exact binomial interval (Clopper and Pearson, 1934)."""
    from scipy.stats import binomtest

    found = binomtest(count, total).proportion_ci(0.95, method="exact")
    return count / total, float(found.low), float(found.high)


def simulate_stays(
    patients: int, *, planted: PlantedGap | None = None, seed: int = 0, stays_per_patient: float = 1.8
) -> SimulatedStays:
    """Simulate index stays with groups that differ in risk, and the risks by a calibrated or a biased model.

    Args:
        patients (`int`): Number of patients.
        planted ([`PlantedGap`], *optional*): What is wrong; the model is calibrated without it.
        seed (`int`, *optional*, defaults to `0`): Seed.
        stays_per_patient (`float`, *optional*, defaults to `1.8`): Mean number of stays, at least one each.

    Raises:
        KeyError: If the planted group does not exist.

    Examples:
        >>> stays = simulate_stays(500, seed=1)
        >>> len(set(stays.patients.tolist())), list(stays.attributes)
        (500, ['sex', 'age', 'race', 'entitlement', 'dual status', 'region', 'place'])
    """
    from scipy.special import expit

    random = np.random.default_rng(seed)
    if planted is not None and planted.group not in _SHARES.get(planted.attribute, {}):
        raise KeyError(f"expected a group of {planted.attribute!r} among {list(_SHARES.get(planted.attribute, {}))}")
    owner = np.repeat(np.arange(patients), 1 + random.poisson(stays_per_patient - 1, patients))
    groups = {
        attribute: random.choice(list(shares), patients, p=list(shares.values()))
        for attribute, shares in _SHARES.items()
    }
    seen = _MEAN_LOG_ODDS + random.normal(0, _RISK_SPREAD, len(owner))
    for attribute, risks in _RISKS.items():
        for group, log_odds in risks.items():
            seen += log_odds * (groups[attribute] == group)[owner]
    true = seen
    if planted is not None and planted.kind == "hidden risk":
        true = seen + planted.size * (groups[planted.attribute] == planted.group)[owner]
    # Stays of a patient share a part that the model cannot see; its own risk is the mean over that part.
    nodes, node_weights = np.polynomial.hermite_e.hermegauss(15)
    hidden = _HIDDEN_SPREAD * random.normal(size=patients)
    probabilities = expit(seen[:, None] + _HIDDEN_SPREAD * nodes) @ node_weights / node_weights.sum()
    labels = (random.random(len(owner)) < expit(true + hidden[owner])).astype(np.int64)
    stays = SimulatedStays(labels, probabilities, {name: values[owner] for name, values in groups.items()}, owner)
    return stays if planted is None or planted.kind == "hidden risk" else plant_gap(stays, planted, seed=seed)


def plant_gap(stays: SimulatedStays, planted: PlantedGap, *, seed: int = 0) -> SimulatedStays:
    """Lower scores or lose labels of a group of stays that have no bias; a hidden risk is up to who simulates them."""
    from scipy.special import expit

    groups = stays.attributes.get(planted.attribute, np.zeros(0, str))
    if planted.group not in groups:
        raise KeyError(
            f"expected a group of {planted.attribute!r} among {sorted(set(groups))}, found {planted.group!r}"
        )
    member = groups == planted.group
    labels, probabilities = stays.labels, stays.probabilities
    if planted.kind == "lowered scores":
        probabilities = np.where(member, expit(logit(probabilities) - planted.size), probabilities)
    elif planted.kind != "hidden risk":
        is_lost = member & (np.random.default_rng([seed, 1]).random(len(labels)) < planted.size)
        labels = np.where(is_lost, 0, labels)
        if planted.kind == "learned labels":
            probabilities = np.where(member, probabilities * (1.0 - planted.size), probabilities)
    return replace(stays, labels=labels, probabilities=probabilities)


def audit_power(
    planted: Sequence[PlantedGap] = (PlantedGap("race", "black", 0.5),),
    *,
    simulate: Callable[..., SimulatedStays] | None = None,
    patients: int = 10_000,
    simulations: int = 200,
    replicates: int = 400,
    level: float = LEVEL,
    seed: int = 0,
    progress: bool = False,
) -> AuditPower:
    """Measure the power and the false-alarm rate of [`audit_subgroups`].

    Args:
        planted (`list[PlantedGap]`, *optional*): Biases to find, one at a time; without it a hidden risk of black
            patients of half a unit of log odds.
        simulate (`Callable`, *optional*): Function of `planted` and `seed` that gives [`SimulatedStays`], such as
            stays drawn from a simulated population; [`simulate_stays`] without it.
        patients (`int`, *optional*, defaults to `10000`): Patients of each population of [`simulate_stays`].
        simulations (`int`, *optional*, defaults to `200`): Populations with each bias, and as many without any.
        replicates (`int`, *optional*, defaults to `400`): Bootstrap replicates of each audit.
        level (`float`, *optional*, defaults to `0.05`): Family-wise level of each audit.
        seed (`int`, *optional*, defaults to `0`): Seed of the first population.
        progress (`bool`, *optional*, defaults to `False`): Whether to show a bar.

    Raises:
        ValueError: If `simulations` is not positive.
        KeyError: If a planted group does not exist.

    Examples:
        >>> audit_power([PlantedGap("sex", "F", 1.0)], patients=4000, simulations=2, replicates=50).found
        {'sex F at 1 more log odds than the model sees': 2}
    """
    from tqdm import tqdm

    if simulations < 1:
        raise ValueError(f"expected at least one simulation, found {simulations}")
    make = simulate or partial(simulate_stays, patients)
    found, alarms, by_metric = {str(gap): 0 for gap in planted}, 0, Counter[str]()
    for number in tqdm(range(simulations), desc="audits", disable=not progress):
        for gap in planted:
            with_bias = make(planted=gap, seed=seed + number)
            found[str(gap)] += finds_bias(audit_stays(with_bias, replicates=replicates, level=level), gap)
        no_bias = make(planted=None, seed=seed + simulations + number)
        without = audit_stays(no_bias, replicates=replicates, level=level).biases()
        alarms += bool(without)
        by_metric.update({gap.metric for _, _, gap in without if gap.p is not None})
    return AuditPower(simulations, found, alarms, dict(by_metric), level)


def audit_stays(stays: SimulatedStays, *, replicates: int = 400, level: float = LEVEL) -> SubgroupAudit:
    """Audit the stays of one population."""
    threshold = stays.threshold
    if threshold is None:
        threshold = float(gmean_threshold(stays.labels, stays.probabilities))
    return audit_subgroups(
        stays.labels,
        stays.probabilities,
        stays.attributes,
        threshold=threshold,
        patients=stays.patients,
        replicates=replicates,
        level=level,
    )


def finds_bias(audit: SubgroupAudit, planted: PlantedGap) -> bool:
    """Whether an audit reports the group of a planted bias, its way."""
    groups = {(found.attribute, found.group): found for found in audit.subgroups}
    found: Subgroup | None = groups.get((planted.attribute, planted.group))
    return found is not None and found.is_biased and found.is_against == planted.shows_against
