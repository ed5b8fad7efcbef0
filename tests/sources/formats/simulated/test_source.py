"""Simulated claims with planted faults: every fault is found, as often as it was planted."""

import pytest

from claim_transformers.simulation.pediatric.dirt import DirtRates
from claim_transformers.simulation.pediatric.generate import simulate
from claim_transformers.sources.pipeline.ingest import IngestSummary, ingest


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, int], IngestSummary, IngestSummary]:
    folder = tmp_path_factory.mktemp("simulated")
    clean = simulate(folder / "clean", patients=300, seed=3)
    dirty = simulate(folder / "dirty", patients=300, seed=3, dirt=DirtRates())
    assert clean.claim_lines
    shares = {"max_quarantine_share": 1.0, "max_reason_share": 1.0, "progress": False}
    of_clean = ingest("simulated", folder / "clean", folder / "out-clean", **shares)
    of_dirty = ingest("simulated", folder / "dirty", folder / "out-dirty", **shares)
    return dict(dirty.dirt), of_clean, of_dirty


def _sum(summary: IngestSummary, file: str, kind: str, reason: str | None = None) -> int:
    entries = [entry for entry in summary.report["files"] if entry["source_file"] == f"{file}.parquet"]
    return sum(entry[kind] if reason is None else entry[kind].get(reason, 0) for entry in entries)


def test_clean_claims_pass_untouched(runs) -> None:
    _, clean, _ = runs
    totals = clean.report["totals"]
    assert totals["rows_in"] == totals["rows_out"] == totals["lines_out"]
    assert {entry["claim_type"] for entry in clean.report["files"]} == {"NONE", "IP", "OP", "RX"}


@pytest.mark.parametrize("file", ["medical_claim", "pharmacy_claim"])
def test_each_planted_fault_is_found_as_often_as_it_was_planted(runs, file: str) -> None:
    planted, _, dirty = runs
    of_file = lambda fault: planted.get(f"{file}.{fault}", 0)  # noqa: E731
    assert _sum(dirty, file, "drop_reasons", "D_DUPLICATE") == of_file("exact_duplicate")
    assert _sum(dirty, file, "netted_out") == 2 * of_file("reversal")
    reasons = {
        "R_DATE": of_file("sentinel_date") + of_file("impossible_date"),
        "R_NO_ID": of_file("missing_patient_id"),
        "R_BEFORE_BIRTH": of_file("before_birth"),
        "R_CLAIM_SHARED": of_file("claim_shared"),
        "R_DATE_ORDER": of_file("discharge_before_admission"),
    }
    assert {reason: _sum(dirty, file, "quarantine_reasons", reason) for reason in reasons} == reasons


def test_planted_codes_are_repaired_or_left_out_without_their_rows(runs) -> None:
    planted, _, dirty = runs
    codes = dirty.report["codes"]
    assert codes["NDC"]["quarantined"].get("R_NDC10", 0) == planted["pharmacy_claim.ndc_10_digits"]
    assert codes["NDC"]["fixes"].get("F_NDC", 0) == planted["pharmacy_claim.ndc_form"]
    assert codes["ICD9CM"]["quarantined"].get("R_ICDFORM", 0) == planted["medical_claim.damaged_code"]
    # Each has a blank behind it; where that was all, the code is as it should be.
    assert _sum(dirty, "medical_claim", "fixes", "F_TEXT_FORM") == planted["medical_claim.code_form"]
    assert 0 < codes["ICD9CM"]["fixes"].get("F_CODE_FORM", 0) <= planted["medical_claim.code_form"]
