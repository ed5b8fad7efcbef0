import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from claim_transformers.models.claim.losses_claim import multi_hot_bce


def _problem(num_rows, num_outputs, seed=0, bias=-6.0):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(num_rows, 24, generator=generator)
    weight = torch.randn(num_outputs, 24, generator=generator) * 0.2
    rows = torch.randint(num_rows, (3 * num_rows,), generator=generator)
    cols = torch.randint(num_outputs, (3 * num_rows,), generator=generator)
    return hidden, weight, torch.full((num_outputs,), bias), rows, cols


def _loss_and_gradients(loss_function, hidden, weight, bias, rows, cols, **kwargs):
    leaves = [tensor.clone().requires_grad_() for tensor in (hidden, weight, bias)]
    loss = loss_function(*leaves, rows, cols, **kwargs)
    loss.backward()
    return [loss.detach().double(), *(leaf.grad.double() for leaf in leaves)]


def _dense_bce(hidden, weight, bias, rows, cols):
    logits = functional.linear(hidden, weight, bias)
    targets = torch.zeros_like(logits)
    targets[rows, cols] = 1
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")


def _relative_errors(found, expected):
    return [float((one - other).norm() / other.norm()) for one, other in zip(found, expected, strict=True)]


@pytest.mark.parametrize("bias", [-6.0, 0.0, 8.0])
def test_loss_and_gradients_equal_dense_bce_in_float32(bias):
    problem = _problem(num_rows=50, num_outputs=300, bias=bias)
    exact = _loss_and_gradients(_dense_bce, *(part.double() for part in problem[:3]), *problem[3:])
    found = _loss_and_gradients(multi_hot_bce, *problem)
    assert max(_relative_errors(found, exact)) <= 1e-5


@pytest.mark.parametrize("bias", [-6.0, 0.0, 8.0])
def test_loss_and_gradients_are_close_under_bf16_autocast(bias):
    problem = _problem(num_rows=200, num_outputs=500, bias=bias)
    exact = _loss_and_gradients(_dense_bce, *(part.double() for part in problem[:3]), *problem[3:])
    with torch.autocast("cpu", torch.bfloat16):
        found = _loss_and_gradients(multi_hot_bce, *problem)
    assert max(_relative_errors(found, exact)) <= 1e-2


def test_gradient_of_rare_codes_survives_bf16():
    # sigmoid(-6) is 0.0025: one minus a rounded probability would lose it.
    hidden, weight, bias, rows, _ = _problem(num_rows=400, num_outputs=50)
    weight = torch.zeros_like(weight)
    empty = rows[:0]
    with torch.autocast("cpu", torch.bfloat16):
        _, _, _, bias_grad = _loss_and_gradients(multi_hot_bce, hidden, weight, bias, empty, empty)
    expected = torch.full((50,), 400 * torch.sigmoid(torch.tensor(-6.0)).item(), dtype=torch.float64)
    torch.testing.assert_close(bias_grad, expected, rtol=5e-3, atol=0)


@pytest.mark.parametrize("chunk_outputs", [1, 7, 39, 40, 1000])
def test_chunk_size_does_not_change_the_loss(chunk_outputs):
    problem = _problem(num_rows=50, num_outputs=40)
    whole = _loss_and_gradients(_dense_bce, *problem)
    assert (
        max(_relative_errors(_loss_and_gradients(multi_hot_bce, *problem, chunk_outputs=chunk_outputs), whole)) <= 1e-5
    )


def test_repeated_pairs_count_once():
    hidden, weight, bias, rows, cols = _problem(num_rows=10, num_outputs=8)
    once = multi_hot_bce(hidden, weight, bias, rows, cols)
    twice = multi_hot_bce(hidden, weight, bias, rows.repeat(2), cols.repeat(2))
    assert once == twice


def test_order_of_pairs_changes_nothing():
    hidden, weight, bias, rows, cols = _problem(num_rows=10, num_outputs=8)
    assert multi_hot_bce(hidden, weight, bias, rows.flip(0), cols.flip(0)) == multi_hot_bce(
        hidden, weight, bias, rows, cols
    )


def test_no_rows_give_zero_loss_and_zero_gradients():
    hidden, weight, bias, rows, cols = _problem(num_rows=3, num_outputs=8)
    loss, *gradients = _loss_and_gradients(multi_hot_bce, hidden[:0], weight, bias, rows[:0], cols[:0])
    assert loss == 0
    assert all(gradient.abs().sum() == 0 for gradient in gradients)


def test_gradients_scale_with_the_incoming_gradient():
    hidden, weight, bias, rows, cols = _problem(num_rows=10, num_outputs=8)
    _, once, *_ = _loss_and_gradients(multi_hot_bce, hidden, weight, bias, rows, cols)
    _, thrice, *_ = _loss_and_gradients(lambda *args: 3 * multi_hot_bce(*args), hidden, weight, bias, rows, cols)
    torch.testing.assert_close(thrice, 3 * once)


def test_bf16_weights_get_bf16_gradients():
    hidden, weight, bias, rows, cols = _problem(num_rows=10, num_outputs=8)
    leaves = [tensor.bfloat16().requires_grad_() for tensor in (hidden, weight, bias)]
    loss = multi_hot_bce(leaves[0], leaves[1], leaves[2], rows, cols)
    loss.backward()
    assert loss.dtype == torch.float32
    assert {leaf.grad.dtype for leaf in leaves} == {torch.bfloat16}


class _LargestTensor(TorchDispatchMode):
    """Record the largest tensor that any operation makes."""

    def __init__(self):
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.numel = max(self.numel, out.numel())
        return out


@pytest.mark.parametrize("autocast", [False, True])
def test_no_tensor_is_larger_than_a_chunk_of_logits(autocast):
    hidden, weight, bias, rows, cols = _problem(num_rows=640, num_outputs=4000)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast), _LargestTensor() as largest:
        _loss_and_gradients(multi_hot_bce, hidden, weight, bias, rows, cols, chunk_outputs=500)
    # A chunk of logits is larger than the weight, the hidden states and the two scratch blocks.
    assert largest.numel == 500 * 640


@pytest.mark.parametrize("autocast", [False, True])
def test_outputs_that_are_certain_cost_what_they_must(autocast):
    # The product of eight such probabilities of absence is zero in float32, its logarithm no number.
    hidden, weight, bias, rows, cols = _problem(num_rows=16, num_outputs=24, bias=60.0)
    exact = _loss_and_gradients(_dense_bce, hidden.double(), weight.double(), bias.double(), rows, cols)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = _loss_and_gradients(multi_hot_bce, hidden, weight, bias, rows, cols)
    assert max(_relative_errors(found, exact)) <= (1e-2 if autocast else 1e-5)


@pytest.mark.parametrize(("rows", "cols"), [([0], [8]), ([0], [-1]), ([3], [0]), ([-1], [0])])
def test_pairs_outside_the_outputs_are_refused(rows, cols):
    hidden, weight, bias, *_ = _problem(num_rows=3, num_outputs=8)
    with pytest.raises(ValueError, match=r"expected (rows|targets) in 0\.\.\d, found"):
        multi_hot_bce(hidden, weight, bias, torch.tensor(rows), torch.tensor(cols))
