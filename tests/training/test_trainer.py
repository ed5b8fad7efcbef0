import hashlib
import json
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from training.patients_at_random import random_patients
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed

from claim_transformers import training
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.models.claim.configuration_claim import ClaimConfig
from claim_transformers.models.claim.modeling_claim import (
    ClaimForMaskedLM,
    ClaimForPreTraining,
    ClaimForSequenceClassification,
    ClaimForVisitClassification,
)
from claim_transformers.training import (
    ClaimTrainer,
    ClaimTrainingArguments,
    DataCollatorForClaimClassification,
    DataCollatorForClaimPretraining,
    DataCollatorForMaskedTokens,
    DataCollatorForVisitClassification,
    NextVisitMetrics,
    TokenizedPatients,
    binary_metrics,
    pretraining_metrics,
    pretraining_model,
    rank_next_visit,
    tokenize_dataset,
)


def configuration(tokenizer, **changes):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    vocabulary = {"vocab_size": len(tokenizer), "num_categories": tokenizer.num_categories}
    return ClaimConfig(**{**vocabulary, **sizes, "visit_pooling": "sum", **changes})


def pretraining_trainer(
    tokens, tokenizer, folder, *, trainer=ClaimTrainer, collator=None, callbacks=None, model=None, **arguments
):
    dropout = arguments.pop("dropout", 0.0)
    given = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout, **(model or {})}
    config = configuration(tokenizer, **given)
    metrics = {"compute_metrics": NextVisitMetrics(k=(5,)), "preprocess_logits_for_metrics": rank_next_visit}
    if config.visit_pooling == "none":
        collator, metrics = collator or DataCollatorForMaskedTokens(tokenizer), pretraining_metrics(config)
    set_seed(0)
    defaults = {
        "learning_rate": 5e-3,
        "logging_steps": 1,
        "save_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": True,
    }
    return trainer(
        model=pretraining_model(config),
        args=ClaimTrainingArguments(output_dir=str(folder), **{**defaults, **arguments}),
        train_dataset=tokens["train"],
        eval_dataset=tokens["validation"],
        processing_class=tokenizer,
        data_collator=collator or DataCollatorForClaimPretraining(tokenizer, cp_mask_probability=0.2),
        callbacks=callbacks,
        **metrics,
    )


def weights_hash(model):
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def losses(trainer):
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


class StopAt(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            control.should_save = control.should_training_stop = True


class DieAt(TrainerCallback):
    """An end without a save, as by a signal."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("stop", "accumulation", "workers"),
    [
        (7, 1, 0),
        (4, 2, 0),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in [(13, 1, 0), (10, 1, 0), (13, 1, 1)]),
    ],
)
def test_a_resumed_run_ends_with_the_weights_of_a_run_that_was_not_stopped(
    tokens, tokenizer, tmp_path, stop, accumulation, workers
):
    arguments = {
        "num_train_epochs": 2,
        "per_device_train_batch_size": 16 // accumulation,
        "gradient_accumulation_steps": accumulation,
        "dataloader_num_workers": workers,
        "dropout": 0.1,
    }
    whole = pretraining_trainer(tokens, tokenizer, tmp_path / "whole", **arguments)
    whole.train()
    stopped = pretraining_trainer(tokens, tokenizer, tmp_path / "stopped", callbacks=[StopAt(stop)], **arguments)
    stopped.train()
    assert weights_hash(stopped.model) != weights_hash(whole.model)
    resumed = pretraining_trainer(tokens, tokenizer, tmp_path / "stopped", **arguments)
    resumed.train(resume_from_checkpoint=str(tmp_path / "stopped" / f"checkpoint-{stop}"))
    assert losses(resumed) == losses(whole)
    assert weights_hash(resumed.model) == weights_hash(whole.model)
    lines = [json.loads(line) for line in (tmp_path / "stopped" / "training_log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 21))


def test_a_killed_run_of_masked_tokens_resumes_to_the_weights_of_a_whole_run(tokens, tokenizer, tmp_path):
    arguments = {
        "model": {"visit_pooling": "none", "time_attention": "bucketed"},
        "num_train_epochs": 2,
        "per_device_train_batch_size": 40,
        "dropout": 0.1,
    }
    whole = pretraining_trainer(tokens, tokenizer, tmp_path / "whole", **arguments)
    whole.train()
    kept = {"save_strategy": "steps", "save_steps": 3}
    killed = pretraining_trainer(tokens, tokenizer, tmp_path / "killed", callbacks=[DieAt(5)], **arguments, **kept)
    with pytest.raises(KeyboardInterrupt):
        killed.train()
    resumed = pretraining_trainer(tokens, tokenizer, tmp_path / "killed", **arguments)
    resumed.train(resume_from_checkpoint=str(tmp_path / "killed" / "checkpoint-3"))
    assert losses(resumed) == losses(whole)
    assert len(losses(whole)) == 8
    assert weights_hash(resumed.model) == weights_hash(whole.model) != weights_hash(killed.model)
    lines = [json.loads(line) for line in (tmp_path / "killed" / "training_log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 9))


def test_epochs_differ_in_order_and_in_what_is_random(tokens, tokenizer, tmp_path):
    seen = []

    class Watched(DataCollatorForClaimPretraining):
        def __call__(self, features):
            seen.append((features["epoch"].to_pylist()[0], features["row"].to_pylist(), self.epoch))
            return super().__call__(features)

    trainer = pretraining_trainer(
        tokens, tokenizer, tmp_path, num_train_epochs=2, per_device_train_batch_size=16, collator=Watched(tokenizer)
    )
    trainer.train()
    first, second = ([row for at, rows, _ in seen if at == epoch for row in rows] for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(160))
    assert first != second
    assert {(epoch, of_collator) for epoch, _, of_collator in seen} == {(0, 0), (1, 1)}


def test_accumulated_batches_are_one_large_batch(tokens, tokenizer, tmp_path):
    runs = []
    for batch_size, accumulation in ((32, 1), (8, 4)):
        trainer = pretraining_trainer(
            tokens,
            tokenizer,
            tmp_path,
            num_train_epochs=2,
            per_device_train_batch_size=batch_size,
            gradient_accumulation_steps=accumulation,
        )
        trainer.train()
        runs.append([entry for entry in trainer.state.log_history if "loss" in entry])
    assert len(runs[0]) == len(runs[1]) == 10
    for one, other in zip(*runs, strict=True):
        for name in ("loss", "nvp_loss", "cp_loss", "grad_norm"):
            assert one[name] == pytest.approx(other[name], rel=1e-4)


def test_parts_of_the_loss_add_up_in_training_and_evaluation(tokens, tokenizer, tmp_path):
    trainer = pretraining_trainer(
        tokens, tokenizer, tmp_path, max_steps=7, logging_steps=3, per_device_train_batch_size=8, eval_steps=3
    )
    trainer.model.config.cp_weight = 0.5
    trainer.train()
    evaluated = trainer.evaluate()
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(logged) == 2
    for entry in logged:
        assert entry["loss"] == pytest.approx(entry["nvp_loss"] + 0.5 * entry["cp_loss"], rel=1e-4)
    parts = evaluated["eval_nvp_loss"] + 0.5 * evaluated["eval_cp_loss"]
    assert evaluated["eval_loss"] == pytest.approx(parts, rel=1e-4)


def test_evaluation_repeats_itself_whatever_epoch_training_is_in(tokens, tokenizer, tmp_path):
    trainer = pretraining_trainer(
        tokens,
        tokenizer,
        tmp_path,
        num_train_epochs=2,
        learning_rate=0.0,
        eval_strategy="epoch",
        per_device_train_batch_size=40,
    )
    trainer.train()
    evaluated = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert len(evaluated) == 2
    assert evaluated[0] == evaluated[1]


def test_the_evaluation_loss_does_not_depend_on_the_size_of_batches(tokens, tokenizer, tmp_path):
    collator = DataCollatorForClaimPretraining(tokenizer, nvp_context="none")
    runs = [
        pretraining_trainer(tokens, tokenizer, tmp_path, per_device_eval_batch_size=size, collator=collator).evaluate()
        for size in (1, 7, 48)
    ]
    for name in ("eval_loss", "eval_nvp_loss", "eval_cp_loss", "eval_recall_at_5"):
        assert runs[1][name] == pytest.approx(runs[0][name], rel=1e-5)
        assert runs[2][name] == pytest.approx(runs[0][name], rel=1e-5)


def test_next_visit_recall_rises_with_training_and_counts_every_patient_once(tokens, tokenizer, tmp_path):
    trainer = pretraining_trainer(
        tokens, tokenizer, tmp_path, num_train_epochs=15, per_device_train_batch_size=16, per_device_eval_batch_size=7
    )
    before = trainer.evaluate()
    trainer.train()
    after = trainer.evaluate()
    with_next_visit = sum(row["length"] > 2 for row in tokens["validation"])
    assert before["eval_patients_with_next_visit"] == after["eval_patients_with_next_visit"] == with_next_visit
    assert after["eval_recall_at_5"] > before["eval_recall_at_5"] + 0.2
    assert after["eval_loss"] < before["eval_loss"]


def test_the_trainer_of_transformers_takes_the_same_rows_and_collators(tokens, tokenizer, tmp_path):
    def loss_of(rows):
        set_seed(0)
        arguments = TrainingArguments(
            output_dir=str(tmp_path),
            remove_unused_columns=False,
            train_sampling_strategy="sequential",
            logging_steps=1,
            max_steps=2,
            use_cpu=True,
            disable_tqdm=True,
            save_strategy="no",
        )
        trainer = Trainer(
            model=ClaimForPreTraining(configuration(tokenizer, hidden_dropout_prob=0.0)),
            args=arguments,
            train_dataset=rows,
            data_collator=DataCollatorForClaimPretraining(tokenizer, nvp_context="none"),
        )
        trainer.train()
        return losses(trainer)

    assert loss_of(TokenizedPatients(tokens["train"])) == loss_of(tokens["train"])


def test_other_sampling_strategies_are_those_of_transformers(tokens, tokenizer, tmp_path):
    trainer = pretraining_trainer(tokens, tokenizer, tmp_path, train_sampling_strategy="sequential")
    sampler = trainer.get_train_dataloader().sampler
    assert isinstance(sampler, torch.utils.data.SequentialSampler)


def test_classifiers_learn_and_predict_in_the_order_of_the_rows(tokens, tokenizer, tmp_path):
    set_seed(0)
    trainer = ClaimTrainer(
        model=ClaimForSequenceClassification(configuration(tokenizer)),
        args=ClaimTrainingArguments(
            output_dir=str(tmp_path),
            num_train_epochs=12,
            per_device_train_batch_size=16,
            learning_rate=1e-2,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=1,
            metric_for_best_model="auroc",
            load_best_model_at_end=True,
            disable_tqdm=True,
            use_cpu=True,
        ),
        train_dataset=tokens["train"],
        eval_dataset=tokens["validation"],
        processing_class=tokenizer,
        data_collator=DataCollatorForClaimClassification(tokenizer),
        compute_metrics=binary_metrics,
    )
    trainer.train()
    predicted = trainer.predict(tokens["validation"])
    assert predicted.metrics["test_auroc"] > 0.9
    assert predicted.metrics["test_auroc"] == pytest.approx(trainer.state.best_metric)
    assert predicted.label_ids.tolist() == tokens["validation"]["label"]
    backwards = trainer.predict(tokens["validation"].select(range(47, -1, -1))).predictions
    assert np.allclose(backwards[::-1], predicted.predictions, atol=1e-5)


def test_visits_are_classified_by_what_is_in_them(patients, tokenizer, tmp_path):
    """The label of a visit is whether it is a pharmacy claim, which its type token says."""

    def labelled(split):
        labels = [[int(kind == "RX") for kind in kinds] for kinds in split["visit_type"]]
        return tokenize_dataset(split.remove_columns("label").add_column("label", labels), tokenizer)

    set_seed(0)
    validation = labelled(patients["validation"])
    trainer = ClaimTrainer(
        model=ClaimForVisitClassification(configuration(tokenizer)),
        args=ClaimTrainingArguments(
            output_dir=str(tmp_path),
            max_steps=60,
            learning_rate=1e-2,
            per_device_train_batch_size=32,
            use_cpu=True,
            disable_tqdm=True,
            save_strategy="no",
        ),
        train_dataset=labelled(patients["train"]),
        processing_class=tokenizer,
        data_collator=DataCollatorForVisitClassification(tokenizer),
    )
    trainer.train()
    predicted = trainer.predict(validation)
    is_labelled = predicted.label_ids >= 0
    assert is_labelled.sum(axis=1).tolist() == [length - 1 for length in validation["length"]]
    right = predicted.predictions.argmax(axis=-1) == predicted.label_ids
    assert right[is_labelled].mean() > 0.95


def test_masked_tokens_train_a_model_of_single_codes(tokens, tokenizer, tmp_path):
    model = {"visit_pooling": "none", "norm_first": True}
    arguments = {"max_steps": 60, "learning_rate": 2e-2, "logging_steps": 10, "per_device_train_batch_size": 32}
    trainer = pretraining_trainer(tokens, tokenizer, tmp_path, model=model, **arguments)
    assert isinstance(trainer.model, ClaimForMaskedLM)
    before = trainer.evaluate()
    trainer.train()
    after = trainer.evaluate()
    assert losses(trainer)[-1] < losses(trainer)[0] - 1.0
    assert after["eval_loss"] < before["eval_loss"] - 1.0
    for k, margin in ((1, 0.05), (10, 0.2)):
        assert before[f"eval_accuracy_at_{k}"] < after[f"eval_most_frequent_at_{k}"]
        assert after[f"eval_accuracy_at_{k}"] > after[f"eval_most_frequent_at_{k}"] + margin
    assert before["eval_mean_reciprocal_rank"] < after["eval_mean_reciprocal_rank"]


def test_figures_of_masked_tokens_are_those_of_all_logits_and_do_not_depend_on_batches(tokens, tokenizer, tmp_path):
    model = {"visit_pooling": "none", "time_attention": "bucketed"}
    found = []
    for size in (1, 7, 48):
        trainer = pretraining_trainer(tokens, tokenizer, tmp_path, model=model, per_device_eval_batch_size=size)
        found.append(trainer.evaluate())
    batch = trainer.data_collator(TokenizedPatients(tokens["validation"]).__getitems__(range(48)))
    with torch.no_grad():
        logits = trainer.model.eval()(**batch, return_logits=True).logits
    is_hidden = batch["labels"] >= 0
    hidden = batch["labels"][is_hidden]
    order = logits[is_hidden].argsort(dim=1, descending=True, stable=True)
    ranks = (order == hidden[:, None]).int().argmax(dim=1)
    frequent = np.sort(np.bincount(hidden))[::-1]
    for metrics in found:
        assert metrics["eval_masked_tokens"] == len(hidden) > 100
        for k in (1, 10):
            assert metrics[f"eval_accuracy_at_{k}"] == pytest.approx((ranks < k).float().mean().item())
            assert metrics[f"eval_most_frequent_at_{k}"] == pytest.approx(frequent[:k].sum() / len(hidden))
        assert metrics["eval_mean_reciprocal_rank"] == pytest.approx((1 / (1 + ranks)).mean().item())
        assert metrics["eval_loss"] == pytest.approx(found[0]["eval_loss"], rel=1e-5)


def test_figures_of_masked_tokens_run_the_encoder_once_per_batch(tokens, tokenizer, tmp_path):
    trainer = pretraining_trainer(
        tokens, tokenizer, tmp_path, model={"visit_pooling": "none"}, per_device_eval_batch_size=16
    )
    runs = []
    trainer.model.claim.register_forward_hook(lambda *_: runs.append(1))
    trainer.evaluate()
    assert len(runs) == 3


def test_hidden_tokens_are_predicted_in_the_order_of_the_rows(tokens, tokenizer, tmp_path):
    model = {"visit_pooling": "none"}
    trainer = pretraining_trainer(tokens, tokenizer, tmp_path, model=model, per_device_eval_batch_size=5)
    predicted = trainer.predict(tokens["validation"])
    batch = trainer.data_collator(TokenizedPatients(tokens["validation"]).__getitems__(range(48)))
    for labels, ranks, row in zip(predicted.label_ids, predicted.predictions, batch["labels"], strict=True):
        assert labels[labels >= 0].tolist() == row[row >= 0].tolist()
        assert ((ranks >= 0) == (labels >= 0)).all()
    assert predicted.predictions.shape == predicted.label_ids.shape


def test_streams_are_trained_with_a_number_of_steps(tokenizer, tmp_path):
    for shard in range(2):
        pq.write_table(random_patients(30, shard, first=100 * shard), tmp_path / f"patients-{shard}.parquet")
    files = {"train": str(tmp_path / "patients-*.parquet")}
    stream = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
    rows = {"train": tokenize_dataset(stream, tokenizer), "validation": None}
    trainer = pretraining_trainer(rows, tokenizer, tmp_path / "out", max_steps=20, per_device_train_batch_size=10)
    trainer.train()
    assert trainer.state.global_step == 20
    assert trainer.data_collator.epoch > 0
    assert losses(trainer)[-1] < losses(trainer)[0]


def test_checkpoints_hold_no_pickled_arguments_and_no_token(tokens, tokenizer, tmp_path):
    secret = "hf_" + "canary"
    trainer = pretraining_trainer(
        tokens, tokenizer, tmp_path, max_steps=2, save_strategy="steps", save_steps=1, hub_token=secret
    )
    trainer.train()
    trainer.save_model()
    assert not list(tmp_path.rglob("training_args.bin"))
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert secret.encode() not in path.read_bytes()
    written = json.loads((tmp_path / "checkpoint-2" / "training_args.json").read_text())
    assert written["max_steps"] == 2


def test_settings_that_would_leak_or_repeat_masks_are_refused(tokens, tokenizer, tmp_path):
    with pytest.raises(ValueError, match="dataloader_persistent_workers=False"):
        pretraining_trainer(tokens, tokenizer, tmp_path, dataloader_persistent_workers=True, dataloader_num_workers=1)
    with pytest.raises(ValueError, match="dataloader_drop_last=False"):
        pretraining_trainer(tokens, tokenizer, tmp_path, dataloader_drop_last=True)
    with pytest.raises(ValueError, match="hub_strategy 'end' or 'every_save', found 'checkpoint'"):
        pretraining_trainer(tokens, tokenizer, tmp_path, push_to_hub=True, hub_strategy="checkpoint")
    shared = {"train": tokens["train"], "validation": tokens["train"].select([3])}
    with pytest.raises(ClaimDataError, match="E_SPLIT_OVERLAP"):
        pretraining_trainer(shared, tokenizer, tmp_path)


def test_importing_the_room_is_light():
    script = (
        "import sys, claim_transformers\n"
        "before = set(sys.modules)\n"
        "import claim_transformers.training as room\n"
        "heavy = {'datasets', 'sklearn', 'evaluate', 'pandas', 'scipy', 'duckdb'} & set(sys.modules) - before\n"
        "assert not heavy, heavy\n"
        "assert set(room.__all__) <= set(dir(room)), dir(room)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parent)


def test_every_public_name_is_there():
    assert all(getattr(training, name) is not None for name in training.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Collator'"):
        _ = training.Collator
