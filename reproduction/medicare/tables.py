"""Tables of the readmission study, with intervals that draw patients, because stays of a patient are alike."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from claim_transformers.analysis.audit.calibration_measures import calibration_table
from claim_transformers.analysis.audit.recalibration import PriorCorrection, fit_isotonic, fit_platt
from claim_transformers.analysis.audit.threshold import score_at_threshold, threshold_table
from claim_transformers.analysis.result_table import Cell, ResultTable
from claim_transformers.training import MetricInterval, auprc, auroc, clustered_interval, paired_difference
from reproduction.medicare.readmission_study import COUNTS, ModelScores, StudyCohort

BALANCED_SHARE = 0.25  # Three claims labelled 0 for each labelled 1: Lahlou et al., section 4.1.


def best_count_model(models: Sequence[ModelScores], cohort: StudyCohort) -> ModelScores | None:
    """The model on counts that ranks validation stays best: what an encoder has to beat.

    Args:
        models (`list[ModelScores]`): All models.
        cohort ([`StudyCohort`]): Their stays.

    Returns:
        [`ModelScores`] or `None`: `None` where no model is one on counts.
    """
    of_counts = [model for model in models if model.group == COUNTS]
    labels = cohort.labels("validation")
    return max(of_counts, key=lambda model: float(auroc(labels, model.validation)), default=None)


def model_table(
    models: Sequence[ModelScores],
    cohort: StudyCohort,
    *,
    title: str,
    notes: Sequence[str] = (),
    rows: npt.NDArray[np.bool_] | None = None,
    replicates: int = 1000,
) -> ResultTable:
    """Put models side by side on the test stays.

    Args:
        models (`list[ModelScores]`): Models in order.
        cohort ([`StudyCohort`]): Their stays.
        title (`str`): Heading.
        notes (`list[str]`, *optional*): Sentences below the table.
        rows (`NDArray[bool]`, *optional*): Test stays that count; all of them without it.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.

    Returns:
        [`ResultTable`]: AUROC, AUPRC and the paired difference of the AUROC to the best model on counts.
    """
    labels, patients = cohort.labels("test"), cohort.patients("test")
    chosen = np.ones(len(labels), bool) if rows is None else rows
    labels, patients = labels[chosen], patients[chosen]
    reference = best_count_model(models, cohort)
    found: list[dict[str, Cell]] = []
    for model in models:
        scores = model.test[chosen]
        row: dict[str, Cell] = {"model": model.name}
        for name, metric in (("AUROC", auroc), ("AUPRC", auprc)):
            row[name] = clustered_interval(metric, labels, scores, patients, replicates=replicates)
        row["AUROC minus best on counts"] = None
        if reference is not None and model.slug != reference.slug:
            row["AUROC minus best on counts"] = paired_difference(
                auroc, labels, scores, reference.test[chosen], patients, replicates=replicates
            )
        found.append(row)
    described = [
        f"{len(labels):,} test stays of {len(np.unique(patients)):,} patients, {int(labels.sum()):,} of them "
        f"readmitted ({100 * labels.mean():.1f} %); 95 % intervals draw patients."
    ]
    if reference is not None:
        described.append(f"Best on counts, by AUROC on validation: {reference.name}.")
    return ResultTable(title, found, [*described, *notes])


def gmean_table(models: Sequence[ModelScores], cohort: StudyCohort, *, replicates: int = 1000) -> ResultTable:
    """Recall, specificity and more at the threshold of each model (Lahlou et al., equations 1 to 3).

    Args:
        models (`list[ModelScores]`): Models in order.
        cohort ([`StudyCohort`]): Their stays.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.

    Returns:
        [`ResultTable`]: One row per model.
    """
    results = {
        model.name: score_at_threshold(
            (cohort.labels("validation"), model.validation),
            (cohort.labels("test"), model.test),
            test_patients=cohort.patients("test"),
            replicates=replicates,
        )
        for model in models
    }
    return threshold_table(results, title="Readmission: at the G-mean threshold, chosen on validation stays")


def recalibration_table(model: ModelScores, cohort: StudyCohort, *, replicates: int = 1000) -> ResultTable:
    """Calibration of one model: as trained, as the paper's balanced sampling would leave it, and after each remedy.

    Args:
        model ([`ModelScores`]): The model.
        cohort ([`StudyCohort`]): Its stays.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.

    Returns:
        [`ResultTable`]: One row per form of the risks.
    """
    learned, tested = cohort.labels("validation"), cohort.labels("test")
    share = float(cohort.labels("train").mean())
    balance = PriorCorrection(training_share=share, true_share=BALANCED_SHARE)
    back = PriorCorrection(training_share=BALANCED_SHARE, true_share=share)
    platt, isotonic = fit_platt(learned, model.validation), fit_isotonic(learned, model.validation)
    skewed = balance(model.test)
    forms = {
        "as trained": model.test,
        "Platt": platt(model.test),
        "isotonic": isotonic(model.test),
        "sampled three to one": skewed,
        "sampled three to one, then prior correction": back(skewed),
        "sampled three to one, then Platt": fit_platt(learned, balance(model.validation))(skewed),
    }
    return calibration_table(
        tested,
        forms,
        cohort.patients("test"),
        title=f"Readmission: calibration before and after, {model.name}",
        replicates=replicates,
    )


def size_table(
    sizes: Sequence[tuple[int, Sequence[ModelScores]]], cohort: StudyCohort, *, replicates: int = 1000
) -> ResultTable:
    """AUROC and recall against the number of training stays (Lahlou et al., Table 1).

    Args:
        sizes (`list[tuple[int, list[ModelScores]]]`): Training stays, and the models that learned from them.
        cohort ([`StudyCohort`]): The stays.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.

    Returns:
        [`ResultTable`]: One row per size and model.
    """
    labels, patients = cohort.labels("test"), cohort.patients("test")
    rows: list[dict[str, Cell]] = []
    for stays, models in sizes:
        for model in models:
            found = score_at_threshold(
                (cohort.labels("validation"), model.validation),
                (labels, model.test),
                test_patients=patients,
                replicates=replicates,
            )
            rows.append(
                {
                    "training stays": stays,
                    "model": model.name,
                    "AUROC": clustered_interval(auroc, labels, model.test, patients, replicates=replicates),
                    "recall": found.metrics["recall"],
                    "specificity": found.metrics["specificity"],
                }
            )
    note = (
        "The same test stays for every size. Recall and specificity at the G-mean threshold of validation stays. "
        "Networks take four times as many passes over a sample as over all stays."
    )
    return ResultTable("Readmission: by the number of training stays", rows, [note])


def interval_row(
    labels: npt.NDArray[Any], scores: npt.NDArray[Any], patients: npt.NDArray[Any], *, replicates: int = 1000
) -> dict[str, MetricInterval]:
    """AUROC and AUPRC of one set of stays, as cells.

    Args:
        labels (`NDArray` of shape `(stays,)`): 0 or 1.
        scores (`NDArray[float]` of shape `(stays,)`): Risks.
        patients (`NDArray` of shape `(stays,)`): Patient of each stay.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.

    Returns:
        `dict[str, MetricInterval]`: Cells by column.
    """
    return {
        name: clustered_interval(metric, labels, scores, patients, replicates=replicates)
        for name, metric in (("AUROC", auroc), ("AUPRC", auprc))
    }
