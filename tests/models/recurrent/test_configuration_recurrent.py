from typing import Any

import pytest
from huggingface_hub.errors import StrictDataclassClassValidationError, StrictDataclassFieldValidationError

from claim_transformers.models.recurrent import RecurrentConfig


def test_a_saved_configuration_loads_as_it_was(tmp_path):
    options: dict[str, Any] = {"architecture": "dipole", "attention": "concat", "gap_input": True, "num_labels": 3}
    config = RecurrentConfig(**options)
    config.save_pretrained(tmp_path)
    loaded = RecurrentConfig.from_pretrained(tmp_path)
    assert loaded.to_diff_dict() == config.to_diff_dict()
    assert (loaded.architecture, loaded.attention, loaded.gap_input, loaded.num_labels) == (
        "dipole",
        "concat",
        True,
        3,
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 0}, r"expected hidden_size in 1\.\.16384, found 0"),
        ({"vocab_size": 10**9}, "expected vocab_size in"),
        ({"num_hidden_layers": 65}, "expected num_hidden_layers in"),
        ({"hidden_size": 16_000, "num_hidden_layers": 2}, "expected at most 4294967296 parameters"),
        ({"hidden_dropout_prob": 1.5}, "expected hidden_dropout_prob in 0..1"),
        ({"initializer_range": float("nan")}, "expected initializer_range in"),
        ({"pad_token_id": 512}, r"expected pad_token_id in 0\.\.511, found 512"),
    ],
)
def test_values_out_of_bounds_are_refused(changes, message):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        RecurrentConfig(**changes)


@pytest.mark.parametrize("changes", [{"architecture": "lstm"}, {"attention": "dot"}, {"hidden_size": "wide"}])
def test_unknown_choices_and_wrong_types_are_refused(changes):
    with pytest.raises(StrictDataclassFieldValidationError):
        RecurrentConfig(**changes)


def test_too_many_labels_are_refused_before_they_are_named():
    with pytest.raises(ValueError, match="expected num_labels in"):
        RecurrentConfig(num_labels=10**9)  # type: ignore[call-arg]  # num_labels is of PreTrainedConfig


def test_only_doctor_ai_reads_gaps_unless_told():
    read = {name: RecurrentConfig(architecture=name).reads_gaps for name in ("doctor_ai", "dipole", "retain")}
    assert read == {"doctor_ai": True, "dipole": False, "retain": False}
    assert RecurrentConfig(architecture="retain", gap_input=True).reads_gaps
    assert not RecurrentConfig(gap_input=False).reads_gaps
