"""The scripts of the Medicare benchmark: short, complete, and the profiles are those of real populations."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from benchmark.script_files import ROOT, SCRIPTS, called_scripts, first_arguments, is_short, says_how_it_is_called

from claim_transformers.benchmark.medicare.opening import MedicareArguments, MedicareBenchmark, refuse_known_patients
from claim_transformers.benchmark.medicare.profiles import POPULATIONS, load_medicare_profile
from claim_transformers.benchmark.opening import refuse_known_people
from claim_transformers.benchmark.profiles import load_profile
from claim_transformers.training import Architecture

FOLDER = SCRIPTS / "medicare"
TABLES = ("drift", "in_time", "labels", "models", "power", "subgroups", "synpuf", "vocabulary")


@pytest.mark.parametrize("name", TABLES)
def test_a_script_is_short_and_says_how_it_is_called(name):
    script = FOLDER / f"{name}.py"
    assert is_short(script)
    assert says_how_it_is_called(script)
    assert first_arguments(script) is MedicareArguments


def test_the_run_calls_every_table():
    assert sorted(called_scripts(FOLDER)) == sorted(TABLES)


@pytest.mark.parametrize("name", ["full", "quick"])
def test_a_profile_names_every_population_once_but_for_the_world_that_changes(name):
    people = load_medicare_profile(FOLDER / f"{name}.yaml").populations
    assert set(people) == set(POPULATIONS)
    assert replace(people["drifted"], drift_strength=0.0) == people["study"]
    seeds = [population.seed for name, population in people.items() if name != "drifted"]
    assert len(set(seeds)) == len(seeds)


def test_the_full_profile_writes_into_the_documentation_and_others_into_their_workspace(tmp_path):
    for name, docs in (("full", Path("docs/benchmark")), ("quick", tmp_path / "docs")):
        opened = MedicareBenchmark.open(MedicareArguments(str(FOLDER / f"{name}.yaml"), str(tmp_path)))
        assert opened.docs == docs


def test_a_checkpoint_that_knows_the_patients_of_a_table_is_refused(tmp_path):
    profile = load_medicare_profile(FOLDER / "full.yaml")
    for population, is_known in (("pretraining", False), ("study", True), ("biased", True)):
        seed = profile.populations[population].seed
        (tmp_path / "pretraining.json").write_text(
            json.dumps({"simulation": {"population": "medicare", "seed": seed}})
        )
        if is_known:
            with pytest.raises(ValueError, match="E_SPLIT_OVERLAP"):
                refuse_known_patients(tmp_path, profile)
        else:
            refuse_known_patients(tmp_path, profile)


def test_a_checkpoint_of_children_has_seen_no_patient_of_medicare(tmp_path):
    """Whatever its seed; and the other way round."""
    profile = load_medicare_profile(FOLDER / "full.yaml")
    seed = profile.populations["study"].seed
    (tmp_path / "pretraining.json").write_text(json.dumps({"simulation": {"institution": "a", "seed": seed}}))
    refuse_known_patients(tmp_path, profile)
    (tmp_path / "pretraining.json").write_text(json.dumps({"simulation": {"population": "medicare", "seed": 12}}))
    refuse_known_people(tmp_path, load_profile(FOLDER.parent / "full.yaml"))


def test_the_paper_has_two_layers_two_heads_and_a_width_of_512():
    model = Architecture.from_json(ROOT / "examples" / "configs" / "medicare-encoder-paper.json").model
    names = ("num_hidden_layers", "num_attention_heads", "hidden_size", "visit_pooling")
    assert [model[name] for name in names] == [2, 2, 512, "none"]
