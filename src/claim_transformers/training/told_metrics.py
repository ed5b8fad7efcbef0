"""What a console is told of an evaluation: figures of few patients are hidden there as they are in files."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from claim_transformers.claims.small_cells import HIDDEN, is_small


def is_of_few(num_rows: int, labels: Any) -> bool:
    """Whether an evaluation is of 1 to 10 rows, or of so few with the outcome or without it.

    Examples:
        >>> is_of_few(40, np.array([0] * 30 + [1] * 10)), is_of_few(40, np.array([0] * 20 + [1] * 20))
        (True, False)
    """
    labels = np.asarray(labels if isinstance(labels, np.ndarray) else [])
    of_classes = labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer)
    counts = np.unique(labels, return_counts=True)[1].tolist() if of_classes else []
    return any(map(is_small, (num_rows, *counts)))


def told(figures: Mapping[str, Any], hidden: Collection[str]) -> dict[str, Any]:
    """Figures, without those of the evaluations whose prefix is hidden; how long they took may be told."""
    prefixes = tuple(f"{prefix}_" for prefix in hidden)
    return {
        name: HIDDEN if name.startswith(prefixes) and not name.endswith("_runtime") else value
        for name, value in figures.items()
    }


class _TellsFewer(TrainerCallback):
    """Give the console what it may be told; `hidden` is the trainer's own set and grows with its evaluations."""

    def __init__(self, hidden: Collection[str]) -> None:
        super().__init__()
        self._hidden = hidden

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Show a log."""
        super().on_log(args, state, control, logs=told(logs or {}, self._hidden), **kwargs)


class TellingPrinter(_TellsFewer, PrinterCallback):
    """Prints logs."""


class TellingProgress(_TellsFewer, ProgressCallback):
    """Shows a bar, and logs above it."""
