"""Training arguments with the defaults that claims need."""

import os
from dataclasses import dataclass, field

import torch
from transformers import TrainingArguments

# Without one of these, a CPU emulates bf16 with more operations than float32 takes.
_BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")
# Variables by which the launchers that accelerate knows tell a process its place.
_LAUNCHED = ("LOCAL_RANK", "WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_LAUNCH = (
    "start with torchrun --nproc_per_node N (on CPU with --use_cpu True --ddp_backend gloo), see docs/training.md"
)


def is_bf16_fast(*, use_cpu: bool = False) -> bool:
    """Say whether the device that trains computes bf16 in hardware."""
    if use_cpu or not torch.accelerator.is_available():
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(name, False) for name in _BF16_INSTRUCTIONS)
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


def leave_autocast(model: torch.nn.Module) -> None:
    """Compute in the precision of the weights again: a trainer in bf16 leaves its autocast around `forward`.

    What accelerate has for this also takes the decorators of the class off.
    """
    for name in ("forward", "_original_forward"):
        vars(model).pop(name, None)


@dataclass
class ClaimTrainingArguments(TrainingArguments):
    """[`~transformers.TrainingArguments`] whose defaults suit tokenised patients, and a check of the world size.

    Changed defaults: `remove_unused_columns=False`, because a batch is an Arrow table and the collator chooses its
    columns; `ddp_find_unused_parameters=False`, because all heads run in every step; `dataloader_pin_memory` only with
    an accelerator; `accelerator_config={"dispatch_batches": False}`, so that each process reads its own part of a
    stream.

    Args:
        bf16_where_fast (`bool`, *optional*, defaults to `False`): Set `bf16=True` where [`is_bf16_fast`] and `fp16`
            is not set; leave it alone elsewhere.
        expected_world_size (`int`, *optional*): Number of processes that were asked for. Some launch commands start a
            single process without a word (`accelerate launch --cpu --num_processes 2`); with this set they fail.
        early_stopping_patience (`int`, *optional*): Evaluations without progress of `metric_for_best_model` that end
            the training of a [`ClaimTrainer`].

    Raises:
        ValueError: If the number of processes is another one, or `ddp_backend` is given and nothing launched several.

    Examples:
        >>> import tempfile
        >>> ClaimTrainingArguments(output_dir=tempfile.mkdtemp(), use_cpu=True).remove_unused_columns
        False
        >>> ClaimTrainingArguments(output_dir=tempfile.mkdtemp(), use_cpu=True, expected_world_size=2)
        Traceback (most recent call last):
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
    early_stopping_patience: int | None = field(default=None, metadata={"help": "Evaluations without progress."})
    bf16_where_fast: bool = field(
        default=False, metadata={"help": "Train in bf16 if CUDA supports it or the CPU has AVX-512 bf16 or AMX."}
    )

    def __post_init__(self) -> None:
        if self.bf16_where_fast and not self.fp16 and is_bf16_fast(use_cpu=self.use_cpu):
            # On a CPU, transformers wants to hear that the CPU is meant before it takes bf16.
            self.bf16, self.use_cpu = True, self.use_cpu or not torch.accelerator.is_available()
        if self.accelerator_config is None:
            # By default one process collates the batches of a stream for all, which fails on batches of unequal width.
            self.accelerator_config = {"dispatch_batches": False}
        if self.ddp_backend is not None and not os.environ.keys() & {*_LAUNCHED}:
            # Accelerate asks a group of processes for its size then, which nobody has made.
            raise ValueError(f"expected several processes for ddp_backend, found one that nothing launched: {_LAUNCH}")
        super().__post_init__()
        if self.expected_world_size not in (None, self.world_size):
            raise ValueError(f"expected {self.expected_world_size} processes, found {self.world_size}: {_LAUNCH}")
