"""Short pretraining runs of the benchmark: the paper's configuration, ablations, and numbers of heads and layers."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from claim_transformers.training.architecture import Architecture
from claim_transformers.training.metrics import weighted_mean
from claim_transformers.training.next_visit import rank_next_visit, recall_of_patients
from reproduction.claim_pt.populations import PediatricPopulations
from reproduction.claim_pt.profiles import Pretraining
from reproduction.engine.pretraining_run import pretraining_arguments, save_metrics, train_and_save
from reproduction.engine.silence import quiet

if TYPE_CHECKING:
    from claim_transformers.training import ClaimTrainingArguments

METRICS, NEXT_VISIT = "metrics.json", "next_visit.parquet"


@dataclass(frozen=True)
class PretrainedModel:
    """A pretrained model of the benchmark.

    Args:
        folder (`Path`): The checkpoint, with its tokenizer.
        metrics (`dict[str, float]`): Losses and recalls on validation patients.
    """

    folder: Path
    metrics: Mapping[str, float]

    def next_visit(self) -> pa.Table:
        """How each validation patient's last visit was predicted, whose codes were hidden."""
        return pq.read_table(self.folder / NEXT_VISIT)


@dataclass(frozen=True)
class Variant:
    """A pretraining run that differs from a configuration in a few fields.

    Args:
        slug (`str`): Short name, for steps.
        name (`str`): Name for tables.
        model (`dict`, *optional*): Fields of `ClaimConfig` that differ.
        tokenizer (`dict`, *optional*): Options of the tokenizer that differ.
        training (`dict`, *optional*): Fields of [`Pretraining`] that differ.
    """

    slug: str
    name: str
    model: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


def pretrain(populations: PediatricPopulations, plan: Pretraining, variant: Variant) -> PretrainedModel:
    """Pretrain a model on everybody outside the cohorts, once."""
    plan = replace(plan, **variant.training)
    given = Architecture.from_json(plan.config)
    architecture = Architecture({**given.model, **variant.model}, {**given.tokenizer, **variant.tokenizer})
    tokens = tokenised(populations, plan, architecture)
    parameters = {
        "tokens": tokens.name,
        "model": dict(architecture.model),
        "plan": {name: value for name, value in asdict(plan).items() if name != "config"},
    }
    folder = populations.workspace.folder_step(
        f"pretrained/{variant.slug}", parameters, lambda out: _train(tokens, plan, architecture, out)
    )
    return PretrainedModel(folder, json.loads((folder / METRICS).read_text(encoding="utf-8")))


def tokenised(populations: PediatricPopulations, plan: Pretraining, architecture: Architecture) -> Path:
    """Train a tokenizer on pretraining patients and tokenise them, once for all models that share it."""
    parameters = {
        "patients": populations.key(most=plan.patients),
        "tokenizer": dict(architecture.tokenizer),
        "min_patients": plan.min_patients,
    }

    def tokenise(folder: Path) -> None:
        from claim_transformers.codes import category_rules
        from claim_transformers.training import tokenize_dataset

        with quiet():
            outside = populations.outside(most=plan.patients)
            tokenizer = architecture.train_tokenizer(
                outside["train"],
                categories=category_rules().to_dict(),
                min_patients=plan.min_patients,
            )
            tokenize_dataset(outside, tokenizer).save_to_disk(str(folder / "tokens"))
        tokenizer.save_pretrained(str(folder / "tokenizer"))

    return populations.workspace.folder_step("pretrained/tokens", parameters, tokenise)


def _train(tokens: Path, plan: Pretraining, architecture: Architecture, out: Path) -> None:
    from datasets import load_from_disk
    from transformers import set_seed

    from claim_transformers.models.claim import ClaimForPreTraining, ClaimTokenizer
    from claim_transformers.training import ClaimTrainer, pretraining_collator

    splits, tokenizer = load_from_disk(str(tokens / "tokens")), ClaimTokenizer.from_pretrained(tokens / "tokenizer")
    set_seed(plan.seed)
    config = architecture.build_config(tokenizer)
    with quiet():
        trainer = ClaimTrainer(
            model=ClaimForPreTraining(config),
            args=_arguments(plan, out),
            train_dataset=splits["train"],
            eval_dataset=splits["validation"],
            processing_class=tokenizer,
            data_collator=pretraining_collator(
                config, tokenizer, seed=plan.seed, cp_mask_probability=plan.cp_mask_probability
            ),
            compute_metrics=lambda prediction: _recalls(np.asarray(prediction.predictions[0])),
            preprocess_logits_for_metrics=_judge_next_visit,
        )
        train_and_save(trainer, out)
        found = trainer.predict(splits["validation"], metric_key_prefix="eval")
    save_metrics(found.metrics, out / METRICS)
    predictions: Any = found.predictions
    ranks, losses = predictions
    pq.write_table(_next_visit_table(np.asarray(ranks), np.asarray(losses)), out / NEXT_VISIT)


def _judge_next_visit(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Ranks of the hidden codes, and the loss of each patient summed over all codes."""
    known = targets >= 0
    of_targets = torch.where(known, logits.gather(1, targets.clamp(min=0)), 0.0).sum(dim=1)
    return rank_next_visit(logits, targets), torch.nn.functional.softplus(logits).sum(dim=1) - of_targets


def _recalls(ranks: np.ndarray) -> dict[str, Any]:
    return {f"recall_at_{k}": float(weighted_mean(recall_of_patients(ranks, k))) for k in (10, 20, 30)}


def _next_visit_table(ranks: np.ndarray, losses: np.ndarray) -> pa.Table:
    """Ranks from 1 as lists, one row per validation patient with a hidden visit."""
    held = ranks >= 0
    offsets = np.concatenate([[0], np.cumsum(held.sum(axis=1))]).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(ranks[held].astype(np.int32) + 1))
    table = pa.table({"patient": np.arange(len(ranks), dtype=np.int32), "ranks": lists, "loss": losses})
    return table.filter(pa.array(held.any(axis=1)))


def _arguments(plan: Pretraining, out: Path) -> "ClaimTrainingArguments":
    return pretraining_arguments(
        plan,
        out,
        max_steps=plan.max_steps,
        per_device_eval_batch_size=128,
        lr_scheduler_type=plan.lr_scheduler_type,
        logging_steps=max(plan.max_steps // 20, 1),
    )
