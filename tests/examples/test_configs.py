import json
from pathlib import Path

import pytest
import yaml
from transformers import TrainingArguments

from claim_transformers.models.claim import ClaimForPreTraining, ClaimTokenizer
from claim_transformers.training import (
    Architecture,
    ClaimTrainingArguments,
    FineTuningArguments,
    PretrainingArguments,
    parse_arguments,
)

EXAMPLES = Path(__file__).parents[2] / "examples"
MODELS = [
    *sorted((EXAMPLES / "configs").glob("claim-pt-*.json")),
    *sorted((EXAMPLES.parent / "reproduction" / "claim_pt" / "configs").glob("claim-pt-*.json")),
]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_described_model_can_be_built(path):
    architecture = Architecture.from_json(path)
    tokenizer = ClaimTokenizer(
        {"SEX/F": 3, "TYPE/OP": 4, "ICD9CM/493": 5}, {"ICD9CM/493": "CCS/128"}, **architecture.tokenizer
    )
    model = ClaimForPreTraining(architecture.build_config(tokenizer))
    assert model.config.num_categories == 1
    assert model.config.max_visits == architecture.tokenizer["max_visits"]


def test_the_paper_is_described_as_the_authors_list_it():
    paper = Architecture.from_json(EXAMPLES / "configs" / "claim-pt-paper.json")
    # MAX_VISIT=30 before the visit that is predicted, MAX_CODE=10, PATIENT_DIM=100
    assert paper.tokenizer["max_visits"] == 30 + 1
    assert paper.tokenizer["max_codes_per_visit"] == 10
    assert paper.model["hidden_size"] == 100
    assert (paper.model["visit_pooling"], paper.model["nvp_context"]) == ("max", "full")
    assert (
        yaml.safe_load((EXAMPLES / "configs" / "pretraining_paper.yaml").read_text())["per_device_train_batch_size"]
        == 100
    )


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (PretrainingArguments, "pretraining"),
        (PretrainingArguments, "pretraining_paper"),
        (PretrainingArguments, "demo_pretraining"),
        (FineTuningArguments, "classification"),
        (FineTuningArguments, "demo_classification"),
    ],
)
def test_every_key_of_a_yaml_file_is_an_argument_of_its_script(kind, name, tmp_path):
    path = EXAMPLES / "configs" / f"{name}.yaml"
    given = [str(path), "--output_dir", str(tmp_path), "--use_cpu", "True"]
    arguments, training_args = parse_arguments(kind, ClaimTrainingArguments, arguments=given)
    assert training_args.output_dir == str(tmp_path)
    for key, value in yaml.safe_load(path.read_text()).items():
        parsed = getattr(arguments, key, None) if hasattr(arguments, key) else getattr(training_args, key)
        assert key == "output_dir" or parsed in (value, [value])
    assert isinstance(training_args, TrainingArguments)
    if name.endswith("pretraining"):
        shipped = arguments.model_config == "claim-pt-base"
        assert Architecture.from_json(arguments.model_config if shipped else EXAMPLES.parent / arguments.model_config)


def test_sharding_wraps_the_layer_of_the_model():
    sharding = json.loads((EXAMPLES / "configs" / "fsdp.json").read_text())
    launch = yaml.safe_load((EXAMPLES / "configs" / "accelerate_fsdp.yaml").read_text())
    layer = launch["fsdp_config"]["fsdp_transformer_layer_cls_to_wrap"]
    assert sharding["transformer_layer_cls_to_wrap"] == [layer]
    tokenizer = ClaimTokenizer({"SEX/F": 3, "ICD9CM/49390": 4}, {"ICD9CM/493": "CCS/128"})
    model = ClaimForPreTraining(Architecture.from_json(MODELS[0]).build_config(tokenizer))
    assert layer in {type(module).__name__ for module in model.modules()}


def test_scripts_fit_a_screen_and_a_half():
    for path in EXAMPLES.glob("run_*.py"):
        assert len(path.read_text().splitlines()) < 100, path.name
