"""The catalogue of faults says what is true: its codes exist, its tests exist and show them."""

import re
from pathlib import Path

import pytest
from sources.raw_claims import medical_claim, write_tuva

from claim_transformers.sources.pipeline.ingest import ingest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "catalogue.md").read_text()
ROWS = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if re.match(r"\| \d", line)]
CODE = re.compile(r"\b[ERFWD]_[A-Z0-9_]+\b")
SOURCE = "\n".join(file.read_text() for end in ("py", "yaml") for file in (ROOT / "src").rglob(f"*.{end}"))


def test_every_fault_of_the_catalogue_has_one_row() -> None:
    assert [int(row[0]) for row in ROWS] == list(range(1, 69))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_names_codes_and_tests_that_exist_or_says_why_not(row: list[str]) -> None:
    codes, where, shown = CODE.findall(row[2]), row[3:8], re.findall(r"`([\w/]+[.]py)::(\w+)`", row[8])
    assert set(where) <= {"yes", "no", "-"}
    assert all(f'"{code}' in SOURCE or f"verdict: {code}" in SOURCE for code in codes)
    assert set(codes) <= set(CODE.findall((ROOT / "docs" / "quality.md").read_text()))
    if not shown:
        assert not codes
        assert re.match(r"not |no source ", row[8])
    texts = {path: (ROOT / "tests" / path).read_text() for path, _ in shown}
    assert all(f"def {name}(" in texts[path] for path, name in shown)
    assert all(any(code in text for text in texts.values()) for code in codes)


def test_an_open_stay_and_codes_of_another_domain_are_counted(tmp_path: Path) -> None:
    stay = {"claim_type": "institutional", "bill_type_code": "111", "admission_date": "2018-11-02"}
    codes = {"hcpcs_code": "E11.9", "revenue_center_code": "R450", "place_of_service_code": "A1"}
    rows = [medical_claim(claim="M1", **stay, **codes), medical_claim(claim="M2", **stay, discharge_date="2018-11-02")]
    report = ingest("tuva", write_tuva(tmp_path / "raw", medical=rows), tmp_path / "out", progress=False).report
    (entry,) = report["files"]
    assert (entry["rows_out"], entry["warnings"]) == (2, {"W_OPEN_STAY": 1})
    left_out = {system: report["codes"][system]["quarantined"] for system in ("HCPCS", "REV", "POS")}
    assert left_out == {"HCPCS": {"R_HCPCS": 1}, "REV": {"R_DOMAIN": 1}, "POS": {"R_DOMAIN": 1}}
