"""Power of the subgroup audit, measured on simulated stays: how often it finds a bias, and raises one that is not.

Stays of a patient share what the claims do not show, groups differ in risk, and a calibrated model knows the risk of
every stay. Then nothing is a bias, and every one that the audit reports is a false alarm. A planted bias hides a part
of the risk of one group from the model, on the scale of log odds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from claim_transformers.analysis.audit.subgroups import LEVEL, SubgroupAudit, audit_subgroups
from claim_transformers.analysis.audit.threshold import gmean_threshold
from claim_transformers.analysis.result_table import Cell, ResultTable
from claim_transformers.training.metrics import FloatArray

# Shares of the groups of a Medicare population, rounded from the attributes that Lahlou et al. audit (section 5.3).
_SHARES: Mapping[str, Mapping[str, float]] = {
    "sex": {"F": 0.56, "M": 0.44},
    "age": {"under 65": 0.16, "65 to 74": 0.36, "75 to 84": 0.30, "85 and over": 0.18},
    "race": {"white": 0.80, "black": 0.10, "hispanic": 0.05, "asian": 0.03, "other": 0.02},
    "entitlement": {"age": 0.80, "disability": 0.17, "renal disease": 0.03},
    "region": {"Northeast": 0.19, "Midwest": 0.23, "South": 0.39, "West": 0.19},
}
# Log odds by which the risk of a group differs, known to the model.
_RISKS: Mapping[str, Mapping[str, float]] = {
    "age": {"under 65": 0.2, "85 and over": 0.3},
    "race": {"black": 0.15},
    "entitlement": {"disability": 0.2, "renal disease": 0.7},
}
_MEAN_LOG_ODDS = -2.0
_RISK_SPREAD, _HIDDEN_SPREAD = 0.9, 0.5


@dataclass(frozen=True)
class PlantedGap:
    """A bias that is put into simulated scores.

    Args:
        attribute (`str`): Attribute of the group.
        group (`str`): The group whose risk the model misjudges.
        log_odds (`float`): Log odds of the true risk that the model does not see; above 0 it underestimates.
    """

    attribute: str
    group: str
    log_odds: float


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
        simulations (`int`): Populations with, and as many without, the planted bias.
        found (`int`): Populations in which the bias of the planted group was reported in its direction.
        false_alarms (`int`): Populations without a bias in which any was reported.
        alarms_by_metric (`dict[str, int]`): Of these, those with an alarm of the metric.
        level (`float`): Family-wise level of the audit.
    """

    simulations: int
    found: int
    false_alarms: int
    alarms_by_metric: Mapping[str, int] = field(default_factory=dict)
    level: float = LEVEL

    @property
    def power(self) -> tuple[float, float, float]:
        """Share of planted biases that were found, with its exact 95 % interval."""
        return share_with_interval(self.found, self.simulations)

    @property
    def false_alarm_rate(self) -> tuple[float, float, float]:
        """Share of populations without a bias with any alarm, with its exact 95 % interval."""
        return share_with_interval(self.false_alarms, self.simulations)

    def to_table(self, title: str = "Power and false alarms of the subgroup audit") -> ResultTable:
        """The shares as a table.

        Args:
            title (`str`, *optional*): Heading.

        Returns:
            [`ResultTable`]: One row for the planted bias and one for none.
        """
        header = ("population", "audits", "bias reported", "share", "low", "high")
        counted = [
            ("planted bias, found in its group", self.found, self.power),
            ("no bias, any reported", self.false_alarms, self.false_alarm_rate),
        ]
        rows: list[dict[str, Cell]] = [
            dict(zip(header, (name, self.simulations, count, *shares), strict=True)) for name, count, shares in counted
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
        planted ([`PlantedGap`], *optional*): What the model gets wrong; it is calibrated without it.
        seed (`int`, *optional*, defaults to `0`): Seed.
        stays_per_patient (`float`, *optional*, defaults to `1.8`): Mean number of stays, at least one each.

    Returns:
        [`SimulatedStays`]: The stays.

    Raises:
        KeyError: If the planted group does not exist.

    Examples:
        >>> stays = simulate_stays(500, seed=1)
        >>> len(set(stays.patients.tolist())), list(stays.attributes)
        (500, ['sex', 'age', 'race', 'entitlement', 'region'])
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
    if planted is not None:
        # The model takes the risk for smaller than it is.
        true = seen + planted.log_odds * (groups[planted.attribute] == planted.group)[owner]
    else:
        true = seen
    # Stays of a patient share a part that the model cannot see; its own risk is the mean over that part.
    nodes, node_weights = np.polynomial.hermite_e.hermegauss(15)
    hidden = _HIDDEN_SPREAD * random.normal(size=patients)
    probabilities = expit(seen[:, None] + _HIDDEN_SPREAD * nodes) @ node_weights / node_weights.sum()
    labels = (random.random(len(owner)) < expit(true + hidden[owner])).astype(np.int64)
    attributes = {attribute: values[owner] for attribute, values in groups.items()}
    return SimulatedStays(labels, probabilities, attributes, owner)


def audit_power(
    *,
    simulate: Callable[..., SimulatedStays] | None = None,
    planted: PlantedGap | None = None,
    patients: int = 10_000,
    simulations: int = 200,
    replicates: int = 400,
    level: float = LEVEL,
    seed: int = 0,
    progress: bool = False,
) -> AuditPower:
    """Measure the power and the false-alarm rate of [`audit_subgroups`].

    Args:
        simulate (`Callable`, *optional*): Function of `planted` and `seed` that gives [`SimulatedStays`], such as
            stays drawn from a simulated population; [`simulate_stays`] without it.
        planted ([`PlantedGap`], *optional*): The bias to find; without it that of black patients by half a unit of
            log odds.
        patients (`int`, *optional*, defaults to `10000`): Patients of each population of [`simulate_stays`].
        simulations (`int`, *optional*, defaults to `200`): Populations with, and as many without, the bias.
        replicates (`int`, *optional*, defaults to `400`): Bootstrap replicates of each audit.
        level (`float`, *optional*, defaults to `0.05`): Family-wise level of each audit.
        seed (`int`, *optional*, defaults to `0`): Seed of the first population.
        progress (`bool`, *optional*, defaults to `False`): Whether to show a bar.

    Returns:
        [`AuditPower`]: Counts, with `power` and `false_alarm_rate`.

    Raises:
        ValueError: If `simulations` is not positive.

    Examples:
        >>> audit_power(patients=4000, simulations=2, replicates=50, planted=PlantedGap("sex", "F", 1.0)).found
        2
    """
    from tqdm import tqdm

    if simulations < 1:
        raise ValueError(f"expected at least one simulation, found {simulations}")
    bias = planted or PlantedGap("race", "black", 0.5)
    make = simulate or partial(simulate_stays, patients)
    found, alarms, by_metric = 0, 0, dict[str, int]()
    for number in tqdm(range(simulations), desc="audits", disable=not progress):
        with_bias = make(planted=bias, seed=seed + number)
        found += finds_bias(audit_stays(with_bias, replicates=replicates, level=level), bias)
        no_bias = make(planted=None, seed=seed + simulations + number)
        without = audit_stays(no_bias, replicates=replicates, level=level).biases()
        alarms += bool(without)
        for metric in {gap.metric for _, _, gap in without}:
            by_metric[metric] = by_metric.get(metric, 0) + 1
    return AuditPower(simulations, found, alarms, by_metric, level)


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
    """Whether an audit reports a planted bias: observed over expected events of its group stand out its way."""
    return any(
        (attribute, group, gap.metric) == (planted.attribute, planted.group, "observed/expected")
        and gap.excess.value is not None
        and (gap.excess.value > 0) == (planted.log_odds > 0)
        for attribute, group, gap in audit.biases()
    )
