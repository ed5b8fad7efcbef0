"""The part of an ingested folder that pretraining reads, made of patients at random."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from training.patients_at_random import random_patients

from claim_transformers.claims.patient_files import PATIENTS_SCHEMA
from claim_transformers.claims.store import FORMAT_VERSION


def ingested(folder: Path, sizes: dict[str, int]) -> Path:
    """The part of an ingested folder that pretraining reads."""
    (folder / "patients").mkdir(parents=True)
    first = 0
    for seed, (split, rows) in enumerate(sizes.items()):
        table = random_patients(rows, seed, first=first)
        for name in ("death_day", "enrollment_start_day", "enrollment_end_day"):
            table = table.append_column(name, pa.nulls(rows, PATIENTS_SCHEMA.field(name).type))
        table = table.append_column("visit_end_day", table["visit_day"])
        pq.write_table(
            table.select(PATIENTS_SCHEMA.names).cast(PATIENTS_SCHEMA), folder / "patients" / f"{split}-00000.parquet"
        )
        first += rows
    (folder / "manifest.json").write_text(json.dumps({"format_version": FORMAT_VERSION}))
    (folder / "_SUCCESS").touch()
    return folder
