import json
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from training.patients_at_random import random_patients
from transformers import set_seed

from claim_transformers.models.claim import (
    ClaimConfig,
    ClaimForPreTraining,
    ClaimForSequenceClassification,
    ClaimForVisitClassification,
)
from claim_transformers.models.recurrent import RecurrentConfig, RecurrentForSequenceClassification
from claim_transformers.training import (
    ClaimTrainer,
    ClaimTrainingArguments,
    DataCollatorForClaimClassification,
    FineTuning,
    auroc,
    binary_metrics,
    fine_tune,
    probabilities_of,
    tokenize_dataset,
)
from claim_transformers.training.layer_rates import _parameter_depths, layer_optimizer

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
LEARN = {"learning_rate": 1e-2, "batch_size": 16}


@pytest.fixture(scope="module")
def examples(patients):
    test = datasets.Dataset(random_patients(40, 2, first=900, labels=True))
    return datasets.DatasetDict(**patients, test=test)


@pytest.fixture(scope="module")
def splits(examples, tokenizer):
    return tokenize_dataset(examples, tokenizer)


@pytest.fixture
def build(tokenizer):
    """A small model with weights of a seed."""

    def make(kind=ClaimForSequenceClassification, seed=0, **changes):
        set_seed(seed)
        fields = {**SIZES, "visit_pooling": "sum", "history_skip": True, **changes}
        return kind(ClaimConfig(vocab_size=len(tokenizer), num_categories=tokenizer.num_categories, **fields))

    return make


def labels_of(splits, name="test"):
    return np.array(splits[name]["label"])


def relabelled(examples, tokenizer, label):
    """Tokens of the examples with another label, which a function makes of a row."""
    changed = {
        name: split.remove_columns("label").add_column("label", [label(row) for row in split])
        for name, split in examples.items()
    }
    return tokenize_dataset(datasets.DatasetDict(changed), tokenizer)


def changed(before, model):
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def test_what_can_be_learned_is_learned_and_the_same_seed_gives_the_same_scores(build, tokenizer, splits):
    first, second = (fine_tune(build(), tokenizer, splits, FineTuning(epochs=8, **LEARN)) for _ in range(2))
    assert auroc(labels_of(splits), first.predictions["test"]) > 0.8
    assert {name: len(scores) for name, scores in first.predictions.items()} == {"validation": 48, "test": 40}
    np.testing.assert_array_equal(first.predictions["test"], second.predictions["test"])


def test_the_best_epoch_is_used_and_training_ends_when_none_is_better(build, tokenizer, splits):
    fitted = fine_tune(build(), tokenizer, splits, FineTuning(epochs=30, patience=2, **LEARN))
    quality = [(epoch["first"], epoch["second"], -epoch["loss"]) for epoch in fitted.history]
    # The history begins with the model as it was, epoch 0.
    assert quality.index(max(quality)) == fitted.best_epoch
    assert len(fitted.history) == fitted.best_epoch + 3 < 31
    # The scores are those of the best epoch, not of the last.
    found = auroc(labels_of(splits, "validation"), fitted.predictions["validation"])
    assert found == pytest.approx(max(quality)[0])


@pytest.mark.parametrize(("epochs", "depths"), [(1, {0}), (2, {0, 1})])
def test_a_layer_that_is_not_free_yet_does_not_change(epochs, depths, build, examples, tokenizer):
    # The loss of a number far off falls in every epoch, so the last one is the best.
    tokens = relabelled(examples, tokenizer, lambda row: 10.0 + row["label"])
    model = build(num_labels=1)
    before = {name: value.detach().clone() for name, value in model.state_dict().items()}
    settings = FineTuning(epochs=epochs, unfreeze_every=1, patience=0, **LEARN)
    fitted = fine_tune(model, tokenizer, tokens, settings)
    assert fitted.best_epoch == epochs
    of_parameter = _parameter_depths(model)
    assert {of_parameter[name] for name in changed(before, model)} == depths


def test_learning_rates_fall_from_the_head_to_the_embeddings(build):
    model = build()
    optimizer = layer_optimizer(model, learning_rate=1.0, layer_decay=0.5, weight_decay=0.01)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    rates = {names[id(parameter)]: group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    assert rates["classifier.weight"] == 1.0
    assert rates["claim.layers.1.up_proj.weight"] == rates["claim.history_skip.weight"] == 0.5
    assert rates["claim.layers.0.up_proj.weight"] == 0.25
    assert rates["claim.embeddings.code_embeddings.weight"] == 0.125
    assert set(rates) == {name for name, _ in model.named_parameters()}
    decays = {names[id(p)]: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decays["classifier.bias"] == 0.0
    assert decays["classifier.weight"] > 0.0


def test_balancing_leaves_the_mean_risk_at_the_prevalence(build, tokenizer, splits):
    rows = [number for number, label in enumerate(splits["train"]["label"]) if label == 0 or number % 4 == 0]
    rare = {**splits, "train": splits["train"].select(rows)}
    settings = FineTuning(is_balanced=True, epochs=1, patience=0, learning_rate=1e-4)
    fitted = fine_tune(build(), tokenizer, rare, settings)
    prevalence = np.mean(rare["train"]["label"])
    assert prevalence < 0.25
    assert fitted.predictions["test"].mean() == pytest.approx(prevalence, abs=0.05)


def test_a_missing_split_is_refused(tokenizer, splits):
    with pytest.raises(ValueError, match="found none in validation"):
        fine_tune(torch.nn.Linear(1, 1), tokenizer, {"train": splits["train"]}, FineTuning())
    empty = {"train": splits["train"], "validation": splits["validation"].select([])}
    with pytest.raises(ValueError, match="found none in validation"):
        fine_tune(torch.nn.Linear(1, 1), tokenizer, empty, FineTuning())


# ---- Labels ----


def test_truth_values_and_a_column_named_labels_are_the_labels(build, examples, tokenizer, splits):
    settings = FineTuning(epochs=2, is_balanced=True, **LEARN)
    expected = fine_tune(build(), tokenizer, splits, settings).predictions
    as_truth = relabelled(examples, tokenizer, lambda row: bool(row["label"]))
    renamed = {name: split.rename_column("label", "labels") for name, split in examples.items()}
    raw = tokenize_dataset(datasets.DatasetDict(renamed), tokenizer)
    tokens = {name: split.rename_column("label", "labels") for name, split in splits.items()}
    for changed_splits in (as_truth, raw, tokens):
        found = fine_tune(build(), tokenizer, changed_splits, settings).predictions
        np.testing.assert_array_equal(found["test"], expected["test"])


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (lambda row: row["label"] + 1, r"classes from 0 to 1 .* found 1 to 2; number the classes from 0"),
        (lambda row: -row["label"], "found -1 to 0"),
        (lambda row: 2, "found 2 to 2"),
        (lambda row: float(row["label"]), r"expected whole numbers as classes .* found double; cast"),
        (lambda row: "yes" if row["label"] else "no", r"found string; number the classes from 0"),
        (lambda row: None if row["sex"] == "F" else row["label"], r"in the split 'train', found \d+ nulls"),
        (lambda row: [row["label"]] * 3, "expected 2 labels from 0 to 1 in every row"),
        (lambda row: [row["label"], 2], "expected 2 labels from 0 to 1 in every row"),
        (lambda row: [row["label"], None], "nulls"),
    ],
)
def test_labels_that_could_mean_two_things_are_refused_with_the_cure(label, message, build, examples, tokenizer):
    tokens = relabelled(examples, tokenizer, label)
    with pytest.raises(ValueError, match=message):
        fine_tune(build(), tokenizer, tokens, FineTuning(epochs=1))


def test_a_split_without_labels_or_with_two_columns_of_them_is_named(build, tokenizer, splits):
    unlabelled = {**splits, "test": splits["test"].remove_columns("label")}
    with pytest.raises(ValueError, match="expected a column 'label' in the split 'test', found none"):
        fine_tune(build(), tokenizer, unlabelled, FineTuning(epochs=1))
    twice = {**splits, "test": splits["test"].add_column("labels", splits["test"]["label"][:])}
    with pytest.raises(ValueError, match="found 'label' and 'labels'"):
        fine_tune(build(), tokenizer, twice, FineTuning(epochs=1))


# ---- Every model with a head ----


def test_several_labels_have_a_probability_each(build, examples, tokenizer):
    tokens = relabelled(examples, tokenizer, lambda row: [float(row["label"]), float(row["sex"] == "F")])
    fitted = fine_tune(build(num_labels=2), tokenizer, tokens, FineTuning(epochs=8, **LEARN))
    labels = np.array(tokens["test"]["label"])
    assert fitted.predictions["test"].shape == labels.shape == (40, 2)
    assert all(auroc(labels[:, k], fitted.predictions["test"][:, k]) > 0.75 for k in range(2))
    with pytest.raises(ValueError, match="expected one label per row for is_balanced=True"):
        fine_tune(build(num_labels=2), tokenizer, tokens, FineTuning(is_balanced=True))


def test_balancing_is_of_two_classes(build, examples, tokenizer):
    tokens = relabelled(examples, tokenizer, lambda row: row["label"] + (row["sex"] == "F"))
    with pytest.raises(ValueError, match="expected the labels 0 and 1 for is_balanced=True"):
        fine_tune(build(num_labels=3), tokenizer, tokens, FineTuning(is_balanced=True))


def test_several_classes_add_up_to_one_and_the_loss_chooses(build, examples, tokenizer):
    tokens = relabelled(examples, tokenizer, lambda row: row["label"] + (row["sex"] == "F"))
    fitted = fine_tune(build(num_labels=3), tokenizer, tokens, FineTuning(epochs=6, **LEARN))
    assert fitted.predictions["test"].sum(axis=1) == pytest.approx(1.0)
    assert set(fitted.history[0]) == {"loss"}
    losses = [epoch["loss"] for epoch in fitted.history]
    assert fitted.best_epoch == int(np.argmin(losses)) > 0


def test_a_number_is_predicted_as_it_is(build, examples, tokenizer):
    tokens = relabelled(examples, tokenizer, lambda row: 10.0 + row["label"])
    fitted = fine_tune(build(num_labels=1), tokenizer, tokens, FineTuning(epochs=12, patience=0, **LEARN))
    assert fitted.predictions["test"].shape == (40,)
    assert fitted.predictions["test"].mean() > 1.0


def test_a_recurrent_model_is_trained_alike(tokenizer, splits):
    set_seed(0)
    sizes: dict[str, Any] = {"embedding_size": 16, "hidden_size": 16, "num_labels": 2}
    config = RecurrentConfig(vocab_size=len(tokenizer), **sizes)
    model = RecurrentForSequenceClassification(config)
    fitted = fine_tune(model, tokenizer, splits, FineTuning(epochs=6, **LEARN))
    assert auroc(labels_of(splits), fitted.predictions["test"]) > 0.7


def test_visits_are_scored_in_their_slots(build, examples, tokenizer):
    tokens = relabelled(examples, tokenizer, lambda row: [int(kind == "RX") for kind in row["visit_type"]])
    model = build(ClaimForVisitClassification, num_labels=2)
    scores = fine_tune(model, tokenizer, tokens, FineTuning(epochs=4, **LEARN)).predictions["test"]
    visits = [len(row) for row in tokens["test"]["label"]]
    assert np.isfinite(scores).sum(axis=1).tolist() == visits
    assert np.isnan(scores[:, 0]).all()
    flat = np.concatenate([row[1 : count + 1] for row, count in zip(scores, visits, strict=True)])
    assert auroc(np.concatenate(tokens["test"]["label"]), flat) > 0.9


def test_pretraining_heads_learn_on_and_the_loss_chooses(build, splits, tokenizer):
    tokens = {name: split.remove_columns("label") for name, split in splits.items()}
    fitted = fine_tune(build(ClaimForPreTraining), tokenizer, tokens, FineTuning(epochs=3, **LEARN))
    assert fitted.predictions == {}
    losses = [epoch["loss"] for epoch in fitted.history]
    assert losses[fitted.best_epoch] == min(losses) < losses[0]


def test_updates_of_low_rank_are_trained_alike(build, tokenizer, splits):
    peft = pytest.importorskip("peft")
    updates = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], modules_to_save=["classifier"])
    model = peft.get_peft_model(build(), updates)
    fitted = fine_tune(model, tokenizer, splits, FineTuning(epochs=2, **LEARN))
    assert fitted.predictions["test"].shape == (40,)


# ---- Arguments of the trainer ----


def arguments(folder, **changes):
    fields = {
        "num_train_epochs": 6,
        "learning_rate": 1e-2,
        "per_device_train_batch_size": 16,
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "metric_for_best_model": "auroc",
        "load_best_model_at_end": True,
        "use_cpu": True,
        "disable_tqdm": True,
    }
    return ClaimTrainingArguments(output_dir=str(folder), **{**fields, **changes})


def test_arguments_give_what_the_trainer_gives(build, tokenizer, splits, tmp_path):
    fitted = fine_tune(build(), tokenizer, splits, arguments(tmp_path / "here"))
    trainer = ClaimTrainer(
        model=build(),
        args=arguments(tmp_path / "there"),
        train_dataset=splits["train"],
        eval_dataset=splits["validation"],
        processing_class=tokenizer,
        data_collator=DataCollatorForClaimClassification(tokenizer),
        compute_metrics=binary_metrics,
    )
    trainer.train()
    expected = probabilities_of(trainer.predict(splits["test"]).predictions)
    np.testing.assert_array_equal(fitted.predictions["test"], expected)
    areas = [epoch["auroc"] for epoch in fitted.history]
    assert len(areas) == 6
    assert fitted.best_epoch == int(np.argmax(areas)) + 1
    saved = ClaimForSequenceClassification.from_pretrained(tmp_path / "here")
    assert torch.equal(saved.classifier.weight, trainer.model.classifier.weight)


def test_a_model_that_was_trained_in_bf16_says_in_memory_what_it_says_when_it_is_loaded(
    build, tokenizer, splits, tmp_path
):
    model = build()
    fine_tune(model, tokenizer, splits, arguments(tmp_path, num_train_epochs=1, bf16=True))
    inputs = DataCollatorForClaimClassification(tokenizer)(splits["test"].to_list())
    loaded = ClaimForSequenceClassification.from_pretrained(tmp_path)
    with torch.no_grad():
        said = [one.eval()(**inputs).logits for one in (model, loaded)]
    torch.testing.assert_close(*said, rtol=0, atol=1e-6)


def test_patience_of_the_arguments_ends_training(build, tokenizer, splits, tmp_path):
    given = arguments(tmp_path, num_train_epochs=30, early_stopping_patience=2)
    fitted = fine_tune(build(), tokenizer, splits, given)
    assert len(fitted.history) == fitted.best_epoch + 2 < 30


def test_a_stopped_training_is_resumed(build, tokenizer, splits, tmp_path):
    whole = fine_tune(build(), tokenizer, splits, arguments(tmp_path, num_train_epochs=3, seed=5))
    checkpoint = min(tmp_path.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    assert json.loads((checkpoint / "trainer_state.json").read_text())["epoch"] == 1.0
    given = arguments(tmp_path / "resumed", num_train_epochs=3, seed=5, resume_from_checkpoint=str(checkpoint))
    resumed = fine_tune(build(seed=9), tokenizer, splits, given)
    np.testing.assert_array_equal(resumed.predictions["test"], whole.predictions["test"])
    assert resumed.history == whole.history
