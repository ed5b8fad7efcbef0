import math

import pytest
import torch

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.training import require_finite_weights
from claim_transformers.training.finite import StepFlags

CPU = torch.device("cpu")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_weights_of_which_one_is_not_finite_are_refused(bad):
    model = torch.nn.Linear(3, 2)
    require_finite_weights(model.named_parameters())
    model.bias.data[1] = bad
    with pytest.raises(ClaimDataError, match=r"E_NONFINITE.*1 of 2 tensors \('bias' first\)"):
        require_finite_weights(model.named_parameters())


def test_whole_numbers_are_finite():
    require_finite_weights([("rows", torch.arange(3)), ("mask", torch.tensor([True]))])


@pytest.mark.parametrize("seen", [[1.0, math.nan], [math.inf, 1.0], [torch.tensor(-math.inf)]])
def test_the_first_step_that_is_not_finite_is_named(seen):
    flags = StepFlags()
    for step in (1, 2, 3):
        for value in seen if step == 2 else [1.0]:
            flags.see(value)
        flags.post(step, is_asked=False, device=CPU)
    assert flags.read() == (2, False)


def test_a_step_says_once_that_somebody_asked_to_stop():
    flags = StepFlags()
    flags.post(1, is_asked=True, device=CPU)
    assert flags.read() == (None, True)
    flags.post(2, is_asked=False, device=CPU)
    assert flags.read(wait=True) == (None, False)
