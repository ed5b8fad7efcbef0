"""Whose rows they are: ids in one writing in every source, and ids that no person can have."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sources.raw_claims import (
    beneficiary,
    carrier,
    eligibility,
    inpatient,
    medical_claim,
    outpatient,
    pharmacy_claim,
    prescription,
    write_synpuf,
    write_tuva,
)
from sources.rif_rows import beneficiary as rif_beneficiary
from sources.rif_rows import claim, drug, write_rif

from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.claims.store import open_folder
from claim_transformers.sources.pipeline.ingest import IngestSummary, ingest

ANY_SHARE = {"max_quarantine_share": 1.0, "max_reason_share": 1.0}
Write = Callable[[str], str]


def _tuva(folder: Path, write: Write) -> Path:
    return write_tuva(
        folder,
        medical=[medical_claim(write("P1"), write("M1")), medical_claim("P1", "M1", 2)],
        pharmacy=[pharmacy_claim(write("P1"), write("R1")), pharmacy_claim("P2", "R2")],
        people=[eligibility(write("P1")), eligibility("P2")],
    )


def _synpuf(folder: Path, write: Write) -> Path:
    # The second segment has no dates of its own.
    segment = {"DESYNPUF_ID": write("P1"), "CLM_ID": write("C1"), "SEGMENT": "2", "HCPCS_CD_1": "99214"}
    return write_synpuf(
        folder,
        beneficiaries={"2009": [beneficiary(write("P1")), beneficiary("P2")]},
        inpatients=[inpatient(), segment],
        outpatients=[outpatient(write("P1"), write("O1")), outpatient("P2", "O2")],
        carriers=[carrier(write("P1"), write("K1")), carrier("P2", "K2")],
        prescriptions=[prescription(write("P1"), write("E1")), prescription("P2", "E2")],
    )


def _rif(folder: Path, write: Write) -> Path:
    later = {"NCH_WKLY_PROC_DT": "23-Mar-2018", "CLM_PMT_AMT": "5.00"}
    return write_rif(
        folder,
        inpatient=[claim("inpatient"), claim("inpatient", write("7"), patient=write("P1"), **later)],
        part_d=[drug(write("D1"), write("P1")), drug("D2", "P2")],
        beneficiary=[rif_beneficiary(write("P1")), rif_beneficiary("P2")],
    )


_SOURCES: dict[str, Callable[[Path, Write], Path]] = {"tuva": _tuva, "synpuf": _synpuf, "cms-rif": _rif}


def _ingest(source: str, raw: Path, out: Path) -> IngestSummary:
    summary = ingest(source, raw, out, progress=False, threads=1, **ANY_SHARE)
    for entry in summary.report["files"]:
        assert entry["rows_in"] == entry["rows_out"] + entry["quarantined"] + entry["dropped"] + entry["netted_out"]
    return summary


def _tables(out: Path) -> dict[str, list]:
    return {
        name: [row for file in open_folder(out).table_files(name) for row in pq.read_table(file).to_pylist()]
        for name in (*SCHEMAS, "patients")
    }


def _totals(summary: IngestSummary, kind: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in summary.report["files"]:
        for code, number in entry[kind].items():
            found[code] = found.get(code, 0) + number
    return found


@pytest.mark.parametrize("source", _SOURCES)
def test_blanks_and_invisible_characters_about_ids_change_no_table(tmp_path: Path, source: str) -> None:
    write = _SOURCES[source]
    _ingest(source, write(tmp_path / "plain", str), tmp_path / "out")
    padded = write(tmp_path / "padded", lambda text: f"\u3000{text[0]}\u200b{text[1:]}\u00a0")
    summary = _ingest(source, padded, tmp_path / "again")
    assert _tables(tmp_path / "out") == _tables(tmp_path / "again")
    assert _totals(summary, "fixes")["F_ID_FORM"] == {"tuva": 3, "synpuf": 5, "cms-rif": 3}[source]


@pytest.mark.parametrize("source", _SOURCES)
@pytest.mark.parametrize("filler", ["NULL", pytest.param("000000", marks=pytest.mark.slow)])
def test_what_stands_for_nobody_is_no_person_in_any_table(tmp_path: Path, source: str, filler: str) -> None:
    raw = _SOURCES[source](tmp_path / "raw", lambda text: filler if text == "P1" else text)
    reasons = _totals(_ingest(source, raw, tmp_path / "out"), "quarantine_reasons")
    assert reasons["R_NO_ID"] == {"tuva": 3, "synpuf": 5, "cms-rif": 3}[source]
    assert {row["patient_id"] for table in _tables(tmp_path / "out").values() for row in table} <= {"P1", "P2"}


@pytest.mark.parametrize("source", _SOURCES)
def test_the_first_claim_of_a_sender_can_have_the_number_zero(tmp_path: Path, source: str) -> None:
    raw = _SOURCES[source](tmp_path / "raw", lambda text: "0" if text in {"R1", "O1", "K1", "E1", "D1"} else text)
    assert not _totals(_ingest(source, raw, tmp_path / "out"), "quarantine_reasons")


def test_the_quarantine_shows_an_id_as_it_came(tmp_path: Path) -> None:
    raw = write_tuva(tmp_path / "raw", medical=[medical_claim(" n/a"), medical_claim(" P1")])
    _ingest("tuva", raw, tmp_path / "out")
    assert pq.read_table(tmp_path / "out" / "quarantine")["person_id"].to_pylist() == [" n/a"]


@pytest.mark.parametrize(
    ("num_rows", "num_others", "warnings"),
    [(200, 20, {"W_ID_SHARE": 200}), (199, 20, {}), (200, 19, {}), (300, 20, {"W_ID_SHARE": 300})],
)
def test_an_id_with_too_many_rows_for_a_person_is_warned_of_and_small_data_are_not(
    tmp_path: Path, num_rows: int, num_others: int, warnings: dict[str, int]
) -> None:
    drugs = [pharmacy_claim("X1", f"R{number}") for number in range(num_rows)]
    drugs += [pharmacy_claim(f"P{number}", f"S{number}-{fill}") for number in range(num_others) for fill in range(2)]
    summary = _ingest("tuva", write_tuva(tmp_path / "raw", pharmacy=drugs), tmp_path / "out")
    assert _totals(summary, "warnings") == warnings


def test_an_id_a_hundred_times_as_busy_as_the_others_is_warned_of_and_one_less_busy_is_not(tmp_path: Path) -> None:
    others = [pharmacy_claim(f"P{number}", f"S{number}-{fill}") for number in range(20) for fill in range(3)]
    for num_rows, warnings in ((299, {}), (300, {"W_ID_SHARE": 300})):
        drugs = [*others, *(pharmacy_claim("X1", f"R{number}") for number in range(num_rows))]
        raw = write_tuva(tmp_path / f"raw{num_rows}", pharmacy=drugs)
        assert _totals(_ingest("tuva", raw, tmp_path / f"out{num_rows}"), "warnings") == warnings
