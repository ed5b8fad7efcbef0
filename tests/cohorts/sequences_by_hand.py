"""Examples of a readmission cohort, made at random, as tables or as a saved folder."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetDict

DIAGNOSES = ("ICD9CM/4280", "ICD9CM/49121", "ICD9CM/25000", "ICD9CM/5990", "ICD9CM/41401")
SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}


def random_stays(patients: int, seed: int = 0, *, first_patient: int = 0) -> pa.Table:
    """One or two stays of each patient; heart failure on the stay raises the odds of the label."""
    random = np.random.default_rng(seed)
    rows = []
    for patient in range(first_patient, first_patient + patients):
        for stay in range(1 + int(random.integers(2))):
            discharge = 15_000 + 200 * stay + int(random.integers(60))
            days = int(random.integers(1, 9))
            history = int(random.integers(0, 4))
            codes = [[str(random.choice(DIAGNOSES)), "HCPCS/99213"] for _ in range(history)]
            index = sorted({str(code) for code in random.choice(DIAGNOSES, 2)})
            failing = "ICD9CM/4280" in index
            rows.append(
                {
                    "patient_id": f"p{patient:05d}",
                    "sex": str(random.choice(["F", "M"])),
                    "birth_day": -10_000 + int(random.integers(3_000)),
                    "visit_day": [discharge - 80 + 20 * number for number in range(history)] + [discharge],
                    "visit_type": ["CAR"] * history + ["IP"],
                    "codes": [*codes, ["DISP/01", "DRG/291", *index]],
                    "index_day": discharge + 1,
                    "visit_amount": [*(random.uniform(10, 500, history)), None],
                    "admission_day": discharge - days,
                    "discharge_day": discharge,
                    "length_of_stay_days": days,
                    "label": int(random.random() < (0.6 if failing else 0.15)),
                    "is_transfer_label": False,
                    "county_fips": "01001",
                    "patient_codes": [f"RACE/{random.choice(['WHITE', 'BLACK'])}", "ENTITLEMENT/0"],
                }
            )
    schema = pa.schema(
        {
            "patient_id": pa.string(),
            "sex": pa.string(),
            "birth_day": pa.int32(),
            "visit_day": pa.list_(pa.int32()),
            "visit_type": pa.list_(pa.string()),
            "codes": pa.list_(pa.list_(pa.string())),
            "index_day": pa.int32(),
            "visit_amount": pa.list_(pa.float32()),
            "admission_day": pa.int32(),
            "discharge_day": pa.int32(),
            "length_of_stay_days": pa.int32(),
            "label": pa.int8(),
            "is_transfer_label": pa.bool_(),
            "county_fips": pa.string(),
            "patient_codes": pa.list_(pa.string()),
        }
    )
    return pa.Table.from_pylist(rows, schema)


def save_stays(folder: Path, patients: int = 60, seed: int = 0) -> Path:
    """A readmission cohort on disk."""
    splits, first = {}, 0
    for number, (name, share) in enumerate(SHARES.items()):
        count = round(share * patients)
        splits[name] = Dataset(random_stays(count, seed + number, first_patient=first))
        first += count
    DatasetDict(splits).save_to_disk(str(folder))
    (folder / "cohort.json").write_text('{"name": "readmission"}')
    return folder
