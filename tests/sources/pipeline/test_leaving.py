"""Which rows leave: copies, reversed charges, older versions, claims of two patients, keys of which nothing tells."""

import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sources.raw_claims import (
    Row,
    eligibility,
    inpatient,
    medical_claim,
    pharmacy_claim,
    prescription,
    write_synpuf,
    write_tuva,
)
from sources.rif_rows import claim, drug, write_rif

from claim_transformers.claims.store import open_folder
from claim_transformers.sources.pipeline.ingest import ingest

ANY_SHARE = {"max_quarantine_share": 1.0, "max_reason_share": 1.0}


def _ingest(source: str, raw: Path) -> tuple[list[Row], dict[str, int]]:
    """Canonical rows of a source with one file of claims, and how many left by reason."""
    out = raw.with_name(f"{raw.name}-out")
    summary = ingest(source, raw, out, progress=False, threads=1, overwrite=True, **ANY_SHARE)
    left: dict[str, int] = {}
    for entry in summary.report["files"]:
        assert entry["rows_in"] == entry["rows_out"] + entry["quarantined"] + entry["dropped"] + entry["netted_out"]
        for code, number in {**entry["quarantine_reasons"], **entry["drop_reasons"]}.items():
            left[code] = left.get(code, 0) + number
        left["netted_out"] = left.get("netted_out", 0) + entry["netted_out"]
    rows = [
        row
        for name in ("claim_line", "rx_claim")
        for file in open_folder(out).table_files(name)
        for row in pq.read_table(file).to_pylist()
    ]
    keys = [(row["data_source"], row["claim_id"], row["claim_line_number"]) for row in rows]
    assert len(set(keys)) == len(keys)
    return rows, {code: number for code, number in left.items() if number}


def _amounts(rows: list[Row]) -> dict[str, str]:
    return {row["claim_id"]: str(row["paid_amount"]) for row in rows}


def test_one_claim_number_of_two_payers_is_two_claims_and_of_two_patients_of_one_payer_none(tmp_path: Path) -> None:
    drugs = [pharmacy_claim(patient, "77", data_source=payer) for patient, payer in (("A", "x"), ("B", " y"))]
    rows, left = _ingest("tuva", write_tuva(tmp_path / "raw", pharmacy=drugs))
    assert [(row["patient_id"], row["data_source"]) for row in rows] == [("A", "x"), ("B", "y")]
    assert left == {}
    # The claim of another patient is no later version either.
    drugs.append(pharmacy_claim("C", " 77", data_source="y\u00a0", paid_date="2019-01-01"))
    drugs[1]["paid_date"] = "2018-12-01"
    rows, left = _ingest("tuva", write_tuva(tmp_path / "raw", pharmacy=drugs))
    assert [row["patient_id"] for row in rows] == ["A"]
    assert left == {"R_CLAIM_SHARED": 2}


def test_rows_are_copies_whatever_their_writing_and_what_the_layout_does_not_know(tmp_path: Path) -> None:
    people = [eligibility(plan="Gold"), eligibility(plan="GOLD ")]
    medical = [medical_claim(paid_amount="50.0"), medical_claim(" P1", "M1 ", paid_amount="50.00")]
    medical[1] |= {"claim_line_number": "1.0", "diagnosis_code_1": "e11.9", "hcpcs_code": "99213 "}
    drugs = [pharmacy_claim(quantity="30"), pharmacy_claim(quantity="30.000")]
    raw = write_tuva(tmp_path / "raw", medical=medical, pharmacy=drugs, people=people)
    for file in raw.iterdir():
        header, first, second = file.read_text(encoding="utf-8").splitlines()
        file.write_text(f"{header},file_name\n{first},jan\n{second},feb\n", encoding="utf-8")
    rows, left = _ingest("tuva", raw)
    assert _amounts(rows) == {"M1": "50.00", "R1": "12.00"}
    assert left == {"D_DUPLICATE": 3}


def _line(claim: str, paid: str, day: str = "", **changes: str) -> Row:
    allowed = f"-{changes.get('allowed', '40')}" if paid.startswith("-") else "40"
    return medical_claim(claim=claim, paid_amount=paid, allowed_amount=allowed, paid_date=day) | changes


_HISTORIES = {
    # Rows of a claim, what is left of it, and the rows that left.
    "adjusted": ([("10", "2019-01-01"), ("12", "2019-02-01")], "12.00"),
    "adjusted by a void and a new charge": (
        [("100", "2019-01-01"), ("-100", "2019-03-01"), ("120", "2019-03-01")],
        "120.00",
    ),
    "adjusted, then void": ([("100", "2019-01-01"), ("120", "2019-02-01"), ("-120", "2019-03-01")], None),
    "void, then charged again": ([("9", "2019-01-01"), ("-9", "2019-02-01"), ("9", "2019-03-01")], "9.00"),
    "of one day": ([("1", "2019-01-01"), ("2", "2019-01-01")], None),
    "one day beside an older": ([("1", "2019-01-02"), ("2", "2019-01-02"), ("3", "2019-01-01")], None),
    "without a day": ([("1", ""), ("2", "")], None),
    "in part without a day": ([("1", ""), ("2", "2019-01-01")], None),
    "taken back in part": ([("50", "2019-01-01"), ("-20", "2019-02-01")], "50.00"),
}


def test_of_a_line_that_stands_more_than_once_the_last_version_counts_or_none(tmp_path: Path) -> None:
    rows = [_line(name, *version) for name, (versions, _) in _HISTORIES.items() for version in versions]
    expected = {name: left for name, (_, left) in _HISTORIES.items() if left is not None}
    counts = {"D_SUPERSEDED": 3, "R_KEY_REPEATED": 8, "R_ORPHAN_VOID": 1, "netted_out": 6}
    for seed in range(2):
        found, left = _ingest(
            "tuva", write_tuva(tmp_path / "raw", medical=random.Random(seed).sample(rows, len(rows)))
        )
        assert _amounts(found) == expected
        assert left == counts


_FILL_VOID = {"quantity": "-30", "days_supply": "-30", "paid_amount": "-12", "allowed_amount": "-15"}


def test_a_fill_leaves_with_what_takes_it_back_and_a_void_without_a_fill_is_no_fill(tmp_path: Path) -> None:
    days = [f"2018-09-{day:02d}" for day in range(1, 10)]
    reversals = [
        _FILL_VOID,
        {"quantity": "-30"},
        {"days_supply": "-30", "claim_id": "other"},
        {"quantity": "-30", "paid_amount": "0", "allowed_amount": ""},
        {"paid_amount": "-12.00", "claim_line_number": "2"},
    ]
    drugs = [pharmacy_claim(claim=f"R{number}", dispensing_date=days[number]) for number in range(7)]
    drugs += [row | change for row, change in zip(drugs, reversals, strict=False)]
    drugs += [pharmacy_claim(claim="alone", dispensing_date=days[7], **_FILL_VOID)]
    drugs += [drugs[5] | {"data_source": "x"} | _FILL_VOID, drugs[6] | _FILL_VOID | {"quantity": "-10"}]
    drugs += [pharmacy_claim(claim="credit", dispensing_date=days[8], paid_amount="-3.00")]
    for order in (1, -1):
        found, left = _ingest("tuva", write_tuva(tmp_path / "raw", pharmacy=drugs[::order]))
        assert sorted(_amounts(found)) == ["R5", "R6", "credit"]
        assert left == {"netted_out": 10, "R_ORPHAN_VOID": 3}


def test_reversals_are_found_in_every_source_that_has_amounts_or_counts(tmp_path: Path) -> None:
    later = {"NCH_WKLY_PROC_DT": "23-Mar-2018"}
    lines = [claim("hospice"), claim("hospice", CLM_PMT_AMT="-1200.5", **later), claim("hospice", "8", "2", "P2")]
    events = [drug(), drug(QTY_DSPNSD_NUM="-30.0", PD_DT="21-Mar-2018"), drug("D2"), drug("D3", QTY_DSPNSD_NUM="-3")]
    raw = write_rif(tmp_path / "rif", hospice=lines, part_d=events)
    found, left = _ingest("cms-rif", raw)
    assert sorted(_amounts(found)) == ["8-HOSP", "D2-RX"]
    assert left == {"netted_out": 4, "R_ORPHAN_VOID": 1}
    fills = [prescription(), prescription(DAYS_SUPLY_NUM="-30"), prescription(event="E2", SRVC_DT="20090201")]
    stays = [inpatient(), inpatient(claim="C9", CLM_PMT_AMT="-2600"), inpatient(claim="C2", CLM_FROM_DT="20090413")]
    found, left = _ingest("synpuf", write_synpuf(tmp_path / "synpuf", inpatients=stays, prescriptions=fills))
    assert sorted(_amounts(found)) == ["C2", "E2"]
    assert left == {"netted_out": 4}


@pytest.mark.parametrize("order", [1, -1])
def test_a_delete_counts_after_an_update_of_its_day_and_before_one_of_a_later_day(tmp_path: Path, order: int) -> None:
    later = {"NCH_WKLY_PROC_DT": "23-Mar-2018"}
    rows = [
        claim("snf", "same"),
        claim("snf", "same", DML_IND="DELETE", CLM_PMT_AMT="2"),
        claim("snf", "same", DML_IND="UPDATE", CLM_PMT_AMT="3"),
        claim("snf", "later"),
        claim("snf", "later", DML_IND="DELETE", CLM_PMT_AMT="2"),
        claim("snf", "later", DML_IND="UPDATE", CLM_PMT_AMT="3", **later),
    ]
    found, left = _ingest("cms-rif", write_rif(tmp_path / "raw", snf=rows[::order]))
    assert _amounts(found) == {"later-SNF": "3.00"}
    assert left == {"D_SUPERSEDED": 5}
