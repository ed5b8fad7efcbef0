"""Start of a model of cost: a regression on counts and bins of past amounts, and what goes on from it."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
import torch
from datasets import Dataset, DatasetDict

from claim_transformers.analysis import start_from_amounts
from claim_transformers.models.claim import ClaimConfig, ClaimForPreTraining, ClaimTokenizer
from claim_transformers.training import FineTuning, Scorer, fine_tune, gini, tokenize_dataset

INDEX_DAY = 15_500
AT = dt.date(1970, 1, 1) + dt.timedelta(days=INDEX_DAY)


def members(rows, seed):
    """Patients whose next year costs about what their visits did, and nothing for one in ten."""
    random = np.random.default_rng(seed)
    visits = random.integers(1, 5, rows)
    amounts = [random.choice([10.0, 100.0, 1000.0], n) for n in visits]
    days = pa.list_(pa.int32())
    return pa.table(
        {
            "patient_id": [f"P{seed}-{row}" for row in range(rows)],
            "sex": ["F"] * rows,
            "birth_day": pa.array([0] * rows, pa.int32()),
            "death_day": pa.array([None] * rows, pa.int32()),
            "enrollment_start_day": pa.array([[14_000]] * rows, days),
            "enrollment_end_day": pa.array([[17_000]] * rows, days),
            "visit_day": pa.array([[15_400 + 9 * i for i in range(n)] for n in visits], days),
            "visit_type": [["OP"] * n for n in visits],
            "codes": [[["HCPCS/99213"]] * n for n in visits],
            "visit_amount": pa.array([row.tolist() for row in amounts], pa.list_(pa.float64())),
            "index_day": pa.array([INDEX_DAY] * rows, pa.int32()),
            "label": [float(row.sum() * random.gamma(8.0, 1 / 8) * (random.random() < 0.9)) for row in amounts],
        }
    )


@pytest.fixture(scope="module")
def cohort():
    sizes = {"train": 300, "validation": 60, "test": 200}
    return DatasetDict({name: Dataset(members(rows, seed)) for seed, (name, rows) in enumerate(sizes.items())})


@pytest.fixture(scope="module")
def checkpoint(cohort, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("checkpoint"))
    tokenizer = ClaimTokenizer.train_from_dataset(cohort["train"])
    config = ClaimConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    torch.manual_seed(0)
    ClaimForPreTraining(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("loss", ["tweedie", "two_part", "log"])
def test_the_start_knows_past_amounts_and_scores_of_the_claims_are_its_predictions(loss, cohort, checkpoint, tmp_path):
    model, tokenizer = start_from_amounts(checkpoint, cohort["train"], regression_loss=loss, num_bins=9)
    assert tokenizer.form.bins["PAID"] == (100.0, 1000.0)
    assert tokenizer.convert_tokens_to_ids("PAID/2") != tokenizer.unk_token_id
    # The regression is there as it was fitted, without the rate of a classifier that begins at nothing.
    start = Scorer(model, tokenizer, precision="float32").score(cohort["train"].with_format("arrow")[:], AT)[0][
        "score"
    ]
    assert 0.6 < np.mean(start.to_numpy()) / np.mean(cohort["train"]["label"][:]) < 1.6
    fitted = fine_tune(model, tokenizer, tokenize_dataset(cohort, tokenizer), FineTuning(epochs=1, learning_rate=1e-4))
    labels, found = np.array(cohort["test"]["label"][:]), fitted.predictions["test"]
    # The order is what a log link is sure of where amounts add up; its mean is near.
    assert gini(labels, found) > 0.75 * gini(labels, labels) - 0.1
    assert found.min() >= 0
    assert 0.6 < found.mean() / labels.mean() < 1.6
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    patients = cohort["test"].with_format("arrow")[:].drop_columns(["label", "index_day"])
    scores, _ = Scorer.from_pretrained(tmp_path, precision="float32").score(patients, AT)
    np.testing.assert_allclose(scores["score"].to_numpy(), found, rtol=0.05)  # fine-tuning may compute in bf16


def test_what_is_no_cohort_of_amounts_is_refused(cohort, checkpoint):
    with pytest.raises(ValueError, match="expected the column visit_amount"):
        start_from_amounts(checkpoint, cohort["train"].remove_columns("visit_amount"))
    nothing = cohort["train"].remove_columns("label").add_column("label", [0.0] * 300)
    with pytest.raises(ValueError, match="expected amounts of 0 and above"):
        start_from_amounts(checkpoint, nothing)
