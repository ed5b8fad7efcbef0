"""A small labelled cohort whose label follows one code, made in memory."""

import numpy as np
import pyarrow as pa


def make_examples(rows: int, seed: int) -> pa.Table:
    """Children with one to four visits; the outcome is likely after an inhaled steroid and rare without it."""
    random = np.random.default_rng(seed)
    marked = random.random(rows) < 0.5
    label = (random.random(rows) < np.where(marked, 0.8, 0.1)).astype(np.int8)
    visits = [int(n) for n in random.integers(1, 5, rows)]
    codes = [
        [["HCPCS/99213", "ICD9CM/49390"] + (["NDC/00173060202"] if marked[row] and i == 0 else []) for i in range(n)]
        for row, n in enumerate(visits)
    ]
    return pa.table(
        {
            "patient_id": [f"P{seed}-{row:04d}" for row in range(rows)],
            "sex": ["F" if row % 2 else "M" for row in range(rows)],
            "birth_day": pa.array([12000] * rows, pa.int32()),
            "enrollment_start_day": pa.array([[14000]] * rows, pa.list_(pa.int32())),
            "enrollment_end_day": pa.array([[16000]] * rows, pa.list_(pa.int32())),
            "visit_day": pa.array([[15000 + 30 * i for i in range(n)] for n in visits], pa.list_(pa.int32())),
            "visit_type": [["OP"] * n for n in visits],
            "codes": codes,
            "index_day": pa.array([15500] * rows, pa.int32()),
            "label": pa.array(label),
        }
    )


def make_splits() -> dict[str, pa.Table]:
    return {name: make_examples(rows, seed) for seed, (name, rows) in enumerate(
        {"train": 300, "validation": 80, "test": 200}.items()
    )}  # fmt: skip
