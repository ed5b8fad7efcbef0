"""Amounts of visits: the plain sums of the lines behind each visit, to the cent, and what is not known."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from claims.folding import write_patients

from claim_transformers.claims.schema import _CLAIM_LINE_SCHEMA, _ELIGIBILITY_SCHEMA, _RX_CLAIM_SCHEMA

DIAGNOSES = [{"system": "ICD9CM", "code": "4280", "poa": None, "rank": 1}]


def date(number):
    return None if number is None else dt.date(1970, 1, 1) + dt.timedelta(days=int(number))


def line(patient_id="P1", day=0, allowed=None, paid=None, **values):
    amounts = {"allowed_amount": allowed, "paid_amount": paid}
    return {
        "patient_id": patient_id,
        "claim_type": "OP",
        "claim_start_date": date(day),
        "diagnoses": DIAGNOSES,
        **{name: None if value is None else Decimal(value) for name, value in amounts.items()},
    } | values


def drug(patient_id="P1", day=0, allowed=None):
    allowed = None if allowed is None else Decimal(allowed)
    return {"patient_id": patient_id, "dispensing_date": date(day), "ndc_code": "1", "allowed_amount": allowed}


def write(path: Path, lines, drugs=(), num_files=1, **options):
    tables = (("claim_line", lines, _CLAIM_LINE_SCHEMA), ("rx_claim", drugs, _RX_CLAIM_SCHEMA),
              ("eligibility", (), _ELIGIBILITY_SCHEMA))  # fmt: skip
    for name, rows, schema in tables:
        schema = pa.schema([(field.name, field.type) for field in schema])
        (path / name).mkdir(parents=True)
        for number in range(num_files):
            part = [dict.fromkeys(schema.names) | row for row in list(rows)[number::num_files]]
            pq.write_table(pa.Table.from_pylist(part, schema=schema), path / name / f"part-{number:05d}.parquet")
    return write_patients(path, **options)[0]


def read(path: Path, column="visit_allowed_amount") -> dict[tuple, float | None]:
    found = {}
    for file in sorted(path.glob("patients/*.parquet")):
        for row in pq.read_table(file).to_pylist():
            visits = zip(row["visit_day"], row["visit_type"], row[column], strict=True)
            found |= {(row["patient_id"], day, kind): amount for day, kind, amount in visits}
    return found


@pytest.mark.parametrize(("shards", "num_files"), [(1, 1), (4, 3)])
def test_every_cent_of_the_lines_stands_on_a_visit_whatever_the_shards(tmp_path, shards, num_files):
    generator = np.random.default_rng(shards)
    lines, drugs, expected = [], [], {}
    for _ in range(300):
        patient, day = f"P{generator.integers(20)}", int(generator.integers(30))
        cents = None if generator.random() < 0.3 else int(generator.integers(-500, 10**9))
        allowed = None if cents is None else Decimal(cents) / 100
        is_drug = generator.random() < 0.3
        (drugs if is_drug else lines).append((drug if is_drug else line)(patient, day, allowed))
        key = patient, day, "RX" if is_drug else "OP"
        known = expected.setdefault(key, None)
        expected[key] = known if cents is None else (known or 0) + cents
    counts = write(tmp_path, lines, drugs, num_files, shards=shards)
    assert read(tmp_path) == {key: None if cents is None else cents / 100 for key, cents in expected.items()}
    assert counts.amounts_without_visit == 0
    assert set(read(tmp_path, "visit_amount").values()) == {None}


def test_a_claim_costs_on_its_first_day_and_nothing_on_its_others(tmp_path):
    procedures = [{"system": "ICD9PCS", "code": "9671", "date": date(5)}]
    stay = {"claim_type": "IP", "admission_date": date(1), "procedures": procedures}
    lines = [
        line(day=1, allowed="100.10", **stay),
        line(day=1, allowed="0.20", claim_line_start_date=date(4), hcpcs_code="99213", **stay),
        line("P2", day=1, paid=7, claim_line_start_date=date(3), hcpcs_code="99213", diagnoses=None),
    ]
    write(tmp_path, lines)
    assert read(tmp_path) == {
        ("P1", 1, "IP"): 100.3,
        ("P1", 4, "IP"): 0.0,
        ("P1", 5, "IP"): 0.0,
        ("P2", 3, "OP"): None,
    }
    assert read(tmp_path, "visit_amount")["P2", 3, "OP"] == 7.0


def test_an_amount_without_any_code_is_counted_and_without_amounts_there_are_no_columns(tmp_path):
    counts = write(tmp_path / "lost", [line(allowed=3), line(day=9, allowed=5, diagnoses=None)])
    assert counts.amounts_without_visit == 1
    write(tmp_path / "bare", [line()])
    names = pq.read_schema(next((tmp_path / "bare").glob("patients/*.parquet"))).names
    assert not [name for name in names if "amount" in name]
