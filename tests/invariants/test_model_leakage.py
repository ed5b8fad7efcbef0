"""No position sees beyond its cut: neither value nor gradient depends on a visit that it may have to predict."""

import pytest
import torch
from claim_batches import collate, random_patients, randomise

from claim_transformers.models.claim import ClaimConfig, ClaimForPreTraining, ClaimModel

NUM_VISITS = 5
VARIANTS = [
    {"visit_pooling": "max", "history_skip": True},
    {"visit_pooling": "sum", "time_attention": "bucketed", "norm_first": True, "history_skip": True},
    {"visit_pooling": "sum", "history_skip": True, "history_half_lives_days": [10, 200], "index_gap": True},
    {"visit_pooling": "sum", "segments": True},
    {"visit_pooling": "none", "time_attention": "bucketed", "segments": True},
]
CUTS = range(NUM_VISITS + 1)


def _config(**kwargs):
    return ClaimConfig(
        vocab_size=60, hidden_size=16, intermediate_size=32, num_attention_heads=2, num_hidden_layers=3, **kwargs
    )


def _batch():
    # The longer neighbour makes slots of padding.
    return collate(random_patients(0, (NUM_VISITS, NUM_VISITS + 2)))


def _slots(batch, variant):
    if variant["visit_pooling"] == "none":
        return batch["visit_ids"]
    return (
        torch.arange(batch["visit_days"].shape[1]).expand_as(batch["visit_days"]).where(batch["visit_days"] >= 0, -1)
    )


def _states(model, batch, cut, **kwargs):
    outputs = model(**batch, cut=torch.tensor([cut, cut]), **kwargs)
    states = outputs.last_hidden_state
    return states if outputs.history_states is None else states + outputs.history_states


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_changing_unseen_visits_changes_nothing_bit_for_bit(variant, cut, implementation):
    model = randomise(ClaimModel(_config(**variant, attn_implementation=implementation))).eval()
    batch = _batch()
    slots = _slots(batch, variant)
    with torch.no_grad():
        before = _states(model, batch, cut)
        for visit in range(1, NUM_VISITS + 1):
            changed = {name: tensor.clone() for name, tensor in batch.items()}
            later = batch["visit_ids"] >= visit
            changed["input_ids"][later] = 10 + (batch["input_ids"][later] + 7) % 50
            changed["visit_days"][:, visit:] += 100 * (batch["visit_days"][:, visit:] >= 0)
            after = _states(model, changed, cut)
            blind = (slots >= 0) & (slots.clamp(min=cut) < visit)
            assert torch.equal(after[blind], before[blind])
            if visit <= cut:
                assert not torch.equal(after[slots >= 0], before[slots >= 0])


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_gradient_with_respect_to_unseen_visits_is_exactly_zero(variant, cut):
    model = randomise(ClaimModel(_config(**variant))).eval()
    batch = _batch()
    slots = _slots(batch, variant)
    vectors = model.get_input_embeddings()(batch.pop("input_ids")).detach().requires_grad_()
    states = _states(model, batch, cut, inputs_embeds=vectors)
    for slot in range(NUM_VISITS + 1):
        weights = torch.randn(states.shape, generator=torch.Generator().manual_seed(slot))
        (gradient,) = torch.autograd.grad((states * weights)[slots == slot].sum(), vectors, retain_graph=True)
        unseen = batch["visit_ids"] > max(slot, cut)
        assert gradient[unseen].count_nonzero() == 0
        assert gradient[batch["visit_ids"] == slot].count_nonzero() > 0
        if cut >= 1:
            assert gradient[batch["visit_ids"] == cut].count_nonzero() > 0


@pytest.mark.parametrize("cut", range(NUM_VISITS))
@pytest.mark.parametrize("context", ["full", "none", "mixed"])
def test_codes_of_the_last_visit_do_not_help_to_predict_it(context, cut):
    """The loss on the last visit alone has no gradient with respect to that visit's codes."""
    config = _config(nvp_context=context, history_skip=True, time_attention="bucketed")
    model = randomise(ClaimForPreTraining(config)).eval()
    batch = collate(random_patients(0, (NUM_VISITS,)), with_labels=True)
    labels = batch["labels"].where(batch["visit_ids"] == NUM_VISITS, -100)
    vectors = model.get_input_embeddings()(batch["input_ids"]).detach().requires_grad_()
    inputs = {name: batch[name] for name in ("visit_ids", "visit_days", "attention_mask")}
    outputs = model(**inputs, inputs_embeds=vectors, labels=labels, cut=torch.tensor([cut]))
    (gradient,) = torch.autograd.grad(outputs.nvp_loss, vectors)
    assert gradient[batch["visit_ids"] == NUM_VISITS].count_nonzero() == 0
    assert gradient[batch["visit_ids"] == 0].count_nonzero() > 0


@pytest.mark.parametrize("cut", range(NUM_VISITS + 1))
def test_what_follows_within_the_horizon_is_predicted_without_a_look_at_it(cut):
    """The horizon loss on the last visit alone has no gradient with respect to that visit, and some for the others."""
    half_lives = {"history_skip": True, "history_half_lives_days": [30]}
    config = _config(num_categories=7, horizon_days=10_000, nvp_context="mixed", visit_pooling="sum", **half_lives)
    model = randomise(ClaimForPreTraining(config)).eval()
    batch = collate(random_patients(0, (NUM_VISITS,)), with_labels=True)
    targets = batch["category_labels"].where(batch["visit_ids"] == NUM_VISITS, -100)
    vectors = model.get_input_embeddings()(batch["input_ids"]).detach().requires_grad_()
    inputs = {name: batch[name] for name in ("visit_ids", "visit_days", "attention_mask", "labels")}
    known = torch.ones_like(batch["visit_days"], dtype=torch.bool)
    known[:, NUM_VISITS] = False  # the last visit predicts nothing here, so that nothing may read it
    if cut == NUM_VISITS:
        known[:, 0] = False
    horizon = {"horizon_targets": targets, "horizon_known": known}
    loss = model(**inputs, inputs_embeds=vectors, cut=torch.tensor([cut]), **horizon).horizon_loss
    (gradient,) = torch.autograd.grad(loss, vectors)
    assert gradient[batch["visit_ids"] == NUM_VISITS].count_nonzero() == 0
    assert (gradient[batch["visit_ids"] == 1].count_nonzero() > 0) == (cut < NUM_VISITS)
