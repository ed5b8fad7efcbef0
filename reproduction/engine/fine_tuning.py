"""Training of a classifier on a small cohort: what `Trainer` does, and how the weights are handled in between.

Learning rates that fall from the head to the embeddings, and layers that are set free one after the other from the
top, are Howard and Ruder, 2018 (arXiv:1801.06146), sections 3.2 and 3.3. The best epoch is kept in memory: a cohort is
fitted in seconds, and `Trainer` would write a checkpoint of every epoch to disk.
"""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import EvalPrediction, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from claim_transformers.training import (
    ClaimTrainer,
    ClaimTrainingArguments,
    DataCollatorForClaimClassification,
    auprc,
    auroc,
    probabilities_of,
)
from reproduction.engine.silence import print_nothing

if TYPE_CHECKING:
    import datasets

    from claim_transformers.models.claim import ClaimTokenizer

FloatArray = NDArray[np.float64]
_LAYER = re.compile(r"(?:^|\.)(?:layers|layer|encoder\.layers)\.(\d+)\.")
MULTI_LABEL_K = 10


@dataclass(frozen=True)
class FineTuning:
    """How a classifier is trained.

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
            ...
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
    """What a trained classifier says.

    Args:
        validation (`NDArray[float]`): Probabilities of the validation rows, `(N,)` or `(N, K)`.
        test (`NDArray[float]`): Probabilities of the test rows.
        best_epoch (`int`): Epoch whose weights were used; 0 is the model as it was given.
        history (`list[dict]`): Validation metrics before the first epoch and after every one.
    """

    validation: FloatArray
    test: FloatArray
    best_epoch: int
    history: list[dict[str, float]]


def fine_tune(
    model: torch.nn.Module,
    tokenizer: "ClaimTokenizer",
    tokens: Mapping[str, "datasets.Dataset"],
    settings: FineTuning,
    *,
    seed: int = 0,
    show_progress: bool = False,
) -> Fitted:
    """Train a classifier on the training split and score the other two with its best epoch.

    Args:
        model (`torch.nn.Module`): A `...ForSequenceClassification` of this package, or a `peft` model around one.
        tokenizer ([`ClaimTokenizer`]): Tokenizer of the tokens.
        tokens (`dict[str, datasets.Dataset]`): Tokenised `train`, `validation` and `test` with a `label`.
        settings ([`FineTuning`]): How.
        seed (`int`, *optional*, defaults to `0`): Seed of batches and dropout; that of the weights is the caller's.
        show_progress (`bool`, *optional*, defaults to `False`): Whether `Trainer` shows its bar.

    Returns:
        [`Fitted`]: Probabilities and the course of the training.

    Raises:
        ValueError: If a split is missing.
    """
    missing = {"train", "validation", "test"} - set(tokens)
    if missing:
        raise ValueError(f"expected the splits train, validation and test, found no {', '.join(sorted(missing))}")
    train, log_odds = _balanced(tokens["train"], seed) if settings.is_balanced else (tokens["train"], 0.0)
    best = BestEpoch(settings.patience)
    callbacks: list[TrainerCallback] = [best]
    if settings.unfreeze_every:
        callbacks.append(GradualUnfreezing(settings.unfreeze_every))
    with tempfile.TemporaryDirectory() as folder:
        trainer = ClaimTrainer(
            model=model,
            args=_arguments(settings, folder, seed, show_progress),
            train_dataset=train,
            eval_dataset=tokens["validation"],
            processing_class=tokenizer,
            data_collator=DataCollatorForClaimClassification(tokenizer),
            compute_metrics=choice_metrics,
            callbacks=callbacks,
            optimizers=(_optimizer(model, settings), None),
        )
        print_nothing(trainer)
        trainer.train()
        best.restore(model)
        scores = {name: trainer.predict(tokens[name]).predictions for name in ("validation", "test")}
    shifted = {name: probabilities_of(_shift(_logits(values), log_odds)) for name, values in scores.items()}
    return Fitted(shifted["validation"], shifted["test"], best.epoch, best.history)


def choice_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Compute what epochs and hyper-parameters are chosen by: AUROC, AUPRC where it is equal, then the loss.

    Args:
        prediction (`EvalPrediction`): Logits and labels; labels of shape `(N, K)` give the recall of the ten likeliest
            and the AUROC over all pairs of patient and label.

    Returns:
        `dict[str, float]`: `first` and `second`, larger is better, NaN where undefined.

    Examples:
        >>> logits = np.array([[2.0, 0.0], [0.0, 2.0]])
        >>> choice_metrics(EvalPrediction(predictions=logits, label_ids=np.array([0, 1])))
        {'first': 1.0, 'second': 1.0}
    """
    return choice_of(np.asarray(prediction.label_ids), probabilities_of(_logits(prediction.predictions)))


def choice_of(labels: NDArray[Any], scores: FloatArray) -> dict[str, float]:
    """Compute what hyper-parameters are chosen by, from scores.

    Args:
        labels (`NDArray` of shape `(N,)` or `(N, K)`): 0 or 1.
        scores (`NDArray[float]` of the same shape): Larger means likelier.

    Returns:
        `dict[str, float]`: `first` and `second`; AUROC and AUPRC of one label, and of many the recall of the ten
        likeliest and the AUROC over all pairs.

    Examples:
        >>> choice_of(np.array([[1, 0], [0, 1]]), np.array([[0.9, 0.1], [0.2, 0.8]]))
        {'first': 1.0, 'second': 1.0}
    """
    if labels.ndim == 1:
        return {"first": float(auroc(labels, scores)), "second": float(auprc(labels, scores))}
    from claim_transformers.training import recall_at_k

    k = min(MULTI_LABEL_K, labels.shape[1])
    pairs = labels.ravel().astype(np.int64), np.asarray(scores, np.float64).ravel()
    return {"first": float(recall_at_k(labels, scores, k=k)), "second": float(auroc(*pairs))}


class BestEpoch(TrainerCallback):
    """Keep the weights of the epoch that was best on the validation split, in memory.

    Args:
        patience (`int`, *optional*, defaults to `0`): Epochs in a row without progress that end the training; `0`
            never ends it.

    Examples:
        >>> model, best = torch.nn.Linear(1, 1), BestEpoch()
        >>> for epoch, value in enumerate([0.6, 0.8, 0.7], start=1):
        ...     _ = model.bias.data.fill_(value)
        ...     metrics = {"eval_first": value, "eval_second": 0.0, "eval_loss": 1.0}
        ...     best.on_evaluate(None, TrainerState(epoch=epoch), None, metrics=metrics, model=model)
        >>> best.restore(model)
        >>> best.epoch, round(model.bias.item(), 1)
        (2, 0.8)
    """

    def __init__(self, patience: int = 0) -> None:
        self.patience = patience
        self.epoch = 0
        self.history: list[dict[str, float]] = []
        self._best: tuple[float, float, float] | None = None
        self._weights: dict[str, torch.Tensor] = {}

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, float] | None = None,
        model: torch.nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        """Copy the weights if they are better than all before; of equal ones the first stay.

        Args:
            args (`TrainingArguments`): Unused.
            state (`TrainerState`): Gives the epoch.
            control (`TrainerControl`): Is told when to stop.
            metrics (`dict[str, float]`, *optional*): `eval_first`, `eval_second` and `eval_loss`.
            model (`torch.nn.Module`, *optional*): The model.
            **kwargs: Unused.
        """
        if metrics is None or model is None or "eval_first" not in metrics:
            return
        names = ("eval_first", "eval_second", "eval_loss")
        self.history.append({name.removeprefix("eval_"): float(metrics[name]) for name in names})
        first, second, loss = (float(metrics[name]) for name in names)
        # With one class in the validation split only the loss is defined.
        found = (_or_least(first), _or_least(second), -loss)
        if self._best is None or found > self._best:
            self._best, self.epoch = found, round(state.epoch or 0)
            self._weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
        elif self.patience and round(state.epoch or 0) - self.epoch >= self.patience:
            control.should_training_stop = True

    def restore(self, model: torch.nn.Module) -> None:
        """Put the best weights back.

        Args:
            model (`torch.nn.Module`): The model that was trained.
        """
        if self._weights:
            model.load_state_dict(self._weights)


class GradualUnfreezing(TrainerCallback):
    """Train the classifier first and one more layer from the top every few epochs.

    Args:
        every (`int`): Epochs between two layers.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._trained: set[str] | None = None

    def on_epoch_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: torch.nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        """Set free what is due.

        Args:
            args (`TrainingArguments`): Unused.
            state (`TrainerState`): Gives the epoch.
            control (`TrainerControl`): Unused.
            model (`torch.nn.Module`, *optional*): The model.
            **kwargs: Unused.
        """
        if model is None:
            return
        if self._trained is None:
            # What is frozen when training begins stays so.
            self._trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        free = int(round(state.epoch or 0.0, 6)) // self.every
        depths = parameter_depths(model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in self._trained and depths[name] <= free)


def parameter_depths(model: torch.nn.Module) -> dict[str, int]:
    """Count how far below the classifier each parameter is: 0 the classifier, then layer by layer, then embeddings.

    Args:
        model (`torch.nn.Module`): A classifier of this package.

    Returns:
        `dict[str, int]`: Depth by name. What belongs to no layer but stands behind them, as the history skip and the
        last norm do, has the depth of the last layer.

    Examples:
        >>> from claim_transformers.models.claim import ClaimConfig, ClaimForSequenceClassification
        >>> model = ClaimForSequenceClassification(ClaimConfig(vocab_size=9, hidden_size=8, num_hidden_layers=2))
        >>> depths = parameter_depths(model)
        >>> depths["classifier.weight"], depths["claim.layers.1.up_proj.weight"]
        (0, 1)
        >>> depths["claim.layers.0.up_proj.weight"], depths["claim.embeddings.code_embeddings.weight"]
        (2, 3)
    """
    names = [name for name, _ in model.named_parameters()]
    layers = [int(match.group(1)) for name in names if (match := _LAYER.search(name))]
    count = max(layers, default=-1) + 1
    depths = {}
    for name in names:
        match = _LAYER.search(name)
        if "classifier" in name or "code_skip" in name:
            depths[name] = 0
        elif match:
            depths[name] = count - int(match.group(1))
        elif "embedding" in name or "time_bias" in name:
            depths[name] = count + 1
        else:
            depths[name] = 1
    return depths


def _optimizer(model: torch.nn.Module, settings: FineTuning) -> torch.optim.Optimizer:
    """AdamW with one group per depth; vectors (biases, norms) do not decay."""
    depths = parameter_depths(model)
    groups: dict[tuple[int, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((depths[name], parameter.dim() > 1), []).append(parameter)
    options = [
        {
            "params": parameters,
            "lr": settings.learning_rate * settings.layer_decay**depth,
            "weight_decay": settings.weight_decay if decays else 0.0,
        }
        for (depth, decays), parameters in groups.items()
    ]
    return torch.optim.AdamW(options, lr=settings.learning_rate, fused=True)


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
    labels = np.asarray(dataset["label"][:])
    if labels.ndim != 1:
        raise ValueError("expected one label per row for is_balanced=True, found a list of labels")
    positive, negative = np.flatnonzero(labels == 1), np.flatnonzero(labels != 1)
    rarer, other = sorted((positive, negative), key=len)
    if len(rarer) == 0:
        return dataset, 0.0
    generator = np.random.Generator(np.random.Philox(key=seed))
    more = generator.choice(rarer, size=len(other) - len(rarer))
    rows = np.sort(np.concatenate([positive, negative, more]))
    return dataset.select(rows), float(np.log(len(negative) / len(positive)))


def _logits(predictions: Any) -> FloatArray:
    values = predictions[0] if isinstance(predictions, tuple) else predictions
    return np.asarray(values, np.float64)


def _shift(logits: FloatArray, log_odds: float) -> FloatArray:
    """Take from the log odds what balancing added to them."""
    return logits if log_odds == 0.0 else logits - np.array([0.0, log_odds])


def _or_least(value: float) -> float:
    return -np.inf if np.isnan(value) else value
