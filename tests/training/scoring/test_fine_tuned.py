"""From a labelled cohort to scores: what fine-tuning saves is calibrated where it scores."""

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from cohorts.patients_by_hand import day
from training.scoring.scored_people import AT, members, model, tokenizer

from claim_transformers.training import ClaimTrainingArguments, FineTuning, Scorer, fine_tune, tokenize_dataset
from claim_transformers.training.scoring.patients import known_patients

EVERYONE = {"everyone": True, "precision": "float32"}


def cohort() -> datasets.DatasetDict:
    """Half of those have the outcome who had one of three codes."""
    found = {}
    for seed, (name, number) in enumerate({"train": 120, "validation": 200}.items(), 3):
        examples = known_patients(members(number, seed), day(AT.isoformat()), everyone=True).examples
        codes = [{code for visit in visits for code in visit} for visits in examples["codes"].to_pylist()]
        labels = [bool(codes_of & {"ICD9CM/4010", "ICD9CM/4011"}) for codes_of in codes]
        found[name] = datasets.Dataset(examples.append_column("label", pa.array(labels)))
    return datasets.DatasetDict(found)


@pytest.fixture(scope="module")
def tokens() -> datasets.DatasetDict:
    return tokenize_dataset(cohort(), tokenizer())


def test_the_mean_score_is_the_base_rate(tokens, tmp_path):
    settings = {"num_train_epochs": 2, "learning_rate": 1e-3, "use_cpu": True, "seed": 1, "report_to": "none"}
    arguments = ClaimTrainingArguments(output_dir=str(tmp_path / "run"), **settings)
    fitted = fine_tune(model(), tokenizer(), tokens, arguments)
    base_rate = np.mean(tokens["validation"]["label"])
    people = members(200, seed=4)
    raw = Scorer.from_pretrained(tmp_path / "run", calibration=None, **EVERYONE).score(people, AT)[0]
    found = Scorer.from_pretrained(tmp_path / "run", **EVERYONE).score(people, AT)[0]
    assert pc.unique(found["calibration"]).to_pylist() == ["platt"]
    assert abs(pc.mean(raw["score"]).as_py() - base_rate) > 0.05
    assert pc.mean(found["score"]).as_py() == pytest.approx(base_rate, abs=0.01)
    assert fitted.calibration is not None
    assert np.abs(fitted.calibration(fitted.predictions["validation"]) - found["score"].to_numpy()).max() < 1e-4


def test_a_calibration_of_balanced_classes_is_of_the_model_and_not_of_its_predictions(tokens):
    net = model()
    fitted = fine_tune(net, tokenizer(), tokens, FineTuning(is_balanced=True, epochs=1, learning_rate=1e-2))
    found = Scorer(net, tokenizer(), calibration=fitted.calibration, **EVERYONE).score(members(200, seed=4), AT)[0]
    base_rate = np.mean(tokens["validation"]["label"])
    assert pc.mean(found["score"]).as_py() == pytest.approx(base_rate, abs=0.01)


def test_a_second_run_leaves_no_calibration_of_the_first(tokens, tmp_path):
    (tmp_path / "calibration.json").write_text("{}")
    few = {**tokens, "validation": tokens["validation"].select(range(10))}
    arguments = ClaimTrainingArguments(output_dir=str(tmp_path), max_steps=1, use_cpu=True, report_to="none")
    assert fine_tune(model(), tokenizer(), few, arguments).calibration is None
    assert not (tmp_path / "calibration.json").exists()
