"""Comparison of models on the same patients, from the predictions that they left."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from claim_transformers.training import MetricInterval, auroc, paired_difference, score_binary
from claim_transformers.training.predictions import METRICS, PREDICTION_KEYS, PREDICTIONS

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Comparison:
    """Metrics of several models on one split, with patient-clustered intervals.

    Args:
        labels (`NDArray[int]` of shape `(examples,)`): Outcomes.
        scores (`dict[str, NDArray[float]]`): Scores by name of the model.
        metrics (`dict[str, dict[str, MetricInterval]]`): Metrics by model and name.
        reference (`str`): The model that the others are compared with.
        differences (`dict[str, MetricInterval]`): AUROC of each other model minus that of the reference, paired.
    """

    labels: NDArray[np.int64]
    scores: Mapping[str, NDArray[np.float64]]
    metrics: Mapping[str, Mapping[str, MetricInterval]]
    reference: str
    differences: Mapping[str, MetricInterval]

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values, for `results.json` and the model card."""
        return {
            "examples": len(self.labels),
            "positives": int(self.labels.sum()),
            "reference": self.reference,
            "models": {
                name: {
                    "metrics": {metric: interval.to_dict() for metric, interval in found.items()},
                    "auroc_difference": self.differences[name].to_dict() if name in self.differences else None,
                }
                for name, found in self.metrics.items()
            },
        }

    def to_rich(self) -> "Table":
        """The table that the command line prints: discrimination only, so that it fits a narrow terminal."""
        from rich.table import Table

        table = Table(title=f"Test split: {len(self.labels)} patients, {int(self.labels.sum())} with the outcome")
        columns = ["AUROC"]
        table.add_column("model")
        for column in [*columns, f"AUROC minus {self.reference}"]:
            table.add_column(column, justify="right")
        for name, found in self.metrics.items():
            difference = str(self.differences[name]) if name in self.differences else ""
            table.add_row(name, *(str(found[column]) for column in columns), difference)
        return table


def compare_models(folders: Sequence[str | Path], *, reference: str | None = None) -> Comparison:
    """Reads the predictions of several models and compares them on the same rows, joined by patient and index date.

    Args:
        folders (`list[str]`): Folders with `predictions.parquet` and `metrics.json`, as `save_predictions` writes.
        reference (`str`): Name of the model that the others are compared with; the best logistic regression when
            `None`, or the first model where there is none.

    Returns:
        `Comparison`: Metrics, intervals and paired differences.

    Raises:
        ValueError: If there is no folder, the models were scored on different rows, an example was scored twice, the
            reference is unknown, or two models bear one name.
    """
    if not folders:
        raise ValueError("expected folders with predictions, found none")
    scores: dict[str, NDArray[np.float64]] = {}
    labels, patients, examples = np.zeros(0, np.int64), np.zeros(0, np.int64), pa.table({})
    for position, folder in enumerate(map(Path, folders)):
        name = str(json.loads((folder / METRICS).read_text(encoding="utf-8"))["name"])
        if name in scores:
            raise ValueError(
                f"expected models of different names, found {name!r} in {folder.name!r} and in a folder before it; "
                "give one of them a --name"
            )
        table, keys = _by_example(folder)
        found = table["label"].to_numpy().astype(np.int64)
        if position == 0:
            labels, patients, examples = found, table["patient"].to_numpy(), keys
        elif not keys.equals(examples) or not np.array_equal(found, labels):
            raise ValueError(
                f"expected all models on the same rows, found others in {folder.name!r}: predictions are joined by "
                f"{' and '.join(examples.column_names)}, and labels must agree"
            )
        scores[name] = table["score"].to_numpy()
    metrics = {name: score_binary(labels, score, patients) for name, score in scores.items()}
    reference = reference or _default_reference(metrics)
    if reference not in scores:
        raise ValueError(f"expected a reference among {sorted(scores)}, found {reference!r}")
    differences = {
        name: paired_difference(auroc, labels, score, scores[reference], patients)
        for name, score in scores.items()
        if name != reference
    }
    return Comparison(labels, scores, metrics, reference, differences)


def _by_example(folder: Path) -> tuple[pa.Table, pa.Table]:
    """Predictions in the order of their examples, whatever the order of the file, and which examples those are."""
    table = pq.read_table(folder / PREDICTIONS)
    names = [name for name in PREDICTION_KEYS if name in table.column_names]
    if "patient_id" not in names:
        raise ValueError(
            f"expected patient_id in {PREDICTIONS} of {folder.name!r}, found none: it is of an older version; score "
            "the split again"
        )
    table = table.sort_by([(name, "ascending") for name in names])
    keys = table.select(names).combine_chunks()
    if keys.group_by(names).aggregate([]).num_rows != keys.num_rows:
        raise ValueError(
            f"expected one prediction for each {' and '.join(names)} in {folder.name!r}, found several; keep "
            "index_day in the examples that are scored"
        )
    return table, keys


def _default_reference(metrics: Mapping[str, Mapping[str, MetricInterval]]) -> str:
    """The best of the logistic regressions: the rival to beat."""
    rivals = [name for name in metrics if name.startswith("LR")]
    if not rivals:
        return next(iter(metrics))
    return max(rivals, key=lambda name: metrics[name]["AUROC"].value or 0.0)
