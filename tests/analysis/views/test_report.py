"""The report is one file that needs nothing else, and holds what was measured."""

import json
import re

import numpy as np
import pytest
from analysis.cohort_by_hand import make_splits
from datasets import Dataset, DatasetDict

from claim_transformers.analysis import fit_logistic_regression, write_report
from claim_transformers.training import save_predictions


@pytest.fixture
def run(tmp_path):
    splits = make_splits()
    cohort = tmp_path / "cohort"
    DatasetDict({name: Dataset(table) for name, table in splits.items()}).save_to_disk(str(cohort))
    (cohort / "cohort.json").write_text(json.dumps({"title": "Children & asthma", "source": "a test"}))
    (cohort / "attrition.json").write_text(
        json.dumps(
            [{"step": "all <b>", "patients": 900, "removed": 0}, {"step": "kept", "patients": 580, "removed": 320}]
        )
    )
    result = fit_logistic_regression(splits)
    save_predictions(tmp_path / "models" / "lr", splits["test"], result.scores["test"], name=result.name)
    even = np.random.default_rng(0).random(splits["test"].num_rows)
    save_predictions(tmp_path / "models" / "guess", splits["test"], even, name="Guess")
    history = [{"step": 1, "loss": 0.7}, {"step": 2, "loss": 0.5, "eval_loss": 0.6}]
    (tmp_path / "models" / "guess" / "training_log.jsonl").write_text("".join(json.dumps(x) + "\n" for x in history))
    return tmp_path


def test_the_page_refers_to_nothing_outside_itself(run):
    write_report(run)
    page = (run / "report.html").read_text()
    assert not re.search(r"(?:src|href)\s*=\s*[\"'](?!#)", page)
    assert "@import" not in page
    assert page.count("<svg") == 3  # ROC, calibration and one learning curve


def test_the_page_shows_the_measured_figures(run):
    comparison = write_report(run, title="A run")
    page = (run / "report.html").read_text()
    for found in comparison.metrics.values():
        assert str(found["AUROC"]) in page
    assert "Children &amp; asthma" in page
    assert "all &lt;b&gt;" in page
    results = json.loads((run / "results.json").read_text())
    assert (
        results["models"]["LR Sparse"]["metrics"]["AUROC"]["value"] == comparison.metrics["LR Sparse"]["AUROC"].value
    )


def test_the_same_run_gives_the_same_bytes(run):
    write_report(run)
    first = (run / "report.html").read_bytes()
    write_report(run)
    assert (run / "report.html").read_bytes() == first


def test_a_run_without_predictions_says_where_they_belong(run, tmp_path):
    with pytest.raises(FileNotFoundError, match="expected predictions in"):
        write_report(tmp_path / "cohort")
