"""What a stranger meets first: the import, the public names and the Auto classes."""

import json
import subprocess
import sys
from importlib import import_module

import pytest

import claim_transformers

HEAVY = ("datasets", "sklearn", "scipy", "duckdb", "ibis", "matplotlib", "pandas", "evaluate", "simple_icd_10_cm")

AUTO_CLASSES = {
    "AutoModel": "ClaimModel",
    "AutoModelForPreTraining": "ClaimForPreTraining",
    "AutoModelForMaskedLM": "ClaimForMaskedLM",
    "AutoModelForSequenceClassification": "ClaimForSequenceClassification",
    "AutoModelForTokenClassification": "ClaimForVisitClassification",
}


def test_the_import_loads_nothing_heavy_that_transformers_does_not_load_itself():
    listing = "import json, sys; print(json.dumps(sorted(sys.modules)))"
    ours, theirs = (
        set(
            json.loads(
                subprocess.run([sys.executable, "-c", f"{line}; {listing}"], capture_output=True, check=True).stdout
            )
        )
        for line in ("import claim_transformers", "from transformers import AutoModel, PreTrainedModel")
    )
    roots = {name.partition(".")[0] for name in ours - theirs}
    assert roots.isdisjoint(HEAVY)


def test_every_public_name_exists():
    for name in claim_transformers.__all__:
        assert getattr(claim_transformers, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'ClaimFormer'"):
        claim_transformers.ClaimFormer  # noqa: B018


@pytest.mark.parametrize(("auto_class", "ours"), AUTO_CLASSES.items())
def test_each_auto_class_makes_our_class_from_a_config(auto_class, ours):
    pooling = "none" if ours == "ClaimForMaskedLM" else "sum"
    config = claim_transformers.ClaimConfig(
        vocab_size=20,
        num_categories=4,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        visit_pooling=pooling,
    )
    model = getattr(import_module("transformers"), auto_class).from_config(config)
    assert type(model).__name__ == ours


def test_the_auto_config_knows_the_family():
    from transformers import AutoConfig

    assert isinstance(AutoConfig.for_model("claim"), claim_transformers.ClaimConfig)
