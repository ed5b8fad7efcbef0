"""A bundle of one patient as the record that the model reads: what was known on the day, and the stay that ends."""

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from claim_transformers.claims.plain_fields import tidy_id
from claim_transformers.cohorts.readmission.patient_codes import patient_codes
from claim_transformers.serving.errors import ServiceError
from claim_transformers.serving.index_stays import IndexStay
from claim_transformers.serving.index_visits import with_index_stays
from claim_transformers.sources.formats.fhir_eob.bundle import EobBundle
from claim_transformers.training.scoring.patients import known_patients

_EPOCH = dt.date(1970, 1, 1)
_FACTS = ("race", "original_reason_entitlement_code", "dual_status_code")
_AMOUNTS = pa.list_(pa.float64())


@dataclass(frozen=True)
class PatientRecord:
    """What is known of a patient on a day."""

    table: pa.Table  # One row that a tokenizer takes, without the patient's id; none without a visit.
    enrolled_days: int | None  # Days of enrolment within the look-back, none where that is unknown.
    last_visit_day: int | None  # Day of the last visit of the claims, days since 1970-01-01.
    is_living: bool  # Whether the patient was born by the day and had not died before it.


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
    table = known.examples.set_column(0, "patient_id", pa.array([""]))
    if index_stay is None:
        table = table.append_column("length_of_stay_days", pa.nulls(1, pa.int32()))
    else:
        table = with_index_stays(table, _stays_of(index_stay))
    if "visit_amount" not in table.column_names:
        nothing = [None] * len(table["visit_day"][0])
        table = table.append_column("visit_amount", pa.array([nothing], _AMOUNTS))
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


def _stays_of(stay: IndexStay) -> pa.Table:
    admission = None if stay.admission_date is None else _day_of(stay.admission_date)
    days = {"admission_day": admission, "discharge_day": _day_of(stay.discharge_date)}
    columns = {name: pa.array([day], pa.int32()) for name, day in days.items()}
    return pa.table({**columns, "codes": pa.array([list(stay.codes)], pa.list_(pa.string()))})


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
