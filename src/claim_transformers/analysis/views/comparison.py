"""Comparison of models on the same patients, from the predictions that they left."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from claim_transformers.analysis.audit.split_predictions import read_predictions
from claim_transformers.claims.small_cells import FEW, HIDDEN, Shown, is_small, show, show_counts
from claim_transformers.training import MetricInterval, auroc, paired_difference, score_binary
from claim_transformers.training.cost_metrics import r2, score_amounts
from claim_transformers.training.predictions import METRICS

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Comparison:
    """Metrics of several models on one split, with patient-clustered intervals.

    Args:
        labels (`NDArray` of shape `(examples,)`): Outcomes, 0 and 1, or numbers.
        scores (`dict[str, NDArray[float]]`): Scores by name of the model.
        metrics (`dict[str, dict[str, MetricInterval]]`): Metrics by model and name.
        reference (`str`): The model that the others are compared with.
        differences (`dict[str, MetricInterval]`): The first metric of each other model minus that of the reference,
            paired: AUROC, or R2 of numbers.
        raw_counts (`bool`, *optional*): Whether counts of 1 to 10 are shown, and metrics of so few.
        counts (`Mapping[str, int | str]`, *optional*): Rows (`examples`) and `positives` as they are shown, where that
            follows from more than the split itself.
    """

    labels: NDArray[Any]
    scores: Mapping[str, NDArray[np.float64]]
    metrics: Mapping[str, Mapping[str, MetricInterval]]
    reference: str
    differences: Mapping[str, MetricInterval]
    raw_counts: bool = False
    counts: Mapping[str, Shown] = field(default_factory=dict)

    @property
    def is_number(self) -> bool:
        """Whether the outcome is a number, such as a cost."""
        return not bool(np.isin(self.labels, (0, 1)).all())

    @property
    def headline(self) -> str:
        """The metric by which models are compared."""
        return next(iter(self.metrics[self.reference]))

    @property
    def shown_counts(self) -> Mapping[str, Shown]:
        """Rows and those with the outcome as they may be shown."""
        positives = int(np.count_nonzero(self.labels))
        counts = {"examples": len(self.labels), "positives": positives, "others": len(self.labels) - positives}
        return self.counts or show_counts(counts, [("examples", ["positives", "others"])], raw=self.raw_counts)

    @property
    def hides_metrics(self) -> bool:
        """Whether so few rows have an outcome, or have none, that a metric would tell how many."""
        zeros = int((self.labels == 0).sum())
        smaller = len(self.labels) if self.is_number else min(len(self.labels) - zeros, zeros)
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
                    f"{self.headline.lower()}_difference": self.differences[name].to_dict()
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
        with_outcome = "" if self.is_number else f", {positives} with the outcome"
        table = Table(title=f"Test split: {rows} examples{with_outcome}")
        columns = [self.headline]
        table.add_column("model")
        for column in [*columns, f"{self.headline} minus {self.reference}"]:
            table.add_column(column, justify="right")
        for name, found in self.metrics.items():
            difference = self.show(self.differences[name]) if name in self.differences else ""
            table.add_row(name, *(self.show(found[column]) for column in columns), difference)
        return table


def compare_models(folders: Sequence[str | Path], *, reference: str | None = None) -> Comparison:
    """Read the predictions of several models and compare them on the same rows, joined by patient and index date.

    Args:
        folders (`list[str]`): Folders with `predictions.parquet` and `metrics.json`, as `save_predictions` writes.
        reference (`str`): Name of the model that the others are compared with; the best logistic regression when
            `None`, or the first model where there is none.

    Raises:
        ValueError: If there is no folder, the models were scored on different rows, an example was scored twice, the
            reference is unknown, or two models bear one name.
    """
    if not folders:
        raise ValueError("expected folders with predictions, found none")
    scores: dict[str, NDArray[np.float64]] = {}
    labels, patients, examples, is_number = np.zeros(0), np.zeros(0, np.int64), pa.table({}), False
    for position, folder in enumerate(map(Path, folders)):
        name = str(json.loads((folder / METRICS).read_text(encoding="utf-8"))["name"])
        if name in scores:
            raise ValueError(
                f"expected models of different names, found {name!r} in {folder.name!r} and in a folder before it; "
                "give one of them a --name"
            )
        found = read_predictions(folder)
        if position == 0:
            labels, patients, examples, is_number = found.labels, found.patients, found.keys, found.is_number
        elif not found.keys.equals(examples) or not np.array_equal(found.labels, labels):
            raise ValueError(
                f"expected all models on the same rows, found others in {folder.name!r}: predictions are joined by "
                f"{' and '.join(examples.column_names)}, and labels must agree"
            )
        scores[name] = found.scores
    measure, headline = (score_amounts, r2) if is_number else (score_binary, auroc)
    metrics = {name: measure(labels, score, patients) for name, score in scores.items()}
    reference = reference or _default_reference(metrics)
    if reference not in scores:
        raise ValueError(f"expected a reference among {sorted(scores)}, found {reference!r}")
    differences = {
        name: paired_difference(headline, labels, score, scores[reference], patients)
        for name, score in scores.items()
        if name != reference
    }
    return Comparison(labels, scores, metrics, reference, differences)


def _default_reference(metrics: Mapping[str, Mapping[str, MetricInterval]]) -> str:
    """The best of the logistic regressions: the rival to beat."""
    rivals = [name for name in metrics if name.startswith("LR")]
    if not rivals:
        return next(iter(metrics))
    return max(rivals, key=lambda name: next(iter(metrics[name].values())).value or 0.0)
