"""Comparison of models on the same patients, from the predictions that they left."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from claim_transformers.claims.small_cells import FEW, HIDDEN, Shown, is_small, show, show_counts
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
        raw_counts (`bool`, *optional*): Whether counts of 1 to 10 are shown, and metrics of so few.
        counts (`Mapping[str, int | str]`, *optional*): Rows (`examples`) and `positives` as they are shown, where that
            follows from more than the split itself.
    """

    labels: NDArray[np.int64]
    scores: Mapping[str, NDArray[np.float64]]
    metrics: Mapping[str, Mapping[str, MetricInterval]]
    reference: str
    differences: Mapping[str, MetricInterval]
    raw_counts: bool = False
    counts: Mapping[str, Shown] = field(default_factory=dict)

    @property
    def shown_counts(self) -> Mapping[str, Shown]:
        """Rows and those with the outcome as they may be shown."""
        positives = int(self.labels.sum())
        counts = {"examples": len(self.labels), "positives": positives, "others": len(self.labels) - positives}
        return self.counts or show_counts(counts, [("examples", ["positives", "others"])], raw=self.raw_counts)

    @property
    def hides_metrics(self) -> bool:
        """Whether so few rows have an outcome, or have none, that a metric would tell how many."""
        smaller = min(int(self.labels.sum()), int((self.labels == 0).sum()))
        return is_small(smaller) and not self.raw_counts

    def show(self, interval: MetricInterval) -> str:
        """A metric as text."""
        return HIDDEN if self.hides_metrics else str(interval)

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values, for `results.json` and the model card."""
        hidden = MetricInterval(None, None, None, 0, 0, reason=f"outcomes of {FEW}").to_dict()
        return {
            **{name: self.shown_counts[name] for name in ("examples", "positives")},
            "reference": self.reference,
            "models": {
                name: {
                    "metrics": {
                        metric: hidden if self.hides_metrics else interval.to_dict()
                        for metric, interval in found.items()
                    },
                    "auroc_difference": self.differences[name].to_dict()
                    if name in self.differences and not self.hides_metrics
                    else None,
                }
                for name, found in self.metrics.items()
            },
        }

    def to_rich(self) -> "Table":
        """The table that the command line prints: discrimination only, so that it fits a narrow terminal."""
        from rich.table import Table

        rows, positives = (show(self.shown_counts[name]) for name in ("examples", "positives"))
        table = Table(title=f"Test split: {rows} patients, {positives} with the outcome")
        columns = ["AUROC"]
        table.add_column("model")
        for column in [*columns, f"AUROC minus {self.reference}"]:
            table.add_column(column, justify="right")
        for name, found in self.metrics.items():
            difference = self.show(self.differences[name]) if name in self.differences else ""
            table.add_row(name, *(self.show(found[column]) for column in columns), difference)
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
