"""Each architecture against the equations of its paper, and the losses, inputs and checkpoints of the family."""

import numpy as np
import pytest
import torch
from claim_batches import collate, random_patients
from models.recurrent.equations import EQUATIONS, bags_of, copy_weights, retain_weights
from models.recurrent.variants import VARIANTS, tiny_config, tiny_model
from torch.nn import functional
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from claim_transformers.models.recurrent import RecurrentForSequenceClassification, RecurrentModel
from claim_transformers.models.registration import register

RETAINS = [variant for variant in VARIANTS if variant["architecture"] == "retain"]


def _batch(visits=(4, 1, 6, 0), seed=0, **kwargs):
    return collate(random_patients(seed, visits), **kwargs)


# ---- Equations ----


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_each_architecture_equals_the_equations_of_its_paper(variant):
    model, batch = tiny_model(RecurrentForSequenceClassification, num_labels=3, **variant).double(), _batch()
    with torch.no_grad():
        outputs, logits = model.recurrent(**batch), model(**batch).logits
    weights = copy_weights(model)
    for row in range(4):
        patient, alpha = EQUATIONS[variant["architecture"]](batch, row, weights, model.config)
        np.testing.assert_allclose(outputs.pooler_output[row], patient, atol=1e-12)
        np.testing.assert_allclose(
            logits[row], weights["classifier.weight"] @ patient + weights["classifier.bias"], atol=1e-12
        )
        if alpha is not None:
            np.testing.assert_allclose(outputs.visit_weights[row][: len(alpha)], alpha, atol=1e-12)
            assert (outputs.visit_weights[row][len(alpha) :] == 0).all()


@pytest.mark.parametrize("variant", RETAINS, ids=str)
def test_contributions_of_retain_equal_its_interpretation_equation(variant):
    """omega(y, x_jk) = alpha_j W (beta_j * W_emb[:, k]) x_jk; the patient's codes are read in several steps."""
    model, batch = tiny_model(RecurrentForSequenceClassification, num_labels=3, **variant).double(), _batch()
    weights = copy_weights(model)
    table, head = weights["recurrent.embeddings.code_embeddings.weight"], weights["classifier.weight"]
    found = model.code_contributions(**batch).numpy()
    for row in range(4):
        alpha, betas, _ = retain_weights(batch, row, weights, model.config)
        everywhere = range(len(alpha)) if model.config.patient_slot == "every_visit" else [0]
        expected = [
            sum(alpha[step] * head @ (betas[step] * table[code]) for step in (everywhere if slot == 0 else [slot]))
            for slot, bag in enumerate(bags_of(batch, row))
            for code in bag
        ]
        np.testing.assert_allclose(found[row][: len(expected)], expected, atol=1e-12)


@pytest.mark.parametrize("variant", RETAINS, ids=str)
def test_contributions_of_retain_add_up_to_its_logits(variant):
    model = tiny_model(RecurrentForSequenceClassification, **variant).double()
    batch = _batch(side="left", extra_tokens=5, extra_slots=2)
    contributions = model.code_contributions(**batch)
    torch.testing.assert_close(contributions.sum(dim=1) + model.classifier.bias, model(**batch).logits)
    assert (contributions[batch["visit_ids"] < 0] == 0).all()


def test_contributions_need_retain_in_evaluation_mode():
    with pytest.raises(ValueError, match="expected architecture 'retain' for contributions of codes, found 'dipole'"):
        tiny_model(RecurrentForSequenceClassification, architecture="dipole").code_contributions(**_batch())
    with pytest.raises(ValueError, match="expected a model in evaluation mode"):
        tiny_model(RecurrentForSequenceClassification, architecture="retain").train().code_contributions(**_batch())


def test_doctor_ai_reads_the_days_between_visits_and_dipole_does_not():
    early, late = random_patients(0, (3,)), random_patients(0, (3,))
    late[0]["days"] = [day * 5 for day in late[0]["days"]]
    for architecture, differs in (("doctor_ai", True), ("dipole", False), ("retain", False)):
        model = tiny_model(RecurrentModel, architecture=architecture)
        same = torch.equal(model(**collate(early)).pooler_output, model(**collate(late)).pooler_output)
        assert same is not differs


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_age_and_sex_change_the_prediction(variant):
    boy, girl = random_patients(0, (5,)), random_patients(0, (5,))
    girl[0]["slots"][0] = [3, 6]
    model = tiny_model(RecurrentForSequenceClassification, **variant)
    assert (model(**collate(boy)).logits - model(**collate(girl)).logits).abs().max() > 1e-4


def test_the_order_of_visits_matters():
    patients = random_patients(0, (5,))
    swapped = [{**patients[0], "slots": [patients[0]["slots"][0], *patients[0]["slots"][:0:-1]]}]
    for variant in VARIANTS:
        model = tiny_model(RecurrentForSequenceClassification, **variant)
        assert (model(**collate(patients)).logits - model(**collate(swapped)).logits).abs().max() > 1e-4


# ---- Losses ----


def test_losses_follow_the_rules_of_the_claim_family():
    batch = _batch()

    def model(labels, **kwargs):
        return RecurrentForSequenceClassification(tiny_config(num_labels=labels, **kwargs)).eval()

    classes, single = torch.tensor([0, 2, 1, 2], dtype=torch.int32), model(3)
    outputs = single(**batch, labels=classes)
    torch.testing.assert_close(outputs.loss, functional.cross_entropy(outputs.logits, classes.long()))
    assert single.config.problem_type == "single_label_classification"

    many, multi = torch.tensor([[0, 1, 1], [0, 0, 0], [1, 1, 1], [1, 0, 0]]), model(3)
    outputs = multi(**batch, labels=many)
    torch.testing.assert_close(outputs.loss, functional.binary_cross_entropy_with_logits(outputs.logits, many.float()))
    assert multi.config.problem_type == "multi_label_classification"

    numbers, regression = torch.tensor([0.5, -1.0, 2.0, 3.0]), model(1)
    outputs = regression(**batch, labels=numbers)
    torch.testing.assert_close(outputs.loss, functional.mse_loss(outputs.logits[:, 0], numbers))
    assert regression.config.problem_type == "regression"


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("visits", [(4, 1, 6), (0, 0)], ids=str)
def test_every_parameter_gets_a_gradient(variant, visits):
    # DDP with find_unused_parameters=False waits forever for a gradient that never comes.
    model = tiny_model(RecurrentForSequenceClassification, **variant).train()
    model(**_batch(visits), labels=torch.zeros(len(visits), dtype=torch.long)).loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert [name for name, gradient in gradients.items() if gradient is None] == []
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())
    if visits[0]:
        # A constant added to every score does not change a softmax.
        without_effect = {"recurrent.encoder.score.bias", "recurrent.encoder.alpha.bias"}
        dead = {name for name, gradient in gradients.items() if gradient.abs().max() < 1e-7}
        assert dead <= without_effect


def test_new_weights_are_drawn_and_biases_begin_at_zero():
    for variant in VARIANTS:
        for name, parameter in RecurrentForSequenceClassification(tiny_config(**variant)).named_parameters():
            assert (parameter == 0).all() if "bias" in name else parameter.std() > 0.01, name


# ---- Inputs and checkpoints ----


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"visit_ids": None}, "expected visit_ids and visit_days beside the codes"),
        ({"visit_days": None}, "expected visit_ids and visit_days beside the codes"),
        ({"visit_ids": torch.zeros(4, 2)}, "expected visit_ids of shape"),
        ({"attention_mask": torch.zeros(4, 2)}, "expected attention_mask of shape"),
        ({"visit_days": torch.zeros(3, 7)}, r"expected visit_days of shape \(4, slots\), found \(3, 7\)"),
        ({"visit_days": torch.zeros(4, 3, dtype=torch.long)}, r"expected visit_ids in 0\.\.2, found"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        RecurrentModel(tiny_config())(**{**_batch(), **changes})


def test_integer_types_of_the_tokenizer_are_accepted():
    model, batch = tiny_model(RecurrentModel), _batch()
    narrow = {
        "input_ids": batch["input_ids"].int(),
        "visit_ids": batch["visit_ids"].short(),
        "visit_days": batch["visit_days"].int(),
        "attention_mask": batch["attention_mask"].bool(),
    }
    assert torch.equal(model(**narrow).pooler_output, model(**batch).pooler_output)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_saved_model_loads_bit_for_bit_through_the_auto_classes(variant, tmp_path):
    register()
    model, batch = tiny_model(RecurrentForSequenceClassification, num_labels=3, **variant), _batch()
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert type(loaded) is RecurrentForSequenceClassification
    assert not loaded.training
    assert AutoConfig.from_pretrained(tmp_path).to_diff_dict() == model.config.to_diff_dict()
    assert torch.equal(loaded(**batch).logits, model(**batch).logits)
    encoder = AutoModel.from_pretrained(tmp_path)
    assert torch.equal(encoder(**batch).pooler_output, model.recurrent(**batch).pooler_output)


def test_weights_missing_from_a_checkpoint_are_drawn_and_not_left_as_they_lie_in_memory(tmp_path):
    RecurrentForSequenceClassification(tiny_config()).save_pretrained(tmp_path)
    deeper = RecurrentForSequenceClassification.from_pretrained(tmp_path, num_hidden_layers=2, num_labels=2)
    new = deeper.recurrent.encoder.forward_gru.gru.weight_hh_l1
    assert 0.01 < new.std() < 1
    assert new.abs().max() <= 10**-0.5


def test_a_resized_vocabulary_keeps_its_vectors():
    model, batch = tiny_model(RecurrentForSequenceClassification), _batch()
    before = model(**batch).logits
    model.resize_token_embeddings(65)
    assert model.config.vocab_size == 65
    assert torch.equal(model(**batch).logits, before)
