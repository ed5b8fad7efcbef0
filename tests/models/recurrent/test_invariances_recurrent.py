"""What must not change the output of a recurrent model: padding, order of codes, other patients, precision."""

import pytest
import torch
from claim_batches import collate, random_patients
from models.recurrent.variants import VARIANTS, tiny_config, tiny_model

from claim_transformers.models.recurrent import RecurrentForSequenceClassification

TOLERANCE = {"atol": 1e-12, "rtol": 1e-10}


def _model(**variant):
    return tiny_model(RecurrentForSequenceClassification, **variant).double()


@torch.no_grad()
def _logits(model, batch):
    return model(**batch).logits


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize(
    "padding",
    [{"side": "left"}, {"extra_tokens": 9}, {"side": "left", "extra_tokens": 5, "extra_slots": 4}],
    ids=str,
)
def test_padding_changes_nothing(variant, padding):
    model, patients = _model(**variant), random_patients(0, (4, 1, 6, 0))
    padded, plain = (model.recurrent(**collate(patients, **kwargs)) for kwargs in (padding, {}))
    torch.testing.assert_close(padded.pooler_output, plain.pooler_output, **TOLERANCE)
    slots = plain.last_hidden_state.shape[1]
    torch.testing.assert_close(padded.last_hidden_state[:, :slots], plain.last_hidden_state, **TOLERANCE)
    assert (padded.last_hidden_state[:, slots:] == 0).all()


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_order_of_codes_in_the_stream_changes_nothing(variant):
    model, batch = _model(**variant), collate(random_patients(0, (4, 1, 6)))
    order = torch.randperm(batch["input_ids"].shape[1], generator=torch.Generator().manual_seed(0))
    shuffled = {name: tensor if name == "visit_days" else tensor[:, order] for name, tensor in batch.items()}
    torch.testing.assert_close(_logits(model, shuffled), _logits(model, batch), **TOLERANCE)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_patients_together_are_patients_one_by_one(variant):
    model, patients = _model(**variant), random_patients(0, (7, 2, 0, 1, 12))
    together = _logits(model, collate(patients))
    apart = torch.cat([_logits(model, collate([one])) for one in patients])
    torch.testing.assert_close(together, apart, **TOLERANCE)


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
    model = tiny_model(RecurrentForSequenceClassification, **variant)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        outputs = model(**collate(patients), labels=torch.zeros(5, dtype=torch.long))
    assert torch.isfinite(outputs.logits).all()
    outputs.loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_bf16_autocast_is_close_to_float32(variant):
    batch = collate(random_patients(0, (4, 1, 6, 9)))
    # Labels of one class: with as many of the other the gradients of similar patients cancel, and rounding remains.
    labels, results = torch.tensor([1, 1, 1, 1]), []
    for autocast in (False, True):
        torch.manual_seed(0)
        model = RecurrentForSequenceClassification(tiny_config(**variant, initializer_range=0.2)).train()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = model(**batch, labels=labels).loss
        assert loss.dtype == torch.float32
        loss.backward()
        results.append((loss.item(), torch.cat([parameter.grad.flatten() for parameter in model.parameters()])))
    (loss, gradient), (bf16_loss, bf16_gradient) = results
    assert bf16_loss == pytest.approx(loss, rel=1e-2)
    assert (bf16_gradient - gradient).norm() / gradient.norm() < 3e-2
