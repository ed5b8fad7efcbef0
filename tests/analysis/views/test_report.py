"""The report is one file that needs nothing else, and holds what was measured."""

import json
import re

import numpy as np
import pytest
from analysis.cohort_by_hand import make_splits
from datasets import Dataset, DatasetDict, load_from_disk

from claim_transformers.analysis import fit_logistic_regression, write_report
from claim_transformers.cohorts.attrition import AttritionStep, show_attrition
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
    assert {(run / name).stat().st_mode & 0o077 for name in ("report.html", "results.json")} == {0}


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"source": "tuva", "simulation": {"version": 1, "seed": 7}}, "Claims are simulated (version 1, seed 7)"),
        (
            {"source": "tuva", "simulation": None},
            "Whether these claims of the source tuva are real or simulated is not",
        ),
        (None, "Whether these claims are real or simulated is not recorded; treat them as real."),
    ],
)
def test_the_page_says_whether_claims_are_simulated_and_speaks_of_no_simulator_elsewhere(claims, said, run):
    path = run / "cohort" / "cohort.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"claims": claims}))
    # A simulation that lies beside a run says nothing of its claims.
    (run / "raw").mkdir()
    (run / "raw" / "simulation.json").write_text(json.dumps({"simulation_version": 1, "seed": 9}))
    write_report(run)
    page = (run / "report.html").read_text()
    assert said in page
    assert "simulator" not in page
    assert not re.search(r"P\d+-\d{4}", page), "an identifier"


def test_a_cohort_that_does_not_say_takes_the_word_of_the_claims_and_a_true_risk_is_explained(run):
    (run / "claims").mkdir()
    (run / "claims" / "manifest.json").write_text(json.dumps({"simulation": {"version": 2, "seed": 3}}))
    metrics = run / "models" / "guess" / "metrics.json"
    metrics.write_text(json.dumps(json.loads(metrics.read_text()) | {"name": "True risk"}))
    write_report(run)
    page = (run / "report.html").read_text()
    assert "Claims are simulated (version 2, seed 3)" in page
    assert "what the simulator knows about each patient" in page


def test_a_run_without_predictions_says_where_they_belong(run, tmp_path):
    with pytest.raises(FileNotFoundError, match="expected predictions in"):
        write_report(tmp_path / "cohort")


@pytest.mark.parametrize("is_saved_raw", [True, False])
def test_the_page_shows_no_small_cell_nor_what_gives_it_away(run, is_saved_raw):
    path = run / "cohort" / "attrition.json"
    tables = {name: table.with_format("arrow")[:] for name, table in load_from_disk(str(path.parent)).items()}
    ends = {what: {name: int((table["label"].to_numpy() == label).sum()) for name, table in tables.items()}
            for what, label in {"cases": 1, "controls": 0}.items()}  # fmt: skip
    steps = [AttritionStep("all", 900, 0), AttritionStep("alive", 896, 4), AttritionStep("kept", 580, 316)]
    path.write_text(json.dumps(show_attrition(steps, ends, raw_counts=is_saved_raw).to_list()))
    (run / "claims").mkdir()
    entry = {"source_file": "a.csv", "claim_type": "IP", "rows_in": 1234, "rows_out": 1229, "quarantined": 5,
             "dropped": 0, "netted_out": 0}  # fmt: skip
    (run / "claims" / "quality_report.json").write_text(json.dumps({"files": [entry]}))
    write_report(run)
    page = (run / "report.html").read_text()
    assert "&lt;11" in page
    assert "1,234" in page
    assert not re.search(r"<td>(896|316|4|5|1,229)</td>", page)
    write_report(run, raw_counts=True)
    page = (run / "report.html").read_text()
    assert re.search(r"<td>896</td>", page) if is_saved_raw else not re.search(r"<td>896</td>", page)
    assert "<td>1,229</td>" in page
