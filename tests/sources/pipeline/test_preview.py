"""A dry run shows what an ingest would do and leaves nothing behind."""

from pathlib import Path

from sources.raw_claims import eligibility, medical_claim, write_tuva
from typer.testing import CliRunner

from claim_transformers.cli import app


def test_a_dry_run_shows_rows_and_report_and_writes_nothing(tmp_path: Path) -> None:
    rows = [medical_claim(claim=f"M{number}") for number in range(20)]
    rows += [medical_claim(claim=f"N{number}", claim_start_date="2018-02-30") for number in range(12)]
    raw = write_tuva(tmp_path / "raw", medical=rows, people=[eligibility()])
    before = sorted(tmp_path.rglob("*"))
    out = tmp_path / "not" / "there"
    result = CliRunner().invoke(app, ["ingest", "tuva", str(raw), str(out), "--dry-run"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.split())
    assert "Rows of patients follow" in text
    assert text.count("hcpcs_code 99213") == 3
    assert "diagnoses [{'system': 'ICD10CM', 'code': 'E119'" in text
    assert f"nothing is at {out}; the ingest would be refused: E_QUARANTINE_RATE" in text
    assert sorted(tmp_path.rglob("*")) == before
