"""Explanations of patients of ingested claims or of a cohort: what is read and what is written."""

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from claim_transformers.analysis.explanation.explanation import Explanation
from claim_transformers.claims.files import replacing_file
from claim_transformers.claims.patient_files import schema_of
from claim_transformers.claims.small_cells import show_count
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.cohorts.timelines import Timelines, patient_files
from claim_transformers.models.claim import ClaimForSequenceClassification

_COHORT_FILE = "dataset_dict.json"
_KEYS = ("patient_id", "index_day")
# Records and reasons of so many patients fit into memory; an explanation is read one by one in any case.
_MOST_PATIENTS = 10_000


def load_classifier(checkpoint: str | Path) -> ClaimForSequenceClassification:
    """Load a fine-tuned classifier in float32."""
    # With its loading info the method gives a pair, which no signature says.
    loaded: Any = ClaimForSequenceClassification.from_pretrained(
        checkpoint, dtype=torch.float32, output_loading_info=True
    )
    model: ClaimForSequenceClassification = loaded[0]
    info: Mapping[str, Any] = loaded[1]
    if absent := sorted(info["missing_keys"]):
        raise ValueError(
            f"expected a fine-tuned classifier in {Path(checkpoint).name}, found no {', '.join(absent[:3])}; "
            "fine-tune the checkpoint on a cohort first"
        )
    return model


def read_ids(path: str | Path) -> list[str]:
    """Read patient ids, one a line; blank lines and repetitions do not count."""
    lines = (line.strip() for line in Path(path).read_text(encoding="utf-8-sig").splitlines())
    ids = list(dict.fromkeys(line for line in lines if line))
    if not 1 <= len(ids) <= _MOST_PATIENTS:
        raise ValueError(
            f"expected 1 to {_MOST_PATIENTS:,} patient ids, one a line, in {Path(path).name}, found "
            f"{show_count(len(ids))}"
        )
    return ids


def read_patients(source: str | Path, patient_ids: Sequence[str], at: dt.date | None) -> pa.Table:
    """Read patients with what was known of them on a day, by the rule of cohorts, or examples as they are."""
    source = Path(source)
    is_cohort = (source / _COHORT_FILE).is_file()
    if is_cohort != (at is None):
        raise ValueError(
            "expected no index date beside a cohort, whose examples have theirs, found one"
            if is_cohort
            else "expected an index date for claims, such as --at 2024-12-31, found none"
        )
    found = _of_cohort(source, patient_ids) if at is None else _of_claims(source, patient_ids, at)
    if not found.num_rows:
        raise ClaimDataError(
            "E_NO_PATIENTS",
            f"expected some of {show_count(len(patient_ids))} patients in {source.name}, found none; give the ids as "
            "the claims have them",
        )
    return found.sort_by([(name, "ascending") for name in _KEYS])


def reasons_table(explanations: Sequence[Explanation], patients: pa.Table) -> pa.Table:
    """Put the reasons of patients below each other, with the columns that tell whose they are."""
    tables = [one.to_arrow() for one in explanations]
    owner = pa.array(np.repeat(np.arange(len(tables)), [table.num_rows for table in tables]))
    reasons = pa.concat_tables(tables)
    for place, name in enumerate(_KEYS):
        reasons = reasons.add_column(place, name, patients[name].combine_chunks().take(owner))
    return reasons


def write_reasons(path: str | Path, reasons: pa.Table, *, overwrite: bool = False) -> None:
    """Write the reasons as parquet that its owner alone reads, whole or not at all."""
    path = Path(path)
    if path.exists() and not (overwrite and path.is_file()):
        raise ClaimDataError(
            "E_EXISTS", f"expected a new file, found an existing {path.name!r}; choose another or use --overwrite"
        )
    with replacing_file(path) as file:
        pq.write_table(reasons, file, compression="zstd")


def _of_claims(claims: Path, patient_ids: Sequence[str], at: dt.date) -> pa.Table:
    import pyarrow.dataset as pads

    files = patient_files(claims)
    wanted = pc.field("patient_id").isin(pa.array(patient_ids, pa.string()))
    schema = pa.unify_schemas([schema_of(path) for path in files])
    patients = pads.dataset(files, schema=schema).to_table(filter=wanted)
    index_day = np.full(patients.num_rows, (at - dt.date(1970, 1, 1)).days, np.int64)
    timelines = Timelines(patients, hide_unpaid=True)
    return timelines.before(np.ones(patients.num_rows, bool), index_day)


def _of_cohort(cohort: Path, patient_ids: Sequence[str]) -> pa.Table:
    from datasets import load_from_disk

    value_set = pa.array(patient_ids, pa.string())
    parts = []
    for split in load_from_disk(str(cohort)).values():
        ids = split.with_format("arrow").select_columns(["patient_id"])[:]["patient_id"]
        rows = np.flatnonzero(pc.is_in(ids.cast(pa.string()), value_set=value_set).to_numpy())
        parts.append(split.select(rows).with_format("arrow")[:])
    return pa.concat_tables(parts)
