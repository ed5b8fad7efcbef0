"""Patients and ingested folders written by hand, one line per visit."""

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from claim_transformers.claims.later_days import VISIT_PAID_DAY
from claim_transformers.claims.store import write_manifest

SCHEMA = pa.schema(
    [
        ("patient_id", pa.string()),
        ("sex", pa.string()),
        ("birth_day", pa.int32()),
        ("death_day", pa.int32()),
        ("enrollment_start_day", pa.list_(pa.int32())),
        ("enrollment_end_day", pa.list_(pa.int32())),
        ("visit_day", pa.list_(pa.int32())),
        ("visit_type", pa.list_(pa.string())),
        ("codes", pa.list_(pa.list_(pa.string()))),
        ("visit_end_day", pa.list_(pa.int32())),
    ]
)


def day(text: str) -> int:
    return (dt.date.fromisoformat(text) - dt.date(1970, 1, 1)).days


def patient(patient_id: str, *visits: tuple[str, str, list[str]], **facts: Any) -> dict[str, Any]:
    """A patient born in 2003, enrolled from 2010 to 2014, whose visits end on their days, unless the facts say so."""
    ordered = sorted(visits)
    return {
        "patient_id": patient_id,
        "sex": "F",
        "birth_day": day("2003-06-01"),
        "death_day": None,
        "enrollment_start_day": [day("2010-01-01")],
        "enrollment_end_day": [day("2014-12-31")],
        "visit_day": [day(when) for when, _, _ in ordered],
        "visit_type": [kind for _, kind, _ in ordered],
        "codes": [codes for _, _, codes in ordered],
        "visit_end_day": [day(when) for when, _, _ in ordered],
    } | facts


def paid(*days: str | None) -> dict[str, Any]:
    """When each visit of a patient was paid, in the order of the visits."""
    return {"visit_paid_day": [None if when is None else day(when) for when in days]}


def write_claims(
    folder: Path, patients: list[dict[str, Any]], files: int = 1, *, last_day: str = "2015-12-31", **facts: str
) -> Path:
    (folder / "patients").mkdir(parents=True)
    for number in range(files):
        has_paid_days = any("visit_paid_day" in each for each in patients)
        schema = SCHEMA.append(VISIT_PAID_DAY) if has_paid_days else SCHEMA
        table = pa.Table.from_pylist(patients[number::files], schema=schema)
        pq.write_table(table, folder / "patients" / f"train-{number:05d}.parquet")
    write_manifest(folder, {"source": "by hand", "patients": {"last_day": last_day} | facts})
    (folder / "_SUCCESS").touch()
    return folder


ASTHMA_VISIT = ("2012-05-01", "OP", ["ICD9CM/49390"])
ADMISSION = ("2013-03-01", "IP", ["ICD9CM/49392"])
