"""Loss in its parts, averaged like the loss over batches, accumulation steps and processes."""

from typing import Any

import torch


class LossParts:
    """Running sums of named losses on this process."""

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._counted: torch.Tensor | int = 0
        self._step: int | None = None

    def begin(self, step: int) -> None:
        """Note the optimizer step that comes before the first batch; it is not 0 in a resumed run."""
        self._step = step if self._step is None else self._step

    def add(
        self, parts: dict[str, torch.Tensor], *, times: torch.Tensor | float = 1.0, counted: torch.Tensor | int = 0
    ) -> None:
        """Add the losses of a batch."""
        for name, part in parts.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(part)) + part * times
        self._counted = self._counted + counted

    def mean_per_step(self, accelerator: Any, step: int) -> dict[str, float]:
        """Sum over batches and processes, divide by the steps since the last call, and begin again."""
        steps = max(step - (self._step or 0), 1)
        means = {name: _total(accelerator, part) / steps for name, part in self._sums.items()}
        self._sums, self._step = {}, step
        return means

    def mean_per_item(self, accelerator: Any) -> dict[str, float]:
        """Divide the sum over batches and processes by what was counted."""
        if not self._sums:
            return {}
        device = next(iter(self._sums.values())).device
        counted = max(_total(accelerator, torch.as_tensor(self._counted, device=device)), 1.0)
        return {name: _total(accelerator, part) / counted for name, part in self._sums.items()}


def _total(accelerator: Any, value: torch.Tensor) -> float:
    """Sum over processes, in double precision where the device has it."""
    wide = value.double() if value.device.type == "cpu" else value.float()
    return float(accelerator.reduce(wide, reduction="sum").item())
