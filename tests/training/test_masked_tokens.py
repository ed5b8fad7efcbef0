import math

import numpy as np
import pytest
import torch
from claim_batches import collate, random_patients, randomise
from transformers import EvalPrediction

from claim_transformers.models.claim import ClaimConfig, ClaimForMaskedLM
from claim_transformers.training import MaskedTokenMetrics, rank_masked_tokens
from claim_transformers.training.masked_tokens import score_masked_tokens


@pytest.fixture(scope="module")
def batch():
    """Four patients; the first has nothing hidden, the others every third code."""
    batch = collate(random_patients(0, (3, 5, 1, 8)), with_labels=True, extra_tokens=2)
    del batch["category_labels"]
    columns = torch.arange(batch["labels"].shape[1])
    batch["labels"] = batch["labels"].masked_fill(columns % 3 != 0, -100)
    batch["labels"][0] = -100
    batch["input_ids"] = torch.where(batch["labels"] >= 0, 2, batch["input_ids"])
    return batch


@pytest.mark.parametrize("side", ["right", "left"])
def test_scores_are_the_logits_at_the_hidden_positions_in_their_order(batch, side):
    if side == "left":
        batch = {name: values if name == "visit_days" else values.flip(1) for name, values in batch.items()}
    sizes = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = randomise(ClaimForMaskedLM(ClaimConfig(**sizes, visit_pooling="none", time_attention="bucketed"))).eval()
    with torch.no_grad():
        outputs = model(**batch, return_logits=True, output_hidden_states=True)
        logits, labels = score_masked_tokens(model, outputs.hidden_states[-1], batch["labels"])
        every = outputs.logits
    hidden = batch["labels"] >= 0
    assert logits.shape[:2] == labels.shape == (4, int(hidden.sum(dim=1).max()))
    for row in range(4):
        assert labels[row][labels[row] >= 0].tolist() == batch["labels"][row][hidden[row]].tolist()
        torch.testing.assert_close(logits[row][labels[row] >= 0], every[row][hidden[row]])
    assert (labels[0] == -100).all()


def test_ranks_are_positions_in_the_sorted_list():
    generator = np.random.default_rng(0)
    logits = torch.tensor(generator.integers(0, 6, size=(4, 7, 30))).float()  # with many ties
    labels = torch.tensor(generator.integers(0, 30, size=(4, 7)))
    labels[1, 3:] = labels[2] = -100
    ranks = rank_masked_tokens(logits, labels)
    for row in range(4):
        for column in range(7):
            order = logits[row, column].argsort(descending=True, stable=True).tolist()
            label = int(labels[row, column])
            assert ranks[row, column] == (-100 if label < 0 else order.index(label))


def test_a_model_that_knows_nothing_or_diverged_does_not_look_good():
    labels = torch.tensor([[3, 9, 29]])
    assert rank_masked_tokens(torch.zeros(1, 3, 30), labels).tolist() == [[3, 9, 29]]
    assert rank_masked_tokens(torch.full((1, 3, 30), math.nan), labels).tolist() == [[29, 29, 29]]
    one = torch.arange(30.0).flip(0).expand(1, 3, 30).clone()
    one[:, :, 20] = math.nan
    assert rank_masked_tokens(one, labels).tolist() == [[4, 10, 29]]


def test_nothing_hidden_has_no_ranks_and_no_accuracy():
    ranks = rank_masked_tokens(torch.zeros(2, 1, 5), torch.full((2, 1), -100))
    assert ranks.tolist() == [[-100], [-100]]
    metrics = MaskedTokenMetrics()(EvalPrediction(predictions=ranks.numpy(), label_ids=ranks.numpy()))
    assert metrics.pop("masked_tokens") == 0
    assert all(math.isnan(value) for value in metrics.values())


def test_figures_count_tokens_and_stand_beside_the_most_frequent_ones():
    labels = np.array([[5, 5, 6, -100], [5, 7, 8, 9]])
    ranks = np.array([[0, 4, 0, -100], [9, 10, 2, 99]])
    metrics = MaskedTokenMetrics(k=(1, 3, 10))(EvalPrediction(predictions=ranks, label_ids=labels))
    assert metrics["masked_tokens"] == 7
    assert [metrics[f"accuracy_at_{k}"] for k in (1, 3, 10)] == pytest.approx([2 / 7, 3 / 7, 5 / 7])
    assert [metrics[f"most_frequent_at_{k}"] for k in (1, 3, 10)] == pytest.approx([3 / 7, 5 / 7, 1.0])
    reciprocal = [1, 1 / 5, 1, 1 / 10, 1 / 11, 1 / 3, 1 / 100]
    assert metrics["mean_reciprocal_rank"] == pytest.approx(sum(reciprocal) / 7)


def test_always_naming_the_most_frequent_token_has_the_accuracy_of_the_baseline():
    generator = np.random.default_rng(1)
    labels = generator.choice(30, size=(20, 9), p=np.arange(30, 0, -1) / 465)
    by_frequency = np.bincount(labels.ravel(), minlength=30).astype(float)
    logits = torch.tensor(np.broadcast_to(by_frequency, (20, 9, 30)).copy())
    ranks = rank_masked_tokens(logits, torch.tensor(labels)).numpy()
    metrics = MaskedTokenMetrics()(EvalPrediction(predictions=ranks, label_ids=labels))
    for k in (1, 10):
        assert metrics[f"accuracy_at_{k}"] == pytest.approx(metrics[f"most_frequent_at_{k}"])
