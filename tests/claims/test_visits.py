import datetime as dt

import ibis
import pyarrow as pa
import pytest
from claims.timelines_by_ibis import group_visits, order_timelines

from claim_transformers.claims.schema import _CLAIM_LINE_SCHEMA, _RX_CLAIM_SCHEMA
from claim_transformers.claims.visits import (
    CODE_COLUMNS,
    collect_code_events,
    resolve_code_columns,
)

FIRST, SECOND, THIRD = (dt.date(2010, 3, day) for day in (1, 2, 3))


@pytest.fixture(scope="module", autouse=True)
def engine():
    connection = ibis.duckdb.connect(threads=1)
    ibis.set_backend(connection)
    yield
    ibis.options.default_backend = None
    connection.disconnect()


def _table(schema: pa.Schema, *rows: dict) -> "ibis.Table":
    return ibis.memtable(
        pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema=_plain(schema))
    )


def _plain(schema: pa.Schema) -> pa.Schema:
    plain = [pa.field(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in schema]
    return pa.schema(plain)


def _line(**values) -> dict:
    return {"patient_id": "P1", "claim_type": "OP", "claim_start_date": FIRST} | values


def _diagnosis(code: str, system: str = "ICD9CM") -> dict:
    return {"system": system, "code": code, "poa": None, "rank": None}


def _visits(*lines: dict, drugs: tuple = (), **options) -> list[tuple]:
    events = collect_code_events(_table(_CLAIM_LINE_SCHEMA, *lines), _table(_RX_CLAIM_SCHEMA, *drugs), **options)
    rows = group_visits(events).to_pyarrow().to_pylist()
    return sorted((row["visit_date"], row["visit_type"], row["codes"]) for row in rows)


def test_header_codes_of_an_inpatient_claim_stand_on_the_admission():
    line = _line(claim_type="IP", claim_start_date=SECOND, admission_date=FIRST, diagnoses=[_diagnosis("4280")])
    assert _visits(line) == [(FIRST, "IP", ["ICD9CM/4280"])]


def test_admission_date_of_another_claim_type_does_not_move_its_codes():
    line = _line(claim_type="SNF", claim_start_date=SECOND, admission_date=FIRST, drg_code="217")
    assert _visits(line) == [(SECOND, "SNF", ["DRG/217"])]


def test_the_same_group_of_two_groupers_is_two_codes():
    lines = [_line(drg_code="194", drg_code_type=kind) for kind in ("ms-drg", "apr-drg", None)]
    assert _visits(*lines) == [(FIRST, "OP", ["APRDRG/194", "DRG/194"])]


def test_procedure_stands_on_its_own_date_and_else_on_the_header():
    procedures = [
        {"system": "ICD9PCS", "code": code, "date": date} for code, date in (("3722", SECOND), ("8856", None))
    ]
    assert _visits(_line(procedures=procedures)) == [
        (FIRST, "OP", ["ICD9PCS/8856"]),
        (SECOND, "OP", ["ICD9PCS/3722"]),
    ]


def test_hcpcs_stands_on_the_date_of_its_line():
    lines = [_line(hcpcs_code="99213", claim_line_start_date=SECOND), _line(hcpcs_code="36415")]
    assert _visits(*lines) == [(FIRST, "OP", ["HCPCS/36415"]), (SECOND, "OP", ["HCPCS/99213"])]


def test_diagnosis_repeated_on_every_line_counts_once():
    lines = [_line(hcpcs_code=code, diagnoses=[_diagnosis("4280"), _diagnosis("4280")]) for code in ("99213", "36415")]
    assert _visits(*lines) == [(FIRST, "OP", ["HCPCS/36415", "HCPCS/99213", "ICD9CM/4280"])]


def test_same_code_text_in_two_systems_is_two_codes():
    line = _line(diagnoses=[_diagnosis("E8120"), _diagnosis("E8120", "ICD10CM")])
    assert _visits(line) == [(FIRST, "OP", ["ICD10CM/E8120", "ICD9CM/E8120"])]


def test_drugs_are_visits_of_their_own_type():
    drug = {"patient_id": "P1", "dispensing_date": FIRST, "ndc_code": "59591025068"}
    line = _line(hcpcs_code="99213")
    assert _visits(line, drugs=(drug,)) == [(FIRST, "OP", ["HCPCS/99213"]), (FIRST, "RX", ["NDC/59591025068"])]


def test_two_types_on_one_day_are_two_visits():
    lines = [_line(hcpcs_code="99213", claim_type=claim_type) for claim_type in ("OP", "CAR")]
    assert [visit[1] for visit in _visits(*lines)] == ["CAR", "OP"]


def test_billing_codes_join_only_when_asked():
    line = _line(
        hcpcs_code="99213", revenue_center_code="0450", place_of_service_code="23", discharge_disposition_code="02"
    )
    assert _visits(line) == [(FIRST, "OP", ["HCPCS/99213"])]
    everything = _visits(line, code_columns=list(CODE_COLUMNS))
    assert everything == [(FIRST, "OP", ["DISP/02", "HCPCS/99213", "POS/23", "REV/0450"])]


def test_claim_without_codes_is_no_visit():
    assert _visits(_line(), _line(diagnoses=[])) == []


def test_timeline_orders_visits_by_day_and_type():
    lines = [
        _line(hcpcs_code="3", claim_start_date=THIRD),
        _line(hcpcs_code="2", claim_type="OP"),
        _line(hcpcs_code="1", claim_type="CAR"),
    ]
    events = collect_code_events(_table(_CLAIM_LINE_SCHEMA, *lines), _table(_RX_CLAIM_SCHEMA))
    (row,) = order_timelines(group_visits(events)).to_pyarrow().to_pylist()
    day = (FIRST - dt.date(1970, 1, 1)).days
    assert row["visit_day"] == [day, day, day + 2]
    assert row["visit_type"] == ["CAR", "OP", "OP"]
    assert row["codes"] == [["HCPCS/1"], ["HCPCS/2"], ["HCPCS/3"]]


@pytest.mark.parametrize("names", [["icd"], []])
def test_unknown_or_no_code_columns_are_refused(names):
    with pytest.raises(ValueError, match="expected"):
        resolve_code_columns(names)
