"""What pretraining runs of the benchmark share: their arguments, how they run, and what they leave."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from reproduction.engine.silence import print_nothing

if TYPE_CHECKING:
    from claim_transformers.training import ClaimTrainer, ClaimTrainingArguments

# Share of the steps in which the learning rate rises.
WARMUP_SHARE = 0.05


class OptimizerPlan(Protocol):
    """What plans of pretraining have in common."""

    @property
    def batch_size(self) -> int:
        """Rows per step."""

    @property
    def learning_rate(self) -> float:
        """Highest learning rate."""

    @property
    def weight_decay(self) -> float:
        """Of AdamW."""

    @property
    def seed(self) -> int:
        """Seed of weights, batches and masks."""


def pretraining_arguments(plan: OptimizerPlan, out: Path, **options: Any) -> "ClaimTrainingArguments":
    """Arguments of a run that prints nothing and keeps no checkpoint on the way."""
    from claim_transformers.training import ClaimTrainingArguments

    return ClaimTrainingArguments(
        output_dir=str(out),
        per_device_train_batch_size=plan.batch_size,
        learning_rate=plan.learning_rate,
        warmup_steps=WARMUP_SHARE,
        weight_decay=plan.weight_decay,
        seed=plan.seed,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        bf16_where_fast=True,
        **options,
    )


def train_and_save(trainer: "ClaimTrainer", out: Path) -> None:
    """Train without a line of output, and save model and tokenizer."""
    print_nothing(trainer)
    trainer.train()
    trainer.save_model(str(out))


def save_metrics(metrics: Mapping[str, Any] | None, path: Path) -> None:
    """Write what a model reached; a metric that is not finite is left out, because JSON cannot hold it.

    Args:
        metrics (`Mapping[str, float]`, *optional*): As `Trainer` gives them.
        path (`Path`): JSON file.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "metrics.json")
        >>> save_metrics({"loss": np.float64(0.5), "recall": float("nan")}, path)
        >>> json.loads(path.read_text())
        {'loss': 0.5}
    """
    finite = {name: float(value) for name, value in (metrics or {}).items() if np.isfinite(value)}
    path.write_text(json.dumps(finite, indent=1) + "\n", encoding="utf-8")
