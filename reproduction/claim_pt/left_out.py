"""Predictions for patients of whom visits or codes were left out, everything else staying as it was."""

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from claim_transformers.analysis.readout.probes import evaluating, token_batches
from claim_transformers.models.claim import ClaimForSequenceClassification

COLUMNS = ("input_ids", "visit_ids", "visit_days")
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
_AT_ONCE = 256


def tokens_of(tokens: pa.Table) -> list[dict[str, NDArray[np.int64]]]:
    """Give tokens as one dictionary of arrays per patient."""
    return [{name: tokens[name][row].values.to_numpy() for name in COLUMNS} for row in range(tokens.num_rows)]


def without(patients: list[dict[str, NDArray[np.int64]]], left: Iterable[tuple[int, Bools, Bools | None]]) -> pa.Table:
    """Leave visits and tokens out.

    Args:
        patients (`list[dict]`): From [`tokens_of`].
        left (`Iterable`): For each row that is made the patient, which slots stay (the first is the patient) and,
            where not all tokens of these do, which tokens.

    Returns:
        `pa.Table`: Tokens with slots numbered anew; what tells the time between visits stays as it was written.

    Examples:
        >>> patient = {"input_ids": [7, 8, 9], "visit_ids": [0, 1, 2], "visit_days": [30, 0, 20]}
        >>> arrays = {name: np.array(values) for name, values in patient.items()}
        >>> without([arrays], [(0, np.array([True, False, True]), None)]).to_pylist()
        [{'input_ids': [7, 9], 'visit_ids': [0, 1], 'visit_days': [30, 20]}]
    """
    columns: dict[str, list[NDArray[np.int64]]] = {name: [] for name in COLUMNS}
    for patient, slots, tokens in left:
        ids, visit, days = (patients[patient][name] for name in COLUMNS)
        stays = slots[visit] if tokens is None else slots[visit] & tokens
        columns["input_ids"].append(ids[stays])
        columns["visit_ids"].append((np.cumsum(slots) - 1)[visit[stays]])
        columns["visit_days"].append(days[slots])
    return pa.table({name: pa.array(values, pa.list_(pa.int64())) for name, values in columns.items()})


def risks(model: ClaimForSequenceClassification, tokens: pa.Table, calibration: Callable[[Floats], Floats]) -> Floats:
    """Calibrated probabilities of the second of two labels, in percentage points."""
    found = np.zeros(tokens.num_rows)
    with evaluating(model):
        for rows, inputs in token_batches(tokens, model.config, _AT_ONCE):
            found[rows] = model(**inputs).logits.double().softmax(dim=-1)[:, 1].numpy()
    return 100 * calibration(found)
