from pathlib import Path

import pytest
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)
from transformers.dynamic_module_utils import get_relative_import_files

from claim_transformers.models import claim
from claim_transformers.models.registration import register

AUTO_CLASSES = {
    AutoModel: claim.ClaimModel,
    AutoModelForPreTraining: claim.ClaimForPreTraining,
    AutoModelForMaskedLM: claim.ClaimForMaskedLM,
    AutoModelForSequenceClassification: claim.ClaimForSequenceClassification,
    AutoModelForTokenClassification: claim.ClaimForVisitClassification,
}


@pytest.mark.parametrize("auto_class", AUTO_CLASSES, ids=lambda auto_class: auto_class.__name__)
def test_every_auto_class_loads_a_pretrained_checkpoint(auto_class, tmp_path):
    register()
    pooling = "none" if auto_class is AutoModelForMaskedLM else "max"
    config = claim.ClaimConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, visit_pooling=pooling)
    pretrained = claim.ClaimForMaskedLM(config) if pooling == "none" else claim.ClaimForPreTraining(config)
    pretrained.save_pretrained(tmp_path)
    assert type(auto_class.from_pretrained(tmp_path)) is AUTO_CLASSES[auto_class]
    assert type(AutoConfig.from_pretrained(tmp_path)) is claim.ClaimConfig


@pytest.mark.parametrize(
    ("auto_class", "ours"),
    [(AutoModel, "RecurrentModel"), (AutoModelForSequenceClassification, "RecurrentForSequenceClassification")],
)
def test_the_auto_classes_know_the_recurrent_family(auto_class, ours):
    register()
    config = AutoConfig.for_model("claim_recurrent", architecture="dipole", vocab_size=20, hidden_size=8)
    assert type(auto_class.from_config(config)).__name__ == ours


def test_a_name_in_the_store_loads_without_a_network(tmp_path, monkeypatch):
    monkeypatch.setenv("CLAIM_TRANSFORMERS_HOME", str(tmp_path))
    config = claim.ClaimConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1)
    claim.ClaimModel(config).save_pretrained(tmp_path / "claim-pt-of-a-test")
    assert claim.ClaimConfig.from_pretrained("claim-pt-of-a-test").vocab_size == 20
    assert claim.ClaimForSequenceClassification.from_pretrained("claim-pt-of-a-test").config.vocab_size == 20


def test_every_file_of_the_model_travels_with_its_code():
    modeling = Path(claim.__file__).parent / "modeling_claim.py"
    copied = {Path(name).name for name in get_relative_import_files(modeling)}
    assert {
        f"{stem}_claim.py" for stem in ("configuration", "context", "encoder", "losses", "names", "pooling")
    } <= copied
