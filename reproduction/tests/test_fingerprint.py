"""The fingerprint sees every change of a result, and no change of anything else."""

import json
import re

import pytest

from reproduction.engine.steps import Workspace
from reproduction.fingerprint import compare, logits, main, simulated


@pytest.fixture
def runs(tmp_path):
    """A workspace with a step, tables beside it, and the table of a demo."""
    folder = tmp_path / "runs" / "benchmark" / "quick"
    Workspace(folder, show_progress=False).step("table1/lr", {"checkpoint": "one"}, lambda: {"auroc": 0.7})
    (folder / "docs").mkdir()
    (folder / "docs" / "table1.md").write_text("| 0.7 |")
    (folder / "docs" / "run.md").write_text("| 5 minutes |")
    (tmp_path / "runs" / "demo").mkdir()
    (tmp_path / "runs" / "demo" / "results.json").write_text(json.dumps({"models": {"LR": {"AUROC": 0.7}}}))
    return tmp_path / "runs"


@pytest.fixture
def compared(runs, tmp_path, capsys):
    """Take a fingerprint, let a function change the results, and say what differs."""
    options = ["--runs", str(runs), "--docs", str(tmp_path), "--parts", "tables", "steps", "demo"]

    def run(change):
        assert main([*options, "--write", str(tmp_path / "before.txt")]) == 0
        change(runs / "benchmark" / "quick")
        capsys.readouterr()
        status = main([*options, "--compare", str(tmp_path / "before.txt")])
        return status, re.findall(r"^\w+: .*", capsys.readouterr().out, re.MULTILINE)

    return run


def test_the_key_of_a_step_and_the_times_of_a_run_are_no_result(compared):
    def change(folder):
        for path in (folder / "steps").rglob("*.json"):
            path.unlink()
        Workspace(folder, show_progress=False).step("table1/lr", {"checkpoint": "two"}, lambda: {"auroc": 0.7})
        (folder / "docs" / "run.md").write_text("| 9 minutes |")

    assert compared(change) == (0, [])


def test_what_a_step_gave_is_a_result(compared):
    def change(folder):
        Workspace(folder, show_progress=False).step("table1/lr", {"checkpoint": "two"}, lambda: {"auroc": 0.8})

    assert compared(change) == (1, ["steps: quick: table1/lr"])


def test_a_digit_of_a_table_or_of_the_demo_is_a_result(compared):
    def change(folder):
        (folder / "docs" / "table1.md").write_text("| 0.8 |")
        (folder.parents[1] / "demo" / "results.json").write_text(json.dumps({"models": {"LR": {"AUROC": 0.8}}}))

    assert compared(change) == (1, ["tables: quick/table1.md", "demo: LR"])


def test_what_stands_on_one_side_only_differs():
    assert compare({"demo": {"LR": "0"}}, {"demo": {"GB": "0"}}) == ["demo: LR", "demo: GB"]


def test_each_file_of_each_simulation_is_digested(tmp_path):
    for name in ("ped-7", "med-11"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "true_risk.parquet").write_bytes(name.encode())
    found = simulated(tmp_path)
    assert list(found) == ["ped-7/true_risk.parquet", "med-11/true_risk.parquet"]
    assert len(set(found.values())) == 2


def test_both_checkpoints_say_the_same_twice():
    first = logits()
    assert first == logits()
    assert {name.split(": ")[0] for name in first} == {"claim-pt-base", "medicare-encoder-base"}
    assert len(set(first.values())) >= 10
