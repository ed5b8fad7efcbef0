"""Datasets through the real client to a hub on 127.0.0.1."""

import datetime as dt

import pytest
from datasets import ClassLabel, Dataset, DatasetDict
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
    assert "codes, patient_id, visit_day" in refused["error"]
    assert not hub.requests


TOKENS = {
    "input_ids": [[3, 4, 5]],
    "visit_ids": [[0, 1, 1]],
    "visit_days": [[30, 0]],
    "category_ids": [[-100, -100, 0]],
    "span_start_days": [[-30]],
    "span_end_days": [[400]],
    "length": [2],
}


def refuse(rows, **options):
    dataset = DatasetDict(train=Dataset.from_dict(rows))
    with pytest.raises(PushRefusedError) as refusal:
        push_dataset(dataset.cast_column(**options) if options else dataset, "loopback/refused")
    return str(refusal.value)


@pytest.mark.parametrize(
    "column",
    [*DAYS_OF_PATIENTS, "index_day", "admission_day", "discharge_day", "visit_paid_day", "age_birth_day", "paid_on",
     "admission_date", "patient_digest", "county_fips", "county_measures", "codes", "sex", "race", "who", "row"],
)  # fmt: skip
@pytest.mark.parametrize("value", [15_000, "ZZCANARY", [15_000]])
def test_a_column_that_is_not_on_the_list_is_refused_whatever_it_holds(column, value):
    assert f"found the columns {column}: remove them" in refuse({**TOKENS, column: [value]})


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("input_ids", ["ZZCANARY"]),
        ("input_ids", 15_000),
        ("visit_days", [15_000.5]),
        ("length", "ZZCANARY"),
        ("length", [1]),
        ("label", "ZZCANARY"),
        ("label", [[1]]),
        ("label", dt.date(2012, 3, 4)),
        ("category_ids", [dt.date(2012, 3, 4)]),
    ],
)
def test_a_column_of_the_list_with_something_else_in_it_is_refused(column, value):
    message = refuse({**TOKENS, column: [value]})
    assert f"found the columns {column}: remove them" in message
    assert "ZZCANARY" not in message


def test_days_since_1970_under_the_name_of_days_since_the_first_visit_are_refused():
    assert "count from the first visit" in refuse({**TOKENS, "visit_days": [[0, 15_403]]})
    sliced = Dataset.from_dict({"visit_days": [[0, 0], [7], [], [0, 15_403, 15_404]]}).select([0, 1, 3])
    with pytest.raises(PushRefusedError, match="count from the first visit"):
        push_dataset(DatasetDict(train=sliced), "loopback/refused")


def test_classes_with_names_of_persons_are_refused():
    assert "found the columns label" in refuse({"label": [0]}, column="label", feature=ClassLabel(names=["Jane Doe"]))


@pytest.mark.parametrize(("kind", "label"), [("class", 1), ("truth", True), ("chance", 0.5), ("several", [0, 1])])
def test_tokens_with_labels_may_leave(hub, client, kind, label):
    rows = {**TOKENS, "label": [label]}
    assert client("share_rows", kind, rows) == rows


def test_tokenised_patients_may_leave_without_their_digest(hub, client):
    columns = client("share_tokenised", "tokenised")
    assert "patient_digest" in columns["refused"]
    assert "input_ids" in columns["pushed"]


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
