"""What the label rule, the leak in it and the sampling of negatives contribute to a reported AUROC.

Lahlou et al. label a transfer on the day of discharge 1 (section 3.1.2) while the discharge status, which states the
transfer, is among the inputs; and they evaluate at three negatives per positive (section 4.1). Each of these is undone
here, one after the other, with the same models.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from claim_transformers.analysis.audit.threshold import score_at_threshold
from claim_transformers.analysis.result_table import Cell, ResultTable
from claim_transformers.cohorts.readmission.definition import PLAIN, STAYS, UNPLANNED, ReadmissionDefinition
from reproduction.medicare.contestants import OURS
from reproduction.medicare.readmission_study import ModelScores, ReadmissionStudy, StudyCohort
from reproduction.medicare.tables import interval_row

Flags = NDArray[np.bool_]
NEGATIVES_PER_POSITIVE = 3
_NOTES = (
    "A transfer is labelled 1 by the plain rule, and the disposition of its claim says so: with both in, a model reads"
    " the label. Rules that join stays first have no such label.",
    "Sampling negatives moves precision and what a probability means, not the AUROC.",
)


@dataclass(frozen=True)
class Setting:
    """A row of the table.

    Args:
        name (`str`): What differs.
        definition ([`ReadmissionDefinition`]): Rule and inputs.
        chosen (`Callable`, *optional*): From a cohort to the test stays that count; all of them without it.
    """

    name: str
    definition: ReadmissionDefinition
    chosen: Callable[[StudyCohort], Flags] | None = None


def without_transfers(cohort: StudyCohort) -> Flags:
    """Test stays whose label is not a transfer.

    Args:
        cohort ([`StudyCohort`]): The stays.

    Returns:
        `NDArray[bool]` of shape `(test stays,)`.
    """
    chosen: Flags = ~cohort.examples["test"]["is_transfer_label"].to_numpy(zero_copy_only=False)
    return chosen


def three_to_one(cohort: StudyCohort) -> Flags:
    """Test stays with three labelled 0 for each labelled 1, drawn with a fixed seed.

    Args:
        cohort ([`StudyCohort`]): The stays.

    Returns:
        `NDArray[bool]` of shape `(test stays,)`.
    """
    labels = cohort.labels("test")
    negative = np.flatnonzero(labels == 0)
    most = min(len(negative), NEGATIVES_PER_POSITIVE * int(labels.sum()))
    kept = np.random.default_rng(0).choice(negative, most, replace=False)
    chosen: Flags = labels == 1
    chosen[kept] = True
    return chosen


def settings() -> list[Setting]:
    """The rows: from the paper's rule to the rule of CMS.

    Returns:
        `list[Setting]`: In order.

    Examples:
        >>> [setting.definition.rule for setting in settings()]
        ['plain', 'plain', 'plain', 'stays', 'stays', 'unplanned']
    """
    plain, hidden = ReadmissionDefinition(PLAIN), ReadmissionDefinition(PLAIN, disposition=False)
    stays = ReadmissionDefinition(STAYS)
    return [
        Setting("every claim, disposition seen: the paper's rule", plain),
        Setting("the same, tested without transfers", plain, without_transfers),
        Setting("every claim, disposition hidden, tested without transfers", hidden, without_transfers),
        Setting("stays joined first", stays),
        Setting("stays joined first, tested at three negatives per positive", stays, three_to_one),
        Setting("stays joined first, planned readmissions do not count", ReadmissionDefinition(UNPLANNED)),
    ]


def label_rule_table(study: ReadmissionStudy, population: str, checkpoint: Path) -> ResultTable:
    """Fit models on counts and the encoder under every rule.

    Args:
        study ([`ReadmissionStudy`]): Cohorts and models.
        population (`str`): Name in the profile.
        checkpoint (`Path`): The pretrained encoder.

    Returns:
        [`ResultTable`]: One row per rule and model.
    """
    rows: list[dict[str, Cell]] = []
    for setting in settings():
        cohort = study.cohort(population, setting.definition)
        labels = cohort.labels("test")
        chosen = np.ones(len(labels), bool) if setting.chosen is None else setting.chosen(cohort)
        models = [study.count_scores(cohort, "lr"), study.count_scores(cohort, "gb")]
        models.append(study.encoder_scores(cohort, OURS, checkpoint))
        rows += [_row(setting, model, cohort, chosen, study.profile.replicates) for model in models]
    return ResultTable("Readmission: what the label rule, the leak and the sampling contribute", rows, _NOTES)


def _row(setting: Setting, model: ModelScores, cohort: StudyCohort, chosen: Flags, replicates: int) -> dict[str, Cell]:
    labels, patients = cohort.labels("test")[chosen], cohort.patients("test")[chosen]
    at_threshold = score_at_threshold(
        (cohort.labels("validation"), model.validation),
        (labels, model.test[chosen]),
        test_patients=patients,
        replicates=replicates,
    )
    transfers = (~without_transfers(cohort))[chosen] & (labels == 1)
    return {
        "label": setting.name,
        "model": model.name,
        "test stays": len(labels),
        "readmitted": float(labels.mean()),
        "of these by transfer": float(transfers.sum() / max(labels.sum(), 1)),
        **interval_row(labels, model.test[chosen], patients, replicates=replicates),
        "recall": at_threshold.metrics["recall"],
    }
