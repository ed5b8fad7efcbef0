"""Runs for `chaos.py`: small trainings of every kind, and what ends them in the middle."""

import hashlib
import json
import os
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import datasets
import pyarrow.parquet as pq
import torch
from training.patients_at_random import random_patients
from transformers import TrainerCallback, set_seed

from claim_transformers.models.claim import (
    ClaimConfig,
    ClaimForSequenceClassification,
    ClaimTokenizer,
)
from claim_transformers.models.recurrent import RecurrentConfig, RecurrentForSequenceClassification
from claim_transformers.training import (
    ClaimTrainer,
    ClaimTrainingArguments,
    DataCollatorForClaimPretraining,
    DataCollatorForMaskedTokens,
    fine_tune,
    pretraining_metrics,
    pretraining_model,
    tokenize_dataset,
)

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
DROPOUT = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
STEPS, EVERY, BATCH, STEPS_OF_EPOCH = 20, 4, 16, 8


@dataclass(frozen=True)
class Variant:
    """One kind of run. Of 120 patients an epoch has 8 steps, so the run ends in the third."""

    name: str
    kind: str = "claim"
    workers: int = 0
    accumulation: int = 1
    processes: int = 1
    is_streamed: bool = False
    by_epoch: bool = False
    is_sharded: bool = False


VARIANTS = [
    Variant("pretraining"),
    Variant("pretraining, 2 workers", workers=2),
    Variant("pretraining, accumulation 4", accumulation=4, by_epoch=True),
    Variant("pretraining, accumulation 4, 2 workers", accumulation=4, workers=2),
    Variant("pretraining, 2 processes", processes=2),
    Variant("pretraining, 2 processes, accumulation 4", processes=2, accumulation=4),
    Variant("pretraining, 2 processes, sharded", processes=2, is_sharded=True),
    Variant("masked tokens", kind="masked"),
    Variant("masked tokens, 2 workers", kind="masked", workers=2, by_epoch=True),
    Variant("stream", is_streamed=True),
    Variant("stream, 2 workers", is_streamed=True, workers=2),
    Variant("stream, 2 processes", is_streamed=True, processes=2),
    Variant("fine-tuning", kind="fine-tuning", by_epoch=True),
    Variant("fine-tuning, 2 workers", kind="fine-tuning", workers=2),
    Variant("fine-tuning, recurrent", kind="recurrent", by_epoch=True),
]


class Patients:
    """Tokenised patients of all runs, made once, and files of them for streams."""

    def __init__(self, folder: Path) -> None:
        tables = {
            "train": random_patients(120, 0, labels=True),
            "test": random_patients(20, 2, first=900, labels=True),
        }
        tables["validation"] = random_patients(40, 1, first=500, labels=True)
        raw = datasets.DatasetDict({name: datasets.Dataset(table) for name, table in tables.items()})
        categories = {"prefixes": {f"ICD9CM/4{ten}": f"CCS/{ten}" for ten in range(8)}}
        self.tokenizer = ClaimTokenizer.train_from_dataset(raw["train"], categories=categories)
        self.tokens = tokenize_dataset(raw, self.tokenizer)
        folder.mkdir(parents=True, exist_ok=True)
        for shard in range(4):
            table = tables["train"].slice(30 * shard, 30).drop_columns(["label"])
            pq.write_table(table, folder / f"patients-{shard}.parquet")
        self._files = str(folder / "patients-*.parquet")

    def stream(self) -> Any:
        """The patients from files, in an order that changes with the pass."""
        files = {"train": self._files}
        stream = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
        return tokenize_dataset(stream, self.tokenizer).shuffle(seed=3, buffer_size=50, max_buffer_input_shards=1)


def arguments(variant: Variant, folder: Path) -> ClaimTrainingArguments:
    """Arguments of a run that saves and evaluates often."""
    rows = BATCH // (variant.accumulation * variant.processes)
    every = {"save_strategy": "epoch", "eval_strategy": "epoch"} if variant.by_epoch else {}
    distributed: dict[str, Any] = {"ddp_backend": "gloo"} if variant.processes > 1 else {}
    if variant.is_sharded:
        distributed |= {"fsdp": True, "fsdp_config": str(Path(__file__).parents[2] / "examples/configs/fsdp.json")}
    return ClaimTrainingArguments(
        output_dir=str(folder),
        max_steps=STEPS,
        per_device_train_batch_size=rows,
        per_device_eval_batch_size=8,
        gradient_accumulation_steps=variant.accumulation,
        dataloader_num_workers=variant.workers,
        learning_rate=5e-3,
        lr_scheduler_type="cosine",
        logging_steps=1,
        save_total_limit=3,
        load_best_model_at_end=True,
        metric_for_best_model="loss",
        early_stopping_patience=2,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        resume_from_checkpoint="auto",
        **{"save_strategy": "steps", "save_steps": EVERY, "eval_strategy": "steps", "eval_steps": EVERY, **every},
        **distributed,
    )


def train(variant: Variant, patients: Patients, folder: Path) -> None:
    """Train as the scripts do."""
    set_seed(0)
    tokenizer, tokens = patients.tokenizer, patients.tokens
    args = arguments(variant, folder)
    if variant.kind in ("fine-tuning", "recurrent"):
        fitted = fine_tune(_classifier(variant, tokenizer), tokenizer, tokens, args)
        (folder / "predictions.txt").write_text(str(fitted.predictions["test"].tolist()))
        return
    sizes = {**SIZES, **DROPOUT, "vocab_size": len(tokenizer), "num_categories": tokenizer.num_categories}
    config = ClaimConfig(**sizes, visit_pooling="none" if variant.kind == "masked" else "sum")
    collator: Any = DataCollatorForMaskedTokens(tokenizer)
    if variant.kind != "masked":
        collator = DataCollatorForClaimPretraining(tokenizer, cp_mask_probability=0.2)
    trainer = ClaimTrainer(
        model=pretraining_model(config),
        args=args,
        train_dataset=patients.stream() if variant.is_streamed else tokens["train"],
        eval_dataset=tokens["validation"],
        processing_class=tokenizer,
        data_collator=collator,
        **pretraining_metrics(config),
    )
    trainer.save_metrics("train", trainer.train(resume_from_checkpoint=args.resume_from_checkpoint).metrics)
    trainer.save_model()
    trainer.save_metrics("eval", trainer.evaluate())


def _classifier(variant: Variant, tokenizer: ClaimTokenizer) -> torch.nn.Module:
    if variant.kind == "recurrent":
        return RecurrentForSequenceClassification(RecurrentConfig(vocab_size=len(tokenizer), hidden_size=16))
    given = {"vocab_size": len(tokenizer), "num_categories": tokenizer.num_categories, "visit_pooling": "sum"}
    return ClaimForSequenceClassification(ClaimConfig(**SIZES, **DROPOUT, **given, history_skip=True))


def witness(folder: Path) -> dict[str, Any]:
    """What two runs have to share: all weights, every loss once per step, every evaluation, the names of all files."""
    lines = [json.loads(line) for line in (folder / "training_log.jsonl").read_text().splitlines()]
    timings = ("runtime", "per_second", "flos", "train_loss")
    logged = [{name: value for name, value in line.items() if not name.endswith(timings)} for line in lines]
    files = {"model.safetensors", "predictions.txt"}
    return {
        "digests": {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in sorted(files)
            if (folder / name).exists()
        },
        "logged": logged,
        # A run that was stopped has a checkpoint of that step too; nothing half written may be left.
        "names": sorted(path.name for path in folder.iterdir() if not path.name.startswith("checkpoint-")),
    }


@dataclass(frozen=True)
class Plan:
    """When a process ends itself: at the count of an event, by a signal; `rank` is the process that does it."""

    event: str = "never"
    count: int = 1
    number: int = signal.SIGKILL
    rank: int = 0


EVENTS = ("step", "evaluation", "save", "final")


class Counter(TrainerCallback):
    """Counts events of a run, and ends it where the plan says so."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.folder = plan, str(folder)
        self.counts = dict.fromkeys(EVENTS, 0)
        self.is_saving = self.is_final = False
        sys.addaudithook(self._see_file)

    def see(self, event: str) -> None:
        """Count one event."""
        self.counts[event] += 1
        if event == self.plan.event and self.counts[event] == self.plan.count:
            self.write("ended")
            os.kill(os.getpid(), self.plan.number)

    def write(self, name: str) -> None:
        """Leave the counts for the process that looks on."""
        self.is_saving = self.is_final = False
        Path(f"{self.folder}.{name}").write_text(json.dumps(self.counts))

    def _see_file(self, event: str, given: tuple[Any, ...]) -> None:
        """Every file of the run that is opened, renamed or removed while it saves, before it is."""
        if not (self.is_saving or self.is_final):
            return
        is_here = any(isinstance(one, str | os.PathLike) and str(one).startswith(self.folder) for one in given)
        if is_here and (event == "open" or event.startswith(("os.", "shutil."))):
            self.see("save" if self.is_saving else "final")

    def install(self) -> None:
        """Put the counter between the trainer and what it calls."""
        counter, step, evaluate = self, ClaimTrainer.training_step, ClaimTrainer.prediction_step
        save, save_model, metrics = ClaimTrainer._save_checkpoint, ClaimTrainer.save_model, ClaimTrainer.save_metrics

        def training_step(self: Any, *given: Any, **named: Any) -> Any:
            counter.see("step")
            return step(self, *given, **named)

        def prediction_step(self: Any, *given: Any, **named: Any) -> Any:
            counter.see("evaluation")
            return evaluate(self, *given, **named)

        def during(name: str, function: Any) -> Any:
            def call(self: Any, *given: Any, **named: Any) -> Any:
                before = getattr(counter, name)
                setattr(counter, name, True)
                try:
                    return function(self, *given, **named)
                finally:
                    setattr(counter, name, before)

            return call

        changed = {"training_step": training_step, "prediction_step": prediction_step}
        changed |= {"_save_checkpoint": during("is_saving", save)}
        changed |= {"save_model": during("is_final", save_model), "save_metrics": during("is_final", metrics)}
        for name, function in changed.items():
            setattr(ClaimTrainer, name, function)


def run_child(variant: Variant, patients: Patients, folder: Path, plan: Plan, rank: int, port: int) -> NoReturn:
    """Be the process of a run, from a fork to its end."""
    code = 1
    try:
        log = os.open(f"{folder}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if variant.processes > 1:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(variant.processes)}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        counter = Counter(plan if plan.rank == rank else Plan(), folder)
        counter.install()
        train(variant, patients, folder)
        counter.write(f"counts-{rank}")
        code = 0
    except SystemExit as stopped:
        code = int(str(stopped.code))
    except BaseException:  # noqa: BLE001  # a fork must never return into the code that made it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
