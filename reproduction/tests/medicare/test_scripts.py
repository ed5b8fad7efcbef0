"""The scripts of the Medicare benchmark: short, complete, and the profiles are those of real populations."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from claim_transformers.training import Architecture
from reproduction.engine.benchmark import BenchmarkArguments
from reproduction.engine.checkpoints import refuse_seen
from reproduction.medicare.benchmark import MedicareBenchmark
from reproduction.medicare.profiles import POPULATIONS, MedicareProfile
from reproduction.tests.scripts_by_path import (
    MEDICARE,
    ROOT,
    called_scripts,
    first_arguments,
    is_short,
    says_how_it_is_called,
)

TABLES = ("drift", "in_time", "labels", "models", "power", "subgroups", "synpuf", "vocabulary")


@pytest.mark.parametrize("name", TABLES)
def test_a_script_is_short_and_says_how_it_is_called(name):
    script = MEDICARE / "scripts" / f"{name}.py"
    assert is_short(script)
    assert says_how_it_is_called(script)
    assert first_arguments(script) is BenchmarkArguments


def test_the_run_calls_every_table():
    assert sorted(called_scripts(MEDICARE)) == sorted(TABLES)


@pytest.mark.parametrize("name", ["full", "quick"])
def test_a_profile_names_every_population_once_but_for_the_world_that_changes(name):
    people = MedicareProfile.load(MEDICARE / "profiles" / f"{name}.yaml").populations
    assert set(people) == set(POPULATIONS)
    assert replace(people["drifted"], drift_strength=0.0) == people["study"]
    seeds = [population.seed for name, population in people.items() if name != "drifted"]
    assert len(set(seeds)) == len(seeds)


def test_the_full_profile_writes_into_the_documentation_and_others_into_their_workspace(tmp_path):
    for name, docs in (("full", Path("docs/benchmark")), ("quick", tmp_path / "docs")):
        opened = MedicareBenchmark.open(BenchmarkArguments(str(MEDICARE / "profiles" / f"{name}.yaml"), str(tmp_path)))
        assert opened.docs == docs


@pytest.fixture
def benchmark(tmp_path):
    arguments = BenchmarkArguments(str(MEDICARE / "profiles" / "full.yaml"), str(tmp_path / "workspace"))
    return MedicareBenchmark.open(arguments)


def test_a_checkpoint_that_knows_the_patients_of_a_table_is_refused(benchmark, tmp_path):
    for population, is_known in (("pretraining", False), ("study", True), ("biased", True)):
        seed = benchmark.profile.populations[population].seed
        (tmp_path / "pretraining.json").write_text(
            json.dumps({"simulation": {"population": "medicare", "seed": seed}})
        )
        if is_known:
            with pytest.raises(ValueError, match="E_SPLIT_OVERLAP"):
                refuse_seen(tmp_path, benchmark.tested())
        else:
            refuse_seen(tmp_path, benchmark.tested())


def test_a_checkpoint_of_children_has_seen_no_patient_of_medicare_whatever_its_seed(benchmark, tmp_path):
    seed = benchmark.profile.populations["study"].seed
    (tmp_path / "pretraining.json").write_text(json.dumps({"simulation": {"institution": "a", "seed": seed}}))
    refuse_seen(tmp_path, benchmark.tested())


def test_the_paper_has_two_layers_two_heads_and_a_width_of_512():
    model = Architecture.from_json(ROOT / "examples" / "configs" / "medicare-encoder-paper.json").model
    names = ("num_hidden_layers", "num_attention_heads", "hidden_size", "visit_pooling")
    assert [model[name] for name in names] == [2, 2, 512, "none"]
