"""Patients table on disk: its schema, and a writer whose bytes do not depend on how the rows arrive.

`visit_end_day` is the last day of the claims behind a visit, null where one of them is a stay without an end. Files
hold columns beyond the schema where the source knows them (`OPTIONAL_FIELDS`): `visit_paid_day`, null where no paid
date is known; `principal_codes` and `admitting_codes`, the principal and the admitting diagnoses of each visit;
`visit_amount` and `visit_allowed_amount` (`claims.visit_amounts`), what was paid and allowed, in US dollars, null
where unknown. The days say what could be known on which day (`claims.known`) and are never an input of a model.

Enrollment has three states: spans; an empty list, none, where a source tells of enrollment and not of this patient's;
null, unknown, where no source of the patient's claims tells of enrollment at all.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from claim_transformers.claims.enrollment import SEXES, Enrollment
from claim_transformers.claims.later_days import VISIT_PAID_DAY
from claim_transformers.claims.packing import NULL_DAY, Integers, TimelineArrays, concatenate
from claim_transformers.claims.visit_amounts import AMOUNT_FIELDS, dollars_of

PATIENTS_SCHEMA = pa.schema(
    [
        pa.field("patient_id", pa.string()),
        pa.field("sex", pa.string()),
        pa.field("birth_day", pa.int32()),
        pa.field("death_day", pa.int32()),
        pa.field("enrollment_start_day", pa.list_(pa.int32())),
        pa.field("enrollment_end_day", pa.list_(pa.int32())),
        pa.field("visit_day", pa.list_(pa.int32())),
        pa.field("visit_type", pa.list_(pa.string())),
        pa.field("codes", pa.list_(pa.list_(pa.string()))),
        pa.field("visit_end_day", pa.list_(pa.int32())),
    ]
)
_PATIENTS_PER_ROW_GROUP = 5_000
_ROW_GROUPS_PER_FILE = 4
# Days of a patient ascend, so that what they grow by is smaller, and faster to compress and to read.
_ENCODINGS = dict.fromkeys(("visit_day.list.element", "visit_end_day.list.element"), "DELTA_BINARY_PACKED")
_CODE_LISTS = pa.list_(pa.list_(pa.string()))
PRINCIPAL_CODES = pa.field("principal_codes", _CODE_LISTS)
ADMITTING_CODES = pa.field("admitting_codes", _CODE_LISTS)
OPTIONAL_FIELDS = (VISIT_PAID_DAY, PRINCIPAL_CODES, ADMITTING_CODES)
_BEYOND_SCHEMA = (*OPTIONAL_FIELDS, *AMOUNT_FIELDS.values())


@dataclass(frozen=True)
class PatientNames:
    """The strings behind the integers of `TimelineArrays`, by position; types and codes are sorted.

    Codes that stand out are by the name of their column.
    """

    patient_ids: pa.Array
    visit_types: pa.Array
    codes: pa.Array
    marked: Mapping[str, pa.Array]


def schema_of(path: Path) -> pa.Schema:
    """Schema of patients as the files of a folder have it: with the optional fields that one of them holds."""
    return _schema_with(pq.read_schema(path).names)


def _schema_with(names: Collection[str]) -> pa.Schema:
    return pa.schema([*PATIENTS_SCHEMA, *(field for field in _BEYOND_SCHEMA if field.name in names)])


def read_back(table: pa.Table) -> pa.Table:
    """What `to_table` gives, as readers of its file see it: without dictionaries."""
    return table.cast(_schema_with(table.column_names))


def to_table(timelines: TimelineArrays, enrollment: Enrollment, names: PatientNames) -> pa.Table:
    """Build rows of the patients table, with sexes, types and codes dictionary-encoded."""
    patients = timelines.patients
    span_counts = np.diff(enrollment.span_offsets)[patients]
    span_offsets = np.append(0, np.cumsum(span_counts))
    spans = np.repeat(enrollment.span_offsets[:-1][patients] - span_offsets[:-1], span_counts) + np.arange(
        span_offsets[-1]
    )
    is_unknown = ~enrollment.is_known[patients]
    columns = {
        "patient_id": names.patient_ids.take(pa.array(patients)),
        "sex": _dictionary(enrollment.sexes[patients], pa.array(SEXES)),
        "birth_day": _days(enrollment.birth_days[patients]),
        "death_day": _days(enrollment.death_days[patients]),
        "enrollment_start_day": _list(span_offsets, pa.array(enrollment.span_starts[spans]), is_unknown),
        "enrollment_end_day": _list(span_offsets, pa.array(enrollment.span_ends[spans]), is_unknown),
        "visit_day": _list(timelines.visit_offsets, pa.array(timelines.visit_days)),
        "visit_type": _list(timelines.visit_offsets, _dictionary(timelines.visit_types, names.visit_types)),
        "codes": _list(
            timelines.visit_offsets, _list(timelines.code_offsets, _dictionary(timelines.codes, names.codes))
        ),
        "visit_end_day": _list(timelines.visit_offsets, _days(timelines.visit_end_days)),
    }
    if timelines.visit_paid_days is not None:
        columns[VISIT_PAID_DAY.name] = _list(timelines.visit_offsets, _days(timelines.visit_paid_days))
    for field in OPTIONAL_FIELDS[1:]:
        if field.name in timelines.marked:
            lists, strings = timelines.marked[field.name], names.marked[field.name]
            codes = _list(lists.offsets, _dictionary(lists.codes, strings))
            columns[field.name] = _list(timelines.visit_offsets, codes)
    for name, cents in timelines.visit_cents.items():
        columns[name] = _list(timelines.visit_offsets, dollars_of(cents))
    return pa.table(columns)


def _days(days: Integers) -> pa.Array:
    return pa.array(days, pa.int32(), mask=days == NULL_DAY)


def _list(offsets: Integers, values: pa.Array, is_null: "npt.NDArray[np.bool_] | None" = None) -> pa.Array:
    mask = None if is_null is None else pa.array(is_null)
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values, mask=mask)


def _dictionary(positions: Integers, strings: pa.Array) -> pa.Array:
    """Dictionary-encode with only the strings that occur, so that a row group does not carry the whole vocabulary."""
    # The last entry is that of null, at -1.
    is_used = np.zeros(len(strings) + 1, dtype=bool)
    positions = positions.astype(np.intp)
    is_used[positions] = True
    compact = (np.cumsum(is_used, dtype=np.int32) - 1).take(positions, mode="wrap")
    indices = pa.array(compact, mask=positions < 0) if is_used[-1] else pa.array(compact)
    return pa.DictionaryArray.from_arrays(indices, strings.filter(pa.array(is_used[:-1])), safe=False)


class PatientFiles:
    """Write the patients of one split, always cut into the same row groups and files.

    Parts are collected until a row group is full, so the bytes depend on the patients alone and not on the shards they
    come from. A split without patients gets one file without rows, with the columns of `nobody`.
    """

    def __init__(
        self, folder: Path, split: str, enrollment: Enrollment, names: PatientNames, nobody: TimelineArrays
    ) -> None:
        self.num_patients = 0
        of_lists = [f"{name}.list.element.list.element" for name in ("codes", *names.marked)]
        self._dictionaries = ["sex", "visit_type.list.element", *of_lists]
        self._folder, self._split = folder, split
        self._enrollment, self._names, self._nobody = enrollment, names, nobody
        self._pending: list[TimelineArrays] = []
        self._num_pending = self._num_groups = self._num_files = 0
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> "PatientFiles":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and (self._num_pending or not self._num_files):
            self._write_group(self._pending or [self._nobody])
        if self._writer is not None:
            self._writer.close()

    def append(self, timelines: TimelineArrays) -> None:
        """Add patients, who follow those added before."""
        start, end = 0, timelines.num_patients
        while self._num_pending + end - start >= _PATIENTS_PER_ROW_GROUP:
            stop = start + _PATIENTS_PER_ROW_GROUP - self._num_pending
            self._write_group([*self._pending, timelines.slice(start, stop)])
            self._pending, self._num_pending, start = [], 0, stop
        if end > start:
            self._pending.append(timelines.slice(start, end))
            self._num_pending += end - start

    def _write_group(self, parts: Sequence[TimelineArrays]) -> None:
        table = to_table(concatenate(parts), self._enrollment, self._names)
        if self._writer is not None and self._num_groups == _ROW_GROUPS_PER_FILE:
            self._writer.close()
            self._writer, self._num_groups = None, 0
        if self._writer is None:
            # Without the Arrow schema in the file, readers see strings where the writer saves work with dictionaries.
            self._writer = pq.ParquetWriter(
                self._folder / f"{self._split}-{self._num_files:05d}.parquet",
                table.schema,
                compression="zstd",
                use_dictionary=self._dictionaries,
                column_encoding=_ENCODINGS,
                write_statistics=["patient_id"],
                store_schema=False,
            )
            self._num_files += 1
        self._writer.write_table(table, row_group_size=_PATIENTS_PER_ROW_GROUP)
        self._num_groups += 1
        self.num_patients += table.num_rows
