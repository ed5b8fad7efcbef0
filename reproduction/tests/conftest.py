"""A cohort, a checkpoint and a workspace small enough for tests of seconds."""

import json

import numpy as np
import pyarrow as pa
import pytest
from analysis.cohort_by_hand import make_examples

from claim_transformers.codes import category_rules
from claim_transformers.models.claim import ClaimForPreTraining
from reproduction.engine.splits import number_patients
from reproduction.engine.steps import Workspace
from reproduction.engine.tasks import BenchmarkCohort
from reproduction.tests.asthma_by_hand import ARCHITECTURE, DEFINITION


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "workspace", show_progress=False)


@pytest.fixture(scope="session")
def rules():
    return category_rules()


@pytest.fixture(scope="session")
def raw(tmp_path_factory):
    """What a simulation leaves beside the claims: true risks of the cohort by hand."""
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("raw")
    examples = make_examples(260, seed=5)
    risk = np.where(examples["label"].to_numpy() == 1, 0.6, 0.2)
    rows = {
        "patient_id": examples["patient_id"],
        "index_date": examples["index_day"].cast(pa.int32()).cast(pa.date32()),
        "outcome": pa.array(["asthma_hospitalization"] * len(risk)),
        "horizon_days": pa.array([365] * len(risk), pa.int16()),
        "risk": pa.array(risk, pa.float32()),
    }
    pq.write_table(pa.table(rows), folder / "true_risk.parquet")
    return folder


@pytest.fixture
def cohort(rules, raw):
    examples = number_patients(make_examples(260, seed=5))
    return BenchmarkCohort("asthma", "asthma-0", examples, DEFINITION, rules, raw / "true_risk.parquet")


@pytest.fixture
def diagnoses(rules):
    """A cohort with three labels per patient; the first follows the code that `cohort` follows."""
    examples = make_examples(260, seed=6)
    generator = np.random.default_rng(0)
    labels = np.column_stack([examples["label"].to_numpy(), generator.random((260, 2)) < 0.4]).astype(np.float32)
    examples = examples.drop_columns(["label"]).append_column("label", pa.array(list(labels)))
    examples = examples.append_column("is_new", pa.array(list(1.0 - labels)))
    definition = {**DEFINITION, "name": "next_diagnoses", "label_names": ["CCSR/RSP009", "CCS/1", "CCS/2"]}
    definition["index"] = {"rule": "next_encounter"}
    return BenchmarkCohort("next-diagnoses", "next-0", number_patients(examples), definition, rules)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory, rules):
    """An untrained checkpoint with the vocabulary of the cohorts."""
    import torch

    folder = tmp_path_factory.mktemp("checkpoint")
    tokenizer = ARCHITECTURE.train_tokenizer(make_examples(300, seed=1), categories=rules.to_dict(), min_patients=3)
    torch.manual_seed(0)
    ClaimForPreTraining(ARCHITECTURE.build_config(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def write_profile(tmp_path):
    """Write a profile as YAML and give its path."""

    def write(**changes):
        content = {
            "populations": {"a": {"patients": 10, "seed": 1}},
            "cohorts": {"asthma_exacerbation": {}},
            "pretraining": {},
            "checkpoint": "claim-pt-base",
            "repeats": 2,
            "epochs": 1,
        }
        path = tmp_path / "tiny.yaml"
        path.write_text(json.dumps(content | changes))  # JSON is YAML
        return path

    return write
