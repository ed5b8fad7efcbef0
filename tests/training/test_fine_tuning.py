import numpy as np
import pytest
import torch
from transformers import set_seed

from claim_transformers.models.claim import ClaimForSequenceClassification
from claim_transformers.training import auroc
from reproduction.engine.checkpoints import load_tokenizer
from reproduction.engine.fine_tuning import FineTuning, _optimizer, fine_tune, parameter_depths
from reproduction.engine.silence import quiet


@pytest.fixture
def fit(cohort, checkpoint):
    """Train on the cohort by hand and give the model before, the model after and what it says."""

    def run(seed=0, **settings):
        task, tokenizer = cohort.task(0), load_tokenizer(checkpoint)
        set_seed(seed)
        with quiet():
            model = ClaimForSequenceClassification.from_pretrained(
                checkpoint, num_labels=2, problem_type="single_label_classification"
            )
            before = {name: value.detach().clone() for name, value in model.state_dict().items()}
            fitted = fine_tune(model, tokenizer, task.tokens(tokenizer), FineTuning(**settings), seed=seed)
        return before, model, fitted, task

    return run


def changed(before, model):
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def test_what_can_be_learned_is_learned_and_the_same_seed_gives_the_same_scores(fit):
    *_, first, task = fit(learning_rate=3e-2, epochs=8, batch_size=16)
    assert auroc(task.labels("test"), first.test) > 0.8
    assert first.test.shape == task.labels("test").shape
    *_, second, _ = fit(learning_rate=3e-2, epochs=8, batch_size=16)
    np.testing.assert_array_equal(first.test, second.test)


def test_the_best_epoch_is_used_and_training_ends_when_none_is_better(fit):
    _, _, fitted, task = fit(learning_rate=3e-2, epochs=12, batch_size=16, patience=2)
    quality = [(epoch["first"], epoch["second"], -epoch["loss"]) for epoch in fitted.history]
    # The history begins with the model as it was, epoch 0.
    assert quality.index(max(quality)) == fitted.best_epoch
    assert len(fitted.history) <= fitted.best_epoch + 3
    # The scores are those of the best epoch, not of the last.
    assert auroc(task.labels("validation"), fitted.validation) == pytest.approx(max(quality)[0])


def test_a_layer_that_is_not_free_yet_does_not_change(fit):
    before, model, *_ = fit(learning_rate=1e-2, epochs=1, unfreeze_every=1, batch_size=64)
    assert changed(before, model) == {"classifier.weight", "classifier.bias"}
    before, model, *_ = fit(learning_rate=1e-2, epochs=2, unfreeze_every=1, batch_size=64, patience=0)
    touched = changed(before, model)
    depths = parameter_depths(model)
    assert {depths[name] for name in touched} <= {0, 1}


def test_learning_rates_fall_from_the_head_to_the_embeddings(checkpoint):
    with quiet():
        model = ClaimForSequenceClassification.from_pretrained(checkpoint, num_labels=2)
    optimizer = _optimizer(model, FineTuning(learning_rate=1.0, layer_decay=0.5))
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


def test_balancing_leaves_the_mean_risk_at_the_prevalence(fit):
    _, _, fitted, task = fit(is_balanced=True, learning_rate=1e-3, epochs=3, batch_size=16, patience=0)
    prevalence = task.labels("train").mean()
    assert 0.2 < prevalence < 0.5
    assert fitted.test.mean() == pytest.approx(prevalence, abs=0.12)


def test_a_missing_split_is_refused(checkpoint, cohort):
    tokenizer = load_tokenizer(checkpoint)
    tokens = cohort.task(0).tokens(tokenizer)
    with pytest.raises(ValueError, match="found no test"):
        fine_tune(torch.nn.Linear(1, 1), tokenizer, {k: v for k, v in tokens.items() if k != "test"}, FineTuning())
