"""The scripts of the benchmark: short, complete, and each of them runs."""

import importlib.util
import json
import re
import shutil
from pathlib import Path

import pytest

from claim_transformers.benchmark.cold_start import LogisticRegression, TrueRisk
from claim_transformers.benchmark.opening import Benchmark, BenchmarkArguments
from claim_transformers.benchmark.populations import Populations

FOLDER = Path(__file__).parents[2] / "examples" / "benchmark"
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


def load(name):
    specification = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", OURS)
def test_a_script_is_short_and_says_how_it_is_called(name):
    text = (FOLDER / f"{name}.py").read_text()
    assert len(text.splitlines()) < 100
    assert f"python examples/benchmark/{name}.py" in text
    assert load(name).main.__annotations__["arguments"] is BenchmarkArguments


def test_the_run_calls_scripts_that_exist():
    called = re.findall(r"^run (\S+\.py)", (FOLDER / "run.sh").read_text(), re.MULTILINE)
    assert all((FOLDER / name).is_file() for name in called)
    assert {f"{name}.py" for name in OURS} <= set(called)


@pytest.fixture
def arguments(write_profile, checkpoint, tmp_path):
    return BenchmarkArguments(str(write_profile()), str(tmp_path / "workspace"), str(tmp_path / "docs"), checkpoint)


@pytest.mark.parametrize("name", ["table1_suicide", "table2_asthma", "next_diagnoses"])
def test_a_table_is_written(name, arguments, cohort, diagnoses, monkeypatch, tmp_path):
    script = load(name)
    chosen = diagnoses if name == "next_diagnoses" else cohort
    monkeypatch.setattr(Populations, "cohort", lambda self, name, population="a": chosen)
    monkeypatch.setattr(
        script, "standard_contestants", lambda *given, **options: [LogisticRegression("sparse"), TrueRisk()]
    )
    script.main(arguments)
    assert {path.suffix for path in (tmp_path / "docs").glob(f"{name}.*")} == {".md", ".json", ".csv"}
    assert "LR Sparse" in (tmp_path / "docs" / f"{name}.md").read_text()
    load("summary").main(arguments)
    assert "| all |" in (tmp_path / "docs" / "run.md").read_text()


def test_the_full_profile_writes_into_the_documentation_and_others_into_their_workspace(arguments, tmp_path):
    other = Benchmark.open(BenchmarkArguments(arguments.profile, arguments.workspace))
    assert other.docs == tmp_path / "workspace" / "docs"
    full = Benchmark.open(BenchmarkArguments(str(FOLDER / "full.yaml"), arguments.workspace))
    assert full.docs == Path("docs/benchmark")


def test_a_checkpoint_that_knows_the_people_of_a_cohort_is_refused(arguments, checkpoint, tmp_path):
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    arguments.checkpoint = str(copy)
    for seed, is_known in ((2, False), (1, True)):
        (copy / "pretraining.json").write_text(json.dumps({"simulation": {"institution": "a", "seed": seed}}))
        if is_known:
            with pytest.raises(ValueError, match=r"E_SPLIT_OVERLAP: .* found its own in 'a'"):
                Benchmark.open(arguments).checkpoint()
        else:
            assert Benchmark.open(arguments).checkpoint() == str(copy)


def test_a_checkpoint_that_is_missing_is_named(arguments):
    arguments.checkpoint = "claim-pt-bass"
    with pytest.raises(ValueError, match="expected a checkpoint, found none named 'claim-pt-bass'"):
        Benchmark.open(arguments).checkpoint()
