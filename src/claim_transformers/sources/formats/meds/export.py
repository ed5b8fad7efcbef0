"""MEDS out: the patients of an ingested folder as a dataset of the Medical Event Data Standard 0.4.

An export holds patient ids and dates like its source and belongs inside the same protected boundary.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from claim_transformers.claims.files import publish_folder, to_json
from claim_transformers.claims.splits import SPLITS, assert_disjoint
from claim_transformers.claims.store import open_folder
from claim_transformers.sources.formats.meds.codes import (
    BIRTH_CODE,
    DEATH_CODE,
    ENROLLMENT_END_CODE,
    ENROLLMENT_START_CODE,
    SEX_CODES,
)
from claim_transformers.sources.formats.meds.dataset import (
    MEDS_SPLITS,
    MedsDataset,
    check_file,
    read_events,
    subjects_of,
)
from claim_transformers.sources.formats.meds.source import LATER_COLUMNS, PATIENT_COLUMN, TYPE_COLUMN
from claim_transformers.version import __version__

_MEDS_VERSION = "0.4"
_DATA_SCHEMA = pa.schema(
    [
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("time", pa.timestamp("us")),
        pa.field("code", pa.string(), nullable=False),
        pa.field("numeric_value", pa.float32()),
        pa.field(TYPE_COLUMN, pa.string()),
        pa.field(PATIENT_COLUMN, pa.string()),
        *(pa.field(name, pa.int32()) for name in LATER_COLUMNS),
    ]
)
_MICROSECONDS_PER_DAY = 86_400_000_000
# Events of one time stand in this order: a person is born, then enrolled, then seen, and dies last.
_SEX, _BIRTH, _START, _CODE, _END, _DEATH = range(6)


def export_meds(folder: str | Path, out: str | Path) -> dict[str, int]:
    """Write the patients of an ingested folder as MEDS 0.4: one row per code, at midnight of the visit.

    `claim_type`, `visit_end_day` (null for a stay without an end) and `visit_paid_day`, both in days since 1970-01-01,
    are extra columns, and so is `patient_id`, because a subject of MEDS is a number: the patient id itself where all
    are whole numbers, else the position of the patient id in their sorted list. Enrollment becomes events
    `ENROLLMENT//START` and `ENROLLMENT//END`. `ingest_meds` reads the result back to the same patients, but does not
    know which diagnosis was the principal or the admitting one.

    Args:
        folder (`str` or `Path`): Folder that `ingest` wrote.
        out (`str` or `Path`): Folder to make; it appears whole or not at all.

    Returns:
        `dict[str, int]`: Number of `subjects`, `events` and `files`.

    Raises:
        ClaimDataError: `E_NO_FOLDER` or `E_INCOMPLETE` if the source is no whole ingested folder, `E_EXISTS` if there
            is something at `out`, `E_SPLIT_OVERLAP` if a patient is in two splits, `E_WRITE` or `E_MEMORY` if the
            disk or memory is full.

    Examples:
        >>> export_meds("/nowhere", "/tmp/meds")
        Traceback (most recent call last):
        claim_transformers.codes.errors.ClaimDataError: E_NO_FOLDER: expected an ingested folder at /nowhere, ...
    """
    source = open_folder(folder)
    paths = source.table_files("patients")
    files = {split: [path for path in paths if path.name.startswith(f"{split}-")] for split in SPLITS}
    patient_ids = {split: _patient_ids(files[split]) for split in SPLITS}
    assert_disjoint(patient_ids)
    every_id, subject_ids = _number_subjects(pa.chunked_array([c for ids in patient_ids.values() for c in ids.chunks]))
    with publish_folder(out) as temporary:
        codes: set[str] = set()
        counts = Counter(subjects=len(every_id), files=0, events=0)
        (temporary / "metadata").mkdir()
        for meds_split, split in MEDS_SPLITS.items():
            (temporary / "data" / meds_split).mkdir(parents=True)
            for number, path in enumerate(files[split]):
                target = temporary / "data" / meds_split / f"{number}.parquet"
                counts["files"] += 1
                counts["events"] += _export_file(path, target, every_id, subject_ids, codes)
        _write_metadata(temporary / "metadata", source.manifest, codes)
        _write_splits(temporary / "metadata", patient_ids, every_id, subject_ids)
    return dict(counts)


def check_meds(path: str | Path) -> dict[str, int]:
    """Count what breaks the promises of MEDS that its own schema does not look at.

    Args:
        path (`str` or `Path`): Root folder of a MEDS dataset.

    Returns:
        `dict[str, int]`: Broken promises by name, empty if there are none: `W_UNSORTED`, `W_NOT_CONTIGUOUS` and
        `W_DUPLICATE` rows, `W_SUBJECT_FILES` subjects in several files, `W_NO_SPLIT` subjects without a split.

    Raises:
        ClaimDataError: If there is no data, a column is missing, or a folder contradicts the table of splits.

    Examples:
        >>> check_meds("/nowhere")
        Traceback (most recent call last):
        claim_transformers.codes.errors.ClaimDataError: E_NO_FILE: expected MEDS files data/**/*.parquet in ...
    """
    dataset = MedsDataset.open(Path(path))
    found: Counter[str] = Counter()
    subjects, files = [], []
    for number, file in enumerate(dataset.files):
        table = read_events(file)
        found += check_file(table)
        subjects.append(pc.unique(subjects_of(table)).drop_null().to_numpy(zero_copy_only=False))
        files.append(np.full(len(subjects[-1]), number))
    splits = dataset.splits_of(np.concatenate(subjects).astype(np.int64), np.concatenate(files))
    found["W_NO_SPLIT"] = int(np.count_nonzero(splits < 0))
    found["W_SUBJECT_FILES"] = len(splits) - len(np.unique(np.concatenate(subjects)))
    return {name: count for name, count in sorted(found.items()) if count}


def _patient_ids(paths: list[Path]) -> pa.ChunkedArray:
    chunks = [chunk for path in paths for chunk in pq.read_table(path, columns=["patient_id"])["patient_id"].chunks]
    return pa.chunked_array(chunks, pa.string())


def _number_subjects(patient_ids: pa.ChunkedArray) -> tuple[pa.Array, Any]:
    """Sorted patient ids and the subject of each."""
    every_id = patient_ids.take(pc.sort_indices(patient_ids)).combine_chunks()
    # Only a number that is written without leading zeros, and fits, reads back as the same text.
    is_number = pc.match_substring_regex(every_id, "^(0|[1-9][0-9]{0,17})$")
    if len(every_id) and pc.all(is_number).as_py():
        return every_id, every_id.cast(pa.int64()).to_numpy()
    return every_id, np.arange(1, len(every_id) + 1)


def _subjects_of(patient_ids: pa.Array, every_id: pa.Array, subject_ids: Any) -> Any:
    return subject_ids[pc.index_in(patient_ids, value_set=every_id).to_numpy(zero_copy_only=False)]


def _export_file(path: Path, target: Path, every_id: pa.Array, subject_ids: Any, codes: set[str]) -> int:
    """Write the events of one file of patients and collect the codes that occur."""
    num_events = 0
    with pq.ParquetFile(path) as file, pq.ParquetWriter(target, _DATA_SCHEMA, compression="zstd") as writer:
        for group in range(file.num_row_groups):
            patients = file.read_row_group(group).combine_chunks()
            ids = patients["patient_id"].combine_chunks()
            events = _events_of(patients, _subjects_of(ids, every_id, subject_ids))
            codes.update(pc.unique(events["code"]).to_pylist())
            num_events += events.num_rows
            writer.write_table(events)
    return num_events


def _events_of(patients: pa.Table, subjects: Any) -> pa.Table:
    """Events of some patients, contiguous by subject and sorted by time."""
    parts = list(_parts_of(patients))
    rows = np.concatenate([part[0] for part in parts])
    days = np.ma.concatenate([part[1] for part in parts])
    ranks = np.concatenate([np.full(len(part[0]), part[2]) for part in parts])
    codes = pa.chunked_array([part[3] for part in parts]).combine_chunks()
    visits = pa.chunked_array([part[4] for part in parts]).combine_chunks()
    # Rows without a time sort first; codes keep their order, because the sort is stable.
    order = np.lexsort((ranks, days.filled(np.iinfo(np.int64).min), subjects[rows]))
    times = pa.array(days.filled(0)[order] * _MICROSECONDS_PER_DAY, mask=np.ma.getmaskarray(days)[order])
    visits = visits.take(pa.array(order))
    of_visits = {
        column: patients[name].combine_chunks().flatten().take(visits)
        for column, name in {TYPE_COLUMN: "visit_type", **{name: name for name in LATER_COLUMNS}}.items()
        if name in patients.column_names
    }
    of_visits.setdefault(LATER_COLUMNS[1], pa.nulls(len(order), pa.int32()))
    return pa.table(
        {
            "subject_id": pa.array(subjects[rows][order]),
            "time": times.cast(pa.timestamp("us")),
            "code": codes.take(pa.array(order)),
            "numeric_value": pa.nulls(len(order), pa.float32()),
            **of_visits,
            PATIENT_COLUMN: patients["patient_id"].combine_chunks().take(pa.array(rows[order])),
        },
        schema=_DATA_SCHEMA,
    )


def _parts_of(patients: pa.Table) -> Iterator[tuple[Any, Any, int, pa.Array, pa.Array]]:
    """Yield patient rows, days, rank, codes and visits (null for none) of each kind of event."""

    def single(column: str, rank: int, code: str) -> tuple[Any, Any, int, pa.Array, pa.Array]:
        days = patients[column].combine_chunks()
        rows = np.flatnonzero(days.is_valid().to_numpy(zero_copy_only=False))
        return rows, _known(days.drop_null()), rank, pa.repeat(code, len(rows)), pa.nulls(len(rows), pa.int64())

    def listed(column: str, rank: int, code: str) -> tuple[Any, Any, int, pa.Array, pa.Array]:
        days = patients[column].combine_chunks()
        rows = np.repeat(np.arange(len(days)), days.value_lengths().fill_null(0).to_numpy(zero_copy_only=False))
        return rows, _known(days.flatten()), rank, pa.repeat(code, len(rows)), pa.nulls(len(rows), pa.int64())

    sexes = patients["sex"].combine_chunks()
    rows = np.flatnonzero(sexes.is_valid().to_numpy(zero_copy_only=False))
    codes = pa.array([SEX_CODES[sex] for sex in sexes.drop_null().to_pylist()], pa.string())
    yield rows, np.ma.masked_all(len(rows), np.int64), _SEX, codes, pa.nulls(len(rows), pa.int64())
    yield single("birth_day", _BIRTH, BIRTH_CODE)
    yield listed("enrollment_start_day", _START, ENROLLMENT_START_CODE)
    visits = patients["codes"].combine_chunks()
    num_visits = visits.value_lengths().to_numpy(zero_copy_only=False)
    num_codes = visits.flatten().value_lengths().to_numpy(zero_copy_only=False)
    visit_of_code = np.repeat(np.arange(len(num_codes)), num_codes)
    days = patients["visit_day"].combine_chunks().flatten().to_numpy()[visit_of_code]
    rows = np.repeat(np.arange(len(num_visits)), num_visits)[visit_of_code]
    yield rows, np.ma.array(days, np.int64), _CODE, visits.flatten().flatten(), pa.array(visit_of_code, pa.int64())
    yield listed("enrollment_end_day", _END, ENROLLMENT_END_CODE)
    yield single("death_day", _DEATH, DEATH_CODE)


def _known(days: pa.Array) -> Any:
    return np.ma.array(days.to_numpy(zero_copy_only=False), np.int64)


def _write_metadata(folder: Path, manifest: Any, codes: set[str]) -> None:
    distinct = sorted(codes)
    pq.write_table(
        pa.table(
            {
                "code": pa.array(distinct, pa.string()),
                "description": pa.nulls(len(distinct), pa.string()),
                "parent_codes": pa.nulls(len(distinct), pa.list_(pa.string())),
            }
        ),
        folder / "codes.parquet",
    )
    dataset = {
        "dataset_name": str(manifest.get("source", "claims")),
        "etl_name": "claim_transformers",
        "etl_version": __version__,
        "meds_version": _MEDS_VERSION,
        "raw_source_id_columns": [PATIENT_COLUMN],
        "other_extension_columns": [TYPE_COLUMN, *LATER_COLUMNS],
    }
    (folder / "dataset.json").write_text(to_json(dataset, indent=2), encoding="utf-8")


def _write_splits(folder: Path, patient_ids: dict[str, pa.ChunkedArray], every_id: pa.Array, subject_ids: Any) -> None:
    subjects, names = [], []
    for meds_split, split in MEDS_SPLITS.items():
        ids = patient_ids[split].combine_chunks()
        subjects.append(_subjects_of(ids, every_id, subject_ids))
        names += [meds_split] * len(ids)
    table = pa.table(
        {"subject_id": pa.array(np.concatenate(subjects), pa.int64()), "split": pa.array(names, pa.string())}
    )
    pq.write_table(table.sort_by("subject_id"), folder / "subject_splits.parquet")
