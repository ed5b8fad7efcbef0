"""`ResumableTrainer`: the trainer of transformers, made so that a run can be ended anywhere and goes on as it was."""

import logging
import math
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from transformers import TrainerState
from transformers.trainer_callback import EarlyStoppingCallback, ExportableState

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.training.callbacks import EpochFromState, JsonLinesHistory, RunPosition
from claim_transformers.training.checkpoints import choose_checkpoint, clean_run, find_valid_checkpoint
from claim_transformers.training.finite import StepFlags
from claim_transformers.training.manifests import read_manifest
from claim_transformers.training.publishing_trainer import PublishingTrainer
from claim_transformers.training.stop_signals import StopSignals

_logger = logging.getLogger(__name__)


class ResumableTrainer(PublishingTrainer):
    """Resume exactly, stop at a signal and at the first number that is not finite."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The filter would log the mean of earlier losses in place of one that is not a number, and wait for each.
        self.args.logging_nan_inf_filter = False
        self._epoch_from_state, self._position = EpochFromState(), RunPosition()
        for callback in (self._epoch_from_state, self._position, JsonLinesHistory()):
            self.add_callback(callback)
        self._signals, self._flags = StopSignals(), StepFlags()
        self._is_asked = False
        self._resumed_from: Path | None = None
        self._random_state: tempfile.TemporaryDirectory[str] | None = None

    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,
        trial: Any = None,
        ignore_keys_for_eval: list[str] | None = None,
    ) -> Any:
        """Train, from the beginning or from a checkpoint.

        Args:
            resume_from_checkpoint (`str` or `bool`, *optional*): `True` for the newest checkpoint of `output_dir` that
                is whole, `"auto"` for the same or a new run where there is none, or a folder. What is skipped is
                warned of.
            trial (*optional*): As for [`~transformers.Trainer`].
            ignore_keys_for_eval (`list[str]`, *optional*): As for [`~transformers.Trainer`].

        Raises:
            ClaimDataError: `E_CHECKPOINT` if the checkpoint is damaged or there is none, `E_NONFINITE` at the first
                loss or gradient that is not finite, `E_WRITE` if the disk is full.
            SystemExit: After SIGTERM (143) or SIGINT (130), when the step under way is over and saved.
        """
        folder = Path(str(self.args.output_dir))

        def choose() -> Path | None:
            clean_run(folder)
            needs_best_model = self.args.load_best_model_at_end
            return choose_checkpoint(resume_from_checkpoint, folder, needs_best_model=needs_best_model)

        checkpoint = self._resumed_from = self._first_process_says(choose)
        self._flags, self._is_asked, self.is_extra, self._random_state = StepFlags(), False, False, None
        self._position.reset()
        given = self.args.eval_on_start
        with ExitStack() as stack:
            if self.args.save_strategy != "no":
                stack.enter_context(self._signals.listen())
            if checkpoint is not None:
                # The evaluation before the first step is done already; a second one would count for early stopping.
                self.args.eval_on_start = False
                stack.callback(setattr, self.args, "eval_on_start", given)
            return super().train(None if checkpoint is None else str(checkpoint), trial, ignore_keys_for_eval)

    def _first_process_says(self, decide: Callable[[], Path | None]) -> Path | None:
        """Let one process decide for all, an error included."""
        said: list[Any] = [None, None]
        if self.args.process_index == 0:
            try:
                said[0] = decide()
            except ClaimDataError as error:
                if self.args.world_size == 1:
                    raise
                said[1] = error
        if self.args.world_size > 1:
            dist.broadcast_object_list(said, src=0)
        if said[1] is not None:
            raise said[1]
        chosen: Path | None = said[0]
        return chosen

    # ---- Where a run goes on ----
    def _init_training_state(
        self, max_steps: int, num_update_steps_per_epoch: int, num_train_epochs: int, resume: Any, trial: Any
    ) -> tuple[int, int]:
        """Find the place where a run goes on, with what callbacks counted until then."""
        epochs, batches = super()._init_training_state(
            max_steps, num_update_steps_per_epoch, num_train_epochs, resume, trial
        )
        if resume is None:
            return epochs, batches
        state: TrainerState = self.state
        state.log_history = [_with_nan(entry) for entry in state.log_history]
        self._restore_callbacks(state)
        self.name_best_model(Path(self._get_output_dir(trial)))
        if num_train_epochs == sys.maxsize:
            # A stream has no length: each pass over it is one epoch of the state, counted in shares of all batches.
            epochs = int((state.epoch or 0.0) + 1e-6)
            of_all = num_update_steps_per_epoch * self.args.gradient_accumulation_steps
            batches = 0 if self.args.ignore_data_skip else round(((state.epoch or 0.0) - epochs) * of_all)
        else:
            self._position.is_epoch_due = (
                not self._position.is_epoch_over and state.global_step % num_update_steps_per_epoch == 0
            )
        self._position.is_due = True
        self._warn_of_changes(Path(resume))
        return epochs, batches

    def _restore_callbacks(self, state: TrainerState) -> None:
        """Give callbacks back what they counted; their settings are those of this run."""
        of_state: dict[str, Any] = state.stateful_callbacks  # type: ignore[assignment]  # a list only when it is made
        exportable = [one for one in self.callback_handler.callbacks if isinstance(one, ExportableState)]
        for callback in [*exportable, self.control]:
            name = type(callback).__name__
            saved = of_state.setdefault(name, callback.state())
            if callback is not self.control:
                for attribute, value in (saved[-1] if isinstance(saved, list) else saved)["attributes"].items():
                    setattr(callback, attribute, value)

    def _warn_of_changes(self, checkpoint: Path) -> None:
        """Say in one line what differs from the run that is resumed, and so may change its result."""
        before, now = read_manifest(checkpoint) or {}, self.facts()
        changed = [f"{name} {before[name]} -> {now[name]}" for name in now if before.get(name, now[name]) != now[name]]
        changed = [text for text in changed if not text.startswith(("step ", "is_resumable ", "is_extra "))]
        if changed and self.args.process_index == 0:
            _logger.warning(
                "W_RESUME: weights will not be those of a run that was not stopped: %s", "; ".join(changed)
            )

    def _run_epoch(self, **given: Any) -> None:  # type: ignore[override]  # all are given by name
        self._catch_up(given["model"], given["trial"], given["ignore_keys_for_eval"], given["start_time"])
        if not self.control.should_training_stop:
            super()._run_epoch(**given)

    def _finalize_training(self, trial: Any, num_train_samples: int, start_time: float) -> Any:
        self._catch_up(self.model_wrapped, trial, None, start_time)
        self._agree()
        if self._is_asked:
            self.is_extra = True
            self._save_and_exit(self.model_wrapped, trial)
        if self.state.global_step == self._initial_global_step:
            # No step was trained here, so there is no loss of one.
            self._total_loss_scalar = math.nan
        return super()._finalize_training(trial, num_train_samples, start_time)

    def _catch_up(self, model: Any, trial: Any, ignore_keys: list[str] | None, start_time: float) -> None:
        """Do what came after the last save in the step that it was of: evaluation, the end of an epoch, the end."""
        position = self._position
        if not position.is_due:
            return
        position.is_due = False
        if position.owes_evaluation or position.is_epoch_due or self._is_over():
            self._load_rng_state(str(self._resumed_from))
            given = (self._tr_loss, None, model, trial, self.state.epoch, ignore_keys, start_time)
            if position.owes_evaluation:
                position.owes_evaluation = False
                self.control.should_evaluate, self.control.should_save = True, position.owes_save
                self._maybe_log_save_evaluate(*given)
            if not position.is_epoch_over and (position.is_epoch_due or self._is_over()):
                begun = self._epoch_from_state.epoch
                self._epoch_from_state.follow(math.ceil((self.state.epoch or 0.0) - 1e-6) - 1)
                self.control = self.callback_handler.on_epoch_end(self.args, self.state, self.control)
                self._maybe_log_save_evaluate(*given)
                self._epoch_from_state.follow(begun)
            # The next step begins with the random state of now, not with that of the checkpoint.
            self._random_state = tempfile.TemporaryDirectory()
            self._save_rng_state(self._random_state.name)
        self.control.should_training_stop = self.control.should_training_stop or self._is_over()

    def _is_over(self) -> bool:
        """Whether a run that is resumed had reached its end, or the end of its patience."""
        if self.state.global_step >= self.state.max_steps:
            return True
        return any(
            callback.early_stopping_patience_counter >= callback.early_stopping_patience
            for callback in self.callback_handler.callbacks
            if isinstance(callback, EarlyStoppingCallback)
        )

    def _load_rng_state(self, checkpoint: str | None) -> None:
        super()._load_rng_state(checkpoint if self._random_state is None else self._random_state.name)

    # ---- What ends a run ----
    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Train on one batch, and look whether its loss is finite."""
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        self._flags.see(loss)
        return loss

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        if norm is not None and self.accelerator.scaler is None:
            # With a scaler an infinite gradient is how it finds its scale, and the step is skipped.
            self._flags.see(norm)
        self._agree()
        return norm

    def _agree(self, *, wait: bool = False) -> None:
        """Tell all processes of the step under way, and end the run at a number that is not finite."""
        self._flags.post(self.state.global_step + 1, self._signals.came is not None, self.args.device)
        self._heed(wait=wait)

    def _heed(self, *, wait: bool) -> None:
        bad_step, is_asked = self._flags.read(wait=wait)
        self._is_asked = self._is_asked or is_asked
        if bad_step is not None:
            good = find_valid_checkpoint(str(self.args.output_dir))
            rate = self._get_learning_rate()
            raise ClaimDataError(
                "E_NONFINITE",
                f"expected a finite loss and gradient, found one that is not in step {bad_step} at learning rate "
                f"{rate:.3g}: lower learning_rate or max_grad_norm, or look for extreme values in the data. Nothing "
                f"of it was saved; the last good checkpoint is {good or 'none'}",
            )

    def get_batch_samples(self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device) -> Any:
        """Fetch the batches of a step; a signal to the whole group of processes ends its workers first."""
        try:
            return super().get_batch_samples(epoch_iterator, num_batches, device)
        except RuntimeError:
            if self._signals.came is None or self.args.world_size > 1 or self.state.global_step == 0:
                raise
            self.is_extra = True
            self._save_and_exit(self.model_wrapped, None)

    def _maybe_log_save_evaluate(
        self, tr_loss: Any, grad_norm: Any, model: Any, trial: Any, *args: Any, **kw: Any
    ) -> None:
        if self.control.should_save or self.control.should_evaluate:
            self._heed(wait=True)
        stops = self._is_asked and not self._position.is_epoch_over
        if stops:
            # An evaluation may take longer than the time that a signal leaves; the run that goes on makes it.
            self._position.owes_evaluation = self.control.should_evaluate
            self._position.owes_save = self.control.should_save
            self.is_extra = not self.control.should_save
            self.control.should_evaluate = self.control.should_save = False
        super()._maybe_log_save_evaluate(tr_loss, grad_norm, model, trial, *args, **kw)
        if stops:
            self._save_and_exit(model, trial)

    def _save_and_exit(self, model: Any, trial: Any) -> NoReturn:
        self._save_checkpoint(model, trial)
        self.control = self.callback_handler.on_save(self.args, self.state, self.control)
        came = self._signals.came
        number = 15 if came is None else int(came)
        _logger.warning(
            "Stopped by a signal at step %d, which is saved: resume_from_checkpoint 'auto' goes on. Exit code %d",
            self.state.global_step,
            128 + number,
        )
        raise SystemExit(128 + number)


def _with_nan(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Read a logged entry back: null is what was not defined."""
    return {name: math.nan if value is None else value for name, value in entry.items()}
