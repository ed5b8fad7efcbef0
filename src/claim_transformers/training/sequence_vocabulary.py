"""Vocabulary of sequences: how large it is, and how much of unseen sequences it covers."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def vocabulary_rows(splits: Mapping[str, pa.Table], *, min_patients: int = 11) -> list[dict[str, Any]]:
    """Measure the vocabulary of sequences: how many tokens, how many enough patients hold, what these cover on test.

    One row per system and one for all: `system`, `different`, `kept`, `covered` (share of the codes of the test split,
    `None` without one).
    """
    patient, code = _pairs(splits["train"])
    held_by = code.take(_first_of_pairs(patient, code)).value_counts()
    words, counts = held_by.field("values"), held_by.field("counts").to_numpy()
    kept = words.filter(pa.array(counts >= min_patients))
    _, tested = _pairs(splits["test"])
    known = pc.is_in(tested, value_set=kept).to_numpy(zero_copy_only=False)
    of_word, of_kept, of_test = (_systems(array) for array in (words, kept, tested))
    rows = []
    for system in [*sorted(set(of_word.tolist())), "all"]:
        chosen = slice(None) if system == "all" else of_test == system
        seen = known[chosen]
        rows.append(
            {
                "system": system,
                "different": len(of_word) if system == "all" else int((of_word == system).sum()),
                "kept": len(of_kept) if system == "all" else int((of_kept == system).sum()),
                "covered": float(seen.mean()) if len(seen) else None,
            }
        )
    return rows


def known_rows(examples: pa.Table, is_known: Callable[[str], bool]) -> list[dict[str, Any]]:
    """Measure how much of sequences a tokenizer that was trained elsewhere knows.

    One row per system and one for all: `system`, `codes` (how many the examples hold) and `known` (share of them,
    `None` where there are none).
    """
    visits = pc.list_flatten(pc.list_flatten(examples["codes"].combine_chunks()))
    patient = pc.list_flatten(examples["patient_codes"].combine_chunks())
    counted = pa.concat_arrays([visits.cast(pa.string()), patient.cast(pa.string())]).value_counts()
    words, counts = counted.field("values"), counted.field("counts").to_numpy()
    known = np.array([is_known(word) for word in words.to_pylist()], bool)
    of_word = _systems(words)
    rows = []
    for system in [*sorted(set(of_word.tolist())), "all"]:
        chosen = slice(None) if system == "all" else of_word == system
        codes = int(counts[chosen].sum())
        share = float((counts * known)[chosen].sum() / codes) if codes else None
        rows.append({"system": system, "codes": codes, "known": share})
    return rows


def _pairs(examples: pa.Table) -> tuple[pa.Array, pa.Array]:
    """Patient and code of every occurrence."""
    visits = examples["codes"].combine_chunks()
    per_row = pc.fill_null(pc.list_value_length(visits), 0).to_numpy(zero_copy_only=False)
    codes = pc.list_flatten(visits)
    per_visit = pc.list_value_length(codes).to_numpy(zero_copy_only=False)
    row = np.repeat(np.repeat(np.arange(len(per_row)), per_row), per_visit)
    return examples["patient_id"].combine_chunks().take(pa.array(row)), pc.list_flatten(codes)


def _first_of_pairs(patient: pa.Array, code: pa.Array) -> pa.Array:
    """Place of one occurrence of each pair of patient and code."""
    numbers = [pc.dictionary_encode(array).indices.to_numpy(zero_copy_only=False) for array in (patient, code)]
    keys = numbers[0].astype(np.int64) * (int(numbers[1].max(initial=0)) + 1) + numbers[1]
    return pa.array(np.unique(keys, return_index=True)[1])


def _systems(codes: pa.Array) -> np.ndarray[Any, Any]:
    """System of each code, with the tokens of bins under their own name."""
    found: np.ndarray[Any, Any] = pc.list_element(pc.split_pattern(codes, "/", max_splits=1), 0).to_numpy(
        zero_copy_only=False
    )
    return found
