"""Files of a MEDS dataset, 0.3.3 or 0.4, and what the format promises about them.

```
PATH/data/**/*.parquet               subject_id int64, time timestamp, code string, numeric_value float32, ...
PATH/metadata/subject_splits.parquet subject_id int64, split "train" | "tuning" | "held_out"
PATH/metadata/dataset.json  PATH/metadata/codes.parquet
```
The two versions differ in the labels, which are not read here, and in optional columns. Source: the schema of
Medical-Event-Data-Standard/meds, `src/meds/schema.py`.
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from claim_transformers.claims.packing import NULL_DAY
from claim_transformers.claims.splits import DEFAULT_SALT, SPLITS, split_numbers
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.meds import SOURCE
from claim_transformers.sources.pipeline.numeric_codes import is_text

MEDS_SPLITS = MappingProxyType({"train": "train", "tuning": "validation", "held_out": "test"})
NO_SPLIT = -1
_COLUMNS = SOURCE.read_layouts()["data"]
COLUMNS_READ = frozenset(_COLUMNS.to_layout().kinds)
_TICKS_PER_SECOND = MappingProxyType({"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000})
_SECONDS_PER_DAY = 86_400
# Names that writers give to universal time, in lower case; in any other zone the date of a time is not plain.
_UNIVERSAL_TIME = frozenset({"utc", "etc/utc", "z", "+00:00"})


@dataclass(frozen=True)
class MedsDataset:
    """A MEDS dataset on disk."""

    path: Path
    files: tuple[Path, ...]
    metadata: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> "MedsDataset":
        """Find the files and check their columns."""
        files = tuple(sorted((path / "data").rglob("*.parquet")))
        if not files:
            raise ClaimDataError("E_NO_FILE", f"expected MEDS files data/**/*.parquet in {path}, found none")
        for file in files:
            _check_columns(pq.read_schema(file), file.relative_to(path))
        metadata = path / "metadata" / "dataset.json"
        return cls(path, files, json.loads(metadata.read_text(encoding="utf-8")) if metadata.exists() else {})

    def name(self, file: Path) -> str:
        """Name of a data file for reports, without the way to the dataset."""
        return file.relative_to(self.path / "data").as_posix()

    def has_column(self, column: str) -> bool:
        """Whether every data file has a column."""
        return all(column in pq.read_schema(file).names for file in self.files)

    def splits_of(
        self, subjects: npt.NDArray[np.int64], files_of: npt.NDArray[np.int64], salt: str = DEFAULT_SALT
    ) -> npt.NDArray[np.int8]:
        """Find the split of each subject: as the dataset says, or by hash if it says nothing."""
        by_folder = np.array([_split_of_folder(self.name(file)) for file in self.files], np.int8)[files_of]
        splits_file = self.path / "metadata" / "subject_splits.parquet"
        if not splits_file.exists():
            if (by_folder == NO_SPLIT).any():
                return split_numbers(pa.array(subjects).cast(pa.string()), salt)
            return by_folder
        table = pq.read_table(splits_file, columns=["subject_id", "split"])
        names = set(pc.unique(table["split"]).to_pylist())
        if not names <= set(MEDS_SPLITS):
            raise ClaimDataError(
                "E_SPLIT", f"expected the splits {', '.join(MEDS_SPLITS)}, found {sorted(map(str, names))}"
            )
        number_of = {name: SPLITS.index(split) for name, split in MEDS_SPLITS.items()}
        found = pc.index_in(pa.array(subjects), value_set=table["subject_id"].combine_chunks())
        split_of_row = np.array([*(number_of[name] for name in table["split"].to_pylist()), NO_SPLIT], np.int8)
        splits: npt.NDArray[np.int8] = split_of_row[found.fill_null(table.num_rows).to_numpy(zero_copy_only=False)]
        contradicted = int(np.count_nonzero((by_folder != NO_SPLIT) & (splits != NO_SPLIT) & (by_folder != splits)))
        if contradicted:
            raise ClaimDataError(
                "E_SPLIT_OVERLAP",
                f"expected the folders of data to agree with subject_splits.parquet, found {contradicted} subjects in "
                "another split",
            )
        return splits


def _check_columns(schema: pa.Schema, name: Path) -> None:
    required = _COLUMNS.required
    if missing := [column for column in required if column not in schema.names]:
        raise ClaimDataError("E_COLUMN", f"{name}: expected the columns {', '.join(required)}, missing {missing}")
    if not pa.types.is_integer(schema.field("subject_id").type):
        raise ClaimDataError(
            "E_ID_TYPE", f"{name}: expected subject_id as int64, found {schema.field('subject_id').type}"
        )
    texts = {"code": "E_CODE_TYPE", "patient_id": "E_ID_TYPE", "claim_type": "E_CODE_TYPE"}
    for column, reason in texts.items():
        if column in schema.names and not is_text(schema.field(column).type):
            raise ClaimDataError(
                reason, f"{name}: expected {column} as text, found {schema.field(column).type}: export it as text"
            )
    for column in ("visit_end_day", "visit_paid_day"):
        if column in schema.names and not pa.types.is_integer(found := schema.field(column).type):
            raise ClaimDataError(
                "E_SCHEMA", f"{name}: expected {column} as whole days since 1970-01-01, found {found}: export it so"
            )
    time = schema.field("time").type
    is_local = pa.types.is_timestamp(time) and (time.tz or "utc").lower() not in _UNIVERSAL_TIME
    if is_local or not (pa.types.is_timestamp(time) or pa.types.is_date(time)):
        raise ClaimDataError(
            "E_TIMESTAMP",
            f"{name}: expected time as a date, or a timestamp without a time zone or in UTC, found {time}. Write the "
            "local time of the subject, without its zone",
        )


def _split_of_folder(name: str) -> int:
    first = name.split("/")[0]
    return SPLITS.index(MEDS_SPLITS[first]) if "/" in name and first in MEDS_SPLITS else NO_SPLIT


def read_events(file: Path, **options: Any) -> pa.Table:
    """Read a data file; times that Spark writes in 96 bits reach beyond the years that nanoseconds hold."""
    # Each row group has a dictionary of its own.
    return pq.read_table(file, partitioning=None, coerce_int96_timestamp_unit="us", **options).unify_dictionaries()


def subjects_of(table: pa.Table) -> pa.ChunkedArray:
    """Subjects of events as int64."""
    try:
        return table["subject_id"].cast(pa.int64())
    except pa.ArrowInvalid:
        # The message of the engine holds the number.
        raise ClaimDataError(
            "E_ID_TYPE", "expected subject_id as int64, found numbers that do not fit: number the subjects anew"
        ) from None


def to_days(times: pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Turn times into days since 1970-01-01 and nanoseconds of the day."""
    ticks = _ticks_of(times).fill_null(0).to_numpy()
    per_second = _per_second(times.type)
    days = ticks // (per_second * _SECONDS_PER_DAY) if per_second else ticks
    of_day = ticks % (per_second * _SECONDS_PER_DAY) * (10**9 // per_second) if per_second else np.zeros_like(ticks)
    # Seconds reach further than 32 bits of days: a day out of reach must not come round to a real one.
    days = np.clip(days, NULL_DAY + 1, np.iinfo(np.int32).max)
    return np.where(pc.is_null(times).to_numpy(), NULL_DAY, days).astype(np.int32), of_day


def _ticks_of(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times as they are stored, in whole numbers of their own unit, so that no precision is lost."""
    return (times.cast(pa.int32()) if pa.types.is_date32(times.type) else times).cast(pa.int64())


def _per_second(kind: pa.DataType) -> int:
    """Ticks of a second, 0 for plain dates."""
    if pa.types.is_date32(kind):
        return 0
    return 1_000 if pa.types.is_date64(kind) else _TICKS_PER_SECOND[kind.unit]


def check_file(table: pa.Table) -> Counter[str]:
    """Count what breaks the promises of MEDS within a file; `meds.DataSchema` does not look at them."""
    if not table.num_rows:
        return Counter()
    subjects = table["subject_id"].fill_null(0).to_numpy()
    times = _ticks_of(table["time"]).fill_null(np.iinfo(np.int64).min).to_numpy()
    starts = np.flatnonzero(np.append(True, subjects[1:] != subjects[:-1]))
    is_same = subjects[1:] == subjects[:-1]
    distinct = table.group_by(table.column_names).aggregate([]).num_rows
    found = {
        "W_NOT_CONTIGUOUS": len(starts) - len(np.unique(subjects[starts])),
        "W_UNSORTED": int(np.count_nonzero(is_same & (times[1:] < times[:-1]))),
        "W_DUPLICATE": table.num_rows - distinct,
    }
    return Counter({warning: count for warning, count in found.items() if count})
