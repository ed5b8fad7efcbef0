"""Patients whose next visit follows from the last, made in memory."""

import numpy as np
import pyarrow as pa


def make_timelines(patients: int, seed: int, *, visits: int = 8) -> pa.Table:
    """Visits that cycle through A/0, A/1, A/2, A/3 from a random start; a chronic code joins once, a third of the way.

    Every visit carries one code of the cycle, now and then a code of no meaning; the first visit is at age 10.
    """
    random = np.random.default_rng(seed)
    codes, days = [], []
    for _ in range(patients):
        start, onset = int(random.integers(4)), visits // 3
        record = [[f"A/{(start + i) % 4}"] for i in range(visits)]
        record[onset].append("B/CHRONIC" if start % 2 else "B/OTHER")
        for visit in record:
            visit += [f"N/{noise}" for noise in range(3) if random.random() < 0.1]
        codes.append([sorted(visit) for visit in record])
        days.append((3653 + np.cumsum(random.integers(5, 60, visits))).tolist())
    return pa.table(
        {
            "patient_id": [f"P{seed}-{row:04d}" for row in range(patients)],
            "sex": ["F" if row % 2 else "M" for row in range(patients)],
            "birth_day": pa.array([0] * patients, pa.int32()),
            "visit_day": pa.array(days, pa.list_(pa.int32())),
            "visit_type": [["MEDS"] * visits] * patients,
            "codes": codes,
        }
    )
