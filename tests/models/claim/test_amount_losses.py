"""Losses of amounts: least at the truth, predictions in dollars, and a checkpoint that keeps them."""

import numpy as np
import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError

from claim_transformers.models.claim import ClaimConfig, ClaimForSequenceClassification
from claim_transformers.models.claim.losses_claim import amount_loss, amounts_of_logits

AMOUNTS = torch.tensor([0.0, 30.0, 600.0, 90.0, 0.0, 1200.0])


def config_of(loss, **options):
    outputs = 2 if loss == "two_part" else 1
    return ClaimConfig(  # type: ignore[call-arg]  # transformers takes num_labels
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, problem_type="regression",
        regression_loss=loss, num_labels=outputs, amount_scale=250.0, **options,
    )  # fmt: skip


def best_logits(config):
    logits = torch.zeros(1, config.num_labels, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = amount_loss(AMOUNTS, logits.expand(len(AMOUNTS), -1), config)
        loss.backward()
        return loss

    optimizer.step(closure)
    return logits.detach()


@pytest.mark.parametrize("loss", ["tweedie", "two_part"])
def test_the_best_constant_is_the_mean_in_dollars(loss):
    config = config_of(loss)
    assert amounts_of_logits(best_logits(config), config).item() == pytest.approx(AMOUNTS.mean().item(), rel=1e-3)


def test_the_best_constant_of_logarithms_is_their_mean_until_it_is_smeared():
    found = amounts_of_logits(best_logits(config_of("log")), config_of("log")).item()
    assert found == pytest.approx(np.expm1(np.log1p(AMOUNTS.numpy()).mean()), rel=1e-3)
    smeared = amounts_of_logits(torch.zeros(1, 1), config_of("log", smearing_factor=2.0)).item()
    assert smeared == pytest.approx(2 * 251.0 - 1, rel=1e-5)


def test_the_tweedie_loss_has_the_gradient_of_the_deviance():
    config, logits = config_of("tweedie", tweedie_power=1.3), torch.tensor([[0.4]], requires_grad=True)
    amount_loss(torch.tensor([600.0]), logits, config).backward()
    mean, amount = np.exp(0.4), 600 / 250
    assert logits.grad.item() == pytest.approx(mean**0.7 - amount * mean**-0.3, rel=1e-5)


@pytest.mark.parametrize("loss", ["log", "tweedie", "two_part"])
def test_a_model_learns_amounts_and_its_checkpoint_predicts_them(loss, tmp_path):
    torch.manual_seed(0)
    model = ClaimForSequenceClassification(config_of(loss)).eval()
    inputs = {
        "input_ids": torch.tensor([[3, 4, 9]]), "visit_ids": torch.tensor([[0, 1, 1]]),
        "visit_days": torch.tensor([[0, 0]]),
    }  # fmt: skip
    outputs = model(**inputs, labels=torch.tensor([70.0]))
    expected = amount_loss(torch.tensor([70.0]), outputs.logits, model.config)
    assert outputs.loss.item() == pytest.approx(expected.item())
    model.save_pretrained(tmp_path)
    again = ClaimForSequenceClassification.from_pretrained(tmp_path)
    torch.testing.assert_close(again(**inputs).logits, outputs.logits)
    assert again(**inputs, labels=torch.tensor([70.0])).loss.item() == pytest.approx(expected.item())


def test_a_loss_of_amounts_without_its_outputs_is_refused():
    with pytest.raises(StrictDataclassClassValidationError, match="num_labels=1 for regression_loss='tweedie'"):
        ClaimConfig(regression_loss="tweedie")
    with pytest.raises(StrictDataclassClassValidationError, match="tweedie_power"):
        config_of("tweedie", tweedie_power=2.5)
