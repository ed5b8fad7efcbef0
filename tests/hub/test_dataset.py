"""Datasets through the real client to a hub on 127.0.0.1."""

import pytest
from datasets import Dataset, DatasetDict
from hub.loopback_hub import Fault

from claim_transformers.claims.patient_files import OPTIONAL_FIELDS, PATIENTS_SCHEMA
from claim_transformers.hub import push_dataset
from claim_transformers.hub.errors import PushRefusedError

DAYS_OF_PATIENTS = [field.name for field in (*PATIENTS_SCHEMA, *OPTIONAL_FIELDS) if field.name.endswith("_day")]


def test_simulated_patients_come_back_whole_and_as_a_stream(hub, client):
    seen = client("share_patients", "patients", allow_patient_rows=True)
    assert seen["loaded"] == seen["pushed"]
    assert seen["streamed"] == seen["pushed"]
    assert seen["same_features"]
    assert hub.repos["dataset", "loopback/patients"].private


def test_patients_do_not_leave_by_accident(hub, client):
    refused = client("share_patients", "leak")
    assert refused["kind"] == "PushRefusedError"
    assert "patient_id, visit_day" in refused["error"]
    assert not hub.requests


@pytest.mark.parametrize(
    "column", [*DAYS_OF_PATIENTS, "index_day", "admission_day", "discharge_day", "age_birth_day", "admission_date"]
)
def test_one_column_of_dates_is_enough_to_be_refused(column):
    dataset = DatasetDict(train=Dataset.from_dict({"label": [1], column: [15_000]}))
    with pytest.raises(PushRefusedError, match=f"found the columns {column}: remove them"):
        push_dataset(dataset, "loopback/dates")


def test_a_private_dataset_is_refused_by_a_public_repository(hub, client):
    client("share_patients", "open", allow_patient_rows=True, private=False)
    refused = client("share_patients", "open", allow_patient_rows=True)
    assert refused["kind"] == "PushRefusedError"
    assert "to be public" in refused["error"]


def test_a_token_without_permission_is_explained(hub, client):
    hub.faults = [Fault("POST", "/repos/create", status=403, times=9)]
    failed = client("share_patients", "denied", allow_patient_rows=True)
    assert failed["kind"] == "HubError"
    assert "status 403" in failed["error"]
