"""Encoders of the Medicare benchmark: pretrained on sequences, fine-tuned for readmission, each once."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from claim_transformers.training import FineTuning, fine_tune
from claim_transformers.training.architecture import Architecture
from reproduction.engine.pretraining_run import pretraining_arguments, save_metrics, train_and_save
from reproduction.engine.silence import quiet
from reproduction.engine.steps import StepResult, Workspace, digest_of_files
from reproduction.medicare.profiles import MaskedTraining

if TYPE_CHECKING:
    from datasets import DatasetDict

    from claim_transformers.models.claim import ClaimTokenizer
    from claim_transformers.training import ClaimTrainingArguments

METRICS_FILE = "pretraining_metrics.json"
MIN_PATIENTS = 11  # Behind every token: the cell-size rule of CMS.


@dataclass(frozen=True)
class Encoder:
    """An encoder of a table.

    Args:
        slug (`str`): Short name, for steps.
        name (`str`): Name for tables.
        config (`str`): JSON file with `model` and `tokenizer`.
        model (`dict`, *optional*): Fields of `ClaimConfig` that differ from the file.
        is_pretrained (`bool`, *optional*, defaults to `True`): Whether it is pretrained; else its weights are fresh.
        fine_tuning (`dict`, *optional*): Fields of [`FineTuning`] that differ from those of the others.

    Examples:
        >>> Encoder("ours", "Ours", "examples/configs/medicare-encoder-base.json").is_pretrained
        True
    """

    slug: str
    name: str
    config: str
    model: Mapping[str, Any] = field(default_factory=dict)
    is_pretrained: bool = True
    fine_tuning: Mapping[str, Any] = field(default_factory=dict)

    def architecture(self) -> Architecture:
        """Sizes of the model and options of its tokenizer."""
        given = Architecture.from_json(self.config)
        return Architecture({**given.model, **self.model}, given.tokenizer)


def pretrain_encoder(workspace: Workspace, sequences: Path, encoder: Encoder, plan: MaskedTraining) -> Path:
    """Pretrain an encoder on the training split of sequences, once.

    Masked tokens where a code is a position; next visits where a visit is one. The labels are not read.

    Args:
        workspace ([`Workspace`]): Where steps are kept.
        sequences (`Path`): Folder of sequences; its name is a digest of its content.
        encoder ([`Encoder`]): What to pretrain.
        plan ([`MaskedTraining`]): For how long.

    Returns:
        `Path`: The checkpoint, with its tokenizer and what it reached on validation patients.
    """
    architecture = encoder.architecture()
    parameters = {
        "sequences": sequences.name,
        "model": dict(architecture.model),
        "tokenizer": dict(architecture.tokenizer),
        "plan": asdict(plan),
    }
    return workspace.folder_step(
        f"pretrained/{encoder.slug}", parameters, lambda out: _pretrain(sequences, architecture, plan, out)
    )


def fine_tune_encoder(
    workspace: Workspace,
    sequences: Path,
    checkpoint: Path,
    settings: FineTuning,
    *,
    slug: str,
    is_pretrained: bool = True,
    stays: int | None = None,
    seed: int = 0,
) -> StepResult:
    """Fine-tune an encoder for readmission and score validation and test, once.

    Args:
        workspace ([`Workspace`]): Where steps are kept.
        sequences (`Path`): Folder of labelled sequences; its name is a digest of its content.
        checkpoint (`Path`): Gives configuration, tokenizer and, if `is_pretrained`, the weights to begin at.
        settings ([`FineTuning`]): How.
        slug (`str`): Short name, for steps.
        is_pretrained (`bool`, *optional*, defaults to `True`): Whether to begin at the weights of the checkpoint.
        stays (`int`, *optional*): Training stays to learn from, of patients drawn by a hash; all of them without it.
        seed (`int`, *optional*, defaults to `0`): Seed of fresh weights, batches and dropout.

    Returns:
        [`StepResult`]: A table of `split`, `row` and `score`; `best_epoch` and the validation history as value.
    """
    files = ["config.json", "vocab.json", "tokenizer_config.json", *(["model.safetensors"] if is_pretrained else [])]
    parameters = {
        "sequences": sequences.name,
        "checkpoint": {file: digest_of_files(checkpoint, file) for file in files},
        "settings": asdict(settings),
        "stays": stays,
        "seed": seed,
    }

    def fit() -> StepResult:
        from datasets import load_from_disk
        from transformers import set_seed

        from claim_transformers.analysis import start_from_checkpoint
        from claim_transformers.training import tokenize_dataset

        with quiet():
            splits = load_from_disk(str(sequences))
            set_seed(seed)
            # A plain layer, for which the learning rates of the profiles were chosen.
            model, tokenizer = start_from_checkpoint(checkpoint, is_pretrained=is_pretrained, classifier_rate=0)
            tokens = tokenize_dataset(limit_stays(splits, stays), tokenizer)
            fitted = fine_tune(model, tokenizer, tokens, settings, seed=seed)
        value = {"best_epoch": fitted.best_epoch, "history": fitted.history, "train_stays": len(tokens["train"])}
        return StepResult(value, scores_table(fitted.predictions))

    size = [] if stays is None else [f"stays-{stays}"]
    return workspace.step("/".join(["fine-tuned", slug, *size, f"seed-{seed}"]), parameters, fit)


def limit_stays(splits: "DatasetDict", stays: int | None) -> "DatasetDict":
    """Keep about so many training stays, those of whole patients, the first by a hash of the patient.

    Args:
        splits (`DatasetDict`): Labelled sequences.
        stays (`int`, *optional*): How many; all without it.

    Returns:
        `DatasetDict`: The same with a smaller training split; a larger sample holds every smaller one.

    Raises:
        ValueError: If there are fewer.
    """
    import datasets

    from claim_transformers.training.tokenized_patients import patient_digests

    if stays is None:
        return splits
    train = splits["train"]
    if stays > len(train):
        raise ValueError(f"expected at most {len(train)} training stays, found {stays}")
    digests = patient_digests(train.with_format("arrow")[:]["patient_id"])
    order = np.argsort(digests, kind="stable")
    # The last patient may have more stays than are left.
    last = digests[order[stays - 1]]
    rows = np.sort(order[: int(np.searchsorted(digests[order], last, side="right"))])
    return datasets.DatasetDict({**splits, "train": train.select(rows)})


def scores_table(scores: Mapping[str, Any]) -> pa.Table:
    """Put scores of splits into one table.

    Args:
        scores (`dict[str, array of shape (rows,)]`): Scores in row order, by split.

    Returns:
        `pa.Table`: `split`, `row` and `score`.

    Examples:
        >>> scores_table({"test": [0.5]}).to_pylist()
        [{'split': 'test', 'row': 0, 'score': 0.5}]
    """
    parts = [
        pa.table(
            {
                "split": pa.array([split] * len(values), pa.string()),
                "row": np.arange(len(values), dtype=np.int32),
                "score": np.asarray(values, np.float64),
            }
        )
        for split, values in scores.items()
    ]
    return pa.concat_tables(parts)


def _pretrain(sequences: Path, architecture: Architecture, plan: MaskedTraining, out: Path) -> None:
    from datasets import load_from_disk
    from transformers import set_seed

    from claim_transformers.training import (
        ClaimTrainer,
        find_rules,
        pretraining_collator,
        pretraining_metrics,
        pretraining_model,
        tokenize_dataset,
    )

    with quiet():
        splits = load_from_disk(str(sequences))
        tokenizer: ClaimTokenizer = architecture.train_tokenizer(
            splits["train"], min_patients=MIN_PATIENTS, **find_rules(sequences)
        )
        tokens = tokenize_dataset(splits, tokenizer)
        set_seed(plan.seed)
        config = architecture.build_config(tokenizer)
        trainer = ClaimTrainer(
            model=pretraining_model(config),
            args=_arguments(plan, out),
            train_dataset=tokens["train"],
            eval_dataset=tokens["validation"],
            processing_class=tokenizer,
            data_collator=pretraining_collator(
                config, tokenizer, seed=plan.seed, mask_probability=plan.mask_probability
            ),
            **pretraining_metrics(config),
        )
        train_and_save(trainer, out)
        metrics = trainer.evaluate()
    save_metrics(metrics, out / METRICS_FILE)


def _arguments(plan: MaskedTraining, out: Path) -> "ClaimTrainingArguments":
    return pretraining_arguments(
        plan,
        out,
        num_train_epochs=plan.epochs,
        per_device_eval_batch_size=256,
        lr_scheduler_type="cosine",
        logging_steps=50,
    )
