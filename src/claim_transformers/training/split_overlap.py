"""Overlap of splits: patients of an evaluation stay out of the training that it judges."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from claim_transformers.claims.small_cells import show_count, show_part_of
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.training.tokenized_patients import DIGEST_COLUMN, TokenizedPatients, read_numbers

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa


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
        held = len(np.unique(held_out))
        raise ClaimDataError(
            "E_SPLIT_OVERLAP",
            "expected no patient in both the training and the evaluation set, found "
            f"{show_part_of(len(shared), held)} evaluation patients in both; split by patient, never by row",
        )


def leave_out_patients(patients: "datasets.DatasetDict", cohort: "datasets.DatasetDict") -> "datasets.DatasetDict":
    """Leave the patients of a cohort out of pretraining, whatever split of the cohort they are in.

    Args:
        patients (`datasets.DatasetDict`): Rows with a `patient_id`.
        cohort (`datasets.DatasetDict`): Rows with a `patient_id` that are left out.

    Returns:
        `datasets.DatasetDict`: The rows of everybody else, in their order.

    Raises:
        ClaimDataError: `E_NO_PATIENTS` if nobody is left in a split that had patients.

    Examples:
        >>> import datasets
        >>> patients = datasets.DatasetDict(train=datasets.Dataset.from_dict({"patient_id": ["A", "B", "C"]}))
        >>> cohort = datasets.DatasetDict(test=datasets.Dataset.from_dict({"patient_id": ["B"]}))
        >>> leave_out_patients(patients, cohort)["train"]["patient_id"][:]
        ['A', 'C']
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    def identifiers(dataset: "datasets.Dataset") -> "pa.ChunkedArray":
        column = dataset.select_columns(["patient_id"]).with_format("arrow")[:].column("patient_id")
        return column.cast(pa.string())

    left_out = pa.chunked_array(
        [chunk for split in cohort.values() for chunk in identifiers(split).chunks], pa.string()
    )
    kept = {}
    for name, split in patients.items():
        is_left_out = pc.is_in(identifiers(split), value_set=left_out.combine_chunks())
        kept[name] = split.select(np.flatnonzero(~is_left_out.to_numpy()))
        if len(split) and not len(kept[name]):
            raise ClaimDataError(
                "E_NO_PATIENTS",
                f"expected patients outside the cohort in the split '{name}', found all {show_count(len(split))} rows "
                "inside; pretrain on a larger population",
            )
    return type(patients)(kept)


def _digests(dataset: Any) -> npt.NDArray[np.int64] | None:
    """Patient digests of a data set, where it carries them."""
    source = dataset.source if isinstance(dataset, TokenizedPatients) else dataset
    columns = getattr(source, "column_names", None)
    if columns is None or DIGEST_COLUMN not in columns or not hasattr(source, "__len__"):
        return None
    return read_numbers(source, DIGEST_COLUMN)
