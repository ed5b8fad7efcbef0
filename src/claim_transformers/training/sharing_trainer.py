"""`SharingTrainer`: the Hub by the API of the trainer of transformers, and by the list of what may leave."""

import logging
import platform
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.trainer_utils import HubStrategy

from claim_transformers.training.resumable_trainer import ResumableTrainer
from claim_transformers.training.scoring.calibration import copy_calibration
from claim_transformers.version import __version__

_logger = logging.getLogger(__name__)

_STRATEGIES = (HubStrategy.END, HubStrategy.EVERY_SAVE)
_SETTINGS = (
    "learning_rate", "lr_scheduler_type", "per_device_train_batch_size", "gradient_accumulation_steps", "weight_decay",
    "seed",
)  # fmt: skip


class SharingTrainer(ResumableTrainer):
    """Share a model, its tokenizer, their code and a card in one commit, in a private repository by default."""

    hub_model_id: Any
    # Prefixes of evaluations that are of so few patients that nothing of them leaves.
    _of_few: set[str]

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """Create the repository: called when a trainer is made with `push_to_hub=True`, before any step.

        Args:
            token (`str`, *optional*): Token; `hub_token` of the arguments, or `HF_TOKEN`, without it.
            private (`bool`, *optional*): Whether it has to be private; `hub_private_repo` of the arguments without it,
                and yes where that is not set.

        Raises:
            HubError: If the Hub refuses or does not answer.
            PushRefusedError: If the repository has to be private and is public.
            ValueError: If `hub_strategy` would send checkpoints with the state of the optimizer.
        """
        if self.args.push_to_hub and self.args.hub_strategy not in _STRATEGIES:
            raise ValueError(
                f"expected hub_strategy 'end' or 'every_save', found {HubStrategy(self.args.hub_strategy).value!r}: "
                "it sends checkpoints with the state of the optimizer and of the run; resume from those in output_dir"
            )
        self.push_in_progress = None
        name = self.args.hub_model_id or Path(str(self.args.output_dir)).absolute().name
        self.hub_model_id = name
        if self.is_world_process_zero():
            token = token or self.args.hub_token
            prepare = _looked_up("claim_transformers.hub.trained:prepare_repository")
            self.hub_model_id = prepare(name, private=self._is_private(private), token=token)

    def _is_private(self, private: bool | None) -> bool:
        asked = private if private is not None else self.args.hub_private_repo
        return True if asked is None else bool(asked)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save model and tokenizer, whole or not at all; with `push_to_hub=True` share them too."""
        super().save_model(output_dir, _internal_call)
        if self.args.push_to_hub and not _internal_call:
            self.push_to_hub(commit_message="Model save", revision=self.args.hub_revision)

    def push_to_hub(
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Share the model as it is now: weights, their calibration, configuration, tokenizer, code and card alone.

        Args:
            commit_message (`str`, *optional*, defaults to `"End of training"`): First line of the one commit.
            blocking (`bool`, *optional*, defaults to `True`): Nothing else is possible.
            token (`str`, *optional*): Token; `hub_token` of the arguments, or `HF_TOKEN`, without it.
            revision (`str`, *optional*): Branch; `hub_revision` of the arguments without it.
            private (`bool`, *optional*): As in [`~SharingTrainer.init_hf_repo`].
            **kwargs: For [`~SharingTrainer.create_model_card`].

        Returns:
            `CommitInfo`: The commit; `None` on all processes but the first.

        Raises:
            HubError: If the Hub refuses or does not answer.
            PushRefusedError: If something private would leave. Nothing has been sent.
            ValueError: If `blocking` is `False`, or the trainer has no tokenizer.
        """
        if not blocking:
            raise ValueError("expected blocking=True, found False: a push is looked through, then waited for")
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        self._require_finite_weights()
        if self.hub_model_id is None:
            self.init_hf_repo(token=token, private=private)
        with tempfile.TemporaryDirectory() as folder:
            self.save_model(folder, _internal_call=True)
            if not self.is_world_process_zero():
                return None
            copy_calibration(str(self.args.output_dir), folder)
            kwargs.setdefault("model_name", str(self.hub_model_id).rpartition("/")[2])
            self.create_model_card(**kwargs)
            return self._push(
                folder,
                commit_message,
                token=token,
                revision=revision,
                private=private,
                card=Path(str(self.args.output_dir), "README.md"),
            )

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Share a checkpoint of a run under way; a Hub that does not answer costs a warning and not the run."""
        if not self.is_world_process_zero() or self.args.hub_strategy == HubStrategy.END:
            return
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        try:
            self._push(checkpoint_folder, f"Training in progress, step {self.state.global_step}")
        except _looked_up("claim_transformers.hub.trained:HUB_ERROR") as error:
            _logger.warning("W_HUB: step %d was not shared, the run goes on. %s", self.state.global_step, error)

    def _push(
        self,
        folder: str,
        message: str | None,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        card: Path | None = None,
    ) -> Any:
        tokenizer = self.processing_class or getattr(self.data_collator, "tokenizer", None)
        if tokenizer is None:
            raise ValueError(
                "expected a tokenizer to share with the model, found none: pass processing_class=tokenizer"
            )
        if not any(Path(folder).glob("vocab.json")):
            tokenizer.save_pretrained(folder)
        return _looked_up("claim_transformers.hub.trained:push_trained")(
            folder,
            self.hub_model_id,
            self.accelerator.unwrap_model(self.model).config,
            type(tokenizer),
            private=self._is_private(private),
            token=token or self.args.hub_token,
            revision=revision or self.args.hub_revision,
            commit_message=message,
            card=card,
        )

    def create_model_card(
        self,
        language: str | None = None,
        license: str | None = None,
        tags: str | list[str] | None = None,
        model_name: str | None = None,
        finetuned_from: str | None = None,
        tasks: str | list[str] | None = None,
        dataset_tags: str | list[str] | None = None,
        dataset: str | list[str] | None = None,
        dataset_args: str | list[str] | None = None,
    ) -> None:
        """Write a draft of a card into `output_dir`; one of measured results that lies there stays as it is.

        Args:
            language (`str`, *optional*): For the front matter.
            license (`str`, *optional*): For the front matter.
            tags (`str` or `list[str]`, *optional*): Beside those of the package.
            model_name (`str`, *optional*): Title; the class of the model without it.
            finetuned_from (`str`, *optional*): Repository of the model that this one began as.
            tasks (`str` or `list[str]`, *optional*): Tags too.
            dataset_tags (`str` or `list[str]`, *optional*): Repositories of the data.
            dataset (`str` or `list[str]`, *optional*): The data in words.
            dataset_args (`str` or `list[str]`, *optional*): More words on the data.
        """
        if not self.is_world_process_zero():
            return
        evaluated: dict[str, Any] = next((log for log in reversed(self.state.log_history) if "eval_loss" in log), {})
        timings = ("runtime", "per_second", "preparation_time")
        metrics = {
            name.removeprefix("eval_"): value
            for name, value in evaluated.items()
            if name.startswith("eval_") and not name.endswith(timings) and isinstance(value, int | float)
        }
        settings = {name: getattr(self.args, name) for name in _SETTINGS}
        settings["lr_scheduler_type"] = getattr(self.args.lr_scheduler_type, "value", self.args.lr_scheduler_type)
        settings |= {"steps": self.state.global_step, "python": platform.python_version(), "torch": torch.__version__}
        settings |= {"transformers": transformers.__version__, "claim-transformers": __version__}
        _looked_up("claim_transformers.hub.draft_card:write_draft_card")(
            str(self.args.output_dir),
            model_class=type(self.accelerator.unwrap_model(self.model)).__name__,
            settings=settings,
            metrics={} if "eval" in self._of_few else metrics,
            examples=_rows(self.eval_dataset),
            model_name=model_name,
            tags=[*_listed(tags), *_listed(tasks)],
            dataset=", ".join([*_listed(dataset), *_listed(dataset_args)]) or None,
            language=language,
            license=license,
            base_model=finetuned_from,
            datasets=_listed(dataset_tags) or None,
        )


def _listed(value: str | list[str] | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _rows(dataset: Any) -> int:
    """Rows of the smallest evaluation set; none where that is not known."""
    sizes = [len(one) if hasattr(one, "__len__") else 0 for one in dataset.values()] if type(dataset) is dict else None
    if sizes is not None:
        return min(sizes, default=0)
    return len(dataset) if hasattr(dataset, "__len__") else 0


def _looked_up(name: str) -> Any:
    """A function of a room above, by its name: rooms import downwards, and most runs share nothing."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)
