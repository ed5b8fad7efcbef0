"""Batches for scoring: rows of equal length together, so that next to nothing is padded, and a bound on their size."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from claim_transformers.training.collators import ClaimCollator
from claim_transformers.training.tokenized_patients import patient_digests

if TYPE_CHECKING:
    import pyarrow as pa

    from claim_transformers.models.claim import ClaimTokenizer

BATCH_TOKENS = 8192
# Attention holds a square per row: so many positions squared of a batch, for each position that it may have.
_SQUARES_PER_TOKEN = 128

_Rows = NDArray[np.int64]


def length_batches(
    encoded: "pa.Table", identifiers: "pa.ChunkedArray", tokenizer: "ClaimTokenizer", *, positions: str, most: int
) -> Iterator[tuple[_Rows, dict[str, torch.Tensor]]]:
    """Give batches of tokenised patients sorted by length, and the rows that are in each.

    Which rows are in a batch follows from the patients and not from the order of the table, so that equal patients
    give equal scores to the last bit.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if most < 1:
        raise ValueError(f"expected batches of at least one token, found batch_tokens={most}")
    lengths, tokens = (pc.list_value_length(encoded[name]).to_numpy() for name in (positions, "input_ids"))
    order = np.lexsort((patient_digests(identifiers), tokens, lengths))
    columns = encoded.select(["input_ids", "visit_ids", "visit_days"]).take(pa.array(order)).combine_chunks()
    collator = ClaimCollator(tokenizer)
    for begin, end in _cuts(lengths[order].astype(np.int64), most):
        yield order[begin:end], collator(columns.slice(begin, end - begin))


def _cuts(lengths: _Rows, most: int) -> Iterator[tuple[int, int]]:
    """Cut rows of ascending lengths into batches."""
    begin = 0
    while begin < len(lengths):
        longest = lengths[begin : begin + most]
        rows = np.arange(1, len(longest) + 1)
        fits = (rows * longest <= most) & (rows * longest**2 <= most * _SQUARES_PER_TOKEN)
        # Both grow with the rows, so those that fit come first.
        end = begin + max(int(np.count_nonzero(fits)), 1)
        yield begin, end
        begin = end
