import evaluate
import numpy as np
import pytest

from claim_transformers.training.evaluate_metrics import Auprc, Auroc, Brier, CalibrationError, RecallAtK

LABELS, SCORES = [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]


def test_batches_give_the_figure_of_the_whole():
    metric = Auroc()
    metric.add_batch(predictions=SCORES[:2], references=LABELS[:2])
    metric.add_batch(predictions=SCORES[2:], references=LABELS[2:])
    assert metric.compute() == {"auroc": 0.75}


def test_metrics_combine_without_a_network():
    combined = evaluate.combine([Auroc(), Auprc(), Brier(), CalibrationError()])
    result = combined.compute(predictions=SCORES, references=LABELS)
    assert set(result) == {"auroc", "auprc", "brier", "calibration_error"}
    assert result["brier"] == pytest.approx(np.mean((np.array(SCORES) - LABELS) ** 2), abs=1e-6)


def test_clusters_give_an_interval():
    result = Auroc().compute(
        predictions=SCORES * 9, references=LABELS * 9, clusters=np.arange(36) // 4, replicates=100
    )
    assert result["auroc_clusters"] == 9
    assert result["auroc_low"] <= result["auroc"] <= result["auroc_high"]


def test_rankings_and_options_reach_the_function():
    result = RecallAtK().compute(predictions=[[0.9, 0.5, 0.1]], references=[[0, 1, 0]], k=2)
    assert result == {"recall_at_k": 1.0}
    plain = CalibrationError().compute(predictions=SCORES, references=LABELS, bins=1)
    assert plain["calibration_error"] == pytest.approx(abs(np.mean(SCORES) - 0.5), abs=1e-6)


def test_one_class_is_none():
    assert Auroc().compute(predictions=[0.1, 0.2], references=[0, 0]) == {"auroc": None}
