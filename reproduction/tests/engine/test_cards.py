"""Cards of checkpoints: what their training left, once for the checkpoint and once beside the results."""

import json
import shutil

import pytest

from claim_transformers.models.claim import ClaimForPreTraining
from reproduction.engine.cards import card_results, write_card

MEASURED = {
    "task": "asthma",
    "split": "test",
    "model": "tiny",
    "metric": "AUROC",
    "value": 0.7,
    "interval": [0.6, 0.8],
    "interval_level": 0.95,
    "num_examples": 90,
}
DATA = {"name": "made by hand", "is_simulated": True, "num_patients": {"train": 300}, "num_visits": 900}


@pytest.fixture
def training(tmp_path):
    folder = tmp_path / "training"
    folder.mkdir()
    (folder / "training_args.json").write_text(json.dumps({"seed": 3, "max_steps": 70}))
    (folder / "all_results.json").write_text(json.dumps({"train_runtime": 12.5}))
    return folder


@pytest.fixture
def gather(training, checkpoint, tmp_path):
    command = tmp_path / "train.sh"
    command.write_text("#!/usr/bin/env bash\n# How.\nset -e\ncd here\n\npython train.py \\\n  --seed 3\n")
    model = ClaimForPreTraining.from_pretrained(checkpoint)
    given = {"checkpoint": "tiny", "texts": {"objective": "next visits"}, "data": DATA, "metrics": [MEASURED]}
    return lambda **more: card_results(model, training, command, **given, **more)


def test_results_hold_the_commands_of_the_training_and_its_steps(gather):
    results = gather()
    assert results["model_class"] == "ClaimForPreTraining"
    assert results["training"]["command"] == "python train.py \\\n  --seed 3"
    assert results["training"]["num_steps"] == 70
    assert gather(num_steps=64)["training"]["num_steps"] == 64


def test_a_card_stands_in_the_checkpoint_and_beside_its_results(gather, checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "tiny")
    results = gather()
    card = write_card(folder, results, cards=tmp_path / "cards")
    assert card == folder / "README.md"
    assert (tmp_path / "cards" / "tiny" / "README.md").read_text() == card.read_text()
    assert json.loads((tmp_path / "cards" / "tiny" / "results.json").read_text()) == results
