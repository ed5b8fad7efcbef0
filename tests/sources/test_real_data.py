"""Real files of CMS and Tuva, where `CLAIMS_DATA_DIR` names a folder that has them."""

import os
from pathlib import Path

import pytest

from claim_transformers.sources.pipeline.ingest import IngestSummary, ingest

DATA = os.environ.get("CLAIMS_DATA_DIR")
pytestmark = pytest.mark.skipif(not DATA, reason="CLAIMS_DATA_DIR is not set")


def _rows(summary: IngestSummary) -> dict[str, tuple[int, int]]:
    return {entry["source_file"]: (entry["rows_in"], entry["rows_out"]) for entry in summary.report["files"]}


@pytest.fixture(scope="module")
def folder() -> Path:
    return Path(str(DATA))


def test_the_synpuf_fixture_loses_no_row(folder: Path, tmp_path: Path) -> None:
    summary = ingest("synpuf", folder / "synpuf" / "fixture_csv", tmp_path / "out", progress=False)
    assert sorted(_rows(summary).values()) == sorted([(92, 92)] * 3 + [(143, 143), (515, 515), (2019, 2019)])
    assert summary.patients is not None
    assert summary.patients.patients == 87


def test_every_file_type_of_synpuf_is_read(folder: Path, tmp_path: Path) -> None:
    summary = ingest("synpuf", folder / "synpuf" / "carrier_example", tmp_path / "out", progress=False)
    assert {entry["claim_type"] for entry in summary.report["files"]} == {"NONE", "IP", "OP", "CAR", "RX"}
    assert all(rows_in == rows_out for rows_in, rows_out in _rows(summary).values())


@pytest.mark.slow
def test_sample_1_is_read_whole(folder: Path, tmp_path: Path) -> None:
    summary = ingest("synpuf", folder / "synpuf" / "sample1", tmp_path / "out", progress=False)
    rows = _rows(summary)
    assert rows["inpatient.parquet"] == (66_773, 66_773)
    assert [rows[f"beneficiary_{year}.parquet"][0] for year in (2008, 2009, 2010)] == [116_352, 114_538, 112_754]
    assert rows["outpatient_prefix.parquet"][0] == 11_074
    assert rows["pde_prefix.parquet"] == (4_973, 4_973)
    assert summary.report["totals"]["quarantined"] <= 2
    coverage = {(entry["table"], entry["system"]): entry for entry in summary.report["code_coverage"]}
    assert coverage["inpatient", "ICD9CM"]["num_codes"] == 5_491  # with the admitting diagnoses
    assert coverage["inpatient", "ICD9CM"]["occurrences_mapped_share"] == 1
    assert summary.patients is not None
    assert summary.patients.patients > 37_780


def test_the_tuva_demo_is_read_whole(folder: Path, tmp_path: Path) -> None:
    summary = ingest("tuva", folder / "tuva", tmp_path / "out", progress=False, max_reason_share=0.02)
    medical = [entry for entry in summary.report["files"] if entry["source_file"] == "medical_claim.csv"]
    assert sum(entry["rows_out"] for entry in medical) == 5_959
    assert {entry["claim_type"] for entry in medical} == {"IP", "OP", "CAR", "HOSP"}
