"""A bundle of one patient as the record that the model reads: what was known on the day, and the stay that ends."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from claim_transformers.claims.patient_files import OPTIONAL_FIELDS, PATIENTS_SCHEMA
from claim_transformers.claims.plain_fields import tidy_id
from claim_transformers.claims.visits import INPATIENT
from claim_transformers.cohorts.readmission.patient_codes import patient_codes
from claim_transformers.serving.errors import ServiceError
from claim_transformers.serving.index_stays import IndexStay
from claim_transformers.sources.formats.fhir_eob.bundle import EobBundle
from claim_transformers.training.scoring.patients import known_patients

_EPOCH = dt.date(1970, 1, 1)
_FACTS = ("race", "original_reason_entitlement_code", "dual_status_code")
_DAYS, _AMOUNTS = pa.list_(pa.int32()), pa.list_(pa.float64())


@dataclass(frozen=True)
class PatientRecord:
    """What is known of a patient on a day.

    Args:
        table (`pa.Table`): One row that a tokenizer takes, without the patient's id; none without a visit.
        enrolled_days (`int`, *optional*): Days of enrolment within the look-back, none where that is unknown.
        last_visit_day (`int`, *optional*): Day of the last visit of the claims, days since 1970-01-01.
        is_living (`bool`): Whether the patient was born by the day and had not died before it.
    """

    table: pa.Table
    enrolled_days: int | None
    last_visit_day: int | None
    is_living: bool


def read_record(
    bundle: EobBundle, at: dt.date, index_stay: IndexStay | None, *, patient_id: str | None, look_back_days: int
) -> PatientRecord:
    """Read the record of the one patient of a bundle."""
    _check_one_patient(bundle, patient_id)
    if not bundle.patients.num_rows:
        return PatientRecord(bundle.patients, None, None, True)
    # The day of a discharge is not seen: what is billed then may follow it, or name where the patient goes.
    day = _day_of(at if index_stay is None else index_stay.discharge_date)
    known = known_patients(bundle.patients, day, look_back_days=look_back_days, everyone=True)
    if not known.examples.num_rows:
        return PatientRecord(known.examples, None, None, False)
    (row,) = known.examples.to_pylist()
    row |= {"patient_id": "", "length_of_stay_days": None}
    if index_stay is not None:
        row = _with_stay(row, index_stay)
    table = pa.Table.from_pylist([row], _schema_of(known.examples))
    table = table.append_column("visit_amount", pa.array([[None] * len(row["visit_day"])], _AMOUNTS))
    table = table.append_column("patient_codes", patient_codes(_facts(bundle.tables["eligibility"], at)))
    enrolled = None
    if known.enrolled_days[0].is_valid:
        enrolled = _enrolled_days(bundle.tables["eligibility"], at, look_back_days)
    return PatientRecord(table, enrolled, known.last_visit_day[0].as_py(), True)


def _check_one_patient(bundle: EobBundle, patient_id: str | None) -> None:
    """Refuse claims of several patients, or of another one than the request is about."""
    ids = {
        identifier
        for table in (bundle.patients, *bundle.tables.values())
        for identifier in table["patient_id"].unique().to_pylist()
    }
    wanted = ids if patient_id is None else {tidy_id(patient_id)}
    if len(ids) > 1 or not ids <= wanted:
        raise ServiceError(412, "E_FOREIGN", "expected claims of the one patient of the request, found others' too")


def _with_stay(row: Mapping[str, Any], stay: IndexStay) -> dict[str, Any]:
    """The record with the index stay as its last visit, as readmission cohorts have it (`cohorts.readmission`)."""
    discharge = _day_of(stay.discharge_date)
    begin = discharge if stay.admission_date is None else _day_of(stay.admission_date)
    days, types = row["visit_day"], row["visit_type"]
    # An interim bill of the stay itself would be a second stay.
    keep = np.array([kind != INPATIENT or day < begin for day, kind in zip(days, types, strict=True)], bool)
    visits = {name: [row[name][place] for place in np.flatnonzero(keep)] for name in _visit_columns(row)}
    added: dict[str, Any] = {"visit_day": discharge, "visit_type": INPATIENT, "visit_end_day": discharge}
    added |= {"codes": list(stay.codes), "principal_codes": [], "admitting_codes": []}
    visits = {name: [*values, added.get(name)] for name, values in visits.items()}
    return {**row, **visits, "index_day": discharge + 1, "length_of_stay_days": stay.length_of_stay_days}


def _visit_columns(row: Mapping[str, Any]) -> list[str]:
    names = [field.name for field in (*PATIENTS_SCHEMA, *OPTIONAL_FIELDS)]
    return [
        name for name in names if name in row and not name.startswith(("patient", "sex", "birth", "death", "enrol"))
    ]


def _schema_of(examples: pa.Table) -> pa.Schema:
    return examples.schema.append(pa.field("length_of_stay_days", pa.int32()))


def _facts(eligibility: pa.Table, at: dt.date) -> pa.Table:
    """What was on file about the patient: the row of eligibility that began last."""
    rows = [row for row in eligibility.to_pylist() if (row["enrollment_start_date"] or dt.date.min) <= at]
    rows.sort(key=lambda row: row["enrollment_start_date"] or dt.date.min)
    last = rows[-1] if rows else {}
    return pa.table({name: pa.array([last.get(name)], pa.string()) for name in _FACTS})


def _enrolled_days(eligibility: pa.Table, at: dt.date, look_back_days: int) -> int:
    """Days before a day that a span covers; one without an end is in force, other than in a delivery that is old."""
    is_covered = np.zeros(look_back_days, bool)
    begin = _day_of(at) - look_back_days
    for row in eligibility.to_pylist():
        start, end = row["enrollment_start_date"], row["enrollment_end_date"]
        if start is not None:
            last = look_back_days if end is None else _day_of(end) + 1 - begin
            is_covered[max(_day_of(start) - begin, 0) : max(last, 0)] = True
    return int(is_covered.sum())


def _day_of(date: dt.date) -> int:
    return (date - _EPOCH).days
