"""Refuse to train and evaluate on the same patients."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.training.tokenized_patients import DIGEST_COLUMN, TokenizedPatients, read_numbers


def require_disjoint_patients(train_dataset: Any, eval_dataset: Any) -> None:
    """Raise if a patient of the training set is in an evaluation set.

    Data sets without patient digests, such as streams or hand-made rows, cannot be checked and pass.

    Args:
        train_dataset (`datasets.Dataset` or [`TokenizedPatients`]): Training rows.
        eval_dataset (`datasets.Dataset`, [`TokenizedPatients`], or a dictionary of them): Evaluation rows.

    Raises:
        ClaimDataError: `E_SPLIT_OVERLAP` if a patient is in both. The message holds counts, no identifier.

    Examples:
        >>> import datasets
        >>> train = datasets.Dataset.from_dict({"patient_digest": [1, 2, 3]})
        >>> test = datasets.Dataset.from_dict({"patient_digest": [4, 5]})
        >>> require_disjoint_patients(train, test)
        >>> require_disjoint_patients(train, datasets.Dataset.from_dict({"patient_digest": [3, 3, 4]}))
        Traceback (most recent call last):
            ...
        claim_transformers.codes.errors.ClaimDataError: E_SPLIT_OVERLAP: expected no patient in both...
    """
    if isinstance(eval_dataset, Mapping):
        for dataset in eval_dataset.values():
            require_disjoint_patients(train_dataset, dataset)
        return
    train, held_out = _digests(train_dataset), _digests(eval_dataset)
    if train is None or held_out is None:
        return
    shared = np.intersect1d(train, held_out)
    if len(shared):
        raise ClaimDataError(
            "E_SPLIT_OVERLAP",
            "expected no patient in both the training and the evaluation set, found "
            f"{len(shared)} of {len(np.unique(held_out))} evaluation patients in both; split by patient, never by row",
        )


def _digests(dataset: Any) -> npt.NDArray[np.int64] | None:
    """Patient digests of a data set, where it carries them."""
    source = dataset.source if isinstance(dataset, TokenizedPatients) else dataset
    columns = getattr(source, "column_names", None)
    if columns is None or DIGEST_COLUMN not in columns or not hasattr(source, "__len__"):
        return None
    return read_numbers(source, DIGEST_COLUMN)
