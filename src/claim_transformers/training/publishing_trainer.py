"""`PublishingTrainer`: the trainer of transformers, whose files stand whole or not at all."""

import dataclasses
import json
import logging
import math
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import accelerate
import torch
import torch.distributed as dist
import transformers
from transformers import Trainer, TrainerState

from claim_transformers.claims.files import private_folder, publish_folder, to_json, write_file
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.training.checkpoints import STAGED_MODEL, TRAINER_STATE, finish_model, rotate_checkpoints
from claim_transformers.training.finite import require_finite_weights
from claim_transformers.training.manifests import MANIFEST_NAME, damage_of, read_manifest, write_manifest

_logger = logging.getLogger(__name__)

_PICKLED_ARGUMENTS, _READABLE_ARGUMENTS = "training_args.bin", "training_args.json"


class PublishingTrainer(Trainer):
    """Checkpoints, models and metrics under a hidden name first, with a manifest, in strict JSON, and all finite."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._staging: Path | None = None
        # Whether a signal alone makes the checkpoint that is saved next.
        self.is_extra = False

    def _require_finite_weights(self) -> None:
        if isinstance(self.model, torch.nn.Module):
            require_finite_weights(self.model.named_parameters())

    @contextmanager
    def _written_by_all(self, target: Path) -> Iterator[Path]:
        """A hidden folder for all processes; the one that saves renames it to its target when all have written."""
        with ExitStack() as stack:
            mine = None
            if self.args.should_save:
                mine = stack.enter_context(publish_folder(target, check=_take_any))
            folders: list[Path | None] = [mine]
            if self.args.world_size > 1:
                folders = [None] * self.args.world_size
                dist.all_gather_object(folders, mine)
            # With `save_on_each_node` the first process of each machine saves, without it the first of all.
            first = self.args.process_index - self.args.local_process_index if self.args.save_on_each_node else 0
            folder = folders[first]
            assert folder is not None
            yield folder
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                write_manifest(folder, self.facts())
        self.accelerator.wait_for_everyone()

    def _get_output_dir(self, trial: Any) -> str:
        return super()._get_output_dir(trial) if self._staging is None else str(self._staging)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        self._require_finite_weights()
        run_dir = Path(self._get_output_dir(trial))
        checkpoint = run_dir / f"checkpoint-{self.state.global_step}"
        with self._written_by_all(checkpoint) as folder:
            self._staging = folder
            try:
                super()._save_checkpoint(model, trial)
            finally:
                self._staging = None
            self.name_best_model(run_dir, saving=None if self.is_extra else checkpoint)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                written = folder / checkpoint.name
                for path in written.iterdir():
                    path.rename(folder / path.name)
                written.rmdir()
                (folder / TRAINER_STATE).write_text(_state_json(self.state), encoding="utf-8")
        if self.args.should_save:
            kept = {checkpoint, Path(self.state.best_model_checkpoint or checkpoint)}
            rotate_checkpoints(run_dir, self.args.save_total_limit, kept)

    def name_best_model(self, run_dir: Path, saving: Path | None = None) -> None:
        """Find the checkpoint of the best model, if it has one; the folder of a run that goes on may have moved."""
        best = run_dir / f"checkpoint-{self.state.best_global_step}"
        manifest = read_manifest(best) if best.is_dir() else None
        # What a signal saved would not be there in a run that was not stopped.
        if best == saving or (manifest is not None and not manifest.get("is_extra")):
            self.state.best_model_checkpoint = str(best)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save model and tokenizer, whole or not at all.

        The files are written beside their places, with a manifest, and put there one by one when all are on the disk.
        Until the last is there nothing loads; a run that is killed in between is put right by the next one.

        Args:
            output_dir (`str`, *optional*): Folder, that of the arguments without it.
            _internal_call (`bool`, *optional*, defaults to `False`): As for [`~transformers.Trainer`].

        Raises:
            ClaimDataError: `E_NONFINITE` if a weight is not finite, `E_WRITE` if the disk is full. What stood there
                stands.
        """
        if _internal_call:
            super().save_model(output_dir, _internal_call=True)
            return
        self._require_finite_weights()
        target = Path(str(self.args.output_dir if output_dir is None else output_dir))
        if self.args.should_save and target.is_dir():
            finish_model(target)
        with self._written_by_all(target / STAGED_MODEL) as folder:
            super().save_model(str(folder), _internal_call=True)
        if self.args.should_save:
            finish_model(target)
        self.accelerator.wait_for_everyone()

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        # `Trainer` pickles the arguments, with the token in clear.
        token, self.args.hub_token = self.args.hub_token, None
        try:
            super()._save(output_dir, state_dict)
        finally:
            self.args.hub_token = token
        if self.args.should_save:
            folder = Path(str(output_dir if output_dir is not None else self.args.output_dir))
            (folder / _PICKLED_ARGUMENTS).unlink(missing_ok=True)
            # What JSON cannot hold is written as text; what is not finite is no argument of anything.
            arguments = {
                name: value if _is_plain(value) else str(value) for name, value in self.args.to_dict().items()
            }
            (folder / _READABLE_ARGUMENTS).write_text(to_json(arguments, indent=2, sort_keys=True), encoding="utf-8")

    def _load_best_model(self) -> None:
        best = Path(str(self.state.best_model_checkpoint))
        if not (best / MANIFEST_NAME).exists():
            _logger.warning(
                "W_CHECKPOINT: the best model, %s, has no manifest: nothing tells whether it is whole", best
            )
        elif (damage := damage_of(best)) is not None:
            raise ClaimDataError(
                "E_CHECKPOINT",
                f"expected the best model whole at {best}, but {damage}: resume_from_checkpoint 'auto' goes back to "
                "before it was saved",
            )
        super()._load_best_model()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log figures; what is not finite, such as a rate of nothing, is undefined and is null in every file."""
        for name, value in logs.items():
            if isinstance(value, float) and not math.isfinite(value):
                logs[name] = math.nan
        super().log(logs, start_time)

    def save_metrics(self, split: str, metrics: dict[str, float], combined: bool = True) -> None:
        """Write `<split>_results.json`, and add to `all_results.json`, each whole or not at all.

        Args:
            split (`str`): `train`, `eval`, `test` or `all`.
            metrics (`dict[str, float]`): As `train`, `evaluate` or `predict` gave them; null where undefined.
            combined (`bool`, *optional*, defaults to `True`): Whether they are added to `all_results.json`.
        """
        if not self.is_world_process_zero():
            return
        folder = private_folder(str(self.args.output_dir))
        defined = {name: _or_nan(value) for name, value in metrics.items()}
        write_file(folder / f"{split}_results.json", to_json(defined, indent=4, sort_keys=True, nan_to_null=True))
        if combined:
            path = folder / "all_results.json"
            before = json.loads(path.read_bytes()) if path.is_file() else {}
            write_file(path, to_json({**before, **defined}, indent=4, sort_keys=True, nan_to_null=True))

    def save_state(self) -> None:
        """Write `trainer_state.json` into the output folder, whole or not at all."""
        if self.is_world_process_zero():
            write_file(private_folder(str(self.args.output_dir)) / TRAINER_STATE, _state_json(self.state))

    def facts(self) -> dict[str, Any]:
        """What a run that goes on has to share with the one that was stopped, to end with its weights."""
        args = self.args
        return {
            "step": self.state.global_step,
            "is_resumable": not args.save_only_model,
            "is_extra": self.is_extra,
            "seed": args.seed,
            "data_seed": args.data_seed,
            "batch_size": args.per_device_train_batch_size,
            "accumulation": args.gradient_accumulation_steps,
            "processes": args.world_size,
            "threads": torch.get_num_threads(),
            "device": torch.cuda.get_device_name() if args.device.type == "cuda" else args.device.type,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "accelerate": accelerate.__version__,
        }


def _take_any(out: Path) -> None:
    """A checkpoint of the same step is replaced: it is that of an earlier run, or damaged."""


def _or_nan(value: Any) -> Any:
    return math.nan if isinstance(value, float) and not math.isfinite(value) else value


def _state_json(state: TrainerState) -> str:
    content = dataclasses.asdict(state)
    content["best_metric"] = _or_nan(content["best_metric"])
    return to_json(content, indent=2, sort_keys=True, nan_to_null=True)


def _is_plain(value: Any) -> bool:
    return (
        value is None
        or isinstance(value, str | bool | int | list | dict)
        or (isinstance(value, float) and math.isfinite(value))
    )
