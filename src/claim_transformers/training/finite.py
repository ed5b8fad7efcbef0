"""Numbers that are not finite: noticed in the step that makes them, and never saved.

The trainer of transformers counts a loss that is not a number as the mean of those before it
(`logging_nan_inf_filter`), so a run that diverged ends well and leaves weights that say nothing.
"""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor

from claim_transformers.codes.errors import ClaimDataError


def require_finite_weights(weights: Iterable[tuple[str, torch.Tensor]]) -> None:
    """Refuse weights of which one is not finite, before they are saved or pushed.

    Args:
        weights (iterable of `tuple[str, torch.Tensor]`): Such as `model.named_parameters()`. Of a sharded weight the
            part of this process is looked at.

    Raises:
        ClaimDataError: `E_NONFINITE`; the message counts the tensors and names the first.

    Examples:
        >>> require_finite_weights([("head", torch.tensor([1.0, float("nan")]))])
        Traceback (most recent call last):
        claim_transformers.codes.errors.ClaimDataError: E_NONFINITE: expected finite weights, found NaN or infinity in
        1 of 1 tensors ('head' first): ...
    """
    names, is_bad = [], []
    for name, tensor in weights:
        here = tensor.to_local() if isinstance(tensor, DTensor) else tensor
        if here.is_floating_point():
            names.append(name)
            is_bad.append(~torch.isfinite(here.detach()).all().cpu())
    found = [name for name, bad in zip(names, is_bad, strict=True) if bad]
    if found:
        raise ClaimDataError(
            "E_NONFINITE",
            f"expected finite weights, found NaN or infinity in {len(found)} of {len(names)} tensors ({found[0]!r} "
            "first): nothing was saved; go back to the last good checkpoint with a lower learning rate",
        )


class StepFlags:
    """What all processes have to know of a step before it is over: is it finite, and is somebody asked to stop?

    On a CPU the answer is there at once. On a GPU it is copied while the next step is computed and read at its end, so
    that no step waits for it; `read(wait=True)` asks for all of it, before anything is saved.
    """

    def __init__(self) -> None:
        self._seen: list[torch.Tensor] = []
        self._posted: list[tuple[int, torch.Tensor, torch.cuda.Event | None]] = []

    def see(self, value: torch.Tensor | float) -> None:
        """Remember a loss or the norm of a gradient of the step under way."""
        if isinstance(value, DTensor):
            value = value.full_tensor()
        self._seen.append(~torch.isfinite(torch.as_tensor(value).detach()).all())

    def post(self, step: int, is_asked: bool, device: torch.device) -> None:
        """End the step: tell the other processes."""
        is_bad = torch.stack([seen.to(device) for seen in [torch.tensor(False), *self._seen]]).any()
        self._seen = []
        flags = torch.stack([is_bad, torch.tensor(is_asked, device=device)]).to(torch.int32)
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            dist.all_reduce(flags, dist.ReduceOp.MAX)
        event = None
        if device.type == "cuda":
            here = torch.empty(2, dtype=torch.int32, pin_memory=True)
            flags, event = here.copy_(flags, non_blocking=True), torch.cuda.Event()
            event.record()
        self._posted.append((step, flags, event))

    def read(self, *, wait: bool = False) -> tuple[int | None, bool]:
        """Say which step was not finite, if any, and whether somebody is asked to stop."""
        asked = False
        while self._posted:
            step, flags, event = self._posted[0]
            if event is not None:
                if not wait and len(self._posted) == 1:
                    break
                event.synchronize()
            del self._posted[0]
            is_bad, is_asked = flags.tolist()
            if is_bad:
                return step, asked
            asked = asked or bool(is_asked)
        return None, asked
