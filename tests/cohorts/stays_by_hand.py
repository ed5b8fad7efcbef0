"""Ingested folders with canonical tables and patients, written by hand, one claim per call."""

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from claims.folding import write_patients

from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.claims.store import conform, write_manifest


def date(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def day(text: str) -> int:
    return (date(text) - dt.date(1970, 1, 1)).days


def inpatient(
    patient_id: str, claim_id: str, admission: str, discharge: str | None, *, codes: str = "ICD9CM/4280", **facts: Any
) -> dict[str, Any]:
    """A claim of one line; `codes` are separated by blanks, the first one is the principal diagnosis."""
    listed = [code.split("/") for code in codes.split()]
    diagnoses = [code for code in listed if code[0].endswith("CM")]
    procedures = [code for code in listed if code[0].endswith("PCS")]
    return {
        "patient_id": patient_id,
        "claim_id": claim_id,
        "claim_line_number": 1,
        "claim_type": "IP",
        "claim_start_date": date(admission),
        "claim_end_date": date(discharge or admission),
        "admission_date": date(admission),
        "discharge_date": None if discharge is None else date(discharge),
        "diagnoses": [
            {"system": system, "code": code, "poa": None, "rank": rank}
            for rank, (system, code) in enumerate(diagnoses, start=1)
        ],
        "procedures": [{"system": system, "code": code, "date": None} for system, code in procedures],
        "data_source": "by hand",
    } | facts


def outpatient(patient_id: str, claim_id: str, start: str, end: str | None = None, **facts: Any) -> dict[str, Any]:
    claim = inpatient(patient_id, claim_id, start, end or start, **facts)
    return claim | {"claim_type": facts.get("claim_type", "OP"), "admission_date": None, "discharge_date": None}


def enrolled(patient_id: str, start: str = "2008-01-01", end: str = "2010-12-31", **facts: Any) -> dict[str, Any]:
    return {
        "patient_id": patient_id,
        "gender": "female",
        "birth_date": date("1935-06-01"),
        "enrollment_start_date": date(start),
        "enrollment_end_date": date(end),
        "data_source": "by hand",
    } | facts


def write_stays(
    folder: Path,
    claims: list[dict[str, Any]],
    eligibility: list[dict[str, Any]] | None = None,
    *,
    last_day: str | None = None,
) -> Path:
    """An ingested folder, whose data end with the last claim; patients without eligibility are enrolled throughout."""
    known = {row["patient_id"] for row in eligibility or ()}
    others = sorted({claim["patient_id"] for claim in claims} - known)
    tables = {
        "claim_line": claims,
        "eligibility": [*(eligibility or ()), *(enrolled(patient_id) for patient_id in others)],
    }
    for name, rows in tables.items():
        schema = SCHEMAS[name]
        names = {name for row in rows for name in row}
        columns = {
            field.name: pa.array([row.get(field.name) for row in rows], _plain(field.type))
            for field in schema
            if field.name in names
        }
        (folder / name).mkdir(parents=True)
        pq.write_table(conform(pa.table(columns), schema), folder / name / "part-00000.parquet")
    write_patients(folder)
    last_day = last_day or max(claim["discharge_date"] or claim["claim_end_date"] for claim in claims).isoformat()
    write_manifest(folder, {"source": "by hand", "patients": {"last_day": last_day}})
    (folder / "_SUCCESS").touch()
    return folder


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
