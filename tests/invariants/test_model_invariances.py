"""What must not change the output of a claim model: padding, order, other patients, and the way it is computed."""

import itertools

import pytest
import torch
from claim_batches import collate, random_patients, randomise

from claim_transformers.models.claim import (
    ClaimConfig,
    ClaimForMaskedLM,
    ClaimForPreTraining,
    ClaimForSequenceClassification,
    ClaimForVisitClassification,
    ClaimModel,
)

VARIANTS = [
    {"visit_pooling": "max"},
    {"visit_pooling": "sum", "norm_first": True, "history_skip": True},
    {"visit_pooling": "sum", "history_skip": True, "history_half_lives_days": [10, 200], "index_gap": True},
    {"visit_pooling": "sum", "segments": True},
    {"visit_pooling": "max", "time_attention": "bucketed", "classifier_pooling": "mean"},
    {"visit_pooling": "none", "time_attention": "bucketed", "classifier_pooling": "max", "segments": True},
]
TOLERANCE = {"atol": 2e-5, "rtol": 1e-4}


def _config(**kwargs):
    return ClaimConfig(
        vocab_size=60,
        num_categories=7,
        hidden_size=16,
        intermediate_size=32,
        num_attention_heads=2,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **{"nvp_context": "none", **kwargs},
    )


def _model(model_class=ClaimModel, **kwargs):
    return randomise(model_class(_config(**kwargs))).eval()


@torch.no_grad()
def _patient_vectors(model, batch):
    return model(**batch).pooler_output


@torch.no_grad()
def _visit_vectors(model, batch):
    """Hidden states of real slots, patient by patient, as pooled models give them."""
    return model(**batch).last_hidden_state[batch["visit_days"] >= 0]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize(
    "padding",
    [{"side": "left"}, {"extra_tokens": 9}, {"side": "left", "extra_tokens": 5, "extra_slots": 4}],
    ids=str,
)
def test_padding_changes_nothing(variant, padding):
    model, patients = _model(**variant), random_patients(0, (4, 1, 6))
    plain, padded = collate(patients), collate(patients, **padding)
    torch.testing.assert_close(_patient_vectors(model, padded), _patient_vectors(model, plain), **TOLERANCE)
    if variant["visit_pooling"] != "none":
        torch.testing.assert_close(_visit_vectors(model, padded), _visit_vectors(model, plain), **TOLERANCE)


@pytest.mark.parametrize("padding", [{"side": "left"}, {"extra_tokens": 9, "extra_slots": 3}], ids=str)
def test_padding_does_not_change_the_pretraining_loss(padding):
    model, patients = _model(ClaimForPreTraining, history_skip=True), random_patients(0, (4, 1, 6))
    plain, padded = collate(patients, with_labels=True), collate(patients, with_labels=True, **padding)
    torch.testing.assert_close(model(**padded).loss, model(**plain).loss, **TOLERANCE)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_order_of_codes_in_the_stream_changes_nothing(variant):
    model, batch = _model(**variant), collate(random_patients(0, (4, 1, 6)))
    order = torch.randperm(batch["input_ids"].shape[1], generator=torch.Generator().manual_seed(0))
    shuffled = {name: tensor if name == "visit_days" else tensor[:, order] for name, tensor in batch.items()}
    torch.testing.assert_close(_patient_vectors(model, shuffled), _patient_vectors(model, batch), **TOLERANCE)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_batch_of_two_is_two_batches_of_one(variant):
    model, patients = _model(**variant), random_patients(0, (7, 2))
    together = _patient_vectors(model, collate(patients))
    apart = torch.cat([_patient_vectors(model, collate([one])) for one in patients])
    torch.testing.assert_close(together, apart, **TOLERANCE)


def test_a_repeated_code_changes_nothing_under_max_pooling():
    patients = random_patients(0, (4, 1, 6))
    repeated = [{**one, "slots": [[*codes, *codes[-1:]] for codes in one["slots"]]} for one in patients]
    model = _model(visit_pooling="max")
    assert torch.equal(_patient_vectors(model, collate(repeated)), _patient_vectors(model, collate(patients)))
    summing = _model(visit_pooling="sum")
    changed = _patient_vectors(summing, collate(repeated)) - _patient_vectors(summing, collate(patients))
    assert changed.abs().max() > 1e-3


def test_a_repeated_label_counts_once():
    # Two codes that back off to one token are one target; only the divisor counts both.
    model, patients = _model(ClaimForPreTraining), random_patients(0, (3, 5))
    batch = collate(patients, with_labels=True)
    repeated = [{**one, "slots": [[*codes, *codes[-1:]] for codes in one["slots"]]} for one in patients]
    more = collate(repeated, with_labels=True)
    items = int((batch["labels"] >= 0).sum())
    torch.testing.assert_close(
        model(**more, num_items_in_batch=items).loss, model(**batch, num_items_in_batch=items).loss, **TOLERANCE
    )


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_packed_and_padded_computation_agree(variant):
    model, batch = _model(**variant).double(), collate(random_patients(0, (4, 1, 6)))
    packed = model(**batch).last_hidden_state
    padded = model(**batch, output_hidden_states=True)
    torch.testing.assert_close(padded.last_hidden_state, packed, atol=1e-12, rtol=1e-10)
    assert len(padded.hidden_states) == 3
    vectors = model.get_input_embeddings()(batch["input_ids"])
    given = {name: tensor for name, tensor in batch.items() if name != "input_ids"}
    torch.testing.assert_close(model(**given, inputs_embeds=vectors).last_hidden_state, packed, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("cut", [None, (2, 0, 6)], ids=str)
def test_eager_attention_equals_sdpa(variant, cut):
    batch = collate(random_patients(0, (4, 1, 6)))
    cut = None if cut is None else torch.tensor(cut)
    outputs = []
    for implementation in ("eager", "sdpa"):
        model = _model(**variant, attn_implementation=implementation).double()
        with torch.no_grad():
            outputs.append(model(**batch, cut=cut).last_hidden_state)
    torch.testing.assert_close(*outputs, atol=1e-12, rtol=1e-10)


def test_attentions_under_eager_are_distributions_over_visible_positions():
    model, batch = _model(attn_implementation="eager"), collate(random_patients(0, (4, 1, 6)))
    cut = torch.tensor([2, 0, 3])
    attentions = model(**batch, cut=cut, output_attentions=True).attentions
    assert len(attentions) == 2
    slots = torch.arange(7)
    real = batch["visit_days"] >= 0
    for weights in attentions:
        assert weights.shape == (3, 2, 7, 7)
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(3, 2, 7))
        for row, query, key in itertools.product(range(3), slots, slots):
            if real[row, query] and not (real[row, key] and (key <= cut[row] or key <= query)):
                assert (weights[row, :, query, key] == 0).all()


@pytest.mark.parametrize(
    ("model_class", "pooling"),
    [
        (ClaimForPreTraining, "max"),
        (ClaimForMaskedLM, "none"),
        (ClaimForSequenceClassification, "sum"),
        (ClaimForVisitClassification, "max"),
    ],
)
def test_a_saved_model_loads_bit_for_bit(model_class, pooling, tmp_path):
    extras = {} if pooling == "none" else {"history_skip": True}
    model = _model(model_class, visit_pooling=pooling, time_attention="bucketed", **extras)
    batch = collate(random_patients(0, (4, 1, 6)))
    model.save_pretrained(tmp_path)
    loaded = model_class.from_pretrained(tmp_path)
    assert not loaded.training
    for one, other in zip(model(**batch).to_tuple(), loaded(**batch).to_tuple(), strict=True):
        assert torch.equal(one, other)


def test_an_encoder_goes_from_pretraining_to_classification_unchanged(tmp_path):
    model = _model(ClaimForPreTraining, history_skip=True, time_attention="bucketed")
    model.save_pretrained(tmp_path)
    classifier = ClaimForSequenceClassification.from_pretrained(tmp_path)
    batch = collate(random_patients(0, (4, 1, 6)))
    assert torch.equal(classifier.claim(**batch).pooler_output, model.claim(**batch).pooler_output)


@pytest.mark.parametrize("variant", VARIANTS[:3], ids=str)
def test_gradient_checkpointing_gives_the_same_gradients(variant):
    batch = collate(random_patients(0, (4, 1, 6)), with_labels=True)
    gradients = []
    for checkpointed in (False, True):
        model = _model(ClaimForPreTraining, **variant).double().train()
        if checkpointed:
            model.activation_checkpointing_enable()
            assert all(layer.gradient_checkpointing for layer in model.claim.layers)
        model(**batch).loss.backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    torch.testing.assert_close(*gradients, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_bf16_autocast_is_close_to_float32(implementation):
    batch = collate(random_patients(0, (4, 1, 6, 9)), with_labels=True)
    results = []
    for autocast in (False, True):
        torch.manual_seed(0)
        model = ClaimForPreTraining(_config(history_skip=True, attn_implementation=implementation)).train()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = model(**batch).loss
        assert loss.dtype == torch.float32
        loss.backward()
        results.append((loss.item(), torch.cat([parameter.grad.flatten() for parameter in model.parameters()])))
    (loss, gradient), (bf16_loss, bf16_gradient) = results
    assert bf16_loss == pytest.approx(loss, rel=1e-2)
    assert (bf16_gradient - gradient).norm() / gradient.norm() < 3e-2


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("autocast", [False, True])
def test_empty_visits_and_patients_without_visits_are_finite(variant, autocast):
    patients = [
        {"slots": [[3, 4]], "days": [0]},
        {"slots": [[3, 4], [], [12]], "days": [0, 0, 4]},
        {"slots": [[], [11], []], "days": [0, 0, 4]},
        {"slots": [[]], "days": [-1]},
        *random_patients(0, (4,)),
    ]
    batch = collate(patients)
    for implementation in ("eager", "sdpa"):
        model = _model(**variant, attn_implementation=implementation).double()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            outputs = model(**batch, cut=torch.tensor([0, 1, 0, 0, 2]))
        assert torch.isfinite(outputs.last_hidden_state).all()
        assert torch.isfinite(outputs.pooler_output).all()
        outputs.pooler_output.float().sum().backward()
        assert all(
            torch.isfinite(parameter.grad).all() for parameter in model.parameters() if parameter.grad is not None
        )


def test_pretraining_on_patients_without_targets_is_zero_and_finite():
    batch = collate([{"slots": [[3, 4]], "days": [0]}, {"slots": [[3]], "days": [0]}], with_labels=True)
    model = _model(ClaimForPreTraining)
    outputs = model(**batch)
    assert outputs.loss == 0
    outputs.loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
