import json

import pytest
from huggingface_hub.errors import StrictDataclassClassValidationError, StrictDataclassFieldValidationError

from claim_transformers.models.claim import ClaimConfig

# What config.json holds. A key that appears or disappears here changes checkpoints: say so in the changelog.
SAVED_KEYS = {
    "amount_scale",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "classifier_pooling",
    "classifier_rate",
    "code_skip",
    "code_skip_half_life_days",
    "cp_weight",
    "hidden_act",
    "hidden_dropout_prob",
    "hidden_size",
    "history_half_lives_days",
    "history_skip",
    "horizon_days",
    "horizon_weight",
    "index_gap",
    "initializer_range",
    "intermediate_size",
    "landmark_visit_share",
    "layer_norm_eps",
    "mask_token_id",
    "max_visits",
    "model_type",
    "norm_first",
    "num_attention_heads",
    "num_categories",
    "num_hidden_layers",
    "nvp_bias_init",
    "nvp_context",
    "nvp_target",
    "nvp_weight",
    "pad_token_id",
    "regression_loss",
    "segments",
    "smearing_factor",
    "tie_word_embeddings",
    "time_attention",
    "transformers_version",
    "tweedie_power",
    "visit_pooling",
    "vocab_size",
}


def test_saved_keys_are_pinned(tmp_path):
    ClaimConfig().save_pretrained(tmp_path)
    assert set(json.loads((tmp_path / "config.json").read_text())) == SAVED_KEYS


def test_a_saved_configuration_loads_equal(tmp_path):
    config = ClaimConfig(  # type: ignore[call-arg]  # num_labels is of PreTrainedConfig
        vocab_size=77,
        num_categories=5,
        visit_pooling="sum",
        time_attention="bucketed",
        history_skip=True,
        num_labels=3,
    )
    config.save_pretrained(tmp_path)
    loaded = ClaimConfig.from_pretrained(tmp_path)
    assert loaded.to_diff_dict() == config.to_diff_dict()
    assert loaded.num_labels == 3


@pytest.mark.parametrize(
    "hostile",
    [
        {"vocab_size": 10**12},
        {"vocab_size": 0},
        {"vocab_size": -5},
        {"hidden_size": 10**9, "num_attention_heads": 1},
        {"hidden_size": 0},
        {"num_hidden_layers": 10**6},
        {"num_hidden_layers": 0},
        {"num_attention_heads": 0},
        {"num_attention_heads": -4},
        {"num_attention_heads": 3},
        {"intermediate_size": 10**10},
        {"num_categories": -1},
        {"num_categories": 10**9},
        {"max_visits": 0},
        {"num_labels": 10**9},
        {"num_labels": 0},
        {"vocab_size": 9_000_000, "hidden_size": 16_000, "num_attention_heads": 1},
        {"hidden_dropout_prob": 1.5},
        {"classifier_dropout": -0.1},
        {"attention_probs_dropout_prob": float("nan")},
        {"initializer_range": float("inf")},
        {"layer_norm_eps": 0.0},
        {"cp_weight": -1.0},
        {"nvp_weight": 0.0, "cp_weight": 0.0},
        {"nvp_bias_init": -1e9},
        {"pad_token_id": 512},
        {"mask_token_id": -1},
        {"nvp_target": "category"},
        {"nvp_target": "category", "num_categories": 3, "tie_word_embeddings": True},
        {"history_skip": True, "visit_pooling": "none"},
    ],
    ids=str,
)
def test_hostile_values_are_refused_before_anything_is_allocated(hostile):
    with pytest.raises((ValueError, StrictDataclassClassValidationError), match="expected"):
        ClaimConfig(**hostile)


@pytest.mark.parametrize(
    "wrong",
    [
        {"vocab_size": "512"},
        {"visit_pooling": "median"},
        {"nvp_context": "half"},
        {"nvp_target": "visit"},
        {"time_attention": "sinusoidal"},
        {"classifier_pooling": "last"},
        {"hidden_act": "__import__"},
        {"norm_first": "yes"},
    ],
    ids=str,
)
def test_wrong_types_and_choices_are_refused(wrong):
    with pytest.raises(StrictDataclassFieldValidationError):
        ClaimConfig(**wrong)


def test_a_field_changed_to_nonsense_cannot_be_saved(tmp_path):
    config = ClaimConfig()
    config.num_attention_heads = 5
    with pytest.raises(StrictDataclassClassValidationError, match="multiple of num_attention_heads"):
        config.save_pretrained(tmp_path)
