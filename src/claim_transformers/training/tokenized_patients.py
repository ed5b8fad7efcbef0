"""Tokenised patients: made once from a `datasets.Dataset`, then read as Arrow tables without touching a row."""

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from claim_transformers.claims.small_cells import show_count
from claim_transformers.training.keyed_random import row_digests
from claim_transformers.training.labels import LABEL_COLUMN, label_name
from claim_transformers.training.landmarks import AGE_COLUMNS, SPAN_COLUMNS, observation_columns
from claim_transformers.version import __version__

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

    from claim_transformers.models.claim.tokenization_claim import ClaimTokenizer

_TOKEN_COLUMNS = ("input_ids", "visit_ids", "visit_days", "category_ids")
_OBSERVATION_COLUMNS = (*SPAN_COLUMNS, *AGE_COLUMNS)
LENGTH_COLUMN = "length"
DIGEST_COLUMN = "patient_digest"


class TokenizedPatients(torch.utils.data.Dataset["pa.Table"]):
    """Map-style view of a tokenised `datasets.Dataset` that reads a whole batch as one `pa.Table`.

    `Trainer` takes it as it is, with `remove_unused_columns=False`: the data loader asks for a batch of rows at once
    and the collator receives the table. Rows stay memory-mapped until then. Two columns are added, `row`, the stable
    number of the row, and `epoch`, so that the collator needs no state.

    Args:
        dataset (`datasets.Dataset`): Rows from [`tokenize_dataset`].
        epoch (`int`, *optional*, defaults to `0`): Epoch that is handed to the collator. [`EpochFromState`] sets it
            while training; data sets for evaluation keep theirs.

    Raises:
        KeyError: If the data set is not tokenised.

    Examples:
        >>> import datasets
        >>> columns = {"input_ids": [[5, 6], [7]], "visit_ids": [[0, 1], [0]], "visit_days": [[0, 0], [0]]}
        >>> patients = TokenizedPatients(datasets.Dataset.from_dict(columns))
        >>> table = patients.__getitems__([1, 0])
        >>> table["input_ids"].to_pylist(), table["row"].to_pylist(), table["epoch"].to_pylist()
        ([[7], [5, 6]], [1, 0], [0, 0])
    """

    def __init__(self, dataset: "datasets.Dataset", epoch: int = 0) -> None:
        missing = {"input_ids", "visit_ids", "visit_days"} - set(dataset.column_names)
        if missing:
            raise KeyError(
                f"expected the columns of tokenised patients, found no {sorted(missing)}; run tokenize_dataset"
            )
        if label_name(dataset.column_names) not in (None, LABEL_COLUMN):
            dataset = dataset.rename_column("labels", LABEL_COLUMN)
        read = [
            name for name in (*_TOKEN_COLUMNS, *_OBSERVATION_COLUMNS, LABEL_COLUMN) if name in dataset.column_names
        ]
        self.source = dataset
        self.epoch = epoch
        self._rows = dataset.select_columns(read).with_format("arrow")

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, row: int) -> "pa.Table":
        return self.__getitems__([row])

    def __getitems__(self, rows: Sequence[int]) -> "pa.Table":
        """Read rows as one table."""
        import pyarrow as pa

        # One copy of the rows asked for: each is a chunk of its own until then.
        table = self._rows[list(rows)].combine_chunks()
        table = table.append_column("row", pa.array(rows, pa.int64()))
        return table.append_column("epoch", pa.array(np.full(len(rows), self.epoch)))

    def lengths(self) -> npt.NDArray[np.int64]:
        """Return the number of slots of each row, the patient's slot included."""
        lengths = read_numbers(self.source, LENGTH_COLUMN)
        if lengths is None:
            raise KeyError(
                f"expected a column '{LENGTH_COLUMN}' of tokenised patients, found none; run tokenize_dataset"
            )
        return lengths


def read_numbers(dataset: "datasets.Dataset", column: str) -> npt.NDArray[np.int64] | None:
    """Read one whole-number column of a data set."""
    if column not in dataset.column_names:
        return None
    table = dataset.select_columns([column]).with_format("arrow")[:]
    return np.asarray(table.column(column).to_numpy(), dtype=np.int64)


def tokenize_dataset(
    dataset: Any, tokenizer: "ClaimTokenizer", *, batch_size: int = 5000, num_proc: int | None = None
) -> Any:
    """Tokenise patients or cohort examples in Arrow batches.

    The result is cached under a fingerprint of the data, of every file that the tokenizer saves and of the version of
    this package, so a changed tokenizer can never meet tokens of the old one. The cache is patient data in clear.

    Args:
        dataset (`datasets.Dataset`, `DatasetDict`, `IterableDataset` or `IterableDatasetDict`): Rows of the patients
            table, with `index_day` and `label` for a cohort.
        tokenizer ([`ClaimTokenizer`]): Tokenizer with a vocabulary.
        batch_size (`int`, *optional*, defaults to `5000`): Rows per call of `tokenizer.encode_table`.
        num_proc (`int`, *optional*): Processes; only for data sets that are not streamed.

    Returns:
        The same kind of object with the columns `input_ids`, `visit_ids`, `visit_days`, `category_ids`, `length`, a
        `patient_digest` where the rows have a `patient_id`, and `label` if they have that or `labels`. Rows without
        an index date, those of pretraining, get `span_start_days` and `span_end_days` (enrolment, counted from the
        first visit in view), `age_birth_day` and `age_first_day` (that visit), where the patients table knows them.

    Raises:
        ValueError: If `num_proc` is asked for on a stream.

    Examples:
        >>> import datasets
        >>> from claim_transformers.models.claim.tokenization_claim import ClaimTokenizer
        >>> tokenizer = ClaimTokenizer({"SEX/F": 3, "TYPE/OP": 4, "ICD9CM/493": 5}, time_tokens="none")
        >>> patient = {"sex": "F", "visit_day": [7], "visit_type": ["OP"], "codes": [["ICD9CM/49392"]]}
        >>> tokenize_dataset(datasets.Dataset.from_list([patient]), tokenizer)[0]["input_ids"]
        [3, 4, 5]
    """
    if isinstance(dataset, dict):
        splits = {
            name: tokenize_dataset(split, tokenizer, batch_size=batch_size, num_proc=num_proc)
            for name, split in dataset.items()
        }
        return type(dataset)(splits)

    options: dict[str, Any] = {
        "batched": True,
        "batch_size": batch_size,
        "fn_kwargs": {"tokenizer": tokenizer},
    }
    fingerprint = getattr(dataset, "_fingerprint", None)
    if fingerprint is None:
        if num_proc is not None:
            raise ValueError("expected no num_proc for a streamed data set: it is tokenised while it is read")
    else:
        key = f"{fingerprint}|{tokenizer_digest(tokenizer)}|{__version__}"
        options["new_fingerprint"] = hashlib.sha256(key.encode()).hexdigest()[:32]
        # Not of a stream, which would lose the label: it removes these from what the function gives (datasets 5.2).
        options |= {
            "num_proc": num_proc,
            "writer_batch_size": batch_size,
            "desc": "Tokenising patients",
            "remove_columns": dataset.column_names,
        }
    return dataset.with_format("arrow").map(encode_batch, **options).with_format(None)


def tokenizer_digest(tokenizer: "ClaimTokenizer") -> str:
    """Digest every file that a tokenizer saves, which is all that decides about its tokens."""
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        for path in sorted(Path(folder).iterdir()):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def patient_digests(patient_ids: "pa.ChunkedArray") -> npt.NDArray[np.int64]:
    """Digest patient identifiers into whole numbers, for joins and overlap checks without strings."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if patient_ids.null_count:
        raise ValueError(f"expected a patient_id in every row, found none in {show_count(patient_ids.null_count)}")
    identifiers = pc.cast(patient_ids, pa.large_string()).combine_chunks()
    lengths = pc.binary_length(identifiers).to_numpy(zero_copy_only=False).astype(np.int64)
    if len(identifiers) == 0:
        return np.zeros(0, np.int64)
    offsets = np.frombuffer(identifiers.buffers()[1], np.int64)[identifiers.offset :]
    letters = np.frombuffer(identifiers.buffers()[2] or b"", np.uint8)
    return row_digests(letters[offsets[0] : offsets[len(identifiers)]], lengths)


def encode_batch(table: "pa.Table", tokenizer: "ClaimTokenizer") -> "pa.Table":
    """Encode one Arrow batch and carry along what the trainer needs beside the tokens."""
    import pyarrow as pa

    encoded = tokenizer.encode_table(table, keep_columns=[])
    if (name := label_name(table.column_names)) is not None:
        encoded = encoded.append_column(LABEL_COLUMN, table.column(name))
    if "index_day" not in table.column_names:
        for name, column in observation_columns(table, encoded.column("visit_days")).items():
            encoded = encoded.append_column(name, column)
    if "patient_id" in table.column_names:
        encoded = encoded.append_column(DIGEST_COLUMN, pa.array(patient_digests(table.column("patient_id"))))
    return encoded
