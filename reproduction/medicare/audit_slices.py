"""Audits of many disjoint parts of one population, and what they reported."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from claim_transformers.analysis.audit.audit_power import (
    AuditPower,
    Kind,
    PlantedGap,
    SimulatedStays,
    audit_stays,
    finds_bias,
)
from claim_transformers.analysis.audit.subgroups import LEVEL
from reproduction.medicare.populations import MedicarePlan
from reproduction.medicare.simulated_lives import audited_group

# A group of each attribute, none of them its largest but of the two sexes.
_GROUPS = (
    ("sex", "F"),
    ("age", "85 and over"),
    ("race", "black"),
    ("entitlement", "disability"),
    ("dual status", "dual"),
    ("region", "West"),
    ("place", "rural"),
)
_SIZES: Mapping[Kind, tuple[float, ...]] = {
    "lowered scores": (0.25, 0.5, 1.0),
    "missing labels": (0.15, 0.3, 0.6),
    "learned labels": (0.3,),
}


@dataclass(frozen=True)
class SliceReports:
    """What the audits of the slices of a population reported.

    Args:
        audits (`int`): Slices.
        reported (`int`): Slices with any bias reported.
        found (`int`): Slices with the planted group reported in the planted direction.
        by_metric (`dict[str, int]`): Slices with a bias reported of the metric.
        by_group (`dict[str, int]`): Slices with a bias reported of the group, `"attribute: group"`.
    """

    audits: int
    reported: int
    found: int
    by_metric: Mapping[str, int] = field(default_factory=dict)
    by_group: Mapping[str, int] = field(default_factory=dict)


def audit_slices(
    slices: Sequence[SimulatedStays], planted: PlantedGap, *, replicates: int = 400, level: float = LEVEL
) -> SliceReports:
    """Audit every slice of a population.

    Args:
        slices (`list[SimulatedStays]`): From [`slices_of`].
        planted ([`PlantedGap`]): The bias to look for, planted here or not.
        replicates (`int`, *optional*, defaults to `400`): Bootstrap replicates of each audit.
        level (`float`, *optional*, defaults to `0.05`): Family-wise level of each audit.

    Returns:
        [`SliceReports`]: Counts of slices.
    """
    found, reported, metrics, groups = 0, 0, Counter[str](), Counter[str]()
    for stays in slices:
        audit = audit_stays(stays, replicates=replicates, level=level)
        biases = audit.biases()
        found += finds_bias(audit, planted)
        reported += bool(biases)
        # A slice counts once, however much of it is reported.
        metrics.update({gap.metric for _, _, gap in biases if gap.p is not None})
        groups.update({f"{attribute}: {group}" for attribute, group, _ in biases})
    return SliceReports(len(slices), reported, found, dict(sorted(metrics.items())), dict(sorted(groups.items())))


def slices_of(stays: SimulatedStays, slices: int) -> list[SimulatedStays]:
    """Divide patients into disjoint slices of equal size; patients are independent, so slices are.

    Args:
        stays ([`SimulatedStays`]): Stays of a population, patients numbered from 0.
        slices (`int`): How many.

    Returns:
        `list[SimulatedStays]`: All stays of a patient in one slice.

    Raises:
        ValueError: If there are fewer patients than slices.

    Examples:
        >>> import numpy as np
        >>> stays = SimulatedStays(np.zeros(4, int), np.zeros(4), {}, np.array([0, 1, 1, 2]))
        >>> [part.patients.tolist() for part in slices_of(stays, 3)]
        [[0], [1, 1], [2]]
    """
    patients = int(stays.patients.max()) + 1 if len(stays.patients) else 0
    if not 1 <= slices <= patients:
        raise ValueError(f"expected 1 to {patients} slices, as many as patients, found {slices}")
    number = stays.patients * slices // patients
    return [
        SimulatedStays(
            stays.labels[inside],
            stays.probabilities[inside],
            {name: groups[inside] for name, groups in stays.attributes.items()},
            stays.patients[inside],
            stays.threshold,
        )
        for inside in (number == place for place in range(slices))
    ]


def add_up(parts: list[AuditPower]) -> AuditPower:
    """Add the counts of several runs of [`audit_power`].

    Args:
        parts (`list[AuditPower]`): Runs at one level.

    Returns:
        [`AuditPower`]: Their sum.

    Raises:
        ValueError: If there is no run, or their levels differ.

    Examples:
        >>> add_up([AuditPower(10, {"a": 9}, 0), AuditPower(10, {"a": 10}, 1, {"Youden index": 1})])
        AuditPower(simulations=20, found={'a': 19}, false_alarms=1, alarms_by_metric={'Youden index': 1}, level=0.05)
    """
    levels = {part.level for part in parts}
    if len(levels) != 1:
        raise ValueError(f"expected runs at one level, found {len(levels)} levels")
    found, alarms = Counter[str](), Counter[str]()
    for part in parts:
        found.update(part.found)
        alarms.update(part.alarms_by_metric)
    return AuditPower(
        sum(part.simulations for part in parts),
        dict(found),
        sum(part.false_alarms for part in parts),
        dict(sorted(alarms.items())),
        levels.pop(),
    )


def planted_gaps() -> list[PlantedGap]:
    """Biases against one group of every attribute: both kinds in three sizes, and one that no audit can see.

    Returns:
        `list[PlantedGap]`: By attribute.

    Examples:
        >>> [str(gap) for gap in planted_gaps()[:1]], len({gap.attribute for gap in planted_gaps()})
        (['scores of sex F lowered by 0.25 log odds'], 7)
    """
    return [PlantedGap(*group, size, kind) for group in _GROUPS for kind, sizes in _SIZES.items() for size in sizes]


def planted_bias(population: MedicarePlan) -> PlantedGap:
    """Say what is planted in a population as the audit sees it.

    Args:
        population ([`MedicarePlan`]): A population with a bias.

    Returns:
        [`PlantedGap`]: Its group, with the logarithm of the hidden hazard ratio. Care that is not recorded lowers
        what a model sees, so it has the same sign; its size depends on the model.

    Raises:
        ValueError: If no bias is planted, or not against a group of the audit.

    Examples:
        >>> planted_bias(MedicarePlan(100, seed=1, bias_hidden=1.0))
        PlantedGap(attribute='race', group='black', size=0.5, kind='hidden risk')
    """
    from claim_transformers.simulation.medicare.planted import HIDDEN_LOG_HAZARD

    if not population.bias_hidden:
        raise ValueError("expected a population with a hidden hazard planted, found bias_hidden 0")
    attribute, group = audited_group(population.bias_subgroup)
    return PlantedGap(attribute, group, HIDDEN_LOG_HAZARD * population.bias_hidden)
