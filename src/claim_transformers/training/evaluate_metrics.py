"""Metrics as `evaluate.Metric` classes, instantiated directly: no hub, no script, no network.

`evaluate` and `datasets` take seconds to import, so this module is imported where it is used and by nothing else.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import datasets
import evaluate
import numpy as np
import numpy.typing as npt

from claim_transformers.training.bootstrap import clustered_interval
from claim_transformers.training.metrics import auprc, auroc, brier, calibration_error, recall_at_k


class _ClaimMetric(evaluate.Metric):  # type: ignore[misc]  # evaluate is not typed
    """A metric with an optional interval over resampled patients; the base of the classes below.

    `compute(predictions=..., references=...)` gives `{name: value}`. With `clusters`, the patient of each row, it adds
    `name_low`, `name_high` and `name_clusters`. `add_batch` and `evaluate.combine` work as they do for every
    `evaluate.Metric`. Undefined values are `None`.
    """

    # The plain function behind the class, and the name of its value.
    metric: ClassVar[Callable[..., Any]]
    result_name: ClassVar[str]
    summary: ClassVar[str]
    ranks_codes: ClassVar[bool] = False

    def _info(self) -> evaluate.MetricInfo:
        number, label = datasets.Value("float32"), datasets.Value("int32")
        features = {
            "predictions": datasets.List(number) if self.ranks_codes else number,
            "references": datasets.List(label) if self.ranks_codes else label,
        }
        return evaluate.MetricInfo(
            description=self.summary,
            citation="",
            inputs_description=f"{self.summary} Give `clusters`, the patient of each row, for a 95 % interval.",
            features=datasets.Features(features),
        )

    def _compute(
        self,
        predictions: npt.ArrayLike,
        references: npt.ArrayLike,
        clusters: npt.ArrayLike | None = None,
        replicates: int = 1000,
        seed: int = 0,
        **options: Any,
    ) -> dict[str, float | int | None]:
        metric, name = partial(self.metric, **options), self.result_name
        if clusters is None:
            value = float(metric(references, predictions))
            return {name: None if np.isnan(value) else value}
        interval = clustered_interval(metric, references, predictions, clusters, replicates=replicates, seed=seed)
        return {
            name: interval.value,
            f"{name}_low": interval.low,
            f"{name}_high": interval.high,
            f"{name}_clusters": interval.clusters,
        }


class Auroc(_ClaimMetric):
    """Area under the receiver operating characteristic, see [`auroc`]."""

    metric = staticmethod(auroc)
    result_name = "auroc"
    summary = "Area under the receiver operating characteristic; ties count one half."


class Auprc(_ClaimMetric):
    """Area under the precision-recall curve, see [`auprc`]."""

    metric = staticmethod(auprc)
    result_name = "auprc"
    summary = "Average precision; a random score gives the share of positives."


class Brier(_ClaimMetric):
    """Mean squared difference of probability and label, see [`brier`]."""

    metric = staticmethod(brier)
    result_name = "brier"
    summary = "Mean squared difference of probability and label; smaller is better."


class CalibrationError(_ClaimMetric):
    """Expected calibration error, see [`calibration_error`] for `bins` and `binning`."""

    metric = staticmethod(calibration_error)
    result_name = "calibration_error"
    summary = "Mean gap of predicted and observed risk over bins; smaller is better."


class RecallAtK(_ClaimMetric):
    """Share of true codes among the highest ranked, see [`recall_at_k`] for `k`.

    Examples:
        >>> RecallAtK().compute(predictions=[[0.9, 0.5, 0.1]], references=[[1, 0, 1]], k=1)
        {'recall_at_k': 0.5}
    """

    metric = staticmethod(recall_at_k)
    result_name = "recall_at_k"
    summary = "Mean share of the true codes of a row among its k highest scores."
    ranks_codes = True
