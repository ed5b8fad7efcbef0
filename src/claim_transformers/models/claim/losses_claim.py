"""Losses of both pretraining heads: binary cross-entropy against many-hot targets that are never built.

A visit holds a handful of codes out of thousands, so the targets of `N` predictions over `K` codes are `P` pairs
(row, code) rather than an `N x K` table. With logits `z` the loss is

    sum over all N x K of softplus(z)  -  sum over the P pairs of z

which equals binary cross-entropy with logits, summed. Letters: `N` predictions, `E` hidden width, `K` outputs, `P`
pairs.
"""

import math
from collections.abc import Callable
from itertools import pairwise, starmap
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from .context_claim import IGNORE_INDEX, check_below

# Logits of one chunk, chosen by measurement: on a CPU few enough to stay in the cache, but in 16 bits, where a matrix
# product takes less time than its beginning, more; elsewhere as many as memory allows.
_CHUNK_LOGITS_CPU = 2**20
_CHUNK_LOGITS_CPU_16_BIT = 2**22
_CHUNK_LOGITS_ACCELERATOR = 2**26
_CHUNK_OUTPUTS = 128  # A chunk has a multiple: odd numbers of rows cost a product up to twice the time.
# Logits that several element-wise passes run over on a CPU, and how many of them share a logarithm.
_BLOCK_LOGITS = 2**18
_PER_LOGARITHM = 16
_LOW_PRECISION = (torch.bfloat16, torch.float16)


def multi_hot_bce(
    hidden_NE: Tensor,
    weight_KE: Tensor,
    bias_K: Tensor,
    rows_P: Tensor,
    cols_P: Tensor,
    chunk_outputs: int | None = None,
) -> Tensor:
    """Sum the binary cross-entropy of a linear many-hot prediction without dense targets or dense logits.

    Target `i` is output `cols_P[i]` of prediction `rows_P[i]`, in any order; a pair that occurs twice counts once. The
    gradients are computed next to the loss, some outputs at a time, so that neither logits nor probabilities are
    computed twice or kept. Under bf16 or fp16 autocast its matrix products run in that type; probabilities, and what
    is summed over chunks, are float32.
    """
    place_P, is_new_P = _distinct_pairs(rows_P, cols_P, num_rows=hidden_NE.shape[0], num_cols=weight_KE.shape[0])
    device = hidden_NE.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight_KE.dtype
    if chunk_outputs is None:
        on_cpu = _CHUNK_LOGITS_CPU_16_BIT if dtype in _LOW_PRECISION else _CHUNK_LOGITS_CPU
        chunk_logits = on_cpu if device == "cpu" else _CHUNK_LOGITS_ACCELERATOR
        chunk_outputs = max(1, round(chunk_logits / max(1, len(hidden_NE)) / _CHUNK_OUTPUTS)) * _CHUNK_OUTPUTS
    loss: Tensor = _ChunkedMultiHotBCE.apply(
        hidden_NE, weight_KE, bias_K, place_P, is_new_P, dtype, chunk_outputs, torch.is_grad_enabled()
    )
    return loss


def _distinct_pairs(rows_P: Tensor, cols_P: Tensor, num_rows: int, num_cols: int) -> tuple[Tensor, Tensor]:
    """Give the places of the pairs in a flat table of outputs by rows, in order, and which are no repetition.

    Several codes that back off to one token repeat it. To leave them out would be to wait for their number.
    """
    for name, index_P, size in (("rows", rows_P, num_rows), ("targets", cols_P, num_cols)):
        check_below(index_P, size, name, "the labels do not belong to this vocabulary")
    place_P, _ = torch.sort(cols_P.long() * num_rows + rows_P.long())
    is_new_P = torch.ones_like(place_P, dtype=torch.bool)
    torch.ne(place_P[1:], place_P[:-1], out=is_new_P[1:])
    return place_P, is_new_P


def _sum_dtype(dtype: torch.dtype) -> torch.dtype:
    """Give the type in which values of `dtype` are summed."""
    return torch.float64 if dtype == torch.float64 else torch.float32


class _ChunkedMultiHotBCE(torch.autograd.Function):
    """Loss and gradients in one sweep; the bias is a last column of the weight, against a column of ones."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_NE: Tensor,
        weight_KE: Tensor,
        bias_K: Tensor,
        place_P: Tensor,
        is_new_P: Tensor,
        dtype: torch.dtype,
        chunk_outputs: int,
        needs_grad: bool,
    ) -> Tensor:
        hidden_NF = _with_column(hidden_NE, torch.ones_like(hidden_NE[:, 0]), dtype)
        given = (hidden_NF, weight_KE, bias_K, place_P, is_new_P, chunk_outputs, needs_grad)
        on_cpu = hidden_NE.device.type == "cpu"
        with torch.autocast(hidden_NE.device.type, enabled=False):
            loss, *gradients = _sweep(*given, to_probabilities=_in_blocks if on_cpu else _exactly)
            # Outputs that are all but certain have probabilities of absence whose product is no number any more.
            if on_cpu and not torch.isfinite(loss):
                loss, *gradients = _sweep(*given, to_probabilities=_exactly)
        if needs_grad:
            ctx.save_for_backward(*gradients)
        ctx.dtypes = (hidden_NE.dtype, weight_KE.dtype, bias_K.dtype)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        hidden_grad_NF, weight_grad_KF = ctx.saved_tensors
        gradients = (hidden_grad_NF[:, :-1], weight_grad_KF[:, :-1], weight_grad_KF[:, -1])
        scaled = (
            gradient.to(dtype, copy=True, memory_format=torch.contiguous_format).mul_(grad_loss)
            for gradient, dtype in zip(gradients, ctx.dtypes, strict=True)
        )
        return (*scaled, *(None,) * 5)


def _with_column(matrix: Tensor, column: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert to `dtype` with `column` appended."""
    wide = matrix.new_empty(matrix.shape[0], matrix.shape[1] + 1, dtype=dtype)
    wide[:, :-1] = matrix
    wide[:, -1] = column
    return wide


def _sweep(
    hidden_NF: Tensor,
    weight_KE: Tensor,
    bias_K: Tensor,
    place_P: Tensor,
    is_new_P: Tensor,
    chunk_outputs: int,
    needs_grad: bool,
    to_probabilities: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Run over the outputs in chunks and return the loss and both gradients, of no meaning if not needed.

    Outputs are the rows of the logits: that is the layout in which most of the three matrix products are fast.
    """
    (num_rows, width), num_outputs, dtype = hidden_NF.shape, len(weight_KE), hidden_NF.dtype
    sum_dtype = _sum_dtype(dtype)
    chunk_outputs = max(1, min(chunk_outputs, num_outputs))
    hidden_FN = hidden_NF.t().contiguous()
    hidden_grad_NF = hidden_NF.new_zeros(hidden_NF.shape, dtype=sum_dtype)
    weight_grad_KF = hidden_NF.new_empty(num_outputs if needs_grad else 0, width)
    logits_CN = hidden_NF.new_empty(chunk_outputs, num_rows)
    starts = range(0, num_outputs, chunk_outputs)
    split_at = [0, len(place_P)]
    if len(starts) > 1:
        edges = torch.tensor(starts[1:], device=place_P.device) * num_rows
        split_at[1:1] = torch.searchsorted(place_P, edges).tolist()
    loss = hidden_NF.new_zeros((), dtype=sum_dtype)

    for start, pairs in zip(starts, starmap(slice, pairwise(split_at)), strict=True):
        outputs = slice(start, min(start + chunk_outputs, num_outputs))
        part_CF = _with_column(weight_KE[outputs], bias_K[outputs], dtype)
        z_CN = torch.mm(part_CF, hidden_FN, out=logits_CN[: len(part_CF)])
        here_P, ones_P, z = place_P[pairs] - start * num_rows, is_new_P[pairs].to(dtype), z_CN.view(-1)
        loss -= (z.index_select(0, here_P) * ones_P).sum(dtype=sum_dtype)
        loss += to_probabilities(z)
        if needs_grad:
            z.index_add_(0, here_P, ones_P, alpha=-1)
            torch.mm(z_CN, hidden_NF, out=weight_grad_KF[outputs])
            if dtype == sum_dtype:
                hidden_grad_NF.addmm_(z_CN.t(), part_CF)
            else:
                hidden_grad_NF += torch.mm(z_CN.t(), part_CF)
    return loss, hidden_grad_NF, weight_grad_KF


def _exactly(z: Tensor) -> Tensor:
    """Replace logits by probabilities and return the sum of the logits' softplus."""
    exact = z.to(_sum_dtype(z.dtype))
    loss = functional.softplus(exact).sum()
    z.copy_(exact.sigmoid())
    return loss


def _in_blocks(z: Tensor) -> Tensor:
    """Do as [`_exactly`], some logits at a time, with one logarithm for several probabilities.

    A handful of passes over few numbers stays in the cache next to the core, and takes no new memory for each.
    """
    sum_dtype = _sum_dtype(z.dtype)
    size = min(_BLOCK_LOGITS, math.ceil(z.numel() / _PER_LOGARITHM) * _PER_LOGARITHM)
    block = z.new_empty(size, dtype=sum_dtype)
    one, loss = block.new_ones(()), block.new_zeros(())
    for part in z.split(_BLOCK_LOGITS):
        p = block[: len(part)].copy_(part).sigmoid_()
        part.copy_(p)
        # Of a rounded probability in 16 bits, what is left to one would lose the rare codes.
        torch.sub(one, p, out=p)
        if len(part) < size:
            block[len(part) :] = 1.0
        loss -= block.view(_PER_LOGARITHM, -1).prod(dim=0).log_().sum()
    return loss


# A logit beyond this is no amount of money; its exponential would overflow the sums of a batch.
_MOST_LOGIT = 15.0


def amount_loss(labels: Tensor, pooled_logits: Tensor, config: Any, **_: Any) -> Tensor:
    """The mean loss of amounts in US dollars: a squared error, or a negative log likelihood without its constant."""
    logits_BK = pooled_logits.float().clamp(max=_MOST_LOGIT)
    scale: float = config.amount_scale
    amounts_B = labels.float().reshape(-1) / scale
    logit_B = logits_BK[:, -1]
    if config.regression_loss == "log":
        wanted_B = torch.log1p(labels.float().reshape(-1)) - math.log1p(scale)
        return functional.mse_loss(logit_B, wanted_B)
    if config.regression_loss == "tweedie":
        # Of the compound Poisson density only what depends on the mean (Joergensen, 1987).
        power: float = config.tweedie_power
        below_1, below_2 = 1.0 - power, 2.0 - power
        return (torch.exp(below_2 * logit_B) / below_2 - amounts_B * torch.exp(below_1 * logit_B) / below_1).mean()
    is_any_B = (amounts_B > 0).float()
    of_any = functional.binary_cross_entropy_with_logits(logits_BK[:, 0], is_any_B)
    return of_any + (is_any_B * (logit_B + amounts_B * torch.exp(-logit_B))).mean()


def amounts_of_logits(logits: Tensor, config: Any) -> Tensor:
    """Turn outputs of a regression into expected amounts in US dollars; those of `"squared"` are amounts."""
    loss = getattr(config, "regression_loss", "squared")
    logits_BK = logits.float()
    if loss == "squared":
        return logits_BK.reshape(len(logits_BK))
    logits_BK = logits_BK.clamp(max=_MOST_LOGIT)
    grown_B, scale = torch.exp(logits_BK[:, -1]), float(config.amount_scale)
    if loss == "log":
        return (grown_B * ((1.0 + scale) * float(config.smearing_factor)) - 1.0).clamp(min=0.0)
    amounts_B = grown_B * scale
    return amounts_B if loss == "tweedie" else amounts_B * torch.sigmoid(logits_BK[:, 0])


def classification_targets(labels: Tensor, config: Any) -> Tensor:
    """Bring labels of patients into the form that their loss takes: whole numbers for classes, else float32.

    Without `problem_type` the labels choose it, and the configuration keeps it: one output is a regression, whole
    numbers or truth values of shape `(batch,)` are classes, all else is several labels at once.
    """
    num_labels = len(config.id2label or {})
    if config.problem_type is None:
        is_class = labels.dim() == 1 and not labels.is_floating_point()
        several = "single_label_classification" if is_class else "multi_label_classification"
        config.problem_type = "regression" if num_labels == 1 else several
    if config.problem_type != "single_label_classification":
        return labels.float()
    return checked_classes(labels, num_labels)


def checked_classes(labels: Tensor, num_labels: int) -> Tensor:
    """Refuse classes that a head does not have, where a look at them does not wait for an accelerator."""
    classes = labels.long()
    if labels.device.type != "cpu" or torch.compiler.is_compiling():
        return classes
    known = classes[classes != IGNORE_INDEX]
    if known.numel() and (known.min() < 0 or known.max() >= num_labels):
        raise ValueError(
            f"expected classes from 0 to {num_labels - 1}, as num_labels={num_labels} of the model, found "
            f"{int(known.min())} to {int(known.max())}; number the classes from 0, or give the model more labels"
        )
    return classes
