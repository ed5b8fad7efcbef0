"""Layer-wise learning rates and gradual unfreezing for fine-tuning.

Rates that fall from the head to the embeddings, and layers that are set free one after the other from the top, are
Howard and Ruder, 2018 (arXiv:1801.06146), sections 3.2 and 3.3.
"""

import re
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_LAYER = re.compile(r"(?:^|\.)(?:layers|layer|encoder\.layers)\.(\d+)\.")


class GradualUnfreezing(TrainerCallback):
    """Train the classifier first and one more layer from the top every few epochs."""

    def __init__(self, every: int) -> None:
        self.every = every
        self._trained: set[str] | None = None

    def on_epoch_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: torch.nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        """Set free what is due."""
        if model is None:
            return
        if self._trained is None:
            # What is frozen when training begins stays so.
            self._trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        free = int(round(state.epoch or 0.0, 6)) // self.every
        depths = _parameter_depths(model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in self._trained and depths[name] <= free)


def _parameter_depths(model: torch.nn.Module) -> dict[str, int]:
    """Count how far below the classifier each parameter is: 0 the classifier, then layer by layer, then embeddings."""
    names = [name for name, _ in model.named_parameters()]
    layers = [int(match.group(1)) for name in names if (match := _LAYER.search(name))]
    count = max(layers, default=-1) + 1
    depths = {}
    for name in names:
        match = _LAYER.search(name)
        if "classifier" in name or "code_skip" in name:
            depths[name] = 0
        elif match:
            depths[name] = count - int(match.group(1))
        elif "embedding" in name or "time_bias" in name:
            depths[name] = count + 1
        else:
            depths[name] = 1
    return depths


def layer_optimizer(
    model: torch.nn.Module, *, learning_rate: float, layer_decay: float, weight_decay: float
) -> torch.optim.Optimizer:
    """AdamW with one group per depth; vectors (biases, norms) do not decay."""
    depths = _parameter_depths(model)
    groups: dict[tuple[int, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((depths[name], parameter.dim() > 1), []).append(parameter)
    options = [
        {
            "params": parameters,
            "lr": learning_rate * layer_decay**depth,
            "weight_decay": weight_decay if decays else 0.0,
        }
        for (depth, decays), parameters in groups.items()
    ]
    return torch.optim.AdamW(options, lr=learning_rate, fused=True)
