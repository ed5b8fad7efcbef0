"""The scripts of the benchmark: short, complete, and each of them runs."""

import json
import shutil
from pathlib import Path

import pytest

from reproduction.claim_pt import tables
from reproduction.claim_pt.benchmark import ClaimPTBenchmark
from reproduction.claim_pt.cold_start import LogisticRegression, TrueRiskCeiling
from reproduction.claim_pt.populations import PediatricPopulations
from reproduction.engine.benchmark import BenchmarkArguments
from reproduction.engine.checkpoints import refuse_seen
from reproduction.tests.scripts_by_path import (
    CLAIM_PT,
    called_scripts,
    first_arguments,
    is_short,
    load_script,
    says_how_it_is_called,
)

OURS = (
    "ablations",
    "figure6_training_size",
    "heads_and_layers",
    "next_diagnoses",
    "prepare",
    "summary",
    "table1_suicide",
    "table2_asthma",
)


@pytest.mark.parametrize("name", OURS)
def test_a_script_is_short_and_says_how_it_is_called(name):
    script = CLAIM_PT / "scripts" / f"{name}.py"
    assert is_short(script)
    assert says_how_it_is_called(script)
    assert first_arguments(script) is BenchmarkArguments


def test_the_run_calls_scripts_that_exist():
    called = called_scripts(CLAIM_PT)
    assert all((CLAIM_PT / "scripts" / f"{name}.py").is_file() for name in called)
    assert set(OURS) <= set(called)


@pytest.fixture
def arguments(write_profile, checkpoint, tmp_path):
    return BenchmarkArguments(str(write_profile()), str(tmp_path / "workspace"), str(tmp_path / "docs"), checkpoint)


@pytest.mark.parametrize("name", ["table1_suicide", "table2_asthma", "next_diagnoses"])
def test_a_table_is_written(name, arguments, cohort, diagnoses, monkeypatch, tmp_path):
    script = load_script(CLAIM_PT / "scripts" / f"{name}.py")
    chosen = diagnoses if name == "next_diagnoses" else cohort
    monkeypatch.setattr(PediatricPopulations, "cohort", lambda self, name, population="a": chosen)
    monkeypatch.setattr(
        script if name == "next_diagnoses" else tables,
        "standard_contestants",
        lambda *given, **options: [LogisticRegression("sparse"), TrueRiskCeiling()],
    )
    script.main(arguments)
    assert {path.suffix for path in (tmp_path / "docs").glob(f"{name}.*")} == {".md", ".json", ".csv"}
    assert "LR Sparse" in (tmp_path / "docs" / f"{name}.md").read_text()
    load_script(CLAIM_PT / "scripts" / "summary.py").main(arguments)
    assert "| all |" in (tmp_path / "docs" / "run.md").read_text()


def test_the_full_profile_writes_into_the_documentation_and_others_into_their_workspace(arguments, tmp_path):
    other = ClaimPTBenchmark.open(BenchmarkArguments(arguments.profile, arguments.workspace))
    assert other.docs == tmp_path / "workspace" / "docs"
    full = ClaimPTBenchmark.open(BenchmarkArguments(str(CLAIM_PT / "profiles" / "full.yaml"), arguments.workspace))
    assert full.docs == Path("docs/benchmark")


def test_a_checkpoint_that_knows_the_people_of_a_cohort_is_refused(arguments, checkpoint, tmp_path):
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    arguments.checkpoint = str(copy)
    for seed, is_known in ((2, False), (1, True)):
        (copy / "pretraining.json").write_text(json.dumps({"simulation": {"institution": "a", "seed": seed}}))
        if is_known:
            with pytest.raises(ValueError, match=r"E_SPLIT_OVERLAP: .* found its own in 'a'"):
                ClaimPTBenchmark.open(arguments).checkpoint()
        else:
            assert ClaimPTBenchmark.open(arguments).checkpoint() == copy


def test_a_checkpoint_of_medicare_has_seen_no_child_whatever_its_seed(arguments, tmp_path):
    (tmp_path / "pretraining.json").write_text(json.dumps({"simulation": {"population": "medicare", "seed": 1}}))
    refuse_seen(tmp_path, ClaimPTBenchmark.open(arguments).tested())


def test_a_checkpoint_that_is_missing_is_named(arguments):
    arguments.checkpoint = "claim-pt-bass"
    with pytest.raises(ValueError, match="expected a checkpoint, found none named 'claim-pt-bass'"):
        ClaimPTBenchmark.open(arguments).checkpoint()
