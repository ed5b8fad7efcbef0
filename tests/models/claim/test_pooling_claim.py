import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from claim_transformers.models.claim.pooling_claim import pool_codes, pool_vectors

REDUCTIONS = {"max": np.max, "sum": np.sum, "mean": np.mean}


def _stream(seed, batch=4, tokens=17, slots=5, vocab=30):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(vocab, (batch, tokens), generator=generator)
    visit_ids = torch.randint(-1, slots, (batch, tokens), generator=generator)
    return torch.randn(vocab, 6, generator=generator), ids, visit_ids, visit_ids >= 0


def _loop(weight, ids, visit_ids, num_slots, reduction):
    pooled = np.zeros((len(ids), num_slots, weight.shape[1]))
    for patient in range(len(ids)):
        for slot in range(num_slots):
            codes = ids[patient][visit_ids[patient] == slot]
            if len(codes):
                pooled[patient, slot] = reduction(weight[codes], axis=0)
    return pooled


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), mode=st.sampled_from(["max", "sum", "mean"]))
def test_both_forms_equal_a_loop_over_visits(seed, mode):
    weight, ids, visit_ids, valid = _stream(seed)
    expected = _loop(weight.numpy(), ids.numpy(), visit_ids.numpy(), 5, REDUCTIONS[mode])
    ragged = pool_codes(weight, ids, visit_ids, valid, 5, mode)
    padded = pool_vectors(weight[ids], visit_ids, valid, 5, mode)
    np.testing.assert_allclose(ragged, expected, atol=1e-6)
    np.testing.assert_allclose(padded, expected, atol=1e-6)


@pytest.mark.parametrize("mode", ["max", "sum", "mean"])
def test_both_forms_have_equal_gradients(mode):
    weight, ids, visit_ids, valid = _stream(0)
    gradients = []
    for form in (
        lambda table: pool_codes(table, ids, visit_ids, valid, 5, mode),
        lambda table: pool_vectors(table[ids], visit_ids, valid, 5, mode),
    ):
        table = weight.clone().requires_grad_()
        form(table).square().sum().backward()
        gradients.append(table.grad)
    torch.testing.assert_close(*gradients)


def test_a_slot_without_codes_is_exactly_zero():
    weight, ids, *_ = _stream(0)
    visit_ids = torch.full_like(ids, -1)
    assert pool_codes(weight, ids, visit_ids, visit_ids >= 0, 5, "max").count_nonzero() == 0
    assert pool_vectors(weight[ids], visit_ids, visit_ids >= 0, 5, "max").count_nonzero() == 0


def test_a_slot_that_does_not_exist_is_refused_rather_than_given_to_the_next_patient():
    weight, ids, visit_ids, valid = _stream(0)
    with pytest.raises(ValueError, match=r"expected visit_ids in 0\.\.2, found 4; visit_days has a column"):
        pool_codes(weight, ids, visit_ids, valid, 3, "max")
