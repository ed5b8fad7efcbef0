"""Predictions of a split as a model's folder holds them, and the examples of the cohort that they are of."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from claim_transformers.training.predictions import PREDICTION_KEYS, PREDICTIONS, file_of_split


@dataclass(frozen=True)
class SplitPredictions:
    """Predictions in the order of their examples, whatever the order of the file."""

    keys: pa.Table
    labels: NDArray[Any]
    scores: NDArray[np.float64]
    patients: NDArray[Any]

    @property
    def is_number(self) -> bool:
        """Whether the outcome is a number, and not one that happens or does not."""
        return not bool(np.isin(self.labels, (0, 1)).all())

    def examples(self, split: pa.Table) -> pa.Table:
        """The rows of a split of the cohort in the order of the predictions."""
        names = self.keys.column_names
        found = split.take(pc.sort_indices(split.select(names), [(name, "ascending") for name in names]))
        if not found.select(names).combine_chunks().equals(self.keys.cast(found.select(names).schema)):
            raise ValueError(
                "expected predictions of the examples of the cohort, found others; score its splits again, or give "
                "the cohort that the model was fine-tuned on"
            )
        return found


def read_predictions(folder: Path, split: str = "test") -> SplitPredictions:
    """Read the predictions of a split, joined by patient and index date."""
    path = folder / file_of_split(PREDICTIONS, split)
    if not path.is_file():
        raise FileNotFoundError(
            f"expected {path.name} in {folder.name!r}, found none; fine-tune or score the model on a cohort first"
        )
    table = pq.read_table(path)
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
    columns = {name: table[name].to_numpy() for name in ("label", "score", "patient")}
    labels = columns["label"]
    labels = labels.astype(np.int64) if np.isin(labels, (0, 1)).all() else labels.astype(np.float64)
    return SplitPredictions(keys, labels, columns["score"].astype(np.float64), columns["patient"])
