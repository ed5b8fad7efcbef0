"""Contestants that are neural networks, all trained by the same trainer: recurrent ones, ours, and ours with LoRA."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import Any, ClassVar, Literal

import torch
from transformers import set_seed

from claim_transformers.analysis import start_from_checkpoint, start_from_pretraining
from claim_transformers.analysis.readout.starts import CODE_SKIP_HALF_LIFE_DAYS
from claim_transformers.training import FineTuning, fine_tune
from claim_transformers.training.fine_tuning import Fitted
from reproduction.claim_pt.plain_trainer import new_classifier
from reproduction.engine.checkpoints import (
    checkpoint_digest,
    checkpoint_folder,
    load_tokenizer,
    tokenizer_digest,
)
from reproduction.engine.silence import quiet
from reproduction.engine.tables import COLD_START
from reproduction.engine.tasks import Scores, Task

FINE_TUNED = "fine-tuned"
RECURRENT_NAMES = {"doctor_ai": "DoctorAI", "dipole": "Dipole", "retain": "RETAIN"}
RECURRENT_GRID = (
    {"learning_rate": 1e-3, "hidden_size": 64, "dropout": 0.2},
    {"learning_rate": 1e-3, "hidden_size": 128, "dropout": 0.5},
    {"learning_rate": 3e-3, "hidden_size": 64, "dropout": 0.5},
    {"learning_rate": 3e-4, "hidden_size": 128, "dropout": 0.2},
)
SCRATCH_GRID = (
    {"learning_rate": 3e-4, "dropout": 0.1},
    {"learning_rate": 3e-4, "dropout": 0.3},
    {"learning_rate": 1e-3, "dropout": 0.1},
    {"learning_rate": 1e-3, "dropout": 0.3},
)
# Fine-tuning begins at the pretraining head, beside a linear term of counts; docs/benchmark/log.md has what was tried.
_WARM = {"is_head_warm": True, "code_skip": True}
_WARM_AND_RECENT = {**_WARM, "code_skip_half_life_days": CODE_SKIP_HALF_LIFE_DAYS}
FINE_TUNING_GRID = (
    {**_WARM_AND_RECENT, "learning_rate": 3e-5},
    {**_WARM_AND_RECENT, "learning_rate": 3e-4, "layer_decay": 0.4},
    {"learning_rate": 5e-5},
)
# A classifier with a rate of its own is not the paper's, and takes no such learning rates.
_PLAIN = {"classifier_rate": 0}
PAPER_GRID = (
    {**_PLAIN, "learning_rate": 1e-4},
    {**_PLAIN, "learning_rate": 3e-4},
    {**_PLAIN, "learning_rate": 1e-3, "layer_decay": 0.4},
    {**_PLAIN, "learning_rate": 1e-3, "layer_decay": 0.4, "unfreeze_every": 2},
)
LORA_GRID = (
    {**_WARM, "learning_rate": 1e-4, "rank": 4},
    {**_WARM_AND_RECENT, "learning_rate": 1e-4, "rank": 4},
    {**_WARM_AND_RECENT, "learning_rate": 1e-3, "rank": 8},
    {**_PLAIN, "learning_rate": 1e-3, "rank": 8},
)
_TRAINING_FIELDS = {field.name for field in fields(FineTuning)}


@dataclass(frozen=True)
class NeuralContestant:
    """What the neural contestants share: tokens of a checkpoint's tokenizer, the trainer, and its 20 epochs.

    Args:
        checkpoint (`str`): Folder or name of the checkpoint whose tokenizer, sizes or weights are used.
        epochs (`int`, *optional*, defaults to `20`): Passes over the training split.
        settings (`list[dict]`, *optional*): Settings to try instead of those of the class.
    """

    checkpoint: str
    epochs: int = 20
    settings: tuple[Mapping[str, Any], ...] | None = None
    is_probability: ClassVar[bool] = True
    default_grid: ClassVar[Sequence[Mapping[str, Any]]] = SCRATCH_GRID

    @property
    def grid(self) -> Sequence[Mapping[str, Any]]:
        """Settings that are tried."""
        return self.default_grid if self.settings is None else self.settings

    def takes(self, task: Task) -> bool:
        """Whether the model can be fitted on the task: on any."""
        return True

    def key(self) -> dict[str, Any]:
        """What decides about a fit beside task, setting and seed."""
        return {
            "kind": type(self).__name__,
            "checkpoint": checkpoint_digest(self.checkpoint),
            "epochs": self.epochs,
        }

    def fit(self, task: Task, hyper: Mapping[str, Any], seed: int) -> Scores:
        """Train the model and score validation and test with its best epoch."""
        model, fitted = self.train(task, hyper, seed)
        trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        details = {"best_epoch": fitted.best_epoch, "history": fitted.history, "trained_parameters": trained}
        return Scores(fitted.predictions["validation"], fitted.predictions["test"], details)

    def train(self, task: Task, hyper: Mapping[str, Any], seed: int) -> tuple[torch.nn.Module, Fitted]:
        """Train the model; it ends with the weights of its best epoch."""
        tokenizer = load_tokenizer(self.checkpoint)
        settings = {name: value for name, value in hyper.items() if name in _TRAINING_FIELDS}
        labels: dict[str, Any] = {
            "num_labels": task.labels("test").shape[1] if task.cohort.is_multi_label else 2,
            "problem_type": "multi_label_classification" if task.cohort.is_multi_label else None,
        }
        if not task.cohort.is_multi_label:
            labels["problem_type"] = "single_label_classification"
        set_seed(seed)
        with quiet():
            tokens = task.tokens(tokenizer)
            classifier: torch.nn.Module
            if hyper.get("is_head_warm"):
                classifier, _ = start_from_pretraining(
                    checkpoint_folder(self.checkpoint),
                    task.cohort.definition,
                    tokens["train"],
                    seed=seed,
                    **labels,
                    **_choices(hyper),
                )
            else:
                classifier = self.build(labels, hyper)
            model = self.wrap(classifier, hyper)
            return model, fine_tune(model, tokenizer, tokens, FineTuning(epochs=self.epochs, **settings), seed=seed)

    def build(self, labels: Mapping[str, Any], hyper: Mapping[str, Any]) -> torch.nn.Module:
        """Make the classifier that is trained.

        Args:
            labels (`dict`): `num_labels` and `problem_type`.
            hyper (`dict`): The setting.

        Returns:
            `torch.nn.Module`: The classifier.
        """
        raise NotImplementedError

    def wrap(self, model: torch.nn.Module, hyper: Mapping[str, Any]) -> torch.nn.Module:
        """Put something around the classifier when its first weights are set; most models are trained as they are.

        Args:
            model (`torch.nn.Module`): What `build` made.
            hyper (`dict`): The setting.

        Returns:
            `torch.nn.Module`: What is trained.
        """
        return model


def _choices(hyper: Mapping[str, Any]) -> dict[str, Any]:
    """Dropout of states, none on attention weights, which costs a tenth of the time on a CPU; skip and classifier."""
    return {
        **({"classifier_rate": hyper["classifier_rate"]} if "classifier_rate" in hyper else {}),
        "hidden_dropout_prob": hyper.get("dropout", 0.1),
        "attention_probs_dropout_prob": 0.0,
        "code_skip": bool(hyper.get("code_skip", False)),
        "code_skip_half_life_days": hyper.get("code_skip_half_life_days"),
    }


@dataclass(frozen=True)
class Recurrent(NeuralContestant):
    """DoctorAI, Dipole and RETAIN on the tokens that ours reads.

    Args:
        checkpoint (`str`): Checkpoint whose tokenizer is used.
        epochs (`int`, *optional*, defaults to `20`): Passes over the training split.
        settings (`list[dict]`, *optional*): Settings to try.
        architecture (`str`, *optional*, defaults to `"doctor_ai"`): Which.
    """

    architecture: Literal["doctor_ai", "dipole", "retain"] = "doctor_ai"
    group: ClassVar[str] = COLD_START
    default_grid: ClassVar[Sequence[Mapping[str, Any]]] = RECURRENT_GRID

    @property
    def slug(self) -> str:
        """Short name."""
        return self.architecture.replace("_", "-")

    @property
    def name(self) -> str:
        """Name for tables."""
        return RECURRENT_NAMES[self.architecture]

    def key(self) -> dict[str, Any]:
        """What decides about a fit beside task, setting and seed."""
        return {
            "kind": type(self).__name__,
            "tokenizer": tokenizer_digest(self.checkpoint),
            "epochs": self.epochs,
            "architecture": self.architecture,
        }

    def build(self, labels: Mapping[str, Any], hyper: Mapping[str, Any]) -> torch.nn.Module:
        """Make the network with fresh weights."""
        from claim_transformers.models.recurrent import RecurrentConfig, RecurrentForSequenceClassification

        tokenizer, size = load_tokenizer(self.checkpoint), hyper["hidden_size"]
        config = RecurrentConfig(
            architecture=self.architecture,
            vocab_size=len(tokenizer),
            embedding_size=size,
            hidden_size=size,
            attention_size=size,
            hidden_dropout_prob=hyper["dropout"],
            pad_token_id=tokenizer.pad_token_id,
            **labels,
        )
        return RecurrentForSequenceClassification(config)


@dataclass(frozen=True)
class FromScratch(NeuralContestant):
    """TransE: our transformer with fresh weights."""

    slug: ClassVar[str] = "transe"
    name: ClassVar[str] = "TransE"
    group: ClassVar[str] = COLD_START

    def build(self, labels: Mapping[str, Any], hyper: Mapping[str, Any]) -> torch.nn.Module:
        """Make the network of the checkpoint without its weights."""
        folder = checkpoint_folder(self.checkpoint)
        model, _ = start_from_checkpoint(folder, is_pretrained=False, **labels, **_choices(hyper))
        return model


@dataclass(frozen=True)
class FineTuned(NeuralContestant):
    """A pretrained model trained further on the cohort.

    Args:
        checkpoint (`str`): The pretrained model.
        epochs (`int`, *optional*, defaults to `20`): Passes over the training split.
        settings (`list[dict]`, *optional*): Settings to try.
        slug (`str`, *optional*, defaults to `"claim-pt-fine-tune"`): Short name.
        name (`str`, *optional*, defaults to `"Claim-PT + Fine-tune"`): Name for tables.
    """

    slug: str = "claim-pt-fine-tune"
    name: str = "Claim-PT + Fine-tune"
    group: ClassVar[str] = FINE_TUNED
    default_grid: ClassVar[Sequence[Mapping[str, Any]]] = FINE_TUNING_GRID

    def key(self) -> dict[str, Any]:
        """What decides about a fit beside task, setting and seed."""
        return {**super().key(), "classifier": new_classifier()}

    def build(self, labels: Mapping[str, Any], hyper: Mapping[str, Any]) -> torch.nn.Module:
        """Load the pretrained encoder under a fresh classifier."""
        model, _ = start_from_checkpoint(checkpoint_folder(self.checkpoint), **labels, **_choices(hyper))
        return model

    def wrap(self, model: torch.nn.Module, hyper: Mapping[str, Any]) -> torch.nn.Module:
        """Leave the biases of time as they were pretrained."""
        for name, parameter in model.named_parameters():
            # A few hundred numbers that a small cohort cannot improve, and a quarter of the time of a step.
            if "time_bias" in name:
                parameter.requires_grad_(False)
        return model


@dataclass(frozen=True)
class LoRA(FineTuned):
    """A pretrained model with low-rank updates of its linear maps, by `peft` (Hu et al., 2021, arXiv:2106.09685)."""

    slug: str = "claim-pt-lora"
    name: str = "Claim-PT + LoRA"
    group: ClassVar[str] = FINE_TUNED
    default_grid: ClassVar[Sequence[Mapping[str, Any]]] = LORA_GRID

    def takes(self, task: Task) -> bool:
        """Whether the model can be fitted: where `peft` is installed."""
        return find_spec("peft") is not None

    def wrap(self, model: torch.nn.Module, hyper: Mapping[str, Any]) -> torch.nn.Module:
        """Put low-rank updates around the encoder; the classifier is trained as it is."""
        try:
            from peft import LoraConfig, get_peft_model
        except ImportError as error:
            raise ValueError(
                "expected peft for Claim-PT + LoRA, found none; pip install 'claim-transformers[analysis]'"
            ) from error

        updates = LoraConfig(
            r=hyper["rank"],
            lora_alpha=2 * hyper["rank"],
            target_modules=["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"],
            modules_to_save=["classifier"],
        )
        wrapped: torch.nn.Module = get_peft_model(super().wrap(model, hyper), updates)
        return wrapped
