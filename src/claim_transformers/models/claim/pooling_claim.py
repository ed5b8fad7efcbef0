"""Pooling of a flat stream of codes into visits, in two forms with equal values.

The ragged form touches real codes only and runs one `embedding_bag`; it is the one that trains. The padded form keeps
every shape independent of the data, which `torch.compile(fullgraph=True)` and `torch.export` need, and takes vectors
instead of ids, which attribution needs.

Letters: `B` patients, `V` slots, `T` code tokens, `E` width, `N` real codes.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from .context_claim import check_below, places_of

_Pooling = Literal["max", "sum", "mean"]


def pool_codes(
    weight_KE: Tensor, input_ids_BT: Tensor, slots_BT: Tensor, valid_BT: Tensor, num_slots: int, mode: _Pooling
) -> Tensor:
    """Embed codes and pool them by slot, exactly zero for a slot without codes, reading real codes only.

    Raises:
        ValueError: If a token names a slot that does not exist. It would otherwise land in the next patient.
    """
    batch, length = input_ids_BT.shape
    place_N = places_of(valid_BT)
    slots_N = slots_BT.flatten().index_select(0, place_N)
    check_below(slots_N, num_slots, "visit_ids", "visit_days has a column for each slot")
    flat_slots_N, order_N = (place_N // length * num_slots + slots_N).sort(stable=True)
    input_ids_N = input_ids_BT.flatten().index_select(0, place_N.index_select(0, order_N))
    starts = torch.searchsorted(flat_slots_N, torch.arange(batch * num_slots, device=slots_BT.device))
    pooled = functional.embedding_bag(input_ids_N, weight_KE, starts, mode=mode)
    return pooled.view(batch, num_slots, -1)


def pool_vectors(vectors_BTE: Tensor, slots_BT: Tensor, valid_BT: Tensor, num_slots: int, mode: _Pooling) -> Tensor:
    """Pool vectors by slot as [`pool_codes`] does those of codes, with shapes that depend on no value."""
    batch, _, width = vectors_BTE.shape
    # Padding goes to a slot of its own behind the others, which is cut off again.
    slots_BTE = torch.where(valid_BT, slots_BT, num_slots)[:, :, None].expand_as(vectors_BTE)
    reduce = {"max": "amax", "sum": "sum", "mean": "mean"}[mode]
    pooled = vectors_BTE.new_zeros(batch, num_slots + 1, width)
    pooled = pooled.scatter_reduce(1, slots_BTE, vectors_BTE, reduce, include_self=False)
    return pooled[:, :num_slots]
