"""One class or few patients in a validation split: the loss chooses, with a word, and the console keeps quiet."""

import ast
import json

import datasets
import pytest
from training.patients_at_random import random_patients
from transformers import set_seed

from claim_transformers.claims.small_cells import HIDDEN
from claim_transformers.models.claim import ClaimConfig, ClaimForSequenceClassification
from claim_transformers.training import ClaimTrainingArguments, FineTuning, fine_tune, tokenize_dataset

SIZES = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.fixture(scope="module")
def tokens(tokenizer):
    people = {name: datasets.Dataset(random_patients(48, seed, first=100 * seed, labels=True)) for name, seed in
              (("train", 1), ("validation", 2))}  # fmt: skip
    return tokenize_dataset(datasets.DatasetDict(people), tokenizer)


@pytest.fixture
def fit(tokens, tokenizer, tmp_path):
    def run(rows, **settings):
        set_seed(0)
        model = ClaimForSequenceClassification(ClaimConfig(vocab_size=len(tokenizer), **SIZES))
        given = {"train": tokens["train"], "validation": tokens["validation"].select(rows)}
        asked = ClaimTrainingArguments(
            output_dir=str(tmp_path / "run"), use_cpu=True, num_train_epochs=3, learning_rate=0.1,
            eval_strategy="epoch", save_strategy="epoch", load_best_model_at_end=True, report_to="none",
            metric_for_best_model="eval_auroc", greater_is_better=True, early_stopping_patience=3, **settings,
        )  # fmt: skip
        return fine_tune(model, tokenizer, given, asked)

    return run


def of_class(tokens, wanted):
    return [place for place, label in enumerate(tokens["validation"]["label"]) if label == wanted]


def test_with_one_class_the_loss_chooses_the_weights_and_a_warning_says_so(fit, tokens, caplog):
    fitted = fit(of_class(tokens, 0))
    losses = [entry["loss"] for entry in fitted.history]
    assert len(losses) == 3
    assert losses[fitted.best_epoch - 1] == min(losses) < losses[-1]
    assert "W_ONE_CLASS" in caplog.text
    assert "LEAST LOSS" in caplog.text


def test_in_memory_the_loss_is_said_to_choose_too(tokens, tokenizer, caplog):
    model = ClaimForSequenceClassification(ClaimConfig(vocab_size=len(tokenizer), **SIZES))
    given = {"train": tokens["train"], "validation": tokens["validation"].select(of_class(tokens, 1))}
    fine_tune(model, tokenizer, given, FineTuning(epochs=1))
    assert caplog.text.count("LEAST LOSS") == 1


@pytest.mark.parametrize(("few", "is_hidden"), [(10, True), (11, False)])
def test_the_console_hides_figures_of_few_cases_and_the_log_beside_the_patients_has_them(
    fit, tokens, few, is_hidden, tmp_path, capsys
):
    fit([*of_class(tokens, 0)[:few], *of_class(tokens, 1)[:11]], disable_tqdm=True)
    shown = [line for line in capsys.readouterr().out.splitlines() if "eval_" in line]
    assert len(shown) == 3
    for line in shown:
        figures = ast.literal_eval(line)
        assert (figures["eval_auroc"] == figures["eval_loss"] == HIDDEN) is is_hidden
        assert figures["eval_runtime"] != HIDDEN
    log = [json.loads(line) for line in (tmp_path / "run" / "training_log.jsonl").read_text().splitlines()]
    assert all(0 <= entry["eval_auroc"] <= 1 for entry in log if "eval_auroc" in entry)
