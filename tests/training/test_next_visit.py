import numpy as np
import pytest
import torch
from training.tokenized_rows import FIRST_CODE
from transformers import EvalPrediction

from claim_transformers.training import (
    DataCollatorForClaimPretraining,
    NextVisitMetrics,
    binary_metrics,
    multi_label_metrics,
    probabilities_of,
    rank_next_visit,
    recall_at_k,
)
from claim_transformers.training.next_visit import hold_out_last_visit, recall_of_patients


def test_history_and_targets_are_the_patient_before_and_at_the_last_visit(table, vocabulary):
    rows = table.slice(0, 60)
    batch = DataCollatorForClaimPretraining(vocabulary, cp_mask_probability=0.5)(rows)
    history, targets = hold_out_last_visit(batch, pad_token_id=0)
    for number, row in enumerate(rows.to_pylist()):
        last = len(row["visit_days"]) - 1
        before = [
            (code, slot) for code, slot in zip(row["input_ids"], row["visit_ids"], strict=True) if slot < max(last, 1)
        ]
        kept = history["attention_mask"][number].bool()
        shown = zip(
            history["input_ids"][number][kept].tolist(), history["visit_ids"][number][kept].tolist(), strict=True
        )
        assert list(shown) == before
        assert (history["visit_days"][number] >= 0).sum().item() == max(last, 1)
        at_last = {c for c, s in zip(row["input_ids"], row["visit_ids"], strict=True) if s == last and c >= FIRST_CODE}
        assert {code for code in targets[number].tolist() if code >= 0} == (at_last if last >= 2 else set())


def test_ranks_are_positions_in_the_sorted_list():
    logits = torch.tensor(np.random.default_rng(0).normal(size=(5, 40)))
    targets = torch.tensor([[3, 7, -100]] * 5)
    ranks = rank_next_visit(logits, targets)
    for row in range(5):
        order = logits[row].argsort(descending=True).tolist()
        assert ranks[row].tolist() == [order.index(3), order.index(7), -100]


def test_recall_from_ranks_is_recall_from_scores():
    generator = np.random.default_rng(1)
    logits, labels = generator.normal(size=(50, 30)), generator.random((50, 30)) < 0.1
    targets = np.full((50, 30), -100)
    for row in range(50):
        codes = np.flatnonzero(labels[row])
        targets[row, : len(codes)] = codes
    ranks = rank_next_visit(torch.tensor(logits), torch.tensor(targets)).numpy()
    metrics = NextVisitMetrics(k=(3, 10))(EvalPrediction(predictions=ranks, label_ids=targets))
    assert metrics["recall_at_3"] == pytest.approx(recall_at_k(labels, logits, k=3))
    assert metrics["recall_at_10"] == pytest.approx(recall_at_k(labels, logits, k=10))
    assert metrics["patients_with_next_visit"] == int(labels.any(axis=1).sum())


def test_nobody_with_a_next_visit_has_no_recall():
    assert np.isnan(recall_of_patients([[-100]], k=5)).all()


def test_two_logits_one_logit_and_a_difference_are_one_probability():
    logits = np.random.default_rng(2).normal(size=(20, 2)) * 50
    expected = probabilities_of(logits[:, 1] - logits[:, 0])
    assert probabilities_of(logits).tolist() == expected.tolist()
    assert probabilities_of((logits[:, 1] - logits[:, 0])[:, None]).tolist() == expected.tolist()
    assert ((expected >= 0) & (expected <= 1)).all()


def test_one_class_in_an_evaluation_does_not_stop_training(caplog):
    result = binary_metrics(EvalPrediction(predictions=np.array([[1.0, 0.0]] * 3), label_ids=np.ones(3)))
    assert np.isnan(result["auroc"])
    assert np.isnan(result["auprc"])
    assert result["brier"] == pytest.approx((1 / (1 + np.exp(-1))) ** 2)
    assert "W_ONE_CLASS" in caplog.text


def test_labels_without_both_classes_do_not_enter_the_macro_average():
    labels = np.array([[1, 0, 0], [0, 0, 1], [1, 0, 1]])
    logits = np.array([[2.0, 5.0, 0.0], [1.0, 4.0, 1.0], [3.0, 3.0, 2.0]])
    result = multi_label_metrics(EvalPrediction(predictions=(logits, None), label_ids=labels))
    assert result == {"macro_auroc": 1.0, "scored_labels": 2.0, "recall_at_3": 1.0}
    with pytest.raises(ValueError, match="expected labels of shape"):
        multi_label_metrics(EvalPrediction(predictions=logits, label_ids=labels[:, :2]))


def test_of_equal_scores_the_lower_code_ranks_first():
    assert rank_next_visit(torch.tensor([[1.0, 1.0, 1.0]]), torch.tensor([[0, 1, 2]])).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(("days", "hidden", "targets"), [([0], 0, 0), ([0, 3], 1, 0), ([0, 3, 9], 1, 1)])
def test_a_last_visit_is_hidden_after_one_and_asked_for_after_two(days, hidden, targets):
    visits = len(days)
    inputs = {
        "input_ids": torch.arange(10, 10 + visits)[None],
        "visit_ids": torch.arange(visits)[None],
        "visit_days": torch.tensor([[7, *days[1:], -1]]),
        "labels": torch.full((1, visits), -100),
        "attention_mask": torch.ones((1, visits), dtype=torch.long),
        "codes": torch.arange(visits)[None],
    }
    history, found = hold_out_last_visit(inputs, pad_token_id=0, target="codes")
    assert history["attention_mask"].sum().item() == visits - hidden
    assert (history["visit_ids"] == -1).sum().item() == hidden
    assert history["visit_days"].tolist() == [[0, *days[1 : visits - hidden], *[-1] * (hidden + 1)]]
    assert found.tolist() == ([[visits - 1]] if targets else [[-100]])


def test_a_patient_whose_only_code_ranks_first_has_a_next_visit():
    ranks = np.array([[0, -100], [-100, -100], [3, 9]])
    found = NextVisitMetrics(k=(1, 4))(EvalPrediction(predictions=ranks, label_ids=ranks))
    assert found == {"recall_at_1": 0.5, "recall_at_4": 0.75, "patients_with_next_visit": 2}
