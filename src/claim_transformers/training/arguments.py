"""Training arguments with the defaults that claims need."""

from dataclasses import dataclass, field

import torch
from transformers import TrainingArguments


@dataclass
class ClaimTrainingArguments(TrainingArguments):
    """[`~transformers.TrainingArguments`] whose defaults suit tokenised patients, and a check of the world size.

    Changed defaults: `remove_unused_columns=False`, because a batch is an Arrow table and the collator chooses its
    columns; `ddp_find_unused_parameters=False`, because all heads run in every step; `dataloader_pin_memory` only with
    an accelerator; `accelerator_config={"dispatch_batches": False}`, so that each process reads its own part of a
    stream.

    Args:
        expected_world_size (`int`, *optional*): Number of processes that were asked for. Some launch commands start a
            single process without a word (`accelerate launch --cpu --num_processes 2`); with this set they fail.

    Raises:
        ValueError: If the number of processes is another one, or `push_to_hub` is set.

    Examples:
        >>> import tempfile
        >>> ClaimTrainingArguments(output_dir=tempfile.mkdtemp(), use_cpu=True).remove_unused_columns
        False
        >>> ClaimTrainingArguments(output_dir=tempfile.mkdtemp(), use_cpu=True, expected_world_size=2)
        Traceback (most recent call last):
            ...
        ValueError: expected 2 processes, found 1: ...
    """

    remove_unused_columns: bool = field(default=False, metadata={"help": "The collators choose their columns."})
    ddp_find_unused_parameters: bool | None = field(default=False, metadata={"help": "All heads run in every step."})
    dataloader_pin_memory: bool = field(
        default_factory=torch.accelerator.is_available, metadata={"help": "Pin memory, where there is an accelerator."}
    )
    expected_world_size: int | None = field(
        default=None, metadata={"help": "Number of processes that must be running; fails on any other number."}
    )

    def __post_init__(self) -> None:
        if self.accelerator_config is None:
            # By default one process collates the batches of a stream for all, which fails on batches of unequal width.
            self.accelerator_config = {"dispatch_batches": False}
        super().__post_init__()
        if self.expected_world_size not in (None, self.world_size):
            raise ValueError(
                f"expected {self.expected_world_size} processes, found {self.world_size}: start with torchrun "
                "--nproc_per_node N (on CPU with --use_cpu True --ddp_backend gloo), see docs/training.md"
            )
