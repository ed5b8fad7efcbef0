"""A population is simulated, ingested and cut into cohorts once, and what was planted reaches the simulator."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from claim_transformers.cohorts.readmission.definition import ReadmissionDefinition
from reproduction.engine.steps import Workspace
from reproduction.medicare.populations import (
    MedicarePlan,
    MedicarePopulations,
    example_patients,
    read_examples,
)

STAYS = ReadmissionDefinition("stays")


@pytest.fixture(scope="module")
def populations(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("medicare"), show_progress=False)
    people = {
        "plain": MedicarePlan(90, seed=3),
        "planted": MedicarePlan(20, seed=3, bias_subgroup="dual", bias_hidden=0.5, drift_strength=0.25),
    }
    return MedicarePopulations(workspace, people)


@pytest.fixture(scope="module")
def cohort(populations):
    return populations.cohort("plain", STAYS)


def test_a_cohort_is_built_once_and_another_rule_is_another_cohort(populations, cohort):
    ran = populations.workspace.ran
    assert populations.cohort("plain", ReadmissionDefinition("stays")) == cohort
    assert populations.workspace.ran == ran
    assert populations.cohort("plain", ReadmissionDefinition("plain")) != cohort
    assert populations.workspace.ran == ran + 1


def test_examples_have_the_measures_of_their_county_but_never_the_latent_one(cohort):
    tokens = {token for table in read_examples(cohort).values() for row in table["patient_codes"].to_pylist()
              for token in row}  # fmt: skip
    measures = {token.rpartition("-")[0] for token in tokens if token.startswith("COUNTY/")}
    assert measures == {"COUNTY/DEPRIVATION_INDEX", "COUNTY/IS_RURAL"}


def test_the_splits_share_no_patient_and_the_last_visit_is_the_index_stay(cohort):
    examples = read_examples(cohort)
    assert list(examples) == ["train", "validation", "test"]
    ids = [set(table["patient_id"].to_pylist()) for table in examples.values()]
    assert not ids[0] & ids[1] | ids[0] & ids[2] | ids[1] & ids[2]
    assert {kinds[-1] for kinds in examples["train"]["visit_type"].to_pylist()} == {"IP"}


def test_what_is_planted_reaches_the_simulator(populations):
    manifest = json.dumps(json.loads((populations.raw("planted") / "simulation.json").read_text()))
    assert '"dual"' in manifest
    assert "0.25" in manifest
    assert pq.read_table(populations.raw("planted") / "true_risk.parquet").num_rows > 0


def test_patients_are_numbered_from_zero_across_chunks():
    table = pa.concat_tables([pa.table({"patient_id": ["b", "a"]}), pa.table({"patient_id": ["a", "c", "b"]})])
    assert np.array_equal(example_patients(table), [0, 1, 1, 2, 0])
