"""`ClaimTrainer`: the trainer of transformers, and only what claims need beyond it."""

import logging
from typing import Any

import datasets
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader
from transformers import EarlyStoppingCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import EvalLoopOutput

from claim_transformers.models.claim import ClaimForMaskedLM
from claim_transformers.training.arguments import ClaimTrainingArguments
from claim_transformers.training.callbacks import ReturnFreeMemory
from claim_transformers.training.fitting_parts import has_one_class, require_fitting_classes, require_fitting_parts
from claim_transformers.training.loss_parts import LossParts
from claim_transformers.training.masked_tokens import score_masked_tokens
from claim_transformers.training.metrics import ONE_CLASS
from claim_transformers.training.next_visit import IGNORE_INDEX, hold_out_last_visit
from claim_transformers.training.samplers import LengthGroupedBatches
from claim_transformers.training.sharing_trainer import SharingTrainer
from claim_transformers.training.split_overlap import require_disjoint_patients
from claim_transformers.training.tokenized_patients import LENGTH_COLUMN, TokenizedPatients, read_numbers
from claim_transformers.training.told_metrics import TellingPrinter, TellingProgress, is_of_few, told

_logger = logging.getLogger(__name__)

_LOSS_PARTS = ("nvp_loss", "cp_loss", "horizon_loss")
_OF_TWO_CLASSES = ("auroc", "auprc", "macro_auroc")


class ClaimTrainer(SharingTrainer):
    """Train claim models: exact on resume, exact on several processes, with the losses of both pretraining tasks.

    Use it like [`~transformers.Trainer`]. What differs:

    * Tokenised `datasets.Dataset`s are read as Arrow tables ([`TokenizedPatients`]).
    * Batches are grouped by number of visits, in an order keyed by seed and epoch ([`LengthGroupedBatches`]); a run
      that is stopped and resumed sees the batches, masks and cuts of a run that was not. `train_sampling_strategy` set
      to anything but its default gives the sampler of transformers.
    * `nvp_loss`, `cp_loss` and `horizon_loss` are logged beside `loss`, averaged like it over accumulation steps and
      processes.
    * Training and evaluation sets that share a patient are refused (`E_SPLIT_OVERLAP`), and so are a tokenizer or a
      collator that does not fit the model (`E_VOCAB_SIZE`, `E_COLLATOR`).
    * Where the evaluation set has one class, `metric_for_best_model` is the loss in place of an area under a curve,
      and a warning says so (`W_ONE_CLASS`).
    * The console shows no figure of an evaluation of fewer than 11 patients, or of so few with the outcome.
    * `training_log.jsonl` in the output folder holds every logged figure.
    * A checkpoint is whole or absent and has a manifest; `train(resume_from_checkpoint="auto")` goes on from the
      newest whole one as if nothing had happened, or starts anew. Nothing is written in place.
    * SIGTERM and a first SIGINT save the step under way and end the run with the codes 143 and 130.
    * The first loss or gradient that is not finite ends the run, and such weights are not saved (`E_NONFINITE`).
    * Training arguments are saved as JSON without tokens instead of a pickle that holds the hub token in clear.
    * `push_to_hub`, as an argument and as a method, sends what `claim_transformers.hub` lets out and nothing else that
      lies in the output folder, as one commit, to a private repository unless `hub_private_repo=False`.

    Args:
        *args: As for [`~transformers.Trainer`].
        **kwargs: As for [`~transformers.Trainer`].

    Raises:
        ClaimDataError: `E_SPLIT_OVERLAP` if a patient is in both the training and an evaluation set.
        ValueError: If `dataloader_persistent_workers` or `dataloader_drop_last` is set, `hub_strategy` sends whole
            checkpoints, one process has several accelerators, or tokenizer or collator do not fit the model, see
            [`require_fitting_parts`].

    Examples:
        >>> import tempfile
        >>> from claim_transformers.models.claim import ClaimConfig, ClaimForPreTraining, ClaimTokenizer
        >>> from claim_transformers.training import ClaimTrainingArguments, DataCollatorForClaimPretraining
        >>> patient = {"visits": [{"day": day, "type": "OP", "codes": ["HCPCS/99213"]} for day in (1, 9)]}
        >>> tokenizer = ClaimTokenizer.train_from_dataset([patient] * 11)
        >>> rows = [dict(tokenizer(patient, return_length=True, return_category_ids=True))] * 8
        >>> trainer = ClaimTrainer(
        ...     model=ClaimForPreTraining(ClaimConfig(vocab_size=len(tokenizer), hidden_size=8)),
        ...     args=ClaimTrainingArguments(output_dir=tempfile.mkdtemp(), use_cpu=True),
        ...     train_dataset=datasets.Dataset.from_list(rows),
        ...     data_collator=DataCollatorForClaimPretraining(tokenizer),
        ... )
        >>> batch = next(iter(trainer.get_train_dataloader()))
        >>> tuple(batch["input_ids"].shape), tuple(batch["visit_days"].shape), tuple(batch["cut"].shape)
        ((8, ...), (8, 3), (8,))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config = getattr(self.accelerator.unwrap_model(self.model), "config", None)
        require_fitting_parts(config, self.processing_class, self.data_collator)
        if self.args.dataloader_persistent_workers:
            raise ValueError(
                "expected dataloader_persistent_workers=False, found True: such workers keep the epoch they began with"
            )
        if self.args.dataloader_drop_last:
            raise ValueError("expected dataloader_drop_last=False, found True: every row is used once in an epoch")
        if self.args.n_gpu > 1:
            raise ValueError(
                f"expected one accelerator per process, found {self.args.n_gpu}: start one process for each with "
                "torchrun, or choose one with CUDA_VISIBLE_DEVICES"
            )
        # A batch is one Arrow table, whose columns the collator chooses.
        self.args.remove_unused_columns = False
        if isinstance(self.train_dataset, datasets.Dataset):
            self.train_dataset = TokenizedPatients(self.train_dataset)
        require_disjoint_patients(self.train_dataset, self.eval_dataset)
        require_fitting_classes(self.accelerator.unwrap_model(self.model), self.train_dataset, self.eval_dataset)
        if has_one_class(self.train_dataset):
            _logger.warning("%s in the training set: NOTHING CAN BE LEARNED from it", ONE_CLASS)
        best = str(self.args.metric_for_best_model).removeprefix("eval_")
        if best in _OF_TWO_CLASSES and has_one_class(self.eval_dataset):
            _logger.warning("%s in the evaluation set: the best model is the one of LEAST LOSS", ONE_CLASS)
            self.args.metric_for_best_model, self.args.greater_is_better = "eval_loss", False
        if isinstance(self.args, ClaimTrainingArguments) and self.args.early_stopping_patience:
            self.add_callback(EarlyStoppingCallback(self.args.early_stopping_patience))
        if self.args.device.type == "cpu":
            self.add_callback(ReturnFreeMemory())
        self._parts = LossParts()
        self._of_few: set[str] = set()
        for kind, telling in ((PrinterCallback, TellingPrinter), (ProgressCallback, TellingProgress)):
            if self.pop_callback(kind) is not None:
                self.add_callback(telling(self._of_few))

    # ---- Data ----
    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return batches of similar length in an order keyed by seed and epoch, sharded over the processes."""
        dataset = self.train_dataset
        followers: list[Any] = [dataset] if isinstance(dataset, TokenizedPatients) else []
        if hasattr(self.data_collator, "epoch"):
            followers.append(self.data_collator)
        self._epoch_from_state.followers = followers
        # `random` is the default of transformers; whoever asks for something else gets it from there.
        if not isinstance(dataset, TokenizedPatients) or self.args.train_sampling_strategy != "random":
            return super().get_train_dataloader()
        batches = LengthGroupedBatches(
            dataset.lengths(),
            self._train_batch_size,
            seed=self.args.seed if self.args.data_seed is None else self.args.data_seed,
            accumulation=self.args.gradient_accumulation_steps,
            processes=self.args.world_size,
        )
        followers.append(batches)
        loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_sampler=batches,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
            prefetch_factor=self.args.dataloader_prefetch_factor,
            multiprocessing_context=self.args.dataloader_multiprocessing_context,
        )
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared

    def _get_eval_sampler(self, eval_dataset: Any) -> Any:
        order = self._evaluation_order(eval_dataset)
        return super()._get_eval_sampler(eval_dataset) if order is None else order.tolist()

    def _evaluation_order(self, dataset: Any) -> npt.NDArray[np.int64] | None:
        """Rows by length, so that evaluation pads little; None where lengths are unknown or batches stay apart."""
        if not isinstance(dataset, TokenizedPatients) or not self.args.eval_do_concat_batches:
            return None
        lengths = read_numbers(dataset.source, LENGTH_COLUMN)
        # Short rows first: with several processes the first rows are repeated to fill the last batch.
        return None if lengths is None else np.argsort(lengths, kind="stable")

    def _get_dataloader(self, dataset: Any, *args: Any, **kwargs: Any) -> DataLoader[Any]:
        if isinstance(dataset, datasets.Dataset):
            dataset = TokenizedPatients(dataset)
        return super()._get_dataloader(dataset, *args, **kwargs)

    # ---- Losses of both tasks ----
    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Compute the loss and remember its parts for the next log."""
        rows = len(inputs["input_ids"])
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch)
        if isinstance(outputs, dict):
            parts = {name: outputs[name].detach() for name in _LOSS_PARTS if outputs.get(name) is not None}
            # A loss over the targets of the whole step adds up over batches; a mean over the rows of a batch does not.
            targets = num_items_in_batch if self.model_accepts_loss_kwargs else None
            if not model.training:
                parts["loss"] = loss.detach() if targets is None else loss.detach() / self.args.world_size
                here = rows if targets is None else (inputs["labels"] != IGNORE_INDEX).sum()
                self._parts.add(parts, times=rows if targets is None else targets, counted=here)
            else:
                batches = self.current_gradient_accumulation_steps * self.args.world_size
                self._parts.begin(self.state.global_step)
                self._parts.add(parts, times=1.0 / batches if targets is None else 1.0)
        return (loss, outputs) if return_outputs else loss

    def prediction_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Any, Any, Any]:
        """Evaluate one batch.

        What a pretraining model predicts are the codes of each patient's last visit, or the hidden tokens.
        """
        base = self.accelerator.unwrap_model(model)
        is_masked = isinstance(base, ClaimForMaskedLM) and "labels" in inputs
        if prediction_loss_only or not (is_masked or hasattr(base, "predict_next_visit")):
            return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        inputs = self._prepare_inputs(inputs)
        if is_masked:
            # One run of the encoder gives the loss and what the hidden tokens are scored from.
            asked = {**inputs, "output_hidden_states": True}
            evaluated: tuple[Any, Any, Any] = super().prediction_step(model, asked, False, ["logits", "attentions"])
            with torch.no_grad(), self.compute_loss_context_manager():
                logits, targets = score_masked_tokens(base, evaluated[1][-1], inputs["labels"])
            return evaluated[0], logits.float(), targets
        loss = super().prediction_step(model, inputs, prediction_loss_only=True)[0]
        categories = "visit_categories" if "visit_categories" in inputs else "category_labels"
        target = "labels" if base.config.nvp_target == "code" else categories
        history, targets = hold_out_last_visit(inputs, base.config.pad_token_id, target)
        with self.compute_loss_context_manager():
            logits = base.predict_next_visit(**history)
        return loss, logits.float(), targets

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log figures, with the parts of the training loss beside it."""
        if "loss" in logs:
            logs.update(self._parts.mean_per_step(self.accelerator, self.state.global_step))
        super().log(logs, start_time)

    def log_metrics(self, split: str, metrics: dict[str, float]) -> None:
        """Print the figures of a split that a console may be told."""
        super().log_metrics(split, told(metrics, self._of_few))

    def evaluation_loop(
        self,
        dataloader: DataLoader[Any],
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Evaluate batches of similar length, with the parts of the loss among the metrics.

        Losses are means over all targets (or rows, where the loss of the model is a mean over rows), however the rows
        are cut into batches. `compute_metrics` sees the rows by length, predictions are returned in the order of the
        rows.
        """
        of_training, self._parts = self._parts, LossParts()
        try:
            output = super().evaluation_loop(
                dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix
            )
            means = self._parts.mean_per_item(self.accelerator)
        finally:
            self._parts = of_training
        metrics = {**(output.metrics or {}), **{f"{metric_key_prefix}_{name}": mean for name, mean in means.items()}}
        self._of_few.discard(metric_key_prefix)
        if is_of_few(output.num_samples or 0, output.label_ids):
            self._of_few.add(metric_key_prefix)
        order = self._evaluation_order(dataloader.dataset)
        if order is None:
            return output._replace(metrics=metrics)
        return EvalLoopOutput(
            predictions=_restore_order(output.predictions, order),
            label_ids=_restore_order(output.label_ids, order),
            metrics=metrics,
            num_samples=output.num_samples,
        )


def _restore_order(values: Any, order: npt.NDArray[np.int64]) -> Any:
    """Put what was gathered in the order of evaluation back into the order of the rows."""
    if isinstance(values, tuple):
        return tuple(_restore_order(value, order) for value in values)
    if isinstance(values, np.ndarray) and len(values) == len(order):
        restored = np.empty_like(values)
        restored[order] = values
        return restored
    return values
