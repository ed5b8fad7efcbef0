"""The ingested folder that most cohort tests start from."""

from pathlib import Path

import pytest
from cohorts.patients_by_hand import ADMISSION, ASTHMA_VISIT, day, patient, write_claims


@pytest.fixture
def asthma_claims(tmp_path: Path) -> Path:
    """Forty children with asthma, every fourth admitted in 2013, and four who fall out at one step each."""
    children = [patient(f"P{i:03d}", ASTHMA_VISIT, *([ADMISSION] if i % 4 == 0 else [])) for i in range(40)]
    dropouts = [
        patient("Q-adult", ASTHMA_VISIT, birth_day=day("1980-01-01")),
        patient("Q-late", ASTHMA_VISIT, enrollment_start_day=[day("2012-06-01")]),
        patient("Q-leaves", ASTHMA_VISIT, enrollment_end_day=[day("2013-05-31")]),
        patient("Q-fibrosis", ASTHMA_VISIT, ("2011-01-05", "OP", ["ICD9CM/27700"])),
    ]
    return write_claims(tmp_path / "claims", children + dropouts)
