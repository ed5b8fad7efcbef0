"""Repeats of a split by patient: the same patients for every model, others in every repeat."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.splits import SPLITS, assert_disjoint, split_of

# 70 % of the patients to learn from and 30 % to test (Claim-PT, Results). A fifth of the former chooses
# hyper-parameters and the best epoch.
TRAIN_SHARE, VALIDATION_SHARE = 0.56, 0.14


@dataclass(frozen=True)
class Repeat:
    """One of the splits of a cohort.

    Args:
        number (`int`): Which one; it is the salt of the hash and the seed of every model.
        splits (`dict[str, pa.Table]`): `train`, `validation` and `test`, sorted by patient. The columns `patient`
            (number of the patient in the cohort) and `row` (place of the example in it) are the same in all repeats.
    """

    number: int
    splits: Mapping[str, pa.Table]

    def key(self) -> dict[str, Any]:
        """What decides about the split, for the parameters of a step."""
        return {
            "repeat": self.number,
            "shares": [TRAIN_SHARE, VALIDATION_SHARE],
            "rows": [self.splits[name].num_rows for name in SPLITS],
        }


def number_patients(examples: pa.Table) -> pa.Table:
    """Sort examples by patient and number the patients, so that no identifier is needed further on.

    Args:
        examples (`pa.Table`): Examples of a cohort with a `patient_id`.

    Returns:
        `pa.Table`: The examples with the columns `patient` and `row`, whole numbers from 0.

    Examples:
        >>> number_patients(pa.table({"patient_id": ["B", "A", "B"]}))["patient"].to_pylist()
        [0, 1, 1]
    """
    ordered = examples.set_column(
        examples.column_names.index("patient_id"), "patient_id", examples["patient_id"].cast(pa.string())
    ).sort_by("patient_id")
    rank = pc.rank(ordered["patient_id"], tiebreaker="dense")
    ordered = ordered.append_column("patient", pc.subtract(rank.cast(pa.int64()), 1))
    return ordered.append_column("row", pa.array(np.arange(ordered.num_rows)))


def split_examples(examples: pa.Table, name: str, repeat: int) -> Repeat:
    """Split a cohort by a hash of the patient, salted with the name of the cohort and the number of the repeat.

    Args:
        examples (`pa.Table`): All examples of the cohort, from [`number_patients`].
        name (`str`): Name of the cohort.
        repeat (`int`): Number of the repeat, from 0.

    Returns:
        [`Repeat`]: The three splits.

    Raises:
        ClaimDataError: `E_SPLIT_OVERLAP` if a patient were in two of them.
        ValueError: If a split has nobody.

    Examples:
        >>> examples = number_patients(pa.table({"patient_id": [f"P{i}" for i in range(200)]}))
        >>> first, second = (split_examples(examples, "asthma", repeat) for repeat in (0, 1))
        >>> {split: rows.num_rows for split, rows in first.splits.items()}
        {'train': 112, 'validation': 37, 'test': 51}
        >>> first.splits["test"]["patient"].to_pylist() == second.splits["test"]["patient"].to_pylist()
        False
    """
    of_row = split_of(
        examples["patient_id"], salt=f"benchmark/{name}/{repeat}", train=TRAIN_SHARE, validation=VALIDATION_SHARE
    )
    splits = {split: examples.filter(pc.equal(of_row, split)) for split in SPLITS}
    for split, table in splits.items():
        if table.num_rows == 0:
            raise ValueError(
                f"expected patients in each split of {name!r}, found none in {split!r} of {examples.num_rows}; "
                "simulate a larger population"
            )
    assert_disjoint({split: table["patient_id"] for split, table in splits.items()})
    return Repeat(repeat, splits)


def limit_training(repeat: Repeat, patients: int, name: str) -> Repeat:
    """Keep some of the patients that are learned from, a fifth of them for validation; the test split stays.

    The choice is by hash, so that a smaller set is a part of a larger one.

    Args:
        repeat ([`Repeat`]): The whole split.
        patients (`int`): Training and validation patients to keep.
        name (`str`): Name of the cohort.

    Returns:
        [`Repeat`]: The smaller split.

    Raises:
        ValueError: If there are fewer patients than that.

    Examples:
        >>> examples = number_patients(pa.table({"patient_id": [f"P{i}" for i in range(200)]}))
        >>> small = limit_training(split_examples(examples, "asthma", 0), 50, "asthma")
        >>> {split: rows.num_rows for split, rows in small.splits.items()}
        {'train': 40, 'validation': 10, 'test': 51}
    """
    validation = round(patients * VALIDATION_SHARE / (TRAIN_SHARE + VALIDATION_SHARE))
    wanted = {"train": patients - validation, "validation": validation}
    kept = dict(repeat.splits)
    for split, count in wanted.items():
        table = repeat.splits[split]
        if table.num_rows < count:
            raise ValueError(f"expected at least {count} patients in {split!r}, found {table.num_rows}")
        order = _hash_order(table["patient_id"], f"benchmark/{name}/size/{repeat.number}")
        kept[split] = table.take(pa.array(np.sort(order[:count])))
    return Repeat(repeat.number, kept)


def _hash_order(patient_ids: pa.ChunkedArray, salt: str) -> np.ndarray:
    """Rows in an order that only the identifiers and the salt decide."""
    # Cohorts have a few thousand rows, and hashlib has no vectorised form.
    keys = [hashlib.sha256(f"{salt}|{patient_id}".encode()).digest() for patient_id in patient_ids.to_pylist()]
    return np.argsort(np.array(keys, dtype="S32"), kind="stable")
