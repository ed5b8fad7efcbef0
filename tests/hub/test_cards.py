import copy
import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from jinja2 import Environment, StrictUndefined, meta

from claim_transformers import resolve_checkpoint
from claim_transformers.hub.cards import (
    _OPTIONAL_RESULTS,
    _REQUIRED_METRIC,
    _REQUIRED_RESULTS,
    _TEMPLATE_PATH,
    metrics_of_comparison,
    write_model_card,
)
from claim_transformers.training import CheckpointCoverage, MetricInterval

CARDS = Path(__file__).parents[2] / "model_cards"
METRIC = {
    "task": "next visit",
    "split": "test",
    "model": "claim-pt-tiny",
    "metric": "recall_at_10",
    "value": 0.4321,
    "interval": [0.4012, 0.4634],
    "interval_level": 0.95,
    "num_examples": 1234,
}
RESULTS: dict[str, Any] = {
    "checkpoint": "claim-pt-tiny",
    "model_class": "ClaimForPreTraining",
    "license": "apache-2.0",
    "num_parameters": 123456,
    "objective": "next-visit prediction",
    "data": {
        "name": "simulated claims",
        "is_simulated": True,
        "num_patients": {"train": 800, "validation": 100, "test": 101},
        "num_visits": 54321,
    },
    "vocabulary": {"size": 777, "min_patients": 11},
    "training": {
        "command": "python examples/run_pretraining.py --seed 0",
        "seed": 0,
        "num_steps": 400,
        "wall_time_seconds": 61.4,
        "device": "2 CPU cores",
    },
    "versions": {"torch": "2.13.0"},
    "metrics": [METRIC, {**METRIC, "model": "counts", "value": 0.4111}],
}


def test_every_number_on_the_card_comes_from_the_results(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(RESULTS))
    text = write_model_card(tmp_path, tmp_path / "results.json").read_text()
    for shown in (
        "123,456",
        "800",
        "101",
        "54,321",
        "777",
        "11",
        "400",
        "61",
        "0.432",
        "[0.401, 0.463]",
        "95 %",
        "1,234",
    ):
        assert shown in text
    assert "run_pretraining.py --seed 0" in text
    assert "0.411" in text
    assert "not for clinical use" in text
    assert "{{" not in text
    assert "{%" not in text


def test_the_model_index_holds_the_checkpoint_with_its_interval_and_no_rival(tmp_path):
    path = write_model_card(tmp_path, RESULTS)
    card = ModelCard.load(path)
    assert card.data.model_name == "claim-pt-tiny"
    [result] = card.data.eval_results
    assert result.metric_value == 0.4321
    assert result.metric_args == {
        "confidence_interval": [0.4012, 0.4634],
        "confidence_level": 0.95,
        "num_examples": 1234,
    }
    assert card.data.license == "apache-2.0"


def test_the_auto_classes_are_sent_to_the_folder_and_not_to_the_bare_name(tmp_path):
    text = " ".join(write_model_card(tmp_path, RESULTS).read_text().split())
    assert 'claim_transformers.resolve_checkpoint("claim-pt-tiny")` is the folder' in text


@pytest.mark.parametrize("folder", sorted(CARDS.glob("*/")), ids=lambda folder: folder.name)
def test_the_cards_of_the_package_are_those_that_the_template_writes(folder, tmp_path):
    written = write_model_card(tmp_path, folder / "results.json").read_text()
    assert written == (folder / "README.md").read_text()
    assert written == Path(resolve_checkpoint(folder.name), "README.md").read_text()


def test_real_claims_are_not_called_simulated(tmp_path):
    results = copy.deepcopy(RESULTS)
    results["data"] |= {"is_simulated": False, "name": "claims of one state"}
    text = write_model_card(tmp_path, results).read_text()
    assert "simulated" not in text.lower()
    assert "Not a medical device" in text


@pytest.mark.parametrize("name", sorted(_REQUIRED_RESULTS))
def test_a_missing_result_writes_no_card(tmp_path, name):
    results = copy.deepcopy(RESULTS)
    *parents, last = name.split(".")
    inner = results
    for parent in parents:
        inner = inner[parent]
    del inner[last]
    with pytest.raises(ValueError, match=f"found none for: {name}$"):
        write_model_card(tmp_path, results)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", sorted(_REQUIRED_METRIC))
def test_a_metric_with_a_gap_writes_no_card(tmp_path, name):
    results = copy.deepcopy(RESULTS)
    del results["metrics"][1][name]
    with pytest.raises(ValueError, match=rf"metrics\[1\]\.{name}"):
        write_model_card(tmp_path, results)


@pytest.mark.parametrize(
    "change",
    [
        {"value": float("nan")},
        {"interval": [0.5, 0.4]},
        {"interval": [0.4]},
        {"interval": [0.4, 0.5, 0.6]},
        {"interval": [0.4, "0.5"]},
        {"interval": [0.1, float("inf")]},
    ],
)
def test_a_value_or_an_interval_that_is_no_number_writes_no_card(tmp_path, change):
    with pytest.raises(ValueError, match=r"metrics\[0\] to hold a value and an interval"):
        write_model_card(tmp_path, {**RESULTS, "metrics": [{**METRIC, **change}]})


def test_results_of_rivals_alone_write_no_card(tmp_path):
    with pytest.raises(ValueError, match="whose model is the checkpoint"):
        write_model_card(tmp_path, {**RESULTS, "metrics": RESULTS["metrics"][1:]})


def test_results_of_another_checkpoint_write_no_card(tmp_path):
    (tmp_path / "config.json").write_text('{"vocab_size": 778}')
    with pytest.raises(ValueError, match="778 tokens"):
        write_model_card(tmp_path, RESULTS)


def test_the_template_asks_only_for_results_that_are_required():
    environment = Environment(undefined=StrictUndefined)
    text = _TEMPLATE_PATH.read_text()
    assert meta.find_undeclared_variables(environment.parse(text)) == {
        "card_data",
        "results",
        "repo_id",
        "show",
        "show_count",
    }
    assert not set(_OPTIONAL_RESULTS) & _REQUIRED_RESULTS.keys()
    only_required = {}
    for name in _REQUIRED_RESULTS:
        *parents, last = name.split(".")
        inner = only_required
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = RESULTS[parents[0]][last] if parents else RESULTS[last]
    assert environment.from_string(text).render(results=only_required, card_data="", repo_id="x", show_count=str)


def test_a_comparison_of_models_becomes_the_metrics_of_a_card(tmp_path):
    interval = MetricInterval(0.71, 0.66, 0.75, clusters=90, replicates=1000).to_dict()
    models = {name: {"metrics": {"AUROC": interval}} for name in ("claim-pt-tiny", "LR counts")}
    metrics = metrics_of_comparison({"examples": 90, "models": models}, task="readmission")
    text = write_model_card(tmp_path, {**RESULTS, "metrics": metrics}).read_text()
    assert "| readmission | test | LR counts | AUROC | 0.710 | [0.660, 0.750] | 95 % | 90 |" in text


def test_an_undefined_metric_of_a_comparison_is_not_left_out_in_silence():
    undefined = MetricInterval(None, None, None, clusters=9, replicates=0, reason="W_ONE_CLASS").to_dict()
    comparison = {"examples": 9, "models": {"claim-pt-tiny": {"metrics": {"AUROC": undefined}}}}
    with pytest.raises(ValueError, match="'AUROC' for 'claim-pt-tiny'"):
        metrics_of_comparison(comparison, task="readmission")


def test_a_form_of_its_own_stands_on_the_card_of_the_model_that_asks_for_it_alone(tmp_path):
    assert "## Input" not in write_model_card(tmp_path, RESULTS).read_text()
    text = write_model_card(tmp_path, {**RESULTS, "input": "Roll the codes up first."}).read_text()
    assert "## Input\n\nRoll the codes up first.\n\n## Training\n" in text


def test_few_patients_of_a_split_are_not_named_and_a_metric_of_few_writes_no_card(tmp_path):
    data = {**RESULTS["data"], "num_patients": {"train": 800, "test": 7}, "num_visits": 9}
    text = write_model_card(tmp_path, {**RESULTS, "data": data}).read_text()
    assert "| Patients, train | 800 |" in text
    assert "| Patients, test | <11 |" in text
    assert "| Visits | <11 |" in text
    with pytest.raises(ValueError, match="at least 11 examples, found fewer"):
        write_model_card(tmp_path, {**RESULTS, "metrics": [{**METRIC, "num_examples": 10}]})
    found = {"value": 0.7, "low": 0.6, "high": 0.8, "level": 0.95}
    with pytest.raises(ValueError, match="expected a number of examples, found it 'hidden'"):
        metrics_of_comparison({"examples": "hidden", "models": {"a": {"metrics": {"AUROC": found}}}}, task="t")


def test_the_codes_that_a_checkpoint_knows_stand_on_its_card_where_they_were_counted(tmp_path):
    assert "## Codes that it knows" not in write_model_card(tmp_path, RESULTS).read_text()
    levels = {"known": 13, "parent": 11, "category": 0, "wider": 0, "unknown": 1214}
    found = CheckpointCoverage({"ICD10CM": levels, "all": levels}, {"ICD10CM": levels, "all": levels}).to_dict()
    text = write_model_card(tmp_path, {**RESULTS, "coverage": {"a demo": found}}).read_text()
    assert "| a demo | ICD10CM | 1,238 | 1,238 | 1.1 % | 0.9 % | 0.0 % | 0.0 % | 98.1 % |\n| a demo | all |" in text
    assert "| By category | Wider | Unknown |\n|---|---|---:|---:|---:|---:|---:|---:|---:|\n| a demo |" in text
    assert "\n\n## How to load" in text
