"""Random patients with the columns of the patients table: what a patient has, comes back at later visits."""

import numpy as np
import pyarrow as pa


def random_patients(rows: int, seed: int, *, first: int = 0, labels: bool = False) -> pa.Table:
    """Patients of 1 to 12 visits; a label is 1 for patients with the condition that also shows in their codes."""
    generator = np.random.default_rng(seed)
    columns: dict[str, list[object]] = {name: [] for name in ("patient_id", "sex", "birth_day", "visit_day")}
    columns |= {"visit_type": [], "codes": [], "label": []}
    for number in range(rows):
        visits = int(generator.integers(1, 13))
        condition = int(generator.integers(0, 8))
        usual = [f"ICD9CM/{400 + 10 * condition + code}" for code in range(3)]
        days = 15_000 + np.sort(generator.choice(350, visits, replace=False))
        codes = []
        for _ in range(visits):
            rare = [f"HCPCS/9920{int(generator.integers(1, 6))}"] if generator.random() < 0.7 else []
            codes.append(sorted({*generator.choice(usual, 2).tolist(), *rare}))
        columns["patient_id"].append(f"P{first + number:05d}")
        columns["sex"].append("FM"[int(generator.integers(2))])
        columns["birth_day"].append(int(days[0]) - int(generator.integers(0, 6000)))
        columns["visit_day"].append(days.tolist())
        columns["visit_type"].append([["OP", "RX", "IP"][int(kind)] for kind in generator.integers(0, 3, visits)])
        columns["codes"].append(codes)
        columns["label"].append(int(condition < 3))
    table = pa.table(
        {
            **columns,
            "birth_day": pa.array(columns["birth_day"], pa.int32()),
            "visit_day": pa.array(columns["visit_day"], pa.list_(pa.int32())),
            "label": pa.array(columns["label"], pa.int8()),
        }
    )
    return table if labels else table.drop_columns(["label"])
