"""Chapters of every system."""

import csv
import json
import os
from pathlib import Path

import pytest

from claim_transformers.codes.chapters import _code_chapter, chapter_rules

DATA = os.environ.get("CLAIMS_DATA_DIR")


@pytest.mark.parametrize(
    ("code", "chapter"),
    [
        ("ICD9CM/49392", "ICD9CHAPTER/8"),
        ("ICD10CM/J45909", "ICD10CHAPTER/10"),
        ("ICD10PCS/0SR90JZ", "ICD10PCSSECTION/0"),
        ("ICD9PCS/81", "ICD9PCSCHAPTER/14"),
        ("ICD9PCS/81É", "ICD9PCSCHAPTER/14"),
        ("ICD9PCS/8", None),
        ("ICD9PCS/0011", "ICD9PCSCHAPTER/0"),
        ("ICD9PCS/1711", "ICD9PCSCHAPTER/3A"),
        ("ICD9PCS/8701", "ICD9PCSCHAPTER/16"),
        ("ICD9PCS/V5866", None),
        ("HCPCS/00100", "HCPCSSECTION/ANESTHESIA"),
        ("HCPCS/27447", "HCPCSSECTION/SURGERY"),
        ("HCPCS/71020", "HCPCSSECTION/RADIOLOGY"),
        ("HCPCS/80053", "HCPCSSECTION/LABORATORY"),
        ("HCPCS/93000", "HCPCSSECTION/MEDICINE"),
        ("HCPCS/99200", "HCPCSSECTION/MEDICINE"),
        ("HCPCS/99201", "HCPCSSECTION/EVALUATION"),
        ("HCPCS/99499", "HCPCSSECTION/EVALUATION"),
        ("HCPCS/99500", "HCPCSSECTION/MEDICINE"),
        ("HCPCS/99600", "HCPCSSECTION/MEDICINE"),
        ("HCPCS/0042T", "HCPCSSECTION/NEW"),
        ("HCPCS/G0008", "HCPCSSECTION/G"),
        ("DRG/001", "MDC/PRE"),
        ("DRG/000", None),
        ("DRG/019", "MDC/PRE"),
        ("DRG/020", "MDC/01"),
        ("DRG/997", "MDC/ALL"),
        ("DRG/998", None),
        ("DRG/OTH", None),
        ("REV/0450", None),
    ],
)
def test_a_code_has_the_chapter_of_its_system(code, chapter):
    assert _code_chapter(code) == chapter


def test_the_table_of_chapters_is_small():
    assert len(json.dumps(chapter_rules())) < 30_000


@pytest.mark.skipif(not DATA, reason="CLAIMS_DATA_DIR is not set")
def test_major_diagnostic_categories_are_those_of_the_public_table():
    path = Path(str(DATA)) / "terminology" / "cms_public" / "ms_drg.csv"
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["mdc_code"]]
    assert len(rows) > 700
    assert all(_code_chapter(f"DRG/{row['ms_drg_code']}") == f"MDC/{row['mdc_code']}" for row in rows)
