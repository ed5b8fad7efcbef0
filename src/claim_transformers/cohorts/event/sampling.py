"""Sampling of cases and controls: a pure function of seed and patient, so that nobody moves for a stranger."""

import hashlib

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from claim_transformers.cohorts.event.definition import Sampling


def draw_rows(
    patient_ids: pa.Array | pa.ChunkedArray, label: NDArray[np.int8], sampling: Sampling, *, is_part: bool = False
) -> NDArray[np.int64]:
    """Which of the eligible patients become examples, in order.

    With `is_part` other patients are still to come: as many are kept as could be needed, so that drawing again from
    all parts gives what one draw from everybody gives.
    """
    order = np.argsort(unit_hash(patient_ids, f"sample/{sampling.seed}"), kind="stable")
    if sampling.patients is not None:
        return np.sort(order[: sampling.patients])
    cases, controls = order[label[order] == 1][: sampling.cases], order[label[order] == 0]
    at_most = sampling.cases if is_part else len(cases)
    if sampling.controls_per_case is not None and at_most is not None:
        controls = controls[: round(sampling.controls_per_case * at_most)]
    return np.sort(np.concatenate([cases, controls]))


def unit_hash(patient_ids: pa.Array | pa.ChunkedArray, salt: str) -> NDArray[np.float64]:
    """A uniform number in [0, 1) per patient, a pure function of the id and of the salt, which names the draw."""
    digests = (hashlib.sha256(f"{salt}|{patient_id}".encode()).digest() for patient_id in patient_ids.to_pylist())
    return np.array([int.from_bytes(digest[:8], "big") for digest in digests], np.uint64) / 2.0**64
