"""Fine-tuning of a claim model on labelled patients, with early stopping, the best epoch and its predictions."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import TrainerCallback, TrainerState
from transformers.trainer_callback import PrinterCallback

from claim_transformers.models.claim import ClaimForMaskedLM, ClaimForPreTraining, ClaimForVisitClassification
from claim_transformers.models.claim.losses_claim import amounts_of_logits
from claim_transformers.training.arguments import ClaimTrainingArguments, leave_autocast
from claim_transformers.training.best_epoch import BestEpoch, choice_metrics
from claim_transformers.training.classification_metrics import classifier_metrics, label_probabilities
from claim_transformers.training.collators import (
    ClaimCollator,
    DataCollatorForClaimClassification,
    DataCollatorForVisitClassification,
)
from claim_transformers.training.labels import label_name, require_fitting_labels
from claim_transformers.training.layer_rates import GradualUnfreezing, layer_optimizer
from claim_transformers.training.objectives import pretraining_collator
from claim_transformers.training.scoring.calibration import (
    CALIBRATION_FILE,
    Calibration,
    fit_calibration,
    save_calibration,
)
from claim_transformers.training.trainer import ClaimTrainer

if TYPE_CHECKING:
    import datasets

    from claim_transformers.models.claim import ClaimTokenizer

_FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class FineTuning:
    """How a classifier is trained where nothing is to be left on disk.

    Args:
        learning_rate (`float`, *optional*, defaults to `3e-4`): Of the classifier, and of all without `layer_decay`.
        layer_decay (`float`, *optional*, defaults to `1.0`): Factor of the learning rate from each layer to the one
            below it; the embeddings are below the first layer.
        unfreeze_every (`int`, *optional*, defaults to `0`): Epochs after which one more layer from the top is trained;
            at first only the classifier is. `0` trains everything from the start.
        is_balanced (`bool`, *optional*, defaults to `False`): Whether rows of the rarer class are drawn again until
            both classes are equally many. Predicted odds are put back to the prevalence of the training split.
        epochs (`int`, *optional*, defaults to `20`): Passes over the training split; the best one on the validation
            split is used (20: Claim-PT, Results).
        patience (`int`, *optional*, defaults to `6`): Epochs in a row that may be no better than the best one before
            training ends; `0` never ends it.
        batch_size (`int`, *optional*, defaults to `32`): Patients per step.
        weight_decay (`float`, *optional*, defaults to `0.01`): Of weight matrices.
        warmup_share (`float`, *optional*, defaults to `0.1`): Share of the steps in which the learning rate rises; it
            falls linearly after them.

    Raises:
        ValueError: If a number is out of range.

    Examples:
        >>> FineTuning(layer_decay=0.5).learning_rate
        0.0003
        >>> FineTuning(epochs=0)
        Traceback (most recent call last):
        ValueError: expected at least one epoch and one row per batch, found 0 and 32
    """

    learning_rate: float = 3e-4
    layer_decay: float = 1.0
    unfreeze_every: int = 0
    is_balanced: bool = False
    epochs: int = 20
    patience: int = 6
    batch_size: int = 32
    weight_decay: float = 0.01
    warmup_share: float = 0.1

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(
                f"expected at least one epoch and one row per batch, found {self.epochs} and {self.batch_size}"
            )
        if not (0 < self.layer_decay <= 1 and self.learning_rate > 0 and self.unfreeze_every >= 0):
            raise ValueError("expected layer_decay in (0, 1], learning_rate above 0 and unfreeze_every of at least 0")


@dataclass(frozen=True)
class Fitted:
    """What a trained model says.

    Args:
        predictions (`dict[str, NDArray[float]]`): By split, all but `train`, in row order: the probability of the
            second of two classes `(N,)`, of each of several classes or labels `(N, K)`, or the number that is
            estimated `(N,)`. Where visits are classified, the slots of a patient come second and what has no label is
            NaN. A model with pretraining heads has none.
        best_epoch (`int`): Epoch whose weights were used; 0 is the model as it was given.
        history (`list[dict]`): Validation metrics of every evaluation, in order.
        calibration ([`Calibration`], *optional*): Of what the model says of patients with one outcome, fitted on the
            validation split; predictions are as they were before it. See [`save_calibration`].
    """

    predictions: dict[str, _FloatArray]
    best_epoch: int
    history: list[dict[str, float]]
    calibration: Calibration | None = None


def fine_tune(
    model: torch.nn.Module,
    tokenizer: "ClaimTokenizer",
    tokens: Mapping[str, "datasets.Dataset"],
    settings: FineTuning | ClaimTrainingArguments,
    *,
    seed: int = 0,
    data_collator: ClaimCollator | None = None,
    show_progress: bool = False,
) -> Fitted:
    """Train a model on the training split and score the other splits with its best epoch.

    With [`FineTuning`] everything stays in memory: the model ends with the weights of the epoch that was best on the
    validation split by AUROC, AUPRC, then the loss. With [`ClaimTrainingArguments`] the trainer does what they say, as
    [`ClaimTrainer`] would: logs, checkpoints, `load_best_model_at_end`, `early_stopping_patience`,
    `resume_from_checkpoint`, several processes; the model is saved in `output_dir`, with its calibration.

    Args:
        model (`torch.nn.Module`): A model of this package with a head, or a `peft` model around one; changed in place.
            Patients or visits are classified, or next visits and masked tokens learned, as its class says.
        tokenizer ([`ClaimTokenizer`]): Tokenizer of the tokens.
        tokens (`dict[str, datasets.Dataset]`): Tokenised splits with a `label` (or `labels`): truth values, classes
            from 0, a list of labels, or a number for one output; `train` and `validation` among them.
        settings ([`FineTuning`] or [`ClaimTrainingArguments`]): How.
        seed (`int`, *optional*, defaults to `0`): With [`FineTuning`], seed of batches and dropout; that of the
            weights is the caller's. [`ClaimTrainingArguments`] have their own.
        data_collator (`ClaimCollator`, *optional*): In place of the one that fits the model.
        show_progress (`bool`, *optional*, defaults to `False`): With [`FineTuning`], whether there is a bar.

    Returns:
        [`Fitted`]: Predictions and the course of the training.

    Raises:
        ValueError: If `train` or `validation` is missing, labels do not fit the model, or balancing is asked for with
            labels other than 0 and 1.
    """
    missing = [name for name in ("train", "validation") if not getattr(tokens.get(name), "num_rows", name in tokens)]
    if missing:
        raise ValueError(f"expected rows in the splits train and validation, found none in {' and '.join(missing)}")
    if not _has_pretraining_heads(model):
        of_visits = any(isinstance(part, ClaimForVisitClassification) for part in model.modules())
        for name, split in tokens.items():
            require_fitting_labels(split, name, model.config, of_visits=of_visits)
    seed = settings.seed if isinstance(settings, ClaimTrainingArguments) else seed
    parts: dict[str, Any] = {
        "model": model,
        "eval_dataset": tokens["validation"],
        "processing_class": tokenizer,
        "data_collator": data_collator or _collator(model, tokenizer, seed),
    }
    if isinstance(settings, ClaimTrainingArguments):
        return _train_as_told(model, tokens, settings, parts)
    train, log_odds = _balanced(tokens["train"], seed) if settings.is_balanced else (tokens["train"], 0.0)
    best = BestEpoch(settings.patience)
    callbacks: list[TrainerCallback] = [best]
    if settings.unfreeze_every:
        callbacks.append(GradualUnfreezing(settings.unfreeze_every))
    optimizer = layer_optimizer(
        model,
        learning_rate=settings.learning_rate,
        layer_decay=settings.layer_decay,
        weight_decay=settings.weight_decay,
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = ClaimTrainer(
            args=_arguments(settings, folder, seed, show_progress),
            train_dataset=train,
            compute_metrics=None if _has_pretraining_heads(model) else choice_metrics,
            callbacks=callbacks,
            optimizers=(optimizer, None),
            **parts,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        best.restore(model)
        _fit_smearing(trainer, model, tokens["validation"])
        predictions = _predict(trainer, model, tokens, log_odds)
        leave_autocast(model)
        return Fitted(predictions, best.epoch, best.history, _fit_calibration(model, tokens, predictions, log_odds))


def _train_as_told(
    model: torch.nn.Module,
    tokens: Mapping[str, "datasets.Dataset"],
    settings: ClaimTrainingArguments,
    parts: Mapping[str, Any],
) -> Fitted:
    """Do what the arguments of a trainer say, and leave the model with its calibration."""
    metrics = None if _has_pretraining_heads(model) else classifier_metrics
    trainer = ClaimTrainer(args=settings, train_dataset=tokens["train"], compute_metrics=metrics, **parts)
    trainer.train(resume_from_checkpoint=settings.resume_from_checkpoint)
    _fit_smearing(trainer, model, tokens["validation"])
    # Shared when the calibration is there too.
    trainer.save_model(_internal_call=True)
    predictions = _predict(trainer, model, tokens)
    leave_autocast(model)
    calibration = _fit_calibration(model, tokens, predictions)
    _replace_calibration(trainer, calibration)
    if settings.push_to_hub:
        trainer.push_to_hub(commit_message="Model save")
    return Fitted(predictions, _epoch_of_weights(trainer), _history(trainer.state), calibration)


def _has_pretraining_heads(model: torch.nn.Module) -> bool:
    return any(isinstance(part, ClaimForPreTraining | ClaimForMaskedLM) for part in model.modules())


def _collator(model: torch.nn.Module, tokenizer: "ClaimTokenizer", seed: int) -> ClaimCollator:
    """The collator of a model; `modules` looks into a `peft` model too."""
    for part in model.modules():
        if isinstance(part, ClaimForPreTraining | ClaimForMaskedLM):
            return pretraining_collator(part.config, tokenizer, seed=seed)
        if isinstance(part, ClaimForVisitClassification):
            return DataCollatorForVisitClassification(tokenizer)
    return DataCollatorForClaimClassification(tokenizer)


def _arguments(settings: FineTuning, folder: str, seed: int, show_progress: bool) -> ClaimTrainingArguments:
    return ClaimTrainingArguments(
        output_dir=folder,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=128,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=settings.warmup_share,
        eval_strategy="epoch",
        # A classifier that begins at the pretraining head may be best before its first step.
        eval_on_start=True,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        seed=seed,
        disable_tqdm=not show_progress,
        bf16_where_fast=True,
    )


def _balanced(dataset: "datasets.Dataset", seed: int) -> tuple["datasets.Dataset", float]:
    """Draw rows of the rarer class again, and say by how much this moved the log odds."""
    labels = np.asarray(dataset[label_name(dataset.column_names)][:])
    if labels.ndim != 1:
        raise ValueError("expected one label per row for is_balanced=True, found a list of labels")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("expected the labels 0 and 1 for is_balanced=True, found others")
    positive, negative = np.flatnonzero(labels == 1), np.flatnonzero(labels != 1)
    rarer, other = sorted((positive, negative), key=len)
    if len(rarer) == 0:
        return dataset, 0.0
    generator = np.random.Generator(np.random.Philox(key=seed))
    more = generator.choice(rarer, size=len(other) - len(rarer))
    rows = np.sort(np.concatenate([positive, negative, more]))
    return dataset.select(rows), float(np.log(len(negative) / len(positive)))


def _predict(
    trainer: ClaimTrainer, model: torch.nn.Module, tokens: Mapping[str, "datasets.Dataset"], log_odds: float = 0.0
) -> dict[str, _FloatArray]:
    """Predictions of all splits but the one that was learned, less the log odds that balancing added."""
    if _has_pretraining_heads(model):
        return {}
    found = {}
    for split in tokens:
        if split != "train":
            output = trainer.predict(tokens[split])
            values = output.predictions[0] if isinstance(output.predictions, tuple) else output.predictions
            logits: _FloatArray = np.asarray(values, np.float64)
            if log_odds != 0.0:
                logits = logits - np.array([0.0, log_odds])
            found[split] = _scores(logits, np.asarray(output.label_ids), model.config)
    return found


def _fit_calibration(
    model: Any, tokens: Mapping[str, "datasets.Dataset"], predictions: Mapping[str, _FloatArray], shift: float = 0.0
) -> Calibration | None:
    """Fit the calibration of a model that predicts one outcome of patients, on the validation split."""
    risks = predictions.get("validation")
    of_visits = any(isinstance(part, ClaimForVisitClassification) for part in model.modules())
    if risks is None or risks.size != len(risks) or of_visits or model.config.problem_type == "regression":
        return None
    split = tokens["validation"]
    labels = np.asarray(split[str(label_name(split.column_names))][:], np.float64).reshape(-1)
    return fit_calibration(labels, risks.reshape(-1), shift)


def _replace_calibration(trainer: ClaimTrainer, calibration: Calibration | None) -> None:
    """Write the calibration beside weights that are whole, in place of that of others; an adapter has none."""
    if not trainer.is_world_process_zero():
        return
    folder = Path(str(trainer.args.output_dir))
    if calibration is not None and (folder / "config.json").is_file():
        save_calibration(folder, calibration)
    else:
        (folder / CALIBRATION_FILE).unlink(missing_ok=True)


def _fit_smearing(trainer: ClaimTrainer, model: torch.nn.Module, validation: "datasets.Dataset") -> None:
    """Scale predictions of logarithms so that their mean is that of the validation amounts (Duan, 1983)."""
    config: Any = model.config
    if getattr(config, "regression_loss", "squared") != "log":
        return
    config.smearing_factor = 1.0
    output = trainer.predict(validation)
    values = output.predictions[0] if isinstance(output.predictions, tuple) else output.predictions
    labels = np.asarray(output.label_ids, np.float64)
    amounts = _scores(np.asarray(values, np.float64), labels, config)
    config.smearing_factor = float((labels.mean() + 1.0) / (amounts.mean() + 1.0))


def _scores(logits: _FloatArray, labels: NDArray[Any], config: Any) -> _FloatArray:
    """What a model predicts, from logits; visits `(N, V, K)` are judged one by one and put back in their place."""
    if config.problem_type == "regression":
        return amounts_of_logits(torch.from_numpy(logits), config).double().numpy()
    if logits.ndim < 3:
        return label_probabilities(logits, labels)
    judged = label_probabilities(logits[labels >= 0], labels[labels >= 0])
    scores = np.full((*labels.shape, *judged.shape[1:]), np.nan)
    scores[labels >= 0] = judged
    return scores


def _epoch_of_weights(trainer: ClaimTrainer) -> int:
    """The epoch of the best checkpoint where it was loaded at the end, else the last one."""
    state: TrainerState = trainer.state
    if trainer.args.load_best_model_at_end and state.best_global_step is not None:
        return round(next(log["epoch"] for log in state.log_history if log["step"] == state.best_global_step))
    return round(state.epoch or 0)


def _history(state: TrainerState) -> list[dict[str, float]]:
    """Validation figures of every evaluation, without how long it took."""
    timings = ("runtime", "per_second", "preparation_time")
    return [
        {
            name.removeprefix("eval_"): value
            for name, value in log.items()
            if name.startswith("eval_") and not name.endswith(timings)
        }
        for log in state.log_history
        if "eval_loss" in log
    ]
