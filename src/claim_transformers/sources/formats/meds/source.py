"""MEDS in: events of a Medical Event Data Standard dataset become patients.

MEDS has no claims, so there are no canonical tables: the events of a subject on one date are a visit, of the type that
an extra column `claim_type` names or else of the type `MEDS`. `docs/sources/meds.md` has the table of columns.
"""

import datetime as dt
import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from claim_transformers.claims.assembly import SequenceAssembler
from claim_transformers.claims.files import file_sha256
from claim_transformers.claims.last_day import find_last_day
from claim_transformers.claims.ledger import MAX_QUARANTINE_SHARE, MAX_REASON_SHARE, Ledger, report_to_json
from claim_transformers.claims.packing import NULL_DAY, EncodedCodes, Integers, VisitKeys, dictionary_of
from claim_transformers.claims.schema import CLAIM_TYPES
from claim_transformers.claims.small_cells import show_count
from claim_transformers.claims.splits import DEFAULT_SALT
from claim_transformers.claims.store import write_folder, write_manifest
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.codes.forms import R_CODE_TEXT
from claim_transformers.sources.formats.meds.codes import Role, read_codes
from claim_transformers.sources.formats.meds.dataset import (
    COLUMNS_READ,
    NO_SPLIT,
    MedsDataset,
    check_file,
    read_events,
    subjects_of,
    to_days,
)
from claim_transformers.sources.formats.meds.demographics import FILLER_DAYS, LIFE_REASONS, Demographics, judge_lives
from claim_transformers.sources.pipeline.ingest import IngestSummary
from claim_transformers.version import __version__

_VISIT_TYPE = "MEDS"
PATIENT_COLUMN, TYPE_COLUMN = "patient_id", "claim_type"
LATER_COLUMNS = ("visit_end_day", "visit_paid_day")
_R_NO_ID, _D_NO_SPLIT, _D_NO_TIME = "R_NO_ID", "D_NO_SPLIT", "D_NO_TIME"
_R_DATE, _R_FUTURE, _F_OPEN_SPAN, _F_DATE_NULL, _F_SEX_NULL = (
    *("R_DATE", "R_FUTURE"),
    *("F_OPEN_SPAN", "F_DATE_NULL", "F_SEX_NULL"),
)
# Days that the table of patients holds; extracts shift dates by centuries, so years to come are no fault.
_FIRST_DAY, _LAST_DAY = np.array(["1697-01-01", "2412-12-31"], "datetime64[D]").astype(int)
_NEVER = np.iinfo(np.int32).max
_ROLES_WITHOUT_TIME = (Role.FEMALE, Role.MALE, Role.UNKNOWN_SEX)


def ingest_meds(
    path: str | Path,
    out: str | Path,
    *,
    overwrite: bool = False,
    extract_date: dt.date | None = None,
    salt: str = DEFAULT_SALT,
    max_quarantine_share: float = MAX_QUARANTINE_SHARE,
    max_reason_share: float = MAX_REASON_SHARE,
    progress: bool = True,
) -> IngestSummary:
    """Read a MEDS dataset and publish its patients, quarantine and quality report."""
    dataset = MedsDataset.open(Path(path))
    ledger = Ledger()
    with write_folder(out, overwrite=overwrite) as folder:
        subjects = _read_subjects(dataset, salt)
        with tempfile.TemporaryDirectory(prefix=".keys-", dir=folder) as keys:
            assembler = _assembler_of(dataset, subjects, Path(keys))
            demographics = Demographics()
            positions = assembler.positions(subjects.patient_ids)
            for file in tqdm(dataset.files, desc="meds", unit=" files", disable=not progress):
                name, table = dataset.name(file), read_events(file, read_dictionary=["code"])
                events = _read_events(name, table, subjects, positions, assembler, extract_date)
                _enter(ledger, name, table, events)
                _write_quarantine(folder / "quarantine", name, table, events)
                is_code = events.is_used & (events.roles == Role.CODE)
                codes = events.codes[is_code]
                ledger.kept.setdefault("data", []).append(_count_codes(codes, assembler))
                visits = assembler.visits(
                    *(column[is_code] for column in (events.patients, events.days, events.types))
                )
                assembler.add(visits, codes)
                if dataset.has_column(LATER_COLUMNS[0]):
                    _add_later(assembler, table, visits, is_code)
                demographics.add(events.patients, events.days, events.ticks, events.roles, events.is_used)
            (folder / "patients").mkdir()
            eligibility = demographics.to_eligibility(
                len(assembler.patient_ids), find_last_day(assembler.last_days, extract_date)
            )
            for number, file in enumerate(dataset.files):
                entry = ledger.entry(dataset.name(file), _VISIT_TYPE)
                entry.fixes.update(demographics.fixes.get(number, {}))
                entry.warnings.update(demographics.warnings.get(number, {}))
            # A dataset that tells of anybody's enrollment tells of everybody's.
            is_known = bool((eligibility.starts != NULL_DAY).any())
            counts = assembler.write(
                folder / "patients", eligibility, extract_date=extract_date, is_known=is_known, progress=progress
            )
            assembler.close()
        ledger.check_rates(max_quarantine_share=max_quarantine_share, max_reason_share=max_reason_share)
        ledger.check_conservation()
        report = {**ledger.to_dict(), "last_day": counts.last_day}
        (folder / "quality_report.json").write_text(report_to_json(report), encoding="utf-8")
        write_manifest(folder, _manifest(dataset, counts.to_dict(), salt))
    return IngestSummary(Path(out), report, {"patients": counts.patients}, counts)


def _add_later(
    assembler: SequenceAssembler, table: pa.Table, visits: VisitKeys, is_code: npt.NDArray[np.bool_]
) -> None:
    """Add when visits ended and were paid, which an export of ours tells; a visit without an end never ended."""
    later = [
        np.clip(table[name].fill_null(unknown).to_numpy().astype(np.int64), NULL_DAY, _NEVER)
        if name in table.column_names
        else np.full(table.num_rows, NULL_DAY)
        for name, unknown in zip(LATER_COLUMNS, (_NEVER, NULL_DAY), strict=True)
    ]
    assembler.add_later(visits, *(column[is_code] for column in later))


@dataclass(frozen=True)
class _Subjects:
    """Every subject once, ascending, with patient id and split; and every type of visit."""

    subject_ids: npt.NDArray[np.int64]
    patient_ids: pa.Array
    splits: npt.NDArray[np.int8]
    visit_types: list[str]


def _read_subjects(dataset: MedsDataset, salt: str) -> _Subjects:
    """Read who is in the dataset. An export of ours carries the patient id beside the number of the subject."""
    names = ["subject_id", *(name for name in (PATIENT_COLUMN, TYPE_COLUMN) if dataset.has_column(name))]
    parts, visit_types = [], set()
    for number, file in enumerate(dataset.files):
        table = read_events(file, columns=names)
        visit_types |= set(_types_of(table).unique().to_pylist())
        table = table.filter(pc.is_valid(table["subject_id"])).append_column(
            "file", pa.array(np.full(table.num_rows - table["subject_id"].null_count, number))
        )
        patient_id = table[PATIENT_COLUMN] if PATIENT_COLUMN in names else table["subject_id"]
        table = pa.table(
            {
                "subject_id": subjects_of(table),
                "patient_id": patient_id.cast(pa.string()),
                "file": table["file"],
            }
        )
        parts.append(table.group_by(table.column_names).aggregate([]))
    pairs = pa.concat_tables(parts).sort_by("subject_id")
    subject_ids = pairs["subject_id"].to_numpy()
    splits = dataset.splits_of(subject_ids, pairs["file"].to_numpy(), salt)
    is_first = np.append(True, subject_ids[1:] != subject_ids[:-1])[: len(subject_ids)]
    first = np.flatnonzero(is_first)
    num_torn = int(np.count_nonzero(splits != splits[first][np.cumsum(is_first) - 1]))
    if num_torn:
        raise ClaimDataError(
            "E_SPLIT_OVERLAP", f"expected every subject in one split, found {show_count(num_torn)} in several"
        )
    patient_ids = pairs["patient_id"].combine_chunks().take(pa.array(first))
    num_names = pairs.group_by(["subject_id", "patient_id"]).aggregate([]).num_rows
    if num_names != len(first) or pc.count_distinct(patient_ids).as_py() != len(first):
        raise ClaimDataError(
            "E_ID_TYPE",
            f"expected one {PATIENT_COLUMN} for each subject_id, found {show_count(len(first))} subjects "
            f"and {show_count(num_names)} pairs of both",
        )
    return _Subjects(subject_ids[first], patient_ids, splits[first], sorted(visit_types))


def _types_of(table: pa.Table) -> pa.ChunkedArray:
    if TYPE_COLUMN not in table.column_names:
        return pa.chunked_array([pa.array([_VISIT_TYPE] if table.num_rows else [], pa.string())])
    words = pc.utf8_trim_whitespace(pc.replace_substring(table[TYPE_COLUMN].cast(pa.string()), "\u00a0", " "))
    known = pc.utf8_upper(words)
    words = pc.if_else(pc.is_in(known, value_set=pa.array(CLAIM_TYPES)), known, words)
    return pc.if_else(pc.fill_null(pc.not_equal(words, ""), False), words, _VISIT_TYPE)


def _assembler_of(dataset: MedsDataset, subjects: _Subjects, workspace: Path) -> SequenceAssembler:
    kept = np.flatnonzero(subjects.splits != NO_SPLIT)
    patient_ids = subjects.patient_ids.take(pa.array(kept))
    order = pc.sort_indices(patient_ids)
    splits = subjects.splits[kept][order.to_numpy()]
    num_rows = sum(pq.read_metadata(file).num_rows for file in dataset.files)
    return SequenceAssembler(patient_ids.take(order), splits, subjects.visit_types, workspace, num_codes=num_rows)


@dataclass(frozen=True)
class _Events:
    """Rows of a data file. `reasons` tells why a row is left out, as a position in `reason_names`, 0 if it is not."""

    patients: Integers
    days: Integers
    ticks: Integers
    types: Integers
    codes: Integers
    roles: Integers
    reasons: Integers
    reason_names: list[str]

    @property
    def is_used(self) -> npt.NDArray[np.bool_]:
        is_used: npt.NDArray[np.bool_] = self.reasons == 0
        return is_used


def _read_events(
    name: str,
    table: pa.Table,
    subjects: _Subjects,
    positions: Integers,
    assembler: SequenceAssembler,
    extract_date: dt.date | None,
) -> _Events:
    subject_ids = subjects_of(table)
    found = np.searchsorted(subjects.subject_ids, subject_ids.fill_null(0).to_numpy())
    has_subject = pc.is_valid(subject_ids).to_numpy()
    patients = np.where(has_subject, np.append(positions, -1)[found], -1)
    indices, texts = dictionary_of(table["code"].combine_chunks())
    read = read_codes(texts)
    if read.numeric:
        raise ClaimDataError(
            "E_CODE_TYPE",
            f"expected codes of {', '.join(read.numeric)} as text in {name}, found what a float wrote: leading zeros "
            "are lost and nobody can know which, so export them as text",
        )
    # One entry more, at -1, for the rows without a code.
    numbers = np.append(assembler.codes.number(EncodedCodes.of(read.systems, read.codes)), -1)[indices]
    roles = np.append(read.roles, Role.REFUSED)[indices]
    days, ticks = to_days(table["time"])
    if TYPE_COLUMN in table.column_names:
        types = assembler.type_positions(_types_of(table).combine_chunks())
    else:
        types = np.full(table.num_rows, assembler.visit_types.index(_VISIT_TYPE).as_py(), np.int8)

    names = ["", _R_NO_ID, _D_NO_SPLIT, _D_NO_TIME, _R_DATE, _R_FUTURE, R_CODE_TEXT]
    names += sorted({reason for reason in read.reasons if reason is not None} - {R_CODE_TEXT})
    refusals = np.array([names.index(reason or "") for reason in read.reasons] + [names.index(R_CODE_TEXT)], np.int8)
    needs_time = ~np.isin(roles, _ROLES_WITHOUT_TIME)
    is_end = roles == Role.ENROLLMENT_END
    is_far = ((days < _FIRST_DAY) | (days > _LAST_DAY)) & ~(is_end & np.isin(days, FILLER_DAYS))
    # Enrolment is known ahead.
    is_late = np.zeros(len(days), bool)
    if extract_date is not None:
        is_late = (days > np.datetime64(extract_date).astype(int)) & ~is_end & (roles != Role.ENROLLMENT_START)
    reasons = np.select(
        [
            *(~has_subject, refusals[indices] > 0, patients < 0),
            *(needs_time & marks for marks in (days == NULL_DAY, is_far, is_late)),
        ],
        [1, refusals[indices], 2, 3, 4, 5],
        default=0,
    )
    of_lives = judge_lives(patients, days, roles, reasons == 0)
    reasons = np.where(of_lives > 0, len(names) - 1 + of_lives, reasons)
    return _Events(patients, days, ticks, types, numbers, roles, reasons, [*names, *LIFE_REASONS])


def _enter(ledger: Ledger, name: str, table: pa.Table, events: _Events) -> None:
    entry = ledger.entry(name, _VISIT_TYPE)
    entry.rows_in = table.num_rows
    entry.rows_out = entry.lines_out = int(np.count_nonzero(events.is_used))
    counts = np.bincount(events.reasons, minlength=len(events.reason_names))
    for reason, count in zip(events.reason_names[1:], counts[1:].tolist(), strict=True):
        if count:
            (entry.quarantined if reason.startswith("R_") else entry.dropped)[reason] += count
    entry.warnings.update(check_file(table))
    ledger.unused_columns[name] = [
        column for column in table.column_names if column not in COLUMNS_READ and table[column].null_count < len(table)
    ]
    if TYPE_COLUMN in table.column_names:
        has_no_type = pc.equal(_types_of(table), _VISIT_TYPE).to_numpy() & events.is_used & (events.roles == Role.CODE)
        if count := int(np.count_nonzero(has_no_type)):
            entry.warnings["W_CLAIM_TYPE"] += count
    if count := int(np.count_nonzero((events.roles == Role.UNKNOWN_SEX) & events.is_used)):
        entry.fixes[_F_SEX_NULL] += count


def _count_codes(numbers: Integers, assembler: SequenceAssembler) -> pa.Table:
    """Distinct codes and how often each occurs."""
    counts = np.bincount(numbers, minlength=len(assembler.codes))
    codes = pa.table({"code": assembler.codes.names(), "count": counts.astype(np.int64)})
    return codes.filter(pc.greater(codes["count"], 0))


def _write_quarantine(folder: Path, name: str, table: pa.Table, events: _Events) -> None:
    """Write rows that cannot be used as they came, as text, with reason, file, number and stage."""
    is_refusal = np.array([reason.startswith("R_") for reason in events.reason_names])
    rows = np.flatnonzero(is_refusal[events.reasons])
    if not len(rows):
        return
    refused = table.take(pa.array(rows))
    columns = {column: refused[column].cast(pa.string()) for column in table.column_names}
    columns["reason_code"] = pa.array([events.reason_names[reason] for reason in events.reasons[rows]])
    columns["source_file"] = pa.array([name] * len(rows))
    columns["row_no"] = pa.array(rows + 1)
    columns["stage"] = pa.array(["checks"] * len(rows))
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), folder / f"{name.removesuffix('.parquet').replace('/', '-')}.parquet")


def _manifest(dataset: MedsDataset, counts: dict[str, Any], salt: str) -> dict[str, Any]:
    names = ("dataset_name", "dataset_version", "meds_version")
    return {
        "source": "meds",
        "source_facts": {name: dataset.metadata[name] for name in names if name in dataset.metadata},
        "versions": {"claim_transformers": __version__, "pyarrow": pa.__version__},
        "inputs": [
            {
                "name": dataset.name(file),
                "table": "data",
                "rows": pq.read_metadata(file).num_rows,
                "bytes": file.stat().st_size,
                "sha256": file_sha256(file),
            }
            for file in dataset.files
        ],
        "lines": {},
        "patients": counts,
        # The salt itself stays with whoever chose it; its hash tells whether two folders were split alike.
        "salt_sha256": hashlib.sha256(salt.encode()).hexdigest(),
    }
