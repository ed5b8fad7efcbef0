"""Labels of patients: which column holds them, and whether they are what a head is trained with."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from claim_transformers.training.collators import IGNORE_INDEX

if TYPE_CHECKING:
    import datasets

LABEL_COLUMN = "label"
_OTHER_NAME = "labels"


def label_name(columns: Iterable[str]) -> str | None:
    """The column of the labels: `label`, or `labels` as in other data sets."""
    found = [name for name in columns if name in (LABEL_COLUMN, _OTHER_NAME)]
    if len(found) > 1:
        raise ValueError("expected one column of labels, found 'label' and 'labels'; remove the one that is not meant")
    return found[0] if found else None


def require_fitting_labels(dataset: "datasets.Dataset", split: str, config: Any, *, of_visits: bool = False) -> None:
    """Refuse labels that a head cannot be trained with, or that could mean two things, before torch does."""
    import pyarrow as pa
    import pyarrow.compute as pc

    name, where = label_name(dataset.column_names), f"in the split {split!r}"
    if name is None:
        raise ValueError(f"expected a column 'label' {where}, found none; build the cohort with a label")
    column = dataset.select_columns([name]).with_format("arrow")[:].column(name)
    is_list = hasattr(column.type, "value_type") and not pa.types.is_dictionary(column.type)
    values = pc.list_flatten(column) if is_list else column
    if unknown := column.null_count + values.null_count * is_list:
        raise ValueError(f"expected a label in every row {where}, found {unknown} nulls; leave those rows out")
    if not (pa.types.is_boolean(values.type) or pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        raise ValueError(
            f"expected labels that are numbers or truth values {where}, found {values.type}; number the classes "
            "from 0, for instance by dataset.class_encode_column('label'), and keep the same numbers in every split"
        )
    numbers = values.cast(pa.float64()).to_numpy()
    if unknown := int((~np.isfinite(numbers)).sum()):
        raise ValueError(f"expected a label in every row {where}, found {unknown} that are no number; leave them out")
    classes = config.num_labels
    if classes == 1 or config.problem_type == "regression":
        return
    if is_list and not of_visits:
        widths = set(pc.unique(pc.list_value_length(column)).to_pylist())
        if widths - {classes} or not ((numbers >= 0) & (numbers <= 1)).all():
            raise ValueError(
                f"expected {classes} labels from 0 to 1 in every row {where}, found other numbers of them or values; "
                "give the model num_labels as wide as the labels"
            )
        return
    if pa.types.is_floating(values.type):
        raise ValueError(
            f"expected whole numbers as classes {where}, found {values.type}; cast classes with "
            "dataset.cast_column('label', Value('int64')), or estimate a number with num_labels=1 (an amount with "
            "start_from_amounts, or --start_at amounts)"
        )
    judged = numbers[numbers != IGNORE_INDEX] if of_visits else numbers
    if judged.size and not (judged.min() >= 0 and judged.max() < classes):
        raise ValueError(
            f"expected classes from 0 to {classes - 1} {where}, as num_labels={classes} of the model, found "
            f"{judged.min():.0f} to {judged.max():.0f}; number the classes from 0, or give the model more labels"
        )
