"""Encoders of the Medicare benchmark: pretrained once, fine-tuned once, on nested samples of whole patients."""

import json

import numpy as np
import pytest
from cohorts.sequences_by_hand import save_stays
from datasets import load_from_disk

from claim_transformers.training import FineTuning, find_form, make_form, write_sequences
from reproduction.engine.steps import Workspace
from reproduction.medicare.encoders import Encoder, fine_tune_encoder, limit_stays, pretrain_encoder
from reproduction.medicare.profiles import MaskedTraining

TINY = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "time_attention": "bucketed"}
PLAN = MaskedTraining(epochs=1, batch_size=32)
SETTINGS = FineTuning(epochs=2, batch_size=32, learning_rate=3e-3)


@pytest.fixture(scope="module")
def sequences(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoders")
    write_sequences(save_stays(folder / "cohort", patients=150), folder / "sequences", make_form("category"))
    return folder / "sequences"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("workspace"), show_progress=False)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "tiny.json"
    content = {"model": {**TINY, "visit_pooling": "none"}, "tokenizer": {"time_tokens": "gap"}}
    path.write_text(json.dumps(content))
    return str(path)


@pytest.mark.parametrize("changes", [{}, {"visit_pooling": "sum"}], ids=["codes", "visits"])
def test_an_encoder_is_pretrained_once_and_carries_the_form_of_its_sequences(workspace, sequences, config, changes):
    encoder = Encoder("tiny" + "-pooled" * bool(changes), "Tiny", config, changes)
    checkpoint = pretrain_encoder(workspace, sequences, encoder, PLAN)
    assert find_form(checkpoint) == find_form(sequences)
    assert json.loads((checkpoint / "pretraining_metrics.json").read_text())["eval_loss"] > 0
    written = (checkpoint / "model.safetensors").stat().st_mtime_ns
    assert pretrain_encoder(workspace, sequences, encoder, PLAN) == checkpoint
    assert (checkpoint / "model.safetensors").stat().st_mtime_ns == written


def test_fine_tuning_scores_every_stay_and_is_stored(workspace, sequences, config):
    checkpoint = pretrain_encoder(workspace, sequences, Encoder("tiny", "Tiny", config), PLAN)
    found = {
        is_pretrained: fine_tune_encoder(
            workspace, sequences, checkpoint, SETTINGS, slug="tiny", is_pretrained=is_pretrained
        )
        for is_pretrained in (True, False)
    }
    rows = {name: len(split) for name, split in load_from_disk(str(sequences)).items()}
    for result in found.values():
        splits = np.array(result.table["split"].to_pylist())
        assert {name: int((splits == name).sum()) for name in ("validation", "test")} == {
            name: rows[name] for name in ("validation", "test")
        }
        assert ((result.table["score"].to_numpy() > 0) & (result.table["score"].to_numpy() < 1)).all()
    assert not found[True].table.equals(found[False].table)
    again = fine_tune_encoder(workspace, sequences, checkpoint, SETTINGS, slug="tiny")
    assert again.key == found[True].key


def test_a_sample_of_stays_holds_whole_patients_and_every_smaller_sample(sequences):
    splits = load_from_disk(str(sequences))
    whole = splits["train"].to_pandas().groupby("patient_id").size()
    seen: set[str] = set()
    for stays in (10, 40):
        train = limit_stays(splits, stays)["train"].to_pandas().groupby("patient_id").size()
        assert stays <= train.sum() <= stays + 1
        assert (train == whole[train.index]).all()
        assert seen <= set(train.index)
        seen = set(train.index)
    with pytest.raises(ValueError, match=r"expected at most \d+ training stays, found 100000"):
        limit_stays(splits, 100_000)
