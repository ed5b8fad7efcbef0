import json
import math
import stat

import numpy as np
import pytest
import torch
from training.checkpoint_folders import flipped
from training.test_resumable_trainer import OFTEN, hidden
from training.test_trainer import losses, pretraining_trainer, weights_hash
from transformers import TrainerCallback

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.models.claim import ClaimForPreTraining
from claim_transformers.training.checkpoints import STAGED_MODEL
from claim_transformers.training.manifests import MANIFEST_NAME, damage_of, read_manifest


def test_a_checkpoint_is_whole_private_and_says_what_it_is_of(tokens, tokenizer, tmp_path):
    trainer = pretraining_trainer(tokens, tokenizer, tmp_path, **{**OFTEN, "max_steps": 3})
    trainer.train()
    checkpoint = tmp_path / "checkpoint-3"
    assert damage_of(checkpoint) is None
    assert hidden(tmp_path) == []
    manifest = read_manifest(checkpoint)
    expected = {"step": 3, "seed": 42, "processes": 1, "threads": torch.get_num_threads(), "accumulation": 1}
    assert {name: manifest[name] for name in expected} == expected
    assert manifest["torch"] == torch.__version__
    written = {"config.json", "model.safetensors", "optimizer.pt", "rng_state.pth", "scheduler.pt", "vocab.json"}
    assert written | {"trainer_state.json", "training_args.json"} <= set(manifest["files"])
    assert stat.S_IMODE(checkpoint.stat().st_mode) == 0o700


def test_figures_that_are_not_defined_are_null_in_every_file(tokens, tokenizer, tmp_path):
    trainer = pretraining_trainer(tokens, tokenizer, tmp_path, **{**OFTEN, "max_steps": 3})
    trainer.compute_metrics = lambda _: {"share": math.nan, "ratio": math.inf}
    trainer.args.eval_strategy, trainer.args.eval_steps = "steps", 1
    trainer.train()
    trainer.save_metrics("eval", {**trainer.evaluate(), "of_numpy": np.float64("nan")})
    trainer.save_state()
    files = [*tmp_path.rglob("*.json"), *tmp_path.rglob("*.jsonl")]
    for path in files:
        assert "NaN" not in path.read_text()
        assert "Infinity" not in path.read_text()
    found = json.loads((tmp_path / "all_results.json").read_text())
    assert found["eval_ratio"] is found["of_numpy"] is None
    trainer.save_metrics("test", {"test_loss": 1.0})
    assert json.loads((tmp_path / "all_results.json").read_text()) == {**found, "test_loss": 1.0}


def test_a_model_is_saved_beside_checkpoints_and_over_an_older_one(tokens, tokenizer, tmp_path):
    trainer = pretraining_trainer(tokens, tokenizer, tmp_path, **{**OFTEN, "max_steps": 3})
    trainer.save_model()
    before = read_manifest(tmp_path)
    trainer.train()
    trainer.save_model()
    after = read_manifest(tmp_path)
    assert before["files"].keys() == after["files"].keys()
    assert before["files"]["model.safetensors"] != after["files"]["model.safetensors"]
    loaded = ClaimForPreTraining.from_pretrained(tmp_path)
    assert weights_hash(loaded) == weights_hash(trainer.model)
    assert (tmp_path / "checkpoint-3").is_dir()
    assert hidden(tmp_path) == []


def test_a_full_disk_leaves_the_old_model_as_it_was(tokens, tokenizer, tmp_path, monkeypatch):
    trainer = pretraining_trainer(tokens, tokenizer, tmp_path, **OFTEN)
    trainer.save_model()
    before = read_manifest(tmp_path)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    next(trainer.model.parameters()).data += 1
    monkeypatch.setattr(tokenizer, "save_pretrained", full)
    with pytest.raises(ClaimDataError, match="E_WRITE"):
        trainer.save_model()
    assert read_manifest(tmp_path) == before
    assert ClaimForPreTraining.from_pretrained(tmp_path) is not None
    assert hidden(tmp_path) == []


def test_a_model_whose_publication_was_cut_is_put_in_place_by_the_next_run(tokens, tokenizer, tmp_path, monkeypatch):
    trainer = pretraining_trainer(tokens, tokenizer, tmp_path, **{**OFTEN, "max_steps": 3})
    monkeypatch.setattr("claim_transformers.training.publishing_trainer.finish_model", lambda target: None)
    trainer.save_model()
    assert (tmp_path / STAGED_MODEL).is_dir()
    assert not (tmp_path / "config.json").exists()
    trainer.train()
    assert ClaimForPreTraining.from_pretrained(tmp_path) is not None
    assert hidden(tmp_path) == []


def test_a_best_model_that_is_damaged_is_not_loaded_at_the_end(tokens, tokenizer, tmp_path):
    class Damage(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            if state.global_step == 9:
                flipped(tmp_path / f"checkpoint-{state.best_global_step}" / "model.safetensors", tmp_path)

    arguments = {**OFTEN, "eval_strategy": "steps", "eval_steps": 3, "load_best_model_at_end": True}
    trainer = pretraining_trainer(tokens, tokenizer, tmp_path, callbacks=[Damage()], **arguments)
    with pytest.raises(ClaimDataError, match=r"E_CHECKPOINT: expected the best model whole at .*model\.safetensors"):
        trainer.train()
    assert losses(trainer)


def test_a_best_model_of_an_older_version_is_loaded_with_a_warning(tokens, tokenizer, tmp_path, caplog):
    class Forget(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            if state.global_step == 9:
                (tmp_path / f"checkpoint-{state.best_global_step}" / MANIFEST_NAME).unlink()

    arguments = {**OFTEN, "eval_strategy": "steps", "eval_steps": 3, "load_best_model_at_end": True}
    pretraining_trainer(tokens, tokenizer, tmp_path, callbacks=[Forget()], **arguments).train()
    assert "has no manifest" in caplog.text
