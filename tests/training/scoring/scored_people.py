"""Members written by hand, a tiny checkpoint of each kind, and claims to score."""

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from claim_batches import randomise
from cohorts.patients_by_hand import SCHEMA, day, write_claims

from claim_transformers.claims.later_days import VISIT_PAID_DAY
from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.models.claim import (
    ClaimConfig,
    ClaimForPreTraining,
    ClaimForSequenceClassification,
    ClaimTokenizer,
)

AT = dt.date(2013, 1, 1)
CODES = [f"ICD9CM/{number}" for number in range(4010, 4040)]
PATIENTS = SCHEMA.append(VISIT_PAID_DAY)


def tokenizer() -> ClaimTokenizer:
    names = ["SEX/F", "SEX/M", "TYPE/IP", "TYPE/OP", *(f"AGE/{age}" for age in range(91)), *CODES]
    categories = {code: f"CCS/{number % 7}" for number, code in enumerate(CODES)}
    return ClaimTokenizer({name: number for number, name in enumerate(names, 3)}, categories, time_tokens="none")


def model(num_labels: int = 2, problem_type: str | None = "single_label_classification", **facts):
    return _model(ClaimForSequenceClassification, num_labels=num_labels, problem_type=problem_type, **facts)


def pretrained(**facts):
    return _model(ClaimForPreTraining, num_categories=7, nvp_target="category", nvp_context="mixed", **facts)


def _model(kind: type, **facts):
    config = ClaimConfig(
        vocab_size=len(tokenizer()),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        visit_pooling="sum",
        history_skip=True,
        **facts,
    )
    torch.manual_seed(0)
    return randomise(kind(config)).eval()


def members(number: int, seed: int = 0) -> pa.Table:
    """Members with visits before and after the date, enrolled at it, some of them not."""
    rng = np.random.default_rng(seed)
    rows = []
    for place in range(number):
        days = np.sort(rng.choice(np.arange(day("2011-01-01"), day("2014-01-01")), int(rng.integers(1, 12)), False))
        types = ["IP" if rng.random() < 0.2 else "OP" for _ in days]
        stays = [int(rng.integers(1, 20)) if kind == "IP" else 0 for kind in types]
        ends = (days + stays).tolist()
        rows.append(
            {
                "patient_id": f"member-{seed}-{place:05d}",
                "sex": "FM"[place % 2],
                "birth_day": day("1950-06-01") + place,
                "death_day": None,
                "enrollment_start_day": [day("2010-01-01")],
                "enrollment_end_day": [day("2012-06-30") if place % 5 == 4 else day("2014-12-31")],
                "visit_day": days.tolist(),
                "visit_type": types,
                "codes": [list(rng.choice(CODES, int(rng.integers(1, 4)), False)) for _ in days],
                "visit_end_day": ends,
                "visit_paid_day": [end + int(rng.integers(0, 60)) for end in ends],
            }
        )
    return pa.Table.from_pylist(rows, schema=PATIENTS)


def folder_of(folder: Path, tables: list[pa.Table], rows_per_group: int = 10, eligibility: bool = True) -> Path:
    """Claims of these members, and two more who are enrolled and have none, and one who was."""
    write_claims(folder, tables[0].slice(0, 1).to_pylist(), last_day="2014-12-31", last_enrollment_day="2014-12-31")
    for path in folder.glob("patients/*"):
        path.unlink()
    for number, table in enumerate(tables):
        path = folder / "patients" / f"train-{number:05d}.parquet"
        pq.write_table(table, path, row_group_size=rows_per_group)
    if eligibility:
        spans = [("silent-1", "2012-07-01", None), ("silent-2", "2012-12-31", "2013-01-01")]
        spans += [("gone", "2010-01-01", "2011-01-01")]
        spans += [(identifier, "2010-01-01", "2014-12-31") for identifier in tables[0]["patient_id"].to_pylist()[:3]]
        dates = [None if text is None else dt.date.fromisoformat(text) for _, _, text in spans]
        rows = [
            {
                "patient_id": identifier,
                "gender": "F",
                "birth_date": dt.date(1960, 1, 1),
                "enrollment_start_date": dt.date.fromisoformat(start),
                "enrollment_end_date": end,
                "data_source": "by hand",
            }
            for (identifier, start, _), end in zip(spans, dates, strict=True)
        ]
        (folder / "eligibility").mkdir()
        table = pa.Table.from_pylist(rows, SCHEMAS["eligibility"])
        pq.write_table(table, folder / "eligibility" / "part-00000.parquet")
    return folder
