"""Folding of what leaves: the same predictions, and no statistic of the patients of a cohort."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from claim_transformers.hub.upload_folder import stage
from claim_transformers.models.claim import ClaimConfig, ClaimForPreTraining, ClaimForSequenceClassification
from claim_transformers.training import Calibration, save_calibration
from claim_transformers.training.scoring.calibration import read_calibration

INPUTS = {
    "input_ids": torch.tensor([[10, 4, 5, 5, 6], [10, 7, 4, 0, 0]]),
    "visit_ids": torch.tensor([[0, 1, 1, 2, 3], [0, 1, 2, -1, -1]]),
    "visit_days": torch.tensor([[900, 0, 300, 800], [400, 0, 390, 0]]),
}


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A new classifier on a pretrained encoder after some steps, with its calibration."""
    torch.manual_seed(0)
    config = ClaimConfig(vocab_size=12, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    ClaimForPreTraining(config).save_pretrained(tmp_path / "pretrained")
    model = ClaimForSequenceClassification.from_pretrained(tmp_path / "pretrained", num_labels=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(5):
        model(**INPUTS, labels=torch.tensor([0, 1])).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(tmp_path / "trained")
    save_calibration(tmp_path / "trained", Calibration({"method": "platt", "intercept": 0.5, "slope": 0.8}))
    return tmp_path / "trained"


def test_what_leaves_says_the_same_and_tells_of_no_frequency(trained: Path, tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    sent.mkdir()
    stage(trained, sent, with_code=False)
    names = load_file(sent / "model.safetensors")
    assert not [name for name in names if name.endswith((".mean", ".variance", ".patients"))]
    own, received = (ClaimForSequenceClassification.from_pretrained(folder).eval() for folder in (trained, sent))
    with torch.no_grad():
        torch.testing.assert_close(received(**INPUTS).logits, own(**INPUTS).logits, rtol=1e-4, atol=1e-4)
        assert own(**INPUTS).logits.abs().max() > 0.1
    assert (received.config.classifier_rate, received.config.code_skip) == (0, True)
    # A calibration is of the weights beside it, and that of other weights is none.
    assert read_calibration(sent).content == read_calibration(trained).content
    assert json.loads((sent / "calibration.json").read_text()) != json.loads(
        (trained / "calibration.json").read_text()
    )


def test_a_folded_checkpoint_is_sent_as_it_is(trained: Path, tmp_path: Path) -> None:
    once, twice = tmp_path / "once", tmp_path / "twice"
    once.mkdir()
    twice.mkdir()
    stage(trained, once, with_code=False)
    shutil.rmtree(trained)
    stage(once, twice, with_code=False)
    assert (twice / "model.safetensors").read_bytes() == (once / "model.safetensors").read_bytes()
