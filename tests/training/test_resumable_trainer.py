import json
import math
import os
import signal

import datasets
import pyarrow.parquet as pq
import pytest
import torch
from training.checkpoint_folders import flipped
from training.patients_at_random import random_patients
from training.test_trainer import DieAt, StopAt, losses, pretraining_trainer, weights_hash
from transformers import Trainer, TrainerCallback

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.training import tokenize_dataset
from claim_transformers.training.manifests import damage_of

OFTEN = {"max_steps": 9, "per_device_train_batch_size": 40, "save_strategy": "steps", "save_steps": 3, "dropout": 0.1}


class SignalAt(TrainerCallback):
    """Sends a signal to the own process when a step begins."""

    def __init__(self, step, number=signal.SIGTERM):
        self.step, self.number = step, number

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == self.step - 1:
            os.kill(os.getpid(), self.number)


class SpoilAt(TrainerCallback):
    """Makes a weight, or its gradient, something else than a number in a step."""

    def __init__(self, step, what):
        self.step, self.what = step, what

    def on_step_begin(self, args, state, control, model=None, **kwargs):
        if state.global_step == self.step - 1:
            weight = next(model.parameters())
            if self.what == "loss":
                weight.data[-1] = math.nan
            else:
                weight.register_hook(lambda gradient: gradient * math.inf)


def logged_steps(folder, name="loss"):
    lines = [json.loads(line) for line in (folder / "training_log.jsonl").read_text().splitlines()]
    return [line["step"] for line in lines if name in line]


def hidden(folder):
    return [path.name for path in folder.rglob("*") if path.name.startswith((".", "tmp-"))]


@pytest.fixture(scope="module")
def whole(tokens, tokenizer, tmp_path_factory):
    trainer = pretraining_trainer(tokens, tokenizer, tmp_path_factory.mktemp("whole"), **OFTEN)
    trainer.train()
    return weights_hash(trainer.model)


def test_a_run_goes_on_from_the_newest_whole_checkpoint_to_the_same_weights(
    tokens, tokenizer, tmp_path, whole, caplog
):
    with pytest.raises(KeyboardInterrupt):
        pretraining_trainer(tokens, tokenizer, tmp_path, callbacks=[DieAt(8)], **OFTEN).train()
    flipped(tmp_path / "checkpoint-6" / "optimizer.pt", tmp_path)
    (tmp_path / ".checkpoint-9.writing-0123456789ab").mkdir()
    resumed = pretraining_trainer(tokens, tokenizer, tmp_path, **OFTEN)
    resumed.train(resume_from_checkpoint=True)
    assert "skipped checkpoint-6: optimizer.pt has another content" in caplog.text
    assert weights_hash(resumed.model) == whole
    assert logged_steps(tmp_path) == list(range(1, 10))
    assert damage_of(tmp_path / "checkpoint-6") is None
    assert hidden(tmp_path) == []


def test_a_damaged_checkpoint_that_is_named_is_refused_before_anything_is_trained(tokens, tokenizer, tmp_path):
    pretraining_trainer(tokens, tokenizer, tmp_path, **{**OFTEN, "max_steps": 3}).train()
    flipped(tmp_path / "checkpoint-3" / "scheduler.pt", tmp_path)
    trainer = pretraining_trainer(tokens, tokenizer, tmp_path, **OFTEN)
    with pytest.raises(ClaimDataError, match=r"E_CHECKPOINT.*scheduler\.pt"):
        trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert trainer.state.global_step == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_the_step_under_way_and_ends_the_run(number, code, tokens, tokenizer, tmp_path, whole, caplog):
    stopped = pretraining_trainer(tokens, tokenizer, tmp_path, callbacks=[SignalAt(5, number)], **OFTEN)
    with pytest.raises(SystemExit) as ended:
        stopped.train()
    assert ended.value.code == code
    assert "Stopped by a signal at step 5, which is saved" in caplog.text
    assert damage_of(tmp_path / "checkpoint-5") is None
    resumed = pretraining_trainer(tokens, tokenizer, tmp_path, **OFTEN)
    resumed.train(resume_from_checkpoint="auto")
    assert weights_hash(resumed.model) == whole
    assert logged_steps(tmp_path) == list(range(1, 10))


def draws_in_evaluation(trainer):
    """Let metrics take numbers from the generator that dropout draws from, as the workers of a data loader do."""
    compute = trainer.compute_metrics

    def compute_and_draw(predictions):
        torch.rand(1)
        return compute(predictions)

    trainer.compute_metrics = compute_and_draw
    return trainer


@pytest.mark.parametrize("by", ["steps", pytest.param("epoch", marks=pytest.mark.slow)])
def test_an_evaluation_that_a_signal_comes_before_is_made_by_the_run_that_goes_on(by, tokens, tokenizer, tmp_path):
    evaluated = {"eval_strategy": by, "save_strategy": by, "eval_steps": 3, "load_best_model_at_end": True}
    evaluated |= {"save_steps": 9}
    # An epoch has four steps, and step 12 is the last one of all.
    for stop in (4 if by == "epoch" else 3, 12):
        runs = [tmp_path / f"{stop}-{name}" for name in ("whole", "stopped")]
        arguments = {**OFTEN, **evaluated, "max_steps": 12, "early_stopping_patience": 9}
        first = draws_in_evaluation(pretraining_trainer(tokens, tokenizer, runs[0], **arguments))
        first.train()
        stopped = pretraining_trainer(tokens, tokenizer, runs[1], callbacks=[SignalAt(stop)], **arguments)
        with pytest.raises(SystemExit):
            draws_in_evaluation(stopped).train()
        assert logged_steps(runs[1], "eval_loss") == ([] if stop < 12 else logged_steps(runs[0], "eval_loss")[:-1])
        second = draws_in_evaluation(pretraining_trainer(tokens, tokenizer, runs[1], **arguments))
        second.train(resume_from_checkpoint="auto")
        assert logged_steps(runs[1], "eval_loss") == logged_steps(runs[0], "eval_loss")
        assert weights_hash(second.model) == weights_hash(first.model)
        assert second.state.best_metric == first.state.best_metric


def test_what_only_a_signal_saved_is_no_best_model(tokens, tokenizer, tmp_path):
    # At a learning rate of 0 the first evaluation stays the best; a run that nobody stops has no checkpoint of it.
    arguments = {**OFTEN, "learning_rate": 0.0, "eval_strategy": "steps", "eval_steps": 3, "save_steps": 9}
    arguments |= {"load_best_model_at_end": True}
    with pytest.raises(SystemExit):
        pretraining_trainer(tokens, tokenizer, tmp_path, callbacks=[SignalAt(3)], **arguments).train()
    resumed = pretraining_trainer(tokens, tokenizer, tmp_path, **arguments)
    resumed.train(resume_from_checkpoint=True)
    assert resumed.state.best_global_step == 3
    assert resumed.state.best_model_checkpoint is None


def test_patience_goes_on_where_it_was(tokens, tokenizer, tmp_path):
    # At a learning rate of 0 no evaluation is better than the first.
    arguments = {**OFTEN, "learning_rate": 0.0, "max_steps": 30, "eval_strategy": "steps", "eval_steps": 3}
    arguments |= {"load_best_model_at_end": True, "early_stopping_patience": 3}
    with pytest.raises(KeyboardInterrupt):
        pretraining_trainer(tokens, tokenizer, tmp_path, callbacks=[DieAt(8)], **arguments).train()
    resumed = pretraining_trainer(tokens, tokenizer, tmp_path, **arguments)
    resumed.train(resume_from_checkpoint=True)
    assert resumed.state.global_step == 12
    again = pretraining_trainer(tokens, tokenizer, tmp_path, **arguments)
    again.train(resume_from_checkpoint=True)
    assert again.state.global_step == 12


def test_a_run_that_is_over_is_not_trained_on(tokens, tokenizer, tmp_path, whole):
    pretraining_trainer(tokens, tokenizer, tmp_path, **OFTEN).train()
    again = pretraining_trainer(tokens, tokenizer, tmp_path, **OFTEN)
    trained = again.train(resume_from_checkpoint="auto")
    assert math.isnan(trained.training_loss)
    assert again.state.global_step == 9
    assert weights_hash(again.model) == whole


def test_a_signal_that_takes_the_workers_too_is_still_saved(tokens, tokenizer, tmp_path, whole, monkeypatch):
    real, calls = Trainer.get_batch_samples, []

    def fetch(self, *given):
        calls.append(1)
        if len(calls) in (5, 14):
            if len(calls) == 5:
                os.kill(os.getpid(), signal.SIGTERM)
            raise RuntimeError("DataLoader worker (pid 1) exited unexpectedly")
        return real(self, *given)

    monkeypatch.setattr(Trainer, "get_batch_samples", fetch)
    with pytest.raises(SystemExit):
        pretraining_trainer(tokens, tokenizer, tmp_path, **OFTEN).train()
    resumed = pretraining_trainer(tokens, tokenizer, tmp_path, **OFTEN)
    resumed.train(resume_from_checkpoint="auto")
    assert len(calls) == 10
    assert weights_hash(resumed.model) == whole
    # Without a signal it is an error as ever.
    calls[:] = [1] * 13
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        pretraining_trainer(tokens, tokenizer, tmp_path / "other", **OFTEN).train()


def test_another_number_of_threads_or_rows_is_warned_of(tokens, tokenizer, tmp_path, caplog):
    pretraining_trainer(tokens, tokenizer, tmp_path, callbacks=[StopAt(3)], **OFTEN).train()
    changed = {**OFTEN, "per_device_train_batch_size": 20, "gradient_accumulation_steps": 2, "max_steps": 4}
    pretraining_trainer(tokens, tokenizer, tmp_path, **changed).train(resume_from_checkpoint=True)
    assert "W_RESUME: weights will not be those of a run that was not stopped: batch_size 40 -> 20; " in caplog.text


# A pass over the stream has six batches: a run is stopped in its second pass, or right before it.
@pytest.mark.parametrize(
    ("stop", "steps", "accumulation"), [(8, 9, 1), pytest.param(6, 8, 1, marks=pytest.mark.slow), (2, 3, 4)]
)
def test_a_stream_goes_on_in_the_pass_where_it_was(stop, steps, accumulation, tokenizer, tmp_path):
    for shard in range(3):
        pq.write_table(random_patients(20, shard, first=100 * shard), tmp_path / f"patients-{shard}.parquet")
    files = {"train": str(tmp_path / "patients-*.parquet")}
    arguments = {"max_steps": steps, "per_device_train_batch_size": 10, "dropout": 0.1}
    arguments |= {"gradient_accumulation_steps": accumulation}

    def make(name, **more):
        stream = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
        rows = {
            "train": tokenize_dataset(stream, tokenizer).shuffle(seed=1, buffer_size=20, max_buffer_input_shards=1),
            "validation": None,
        }
        return pretraining_trainer(rows, tokenizer, tmp_path / name, **arguments, **more)

    first = make("whole")
    first.train()
    stopped = make("stopped", callbacks=[StopAt(stop)])
    stopped.train()
    assert (stopped.state.epoch > 1) == (stop != 6)
    second = make("stopped")
    second.train(resume_from_checkpoint=True)
    assert losses(second) == losses(first)
    assert weights_hash(second.model) == weights_hash(first.model)


# ---- What is not finite ----
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_the_first_loss_that_is_not_finite_ends_the_run_and_leaves_the_last_good_checkpoint(
    what, tokens, tokenizer, tmp_path
):
    trainer = pretraining_trainer(tokens, tokenizer, tmp_path, callbacks=[SpoilAt(5, what)], **OFTEN)
    with pytest.raises(ClaimDataError) as raised:
        trainer.train()
    said = str(raised.value)
    assert said.startswith("E_NONFINITE: expected a finite loss and gradient, found one that is not in step 5 at lear")
    assert said.endswith(f"the last good checkpoint is {tmp_path / 'checkpoint-3'}")
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-3"]
    # The step was not taken: the optimizer saw nothing that is not finite.
    assert all(torch.isfinite(part["exp_avg"]).all() for part in trainer.optimizer.state.values())
    next(trainer.model.parameters()).data[-1] = math.nan
    with pytest.raises(ClaimDataError, match="E_NONFINITE"):
        trainer.save_model()
    assert not (tmp_path / "config.json").exists()


def test_weights_that_a_step_spoils_are_not_saved_as_a_checkpoint(tokens, tokenizer, tmp_path):
    class SpoilAfter(TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **kwargs):
            if state.global_step == 6:
                next(model.parameters()).data[-1] = math.inf

    trainer = pretraining_trainer(tokens, tokenizer, tmp_path, callbacks=[SpoilAfter()], **OFTEN)
    with pytest.raises(ClaimDataError, match="E_NONFINITE: expected finite weights"):
        trainer.train()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-3", "training_log.jsonl"]
