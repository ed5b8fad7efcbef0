"""Predictions for the rows of a cohort, in one form for every model, so that all can be compared."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from claim_transformers.claims.files import private_folder, replacing_file, to_json, write_file
from claim_transformers.claims.small_cells import HIDDEN, is_small
from claim_transformers.training.bootstrap import MetricInterval, clustered_interval
from claim_transformers.training.cost_metrics import score_amounts
from claim_transformers.training.labels import label_name
from claim_transformers.training.metrics import WeightedMetric, auprc, auroc, brier, calibration_error

if TYPE_CHECKING:
    import pyarrow as pa

_BINARY_METRICS: dict[str, WeightedMetric] = {
    "AUROC": auroc,
    "AUPRC": auprc,
    "Brier": brier,
    "calibration error": calibration_error,
}
PREDICTIONS, METRICS = "predictions.parquet", "metrics.json"
# Which example a prediction is of.
PREDICTION_KEYS = ("patient_id", "index_day")
_TEST = "test"


def score_binary(
    labels: npt.ArrayLike, scores: npt.ArrayLike, clusters: npt.ArrayLike | None = None, *, replicates: int = 1000
) -> dict[str, MetricInterval]:
    """Compute AUROC, AUPRC, Brier score and calibration error with their intervals over resampled patients.

    Args:
        labels (array of shape `(N,)`): 0 or 1.
        scores (array of shape `(N,)`): Probabilities of 1.
        clusters (array of shape `(N,)`, *optional*): Patient of each row; each row is a patient without it.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.

    Examples:
        >>> score_binary([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.7], replicates=50)["AUROC"].value
        1.0
    """
    return {
        name: clustered_interval(metric, labels, scores, clusters, replicates=replicates)
        for name, metric in _BINARY_METRICS.items()
    }


def save_predictions(
    folder: str | Path, examples: "pa.Table", scores: npt.ArrayLike, *, name: str, split: str = _TEST, **details: Any
) -> dict[str, str]:
    """Write the predictions of one model on one split, and its metrics.

    `predictions.parquet` holds `patient_id` and, where the split has one, `index_day`, as the caller has them and by
    which predictions are joined; `row` (position in the split), `patient` (a number that only tells rows of one
    patient from rows of others), `label` and `score`. It stays where the patients are: no push takes it. Splits other
    than `"test"` have files of their own: `predictions_validation.parquet` and `metrics_validation.json`. A threshold
    is chosen there, and a recalibration fitted.

    Args:
        folder (`str` or `Path`): Folder of the model; made when absent.
        examples (`pa.Table`): The split, with `patient_id`, `label` and, for a cohort, `index_day`.
        scores (array of shape `(N,)`): Probabilities of label 1, or predicted amounts, in row order.
        name (`str`): Name of the model for tables.
        split (`str`, *optional*, defaults to `"test"`): The split, which names the files.
        details (*optional*): Further facts for `metrics.json`, such as the seed.

    Returns:
        `dict[str, str]`: Each metric with its interval, ready to print; hidden where 1 to 10 rows have the outcome, or
            have not. `metrics.json` stays where the patients are and holds them all.

    Raises:
        ValueError: If there is not one score per row.
        ClaimDataError: `E_WRITE` if a file cannot be written, `E_MEMORY` if memory is full; the old file stands.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    scores = np.asarray(scores, np.float64)
    if scores.shape != (examples.num_rows,):
        raise ValueError(f"expected one score for each of {examples.num_rows} rows, found shape {scores.shape}")
    patient = pc.rank(examples["patient_id"], tiebreaker="dense")
    if (label := label_name(examples.column_names)) is None:
        raise ValueError("expected a column 'label' beside the scores, found none; score a labelled split")
    labels = examples[label].to_numpy()
    labels = labels.astype(np.int64) if labels.dtype == bool else labels
    table = {name: examples[name] for name in PREDICTION_KEYS if name in examples.column_names}
    table |= {"row": np.arange(len(scores), dtype=np.int32), "patient": patient, "label": labels, "score": scores}
    # An amount of money is a fraction; 0 and 1 are classes, however they are stored.
    is_amount = np.issubdtype(labels.dtype, np.floating) and not np.isin(labels, (0, 1)).all()
    found = (score_amounts if is_amount else score_binary)(labels, scores, patient.to_numpy())
    content = {
        "name": name,
        "examples": len(scores),
        "positives": int(np.count_nonzero(labels)),
        "metrics": {metric: interval.to_dict() for metric, interval in found.items()},
        **details,
    }
    text = to_json(content, nan_to_null=True)
    folder = private_folder(folder)
    with replacing_file(folder / file_of_split(PREDICTIONS, split)) as path:
        pq.write_table(pa.table(table), path)
    write_file(folder / file_of_split(METRICS, split), text)
    if is_amount:
        return {metric: HIDDEN if is_small(len(labels)) else str(interval) for metric, interval in found.items()}
    smaller = min(int(np.count_nonzero(labels)), int(np.count_nonzero(labels == 0)))
    return {metric: HIDDEN if is_small(smaller) else str(interval) for metric, interval in found.items()}


def file_of_split(name: str, split: str) -> str:
    """Name the file of a split."""
    path = Path(name)
    return name if split == _TEST else f"{path.stem}_{split}{path.suffix}"
