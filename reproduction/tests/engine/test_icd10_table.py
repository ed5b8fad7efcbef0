"""The tool makes the diagnoses of the committed table again."""

import csv

import pytest

from claim_transformers.simulation.engine.data_files import SHARED_DATA
from reproduction.engine.icd10_table import _diagnoses


@pytest.mark.slow
def test_the_mappings_give_the_diagnoses_of_the_table() -> None:
    with (SHARED_DATA / "icd10_codes.csv").open(encoding="utf-8", newline="") as file:
        written = [tuple(row) for row in csv.reader(file) if row[0] == "ICD9CM"]
    assert list(_diagnoses()) == written
