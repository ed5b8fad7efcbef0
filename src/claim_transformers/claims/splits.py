"""Splits by patient: a hash of the patient id, so that it never changes when the data grow."""

import hashlib
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.small_cells import show_count
from claim_transformers.codes.errors import ClaimDataError

SPLITS = ("train", "validation", "test")
DEFAULT_SALT = "claim-transformers"
_NUM_BUCKETS = 1000
_IDS_AT_ONCE = 1 << 12


def split_of(
    patient_ids: pa.Array | pa.ChunkedArray, salt: str = DEFAULT_SALT, train: float = 0.8, validation: float = 0.1
) -> pa.Array:
    """Assign each patient to train, validation or test by a salted hash of the patient id."""
    return pa.array(SPLITS).take(pa.array(split_numbers(patient_ids, salt, train, validation)))


def split_numbers(
    patient_ids: pa.Array | pa.ChunkedArray, salt: str = DEFAULT_SALT, train: float = 0.8, validation: float = 0.1
) -> np.ndarray:
    """Do what `split_of` does and answer with positions in `SPLITS`, which sort and compare faster than names."""
    if min(train, validation) < 0 or train + validation > 1 + 1e-9:
        raise ValueError(
            f"expected shares of at least 0 that sum to at most 1, found train={train} and validation={validation}"
        )
    if patient_ids.null_count:
        raise ValueError(f"expected a patient id in every row, found {show_count(patient_ids.null_count)} nulls")
    if isinstance(patient_ids, pa.ChunkedArray):
        patient_ids = patient_ids.combine_chunks()
    # Only distinct ids are hashed: hashlib takes half a microsecond each and has no vectorised form.
    encoded = pc.dictionary_encode(patient_ids)
    starts = range(0, len(encoded.dictionary), _IDS_AT_ONCE)
    buckets = np.concatenate(
        [_buckets(encoded.dictionary.slice(start, _IDS_AT_ONCE), salt) for start in starts] or [np.empty(0, np.uint64)]
    )
    first_after_train = round(train * _NUM_BUCKETS)
    first_after_validation = round((train + validation) * _NUM_BUCKETS)
    numbers = (buckets >= first_after_train).astype(np.int8) + (buckets >= first_after_validation)
    split_of_row: np.ndarray = numbers.astype(np.int8)[encoded.indices.to_numpy()]
    return split_of_row


def _buckets(patient_ids: pa.Array, salt: str) -> np.ndarray:
    prefix = f"{salt}|".encode()
    digests = b"".join(
        [hashlib.sha256(prefix + patient_id).digest() for patient_id in patient_ids.cast(pa.binary()).to_pylist()]
    )
    first_eight_bytes = np.frombuffer(digests, ">u8").reshape(-1, 4)[:, 0]
    buckets: np.ndarray = first_eight_bytes % np.uint64(_NUM_BUCKETS)
    return buckets


def assert_disjoint(patient_ids_by_split: Mapping[str, pa.Array | pa.ChunkedArray]) -> None:
    """Refuse splits that share a patient, because a model would then be tested on people it was trained on.

    Raises:
        ClaimDataError: `E_SPLIT_OVERLAP`, if a patient is in two splits. The message names the splits and how many
            patients they share, never who.
    """
    distinct = {
        split: pc.unique(pc.cast(patient_ids, pa.large_string()))
        for split, patient_ids in patient_ids_by_split.items()
    }
    names = list(distinct)
    for position, first in enumerate(names):
        for second in names[position + 1 :]:
            shared = pc.sum(pc.is_in(distinct[second], value_set=distinct[first])).as_py() or 0
            if shared:
                raise ClaimDataError(
                    "E_SPLIT_OVERLAP",
                    f"expected every patient in one split, found {shared} patient{'s' if shared > 1 else ''} in both "
                    f"{first!r} and {second!r}; split by patient, with `split_of`",
                )
