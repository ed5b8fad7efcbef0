"""Callbacks: the epoch of everything random, a history that plots can read, and memory that goes back."""

import ctypes
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from claim_transformers.claims.files import private_folder, to_json, write_file

_HISTORY_NAME = "training_log.jsonl"


class _HasEpoch(Protocol):
    """Anything whose randomness depends on the epoch: a data set, a sampler, a collator."""

    epoch: int


class EpochFromState(TrainerCallback):
    """Set the epoch of data set, sampler and collator from the trainer's state, also in a resumed epoch.

    `Trainer` calls `set_epoch` through the data loader. When it skips the batches of a resumed epoch it wraps the
    loader, and the call does not arrive (transformers 5.23 with accelerate 1.15). The state is right in both cases.

    Args:
        followers (iterable of objects with an `epoch`): Objects to keep up to date. More can be appended to
            `self.followers`.

    Examples:
        >>> from types import SimpleNamespace
        >>> collator = SimpleNamespace(epoch=0)
        >>> state = TrainerState(epoch=1.4)
        >>> EpochFromState([collator]).on_epoch_begin(None, state, None)
        >>> collator.epoch
        1
    """

    def __init__(self, followers: Iterable[_HasEpoch] = ()) -> None:
        self.followers: list[_HasEpoch] = list(followers)
        self.epoch: int | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Forget the epoch of an earlier training."""
        self.epoch = None

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Set the epoch that begins or goes on."""
        # A sum of steps can end at 0.9999999 where 1 is meant; no epoch has a million steps less than that.
        of_state = int(round(state.epoch or 0.0, 6) + 1e-6)
        # A stream has no length, so the state counts no passes over it; here each pass that begins is the next one.
        self.follow(of_state if self.epoch is None else max(of_state, self.epoch + 1))

    def follow(self, epoch: int | None) -> None:
        """Set the epoch, where there is one."""
        self.epoch = epoch
        if epoch is not None:
            for follower in self.followers:
                follower.epoch = epoch


class RunPosition(TrainerCallback, ExportableState):
    """Where in a step or an epoch a run was when it saved, kept in the state of the trainer.

    The state counts steps. It does not say whether the evaluation at the end of an epoch, or the one that a signal
    came before, is done already.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.is_epoch_over = True
        self.owes_evaluation = self.owes_save = False
        # Of a run that goes on: whether it has looked what is due, and whether the end of an epoch is.
        self.is_due = self.is_epoch_due = False

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Note that the epoch goes on."""
        self.is_epoch_over = False

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Note the end of the epoch: what is evaluated and saved from here on comes after its last step."""
        self.is_epoch_over = True

    def state(self) -> dict[str, Any]:
        """Return what a run that goes on has to know."""
        names = ("is_epoch_over", "owes_evaluation", "owes_save")
        return {"args": {}, "attributes": {name: getattr(self, name) for name in names}}


class JsonLinesHistory(TrainerCallback):
    """Write every logged figure as one JSON line to `training_log.jsonl` in the output folder.

    A resumed run writes the history of its checkpoint again and goes on from there, so that no step is in the file
    twice. Only the first process writes.

    Examples:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> from types import SimpleNamespace
        >>> folder = tempfile.mkdtemp()
        >>> args, state = SimpleNamespace(output_dir=folder), TrainerState(is_world_process_zero=True, global_step=5)
        >>> JsonLinesHistory().on_log(args, state, None, logs={"loss": 0.5})
        >>> json.loads(Path(folder, "training_log.jsonl").read_text())
        {'loss': 0.5, 'step': 5}
    """

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin the file with what the state remembers: nothing, or the history of a checkpoint."""
        if state.is_world_process_zero:
            lines = [to_json(entry, indent=None, nan_to_null=True) for entry in state.log_history]
            write_file(self._path(args), "".join(lines))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Append one line."""
        if state.is_world_process_zero and logs:
            with self._path(args).open("a", encoding="utf-8") as history:
                history.write(to_json({**logs, "step": state.global_step}, indent=None, nan_to_null=True))

    @staticmethod
    def _path(args: TrainingArguments) -> Path:
        return private_folder(str(args.output_dir)) / _HISTORY_NAME


class ReturnFreeMemory(TrainerCallback):
    """Give freed memory back to the system every few steps of a training on a CPU.

    Batches differ in shape, so what one step frees seldom fits the next one, and the allocator of the GNU C library
    keeps it: a pretraining of small models grows by gigabytes. Trimming takes a few milliseconds per step at most. It
    does nothing elsewhere: other C libraries have no `malloc_trim`, and memory of accelerators is not theirs.
    """

    def __init__(self, every_steps: int = 50) -> None:
        if every_steps < 1:
            raise ValueError(f"expected every_steps of at least 1, found {every_steps}")
        self.every_steps = every_steps

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Trim where it is time to."""
        if state.global_step % self.every_steps == 0:
            return_free_memory()


def return_free_memory() -> None:
    """Give freed memory back to the system, where the C library is that of GNU."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform.startswith("linux") else None
    if trim is not None:
        # No bytes are left at the top of the heap either.
        trim(0)
