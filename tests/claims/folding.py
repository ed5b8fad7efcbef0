"""The patients table of a folder, as a command writes it."""

from pathlib import Path
from typing import Any

from claim_transformers.claims.assembly import PatientCounts
from claim_transformers.claims.sequences import PatientFacts, PatientsWriter

_OF_FOLDER = {"salt", "code_columns", "drug_names", "shards"}


def write_patients(folder: Path, **options: Any) -> tuple[PatientCounts, PatientFacts]:
    """Read the canonical tables of a folder and write its patients table."""
    of_folder = {name: options.pop(name) for name in _OF_FOLDER & {*options}}
    with PatientsWriter(folder, **of_folder) as writer:
        return writer.write(**options)
