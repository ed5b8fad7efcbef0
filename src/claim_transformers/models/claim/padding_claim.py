"""Padding of a batch of encoded patients, whose keys have two lengths: one of tokens, one of visit slots."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from transformers import BatchEncoding, PreTrainedTokenizer
from transformers.utils.generic import PaddingStrategy

from .vocabulary_claim import IGNORE_INDEX

_VISIT_PADDING = -1
# Keys as long as `input_ids`, with their padding.
_TOKEN_PADDING = {
    "visit_ids": _VISIT_PADDING,
    "category_ids": IGNORE_INDEX,
    "category_labels": IGNORE_INDEX,
    "labels": IGNORE_INDEX,
}
# Keys with one entry per slot, with their padding. Always padded at the end: `visit_ids` counts slots from the start.
_SLOT_PADDING = {"visit_days": _VISIT_PADDING}


def _as_batch(examples: Any) -> dict[str, Any]:
    """Turn examples into a dictionary of plain lists."""
    if not isinstance(examples, Mapping):
        if any(example.keys() != examples[0].keys() for example in examples):
            raise ValueError("expected every example to have the same keys, found different ones")
        keys = examples[0].keys() if examples else []
        examples = {key: [example[key] for example in examples] for key in keys}
    return {key: _as_list(value) for key, value in examples.items()}


def _tensor_type_of(examples: Any) -> str | None:
    """Find which framework the examples come from, so that padding gives back what it was given."""
    if not isinstance(examples, Mapping):
        examples = examples[0] if examples else {}
    value = examples.get("input_ids")
    if isinstance(value, (list, tuple)) and value:
        value = value[0]
    if isinstance(value, np.ndarray):
        return "np"
    return "pt" if hasattr(value, "new_tensor") else None


def _has_token_labels(batch: Mapping[str, Any]) -> bool:
    """Tell labels of tokens from labels of patients, which are not padded."""
    labels, input_ids = batch.get("labels"), batch["input_ids"]
    if not isinstance(labels, list) or not labels or not input_ids:
        return False
    if not isinstance(input_ids[0], list):
        labels, input_ids = [labels], [input_ids]
    return all(
        isinstance(row, list) and len(row) == len(ids) and all(isinstance(label, int) for label in row)
        for row, ids in zip(labels, input_ids, strict=True)
    )


def _pad_sequence(values: Sequence[Any], length: int, value: int, side: str = "right") -> list[Any]:
    """Lengthen a list."""
    padding = [value] * (length - len(values))
    return [*padding, *values] if side == "left" else [*values, *padding]


def _round_up(length: int, multiple: int | None) -> int:
    """Round a length up to a multiple."""
    return length if not multiple else -(-length // multiple) * multiple


def _as_list(value: Any) -> Any:
    """Tensors and arrays, also inside a list, as lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [item.tolist() if hasattr(item, "tolist") else item for item in value]
    return value


class PatientPadding(PreTrainedTokenizer):
    """The padding of a tokenizer whose keys have a token length or a slot length."""

    # Slots of a patient at most; `None` when there is no limit.
    max_slots: int | None = None

    def pad(
        self,
        encoded_inputs: Any,
        padding: bool | str | PaddingStrategy = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: Any = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Pad examples to one number of tokens and one number of slots.

        Args:
            encoded_inputs (`Mapping` or `Sequence[Mapping]`):
                Examples. `labels` are padded when they are integers, one per token; labels of patients stay.
            padding (`bool`, `str` or `PaddingStrategy`, *optional*, defaults to `True`):
                As upstream. `"max_length"` also pads slots to `max_visits + 1`, so that all shapes are fixed.
            max_length (`int`, *optional*): Number of tokens to pad to.
            pad_to_multiple_of (`int`, *optional*): Both lengths are rounded up to a multiple of it.
            padding_side (`str`, *optional*): Side of the tokens. Slots are always padded at the end.
            return_attention_mask (`bool`, *optional*): Whether to return it; by default yes.
            return_tensors (`str`, *optional*): `"pt"` or `"np"`.
            verbose (`bool`, *optional*, defaults to `True`): As upstream.

        Returns:
            `BatchEncoding`: Padding is `pad_token_id` in `input_ids`, -1 in `visit_ids` and `visit_days`, -100 in
            labels and categories, 0 in `attention_mask`.

        Raises:
            ValueError: If an example has no `input_ids`, or examples have different keys.
        """
        return_tensors = return_tensors or _tensor_type_of(encoded_inputs)
        batch = _as_batch(encoded_inputs)
        slots = {name: batch.pop(name) for name in _SLOT_PADDING if name in batch}
        is_of_patients = "labels" in batch and "input_ids" in batch and not _has_token_labels(batch)
        patient_labels = {"labels": batch.pop("labels")} if is_of_patients else {}
        padded = super().pad(
            batch,
            padding=padding,
            max_length=max_length,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side,
            return_attention_mask=return_attention_mask,
            verbose=verbose,
        )
        strategy = self._get_padding_truncation_strategies(padding=padding, max_length=max_length, verbose=False)[0]
        for name, rows in slots.items():
            padded[name] = self._pad_slots(rows, _SLOT_PADDING[name], strategy, pad_to_multiple_of)
        padded.update(patient_labels)
        return BatchEncoding(dict(padded), tensor_type=return_tensors)

    def _pad_slots(self, rows: list[Any], value: int, strategy: PaddingStrategy, multiple: int | None) -> list[Any]:
        """Rows of one entry per slot, padded at the end."""
        if strategy == PaddingStrategy.DO_NOT_PAD:
            return rows
        is_batch = bool(rows) and isinstance(rows[0], list)
        width = max(map(len, rows)) if is_batch else len(rows)
        if strategy == PaddingStrategy.MAX_LENGTH and self.max_slots is not None:
            width = max(width, self.max_slots)
        width = _round_up(width, multiple)
        return [_pad_sequence(row, width, value) for row in rows] if is_batch else _pad_sequence(rows, width, value)

    def _pad(
        self,
        encoded_inputs: Any,
        max_length: int | None = None,
        padding_strategy: PaddingStrategy = PaddingStrategy.DO_NOT_PAD,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
    ) -> dict[str, Any]:
        """Pad one example; the token keys of this family follow `input_ids`."""
        encoded: dict[str, Any] = super()._pad(
            encoded_inputs, max_length, padding_strategy, pad_to_multiple_of, padding_side, return_attention_mask
        )
        width = len(encoded["input_ids"])
        for name, value in _TOKEN_PADDING.items():
            if name in encoded:
                encoded[name] = _pad_sequence(encoded[name], width, value, padding_side or self.padding_side)
        return encoded
