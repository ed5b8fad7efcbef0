"""From logits to probabilities and metrics, for each kind of label."""

import numpy as np
import pytest
from scipy.special import expit, softmax
from transformers import EvalPrediction

from claim_transformers.training import (
    auprc,
    auroc,
    binary_metrics,
    brier,
    calibration_error,
    multi_label_metrics,
    probabilities_of,
)
from claim_transformers.training.classification_metrics import classifier_metrics, judged_labels, label_probabilities

LOGITS = np.random.default_rng(4).normal(size=(40, 3)) * 3


def test_probabilities_are_those_of_a_sigmoid_and_do_not_overflow():
    assert probabilities_of(LOGITS) == pytest.approx(expit(LOGITS))
    with np.errstate(over="raise"):
        assert probabilities_of([-1000.0, 0.0, 1000.0]).tolist() == [0.0, 0.5, 1.0]


def test_several_labels_have_a_sigmoid_each_and_several_classes_one_softmax():
    labels, classes = LOGITS > 0, np.zeros(40, np.int64)
    assert label_probabilities(LOGITS, labels) == pytest.approx(expit(LOGITS))
    assert label_probabilities(LOGITS[:, :2], labels[:, :2]) == pytest.approx(expit(LOGITS[:, :2]))
    assert label_probabilities(LOGITS, classes) == pytest.approx(softmax(LOGITS, axis=1))
    assert label_probabilities(LOGITS + 1000, classes) == pytest.approx(softmax(LOGITS, axis=1))
    assert label_probabilities(LOGITS[:, :2], classes) == pytest.approx(softmax(LOGITS[:, :2], axis=1)[:, 1])


def test_the_metrics_fit_the_labels():
    ask = lambda logits, labels: set(classifier_metrics(EvalPrediction(predictions=logits, label_ids=labels)))  # noqa: E731
    classes = np.arange(40) % 2
    assert ask(LOGITS[:, :2], classes) == {"auroc", "auprc", "brier", "calibration_error"}
    assert ask((LOGITS[:, :2], None), classes) == {"auroc", "auprc", "brier", "calibration_error"}
    assert ask(LOGITS, (LOGITS > 0).astype(int)) == {"macro_auroc", "scored_labels", "recall_at_3"}
    assert ask(LOGITS[:, :2], (LOGITS[:, :2] > 0).astype(int)) == {"macro_auroc", "scored_labels", "recall_at_2"}
    assert ask(LOGITS, classes) == set()


def test_visits_without_a_label_are_not_judged():
    logits = LOGITS.reshape(10, 4, 3)
    labels = np.tile([-100, 0, 1, -100], (10, 1))
    shown, kept = judged_labels(EvalPrediction(predictions=logits, label_ids=labels))
    assert kept.tolist() == [0, 1] * 10
    assert shown.tolist() == logits[:, 1:3].reshape(20, 3).tolist()
    rows, all_labels = judged_labels(EvalPrediction(predictions=LOGITS, label_ids=np.full(40, -1)))
    assert (rows.shape, len(all_labels)) == ((40, 3), 40)


def test_two_classes_have_all_four_metrics_and_no_warning(caplog):
    logits, labels = LOGITS[:, :2], np.arange(40) % 2
    found = binary_metrics(EvalPrediction(predictions=logits, label_ids=labels))
    scores = expit(logits[:, 1] - logits[:, 0])
    for metric in (auroc, auprc, brier, calibration_error):
        assert found[metric.__name__] == pytest.approx(metric(labels, scores))
    assert "W_ONE_CLASS" not in caplog.text


def test_labels_of_one_class_each_have_no_mean_area_and_ten_are_looked_at():
    labels = np.eye(12)[:1].repeat(3, axis=0)
    logits = np.tile(np.arange(12.0, 0, -1), (3, 1))
    found = multi_label_metrics(EvalPrediction(predictions=logits, label_ids=labels))
    assert np.isnan(found.pop("macro_auroc"))
    assert found == {"scored_labels": 0.0, "recall_at_10": 1.0}


def test_classes_of_visits_are_shares_of_each_visit():
    logits = np.random.default_rng(8).normal(size=(5, 2, 4))
    shares = label_probabilities(logits, np.zeros((5, 2)))
    assert shares == pytest.approx(softmax(logits, axis=2))
