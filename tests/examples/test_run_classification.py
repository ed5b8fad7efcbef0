import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import load_from_disk

from claim_transformers.models.claim import ClaimForPreTraining, ClaimForSequenceClassification, ClaimTokenizer
from claim_transformers.training import (
    Architecture,
    ClaimTrainingArguments,
    FineTuningArguments,
    auroc,
    make_form,
    parse_arguments,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script(load_script):
    return load_script("run_classification")


@pytest.fixture(scope="module")
def checkpoint(cohort, architecture, tmp_path_factory):
    """An untrained checkpoint with the vocabulary of the cohort."""
    folder = tmp_path_factory.mktemp("checkpoint")
    tiny = Architecture.from_json(architecture)
    tokenizer = tiny.train_tokenizer(load_from_disk(str(cohort))["train"], min_patients=3)
    ClaimForPreTraining(tiny.build_config(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def run(script, cohort, out, *flags, epochs=12):
    given = ["--cohort", cohort, "--output_dir", out, "--num_train_epochs", epochs, "--learning_rate", 1e-2, *flags]
    given += ["--per_device_train_batch_size", 10, "--disable_tqdm", True, "--use_cpu", True]
    yaml = str(ROOT / "examples" / "configs" / "demo_classification.yaml")
    script.main(*parse_arguments(FineTuningArguments, ClaimTrainingArguments, arguments=[yaml, *map(str, given)]))


def test_a_fine_tuned_model_predicts_every_row_of_the_test_split(script, cohort, checkpoint, tmp_path):
    run(script, cohort, tmp_path, "--model_name_or_path", checkpoint)
    predictions = pq.read_table(tmp_path / "predictions.parquet")
    assert predictions["row"].to_pylist() == list(range(40))
    assert predictions["patient_id"].to_pylist() == load_from_disk(str(cohort))["test"]["patient_id"][:]
    assert pq.read_table(tmp_path / "predictions_validation.parquet")["row"].to_pylist() == list(range(30))
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    found = auroc(predictions["label"].to_numpy(), predictions["score"].to_numpy())
    assert metrics["metrics"]["AUROC"]["value"] == pytest.approx(found)
    assert metrics["metrics"]["AUROC"]["low"] <= found <= metrics["metrics"]["AUROC"]["high"]
    assert found > 0.8
    assert metrics["name"] == f"{cohort.name}: {checkpoint.name}, fine-tuned"
    best = json.loads((next(tmp_path.glob("checkpoint-*")) / "trainer_state.json").read_text())["best_metric"]
    assert best > 0.8
    assert ClaimForSequenceClassification.from_pretrained(tmp_path).config.num_labels == 2


@pytest.mark.parametrize("start", ["scratch", "architecture"])
def test_the_same_network_without_pretraining_is_named_so(start, script, cohort, checkpoint, architecture, tmp_path):
    source = architecture if start == "architecture" else checkpoint
    run(script, cohort, tmp_path, "--model_name_or_path", source, "--start_at", start, epochs=1)
    name = json.loads((tmp_path / "metrics.json").read_text())["name"]
    assert name == f"{cohort.name}: as {source.stem}, from scratch"


def test_a_start_at_the_head_needs_the_definition_of_the_cohort(script, cohort, checkpoint, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"cohort\.json"):
        run(script, cohort, tmp_path / "none", "--model_name_or_path", checkpoint, "--start_at", "head")
    defined = shutil.copytree(cohort, tmp_path / "cohort")
    definition = {"name": "any_code", "codes": {"any": ["ICD9CM/4"]}, "label": {"codes": "any", "visit_types": []}}
    (defined / "cohort.json").write_text(json.dumps(definition | {"index": {"rule": "fixed_date"}}))
    out = tmp_path / "out"
    run(script, defined, out, "--model_name_or_path", checkpoint, "--start_at", "head", epochs=1)
    assert json.loads((out / "metrics.json").read_text())["name"] == f"any_code: {checkpoint.name}, fine-tuned"
    assert ClaimForSequenceClassification.from_pretrained(out).config.code_skip


def test_an_unknown_start_is_refused(script, cohort, checkpoint, tmp_path):
    with pytest.raises(ValueError, match="invalid choice"):
        run(script, cohort, tmp_path, "--model_name_or_path", checkpoint, "--start_at", "anywhere")


def test_the_script_fits_a_screen():
    lines = (ROOT / "examples" / "run_classification.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 70


def test_sequences_give_their_form_to_a_tokenizer_without_one_and_another_form_is_refused(
    script, cohort, checkpoint, tmp_path
):
    sequences = shutil.copytree(cohort, tmp_path / "sequences")
    make_form("code").save(sequences)
    run(script, sequences, tmp_path / "out", "--model_name_or_path", checkpoint, epochs=1)
    assert ClaimTokenizer.from_pretrained(tmp_path / "out").form == make_form("code")
    make_form("chapter").save(sequences)
    with pytest.raises(ValueError, match="found sequences in another form"):
        run(script, sequences, tmp_path / "again", "--model_name_or_path", tmp_path / "out", epochs=1)
