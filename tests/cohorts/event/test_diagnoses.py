"""Cohorts that predict every diagnosis of the next visit: labels, what is new, and the batch that a model gets."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from cohorts.patients_by_hand import day, paid, patient, write_claims
from datasets import load_from_disk

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.cohorts import build_cohort, check_leaks, load_definition
from claim_transformers.cohorts.event.definition import Sampling

ASTHMA, DIABETES, OTITIS = "ICD9CM/49390", "ICD9CM/25001", "ICD9CM/3829"
CATEGORY = {ASTHMA: "CCSR/RSP009", DIABETES: "CCSR/END002", OTITIS: "CCSR/EAR001"}
DIAGNOSES = load_definition("next_diagnoses", "event")
FEW = replace(DIAGNOSES, label=replace(DIAGNOSES.label, minimum_patients=2), sampling=Sampling())
HISTORY = [("2012-01-01", "OP", [ASTHMA, "HCPCS/99213"]), ("2012-06-01", "OP", ["HCPCS/99213"])]
NEXT = ("2013-05-01", "OP", [ASTHMA, OTITIS, "HCPCS/99213"])


def rows_of(cohort):
    rows = {}
    for row in cohort.examples.to_pylist():
        columns = {name: dict(zip(cohort.label_names, row[name], strict=True)) for name in ("label", "is_new")}
        rows[row["patient_id"]] = row | columns
    return rows


@pytest.fixture
def cohort(tmp_path):
    patients = [patient(f"P{i:02d}", *HISTORY, NEXT) for i in range(30)]
    patients += [patient(f"Q{i:02d}", *HISTORY, ("2013-05-01", "OP", [DIABETES])) for i in range(30)]
    patients.append(patient("rare", *HISTORY, ("2013-05-01", "OP", ["ICD9CM/2776"])))
    return build_cohort(FEW, write_claims(tmp_path / "claims", patients))


def test_the_label_is_the_categories_of_the_index_date_and_what_was_there_before_is_not_new(cohort):
    rows = rows_of(cohort)
    assert set(cohort.label_names) == set(CATEGORY.values())
    assert rows["P00"]["label"] == {CATEGORY[ASTHMA]: 1.0, CATEGORY[OTITIS]: 1.0, CATEGORY[DIABETES]: 0.0}
    assert rows["P00"]["is_new"] == {CATEGORY[ASTHMA]: 0.0, CATEGORY[OTITIS]: 1.0, CATEGORY[DIABETES]: 1.0}
    assert rows["Q00"]["label"] == {CATEGORY[ASTHMA]: 0.0, CATEGORY[OTITIS]: 0.0, CATEGORY[DIABETES]: 1.0}
    assert rows["P00"]["index_day"] == day("2013-05-01")
    assert len(rows["P00"]["codes"]) == 2


def test_a_diagnosis_is_one_label_whichever_icd_it_is_coded_in(tmp_path):
    patients = [patient(f"P{i:02d}", *HISTORY, NEXT) for i in range(15)]
    modern = ("2013-05-01", "OP", ["ICD10CM/J45909", "ICD10CM/H6690"])
    patients += [patient(f"Q{i:02d}", *HISTORY, modern) for i in range(15)]
    claims = write_claims(tmp_path / "claims", patients)
    built = build_cohort(FEW, claims)
    assert set(built.label_names) == {"CCSR/RSP009", "CCSR/EAR001"}
    assert rows_of(built)["Q00"]["is_new"] == {"CCSR/RSP009": 0.0, "CCSR/EAR001": 1.0}


def test_a_category_of_too_few_training_patients_is_no_label_and_who_has_no_other_leaves(cohort):
    assert "rare" not in rows_of(cohort)
    assert cohort.attrition[-1].removed == 1
    assert cohort.attrition[-1].patients == cohort.examples.num_rows == 60
    train = cohort.splits()["train"]
    assert np.array(train["label"].to_pylist()).sum(axis=0).min() >= FEW.label.minimum_patients


def test_categories_too_rare_for_any_label_are_an_error(tmp_path):
    claims = write_claims(tmp_path / "claims", [patient(f"P{i}", *HISTORY, NEXT) for i in range(4)])
    with pytest.raises(ClaimDataError, match=r"E_EMPTY_COHORT.*category that 11 training patients"):
        build_cohort(replace(DIAGNOSES, sampling=Sampling()), claims)


def test_the_index_visit_is_drawn_among_visits_with_a_diagnosis_and_is_not_always_the_last(tmp_path):
    visits = [(f"2013-{month:02d}-01", "OP", [ASTHMA]) for month in (3, 6, 9)]
    visits += [
        ("2013-10-01", "OP", ["HCPCS/99213"]),
        ("2013-11-01", "RX", ["NDC/1"]),
        ("2013-12-01", "OP", ["ICD9CM/0"]),
    ]
    patients = [patient(f"P{i:03d}", *HISTORY, *visits) for i in range(200)]
    claims = write_claims(tmp_path / "claims", patients)
    drawn = build_cohort(FEW, claims).examples["index_day"].to_numpy()
    days, counts = np.unique(drawn, return_counts=True)
    assert days.tolist() == [day(visit[0]) for visit in visits[:3]]
    assert counts.min() > 40
    again = build_cohort(FEW.with_sampling(seed=1), claims).examples["index_day"].to_numpy()
    assert 0.2 < np.mean(again == drawn) < 0.5


def test_all_claims_of_the_index_date_count_and_pharmacy_claims_do_not_make_one(tmp_path):
    both = [("2013-05-01", "IP", [DIABETES]), ("2013-05-01", "OP", [ASTHMA])]
    patients = [patient(f"P{i:02d}", *HISTORY, *both) for i in range(30)]
    rows = rows_of(build_cohort(FEW, write_claims(tmp_path / "claims", patients)))
    assert rows["P00"]["label"] == {CATEGORY[ASTHMA]: 1.0, CATEGORY[DIABETES]: 1.0}


def test_what_is_not_paid_yet_is_hidden_from_the_model_but_is_not_new(tmp_path):
    late = paid("2012-02-01", "2012-07-01", "2013-08-01")
    later = [("2012-01-01", "OP", ["HCPCS/99213"]), ("2012-06-01", "OP", ["HCPCS/99214"])]
    patients = [patient(f"P{i:02d}", *later, ("2013-01-01", "OP", ["HCPCS/1"]), NEXT) | late | {
        "visit_paid_day": [*late["visit_paid_day"], day("2013-09-01")]} for i in range(20)]  # fmt: skip
    patients += [patient(f"R{i:02d}", *later, ("2012-12-31", "OP", [ASTHMA]), NEXT) | {
        "visit_paid_day": [*late["visit_paid_day"], day("2013-09-01")]} for i in range(20)]  # fmt: skip
    cohort = build_cohort(FEW, write_claims(tmp_path / "claims", patients))
    rows = rows_of(cohort)
    assert [len(rows[name]["visit_day"]) for name in ("P00", "R00")] == [2, 2]
    assert [rows[name]["is_new"][CATEGORY[ASTHMA]] for name in ("P00", "R00")] == [1.0, 0.0]
    assert cohort.visits_hidden == 40


def test_patients_are_sampled_with_a_seed(tmp_path):
    patients = [patient(f"P{i:03d}", *HISTORY, NEXT) for i in range(200)]
    claims = write_claims(tmp_path / "claims", patients, files=3)
    few = FEW.with_sampling(patients=50)
    first = build_cohort(few, claims)
    assert first.examples.num_rows == 50
    assert first.sampled_share == (0.25, 0.25)
    other = build_cohort(few.with_sampling(seed=1), claims).examples["patient_id"].to_pylist()
    assert set(first.examples["patient_id"].to_pylist()) != set(other)


def test_a_saved_cohort_passes_the_leak_check_and_becomes_a_batch_of_float_labels(cohort, tmp_path):
    from claim_transformers.training.collators import DataCollatorForClaimClassification

    cohort.save(tmp_path / "cohort")
    loaded = load_from_disk(str(tmp_path / "cohort"))
    check_leaks(loaded)
    labels = loaded["train"].with_format("arrow")[:4]["label"]
    tokens = {"input_ids": [[5]] * 4, "visit_ids": [[0]] * 4, "visit_days": [[0]] * 4}
    batch = DataCollatorForClaimClassification(SimpleNamespace(pad_token_id=0))(pa.table(tokens | {"label": labels}))
    assert tuple(batch["labels"].shape) == (4, 3)
    assert str(batch["labels"].dtype) == "torch.float32"
    assert batch["labels"].tolist() == labels.to_pylist()
