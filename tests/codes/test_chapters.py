"""Chapters of every system, and rolling codes up to a depth."""

import csv
import os
from pathlib import Path

import pyarrow as pa
import pytest

from claim_transformers.codes import CategoryRules
from claim_transformers.codes.chapters import code_chapter
from claim_transformers.codes.roll_up import DEPTHS, RollUp

DATA = os.environ.get("CLAIMS_DATA_DIR")
CODES = ["ICD9CM/49392", "ICD10CM/J45909", "ICD9PCS/8154", "ICD10PCS/0SRD0J9", "HCPCS/99213", "NDC/00093014505", None]


@pytest.mark.parametrize(
    ("code", "chapter"),
    [
        ("ICD9PCS/0011", "ICD9PCSCHAPTER/0"),
        ("ICD9PCS/1711", "ICD9PCSCHAPTER/3A"),
        ("ICD9PCS/8701", "ICD9PCSCHAPTER/16"),
        ("ICD9PCS/V5866", None),
        ("HCPCS/00100", "HCPCSSECTION/ANESTHESIA"),
        ("HCPCS/27447", "HCPCSSECTION/SURGERY"),
        ("HCPCS/71020", "HCPCSSECTION/RADIOLOGY"),
        ("HCPCS/80053", "HCPCSSECTION/LABORATORY"),
        ("HCPCS/93000", "HCPCSSECTION/MEDICINE"),
        ("HCPCS/99600", "HCPCSSECTION/MEDICINE"),
        ("HCPCS/0042T", "HCPCSSECTION/NEW"),
        ("HCPCS/G0008", "HCPCSSECTION/G"),
        ("DRG/001", "MDC/PRE"),
        ("DRG/999", None),
        ("DRG/OTH", None),
        ("REV/0450", None),
    ],
)
def test_a_code_has_the_chapter_of_its_system(code, chapter):
    assert code_chapter(code) == chapter


@pytest.mark.parametrize("depth", DEPTHS)
def test_rolling_up_keeps_length_and_nulls(depth):
    rolled = RollUp(depth).codes(pa.array(CODES))
    assert len(rolled) == len(CODES)
    assert rolled.null_count == 1


def test_each_depth_is_coarser_than_the_one_before():
    codes = pa.array([f"ICD9CM/{number}" for number in range(390, 460)])
    sizes = [len(RollUp(depth).codes(codes).unique()) for depth in DEPTHS]
    assert sizes[0] > sizes[1] > sizes[2] == 1


def test_the_depth_can_differ_between_systems():
    roll_up = RollUp("code", {"ICD9CM": "chapter"})
    assert roll_up.codes(CODES[:1] + CODES[2:3]).to_pylist() == ["ICD9CHAPTER/8", "ICD9PCS/8154"]


def test_a_code_of_no_group_becomes_the_unknown_code_of_its_system():
    assert RollUp("category", rules=CategoryRules()).code("NDC/00093014505") == "UNK/NDC"
    assert RollUp("chapter").code("ICD9PCS/V5866") == "UNK/ICD9PCS"


def test_tokens_that_are_no_codes_stay():
    assert RollUp("chapter").codes(["PAID/5", "LOS/3"]).to_pylist() == ["PAID/5", "LOS/3"]


def test_unknown_systems_and_depths_are_refused():
    with pytest.raises(ValueError, match="expected one of the depths"):
        RollUp("section")
    with pytest.raises(ValueError, match="expected one of the code systems"):
        RollUp("code", {"SNOMED": "chapter"})


@pytest.mark.skipif(not DATA, reason="CLAIMS_DATA_DIR is not set")
def test_major_diagnostic_categories_are_those_of_the_public_table():
    path = Path(str(DATA)) / "terminology" / "cms_public" / "ms_drg.csv"
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["mdc_code"]]
    assert len(rows) > 700
    assert all(code_chapter(f"DRG/{row['ms_drg_code']}") == f"MDC/{row['mdc_code']}" for row in rows)
