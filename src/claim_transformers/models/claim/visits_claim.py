"""Visits out of an Arrow table of patients: flat arrays, checked, joined and cut to the most recent."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from .canonical_claim import DAY_COLUMNS, canonical_type, no_principal, refuse_other_names, two_kinds_of_days

# Rows per step: the flat arrays of a step stay within the processor's cache or near it, whatever the table's size.
_ROWS_PER_STEP = 8192
# Columns that may hold labels, of a patient or of each visit.
LABEL_COLUMNS = ("label", "labels")


@dataclass
class VisitColumns:
    """The visits in view of a batch of patients, flat, ordered by (row, day, type)."""

    num_rows: int  # Patients `B`.
    row: np.ndarray  # Patient of each visit, shape `(V,)`.
    day: np.ndarray  # Service date as a day number, shape `(V,)`.
    type_index: np.ndarray  # Position of its type in `types`, shape `(V,)`.
    types: list[str]  # Distinct visit types, the empty string for unknown.
    codes: Any  # Code strings of all visits, not distinct, nulls possible; an array of length `C`.
    code_visit: np.ndarray  # Visit of each code, shape `(C,)`.
    principal: Any  # Principal diagnoses of all visits, not distinct, nulls possible; of length `P`.
    principal_visit: np.ndarray  # Visit of each principal diagnosis, shape `(P,)`.


def load_arrow() -> tuple[ModuleType, ModuleType]:
    """Import pyarrow where it is used, because a tokenizer that encodes single patients works without it."""
    try:
        import pyarrow
        import pyarrow.compute
    except ImportError as error:
        raise ImportError("tables of patients need pyarrow, found none installed: `pip install pyarrow`") from error
    return pyarrow, pyarrow.compute


def read_batches(table: Any, columns: Iterable[str]) -> Iterator[Any]:
    """Cut a table into contiguous pieces of the columns that are read."""
    pa, _ = load_arrow()
    if isinstance(table, pa.RecordBatch):
        table = pa.Table.from_batches([table])
    refuse_other_names(table.column_names)
    missing = [name for name in ("visit_day", "visit_type", "codes") if name not in table.column_names]
    if missing:
        raise ValueError(
            f"expected the patients columns visit_day, visit_type and codes, found no {', '.join(missing)} "
            f"among {table.num_columns} columns"
        )
    table = table.select([name for name in columns if name in table.column_names])
    # Many small chunks cost more than one copy.
    if table.num_rows and any(column.num_chunks * 64 > table.num_rows for column in table.columns):
        table = table.combine_chunks()
    yield from table.to_batches(max_chunksize=_ROWS_PER_STEP)


def read_visits(batch: Any, max_visits: int | None, *, mark_principal: bool = False) -> VisitColumns:
    """Flatten the visits of a batch, join those of one day and type, and keep the most recent."""
    pa, _ = load_arrow()
    if mark_principal and "principal_codes" not in batch.schema.names:
        raise ValueError(no_principal())
    names = ("visit_day", "visit_type", "codes", "principal_codes")[: 4 if mark_principal else 3]
    (days, types, *lists), (days_per_row, *others) = zip(
        *(flatten_lists(batch.column(name), name) for name in names), strict=True
    )
    if unequal := np.any([lengths != days_per_row for lengths in others], axis=0).sum():
        raise ValueError(
            f"expected {', '.join(names[:-1])} and {names[-1]} of one length in each row, "
            f"found {unequal} rows with unequal lengths"
        )
    if days.null_count:
        raise ValueError(f"expected every visit_day to be an integer, found {days.null_count} nulls")
    _refuse_two_kinds(batch)
    row = np.repeat(np.arange(len(batch)), days_per_row)
    day = _integers(as_days(days, "visit_day"), "visit_day")
    type_index, type_names = _type_ranks(types)

    position, first = _join_visits(row, day, type_index)
    _refuse_labels_of_moved_visits(batch, np.unique(row[1:][position[1:] <= position[:-1]]), days_per_row)
    row, day, type_index = row[first], day[first], type_index[first]
    if max_visits is not None and days_per_row.max(initial=0) > max_visits:
        ends = np.searchsorted(row, np.arange(len(batch)), side="right")
        in_view = ends[row] - np.arange(row.size) <= max_visits
        row, day, type_index = row[in_view], day[in_view], type_index[in_view]
        position = np.where(in_view, np.cumsum(in_view) - 1, -1)[position]
        lists = [inner.filter(pa.array(position >= 0)) for inner in lists]
        position = position[position >= 0]
    codes: list[Any] = []
    for name, inner in zip(names[2:], lists, strict=True):
        texts, texts_per_visit = flatten_lists(inner, name)
        codes += [as_strings(texts, name), np.repeat(position, texts_per_visit)]
    codes += [] if mark_principal else [pa.array([], pa.string()), np.zeros(0, dtype=np.int64)]
    return VisitColumns(len(batch), row, day, type_index, type_names, *codes)


def _refuse_labels_of_moved_visits(batch: Any, moved_rows: np.ndarray, days_per_row: np.ndarray) -> None:
    """Refuse a label for each visit as they stand, where they are not in the order that they are given here."""
    pa, _ = load_arrow()
    for name in LABEL_COLUMNS:
        kind = batch.schema.field(name).type if name in batch.schema.names and moved_rows.size else pa.null()
        if not (hasattr(kind, "value_type") and pa.types.is_integer(kind.value_type)):
            continue
        lengths = flatten_lists(batch.column(name), name)[1]
        if wrong := int((lengths == days_per_row)[moved_rows].sum()):
            raise ValueError(
                f"expected visits by day and type, one of each, where {name} has a number for each of them, found "
                f"{wrong} rows with others; sort visits and labels alike, and join those of one day and type"
            )


def read_optional_integers(batch: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Read a column of integers, or of days where its name says so, that may be absent."""
    pa, pc = load_arrow()
    if name not in batch.schema.names:
        return np.zeros(len(batch), dtype=np.int64), np.zeros(len(batch), dtype=bool)
    column = as_days(batch.column(name), name) if name.endswith("_day") else batch.column(name)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_finite(column), pc.floor(column), None).cast(pa.int64())
    elif pa.types.is_null(column.type):
        column = column.cast(pa.int64())
    elif not pa.types.is_integer(column.type):
        raise ValueError(f"expected {name} to hold numbers, found {column.type}")
    return _integers(pc.fill_null(column, 0), name), column.is_valid().to_numpy(zero_copy_only=False)


def read_patient_codes(batch: Any) -> tuple[Any, np.ndarray]:
    """Read the codes of patients that belong to no visit, a column that may be absent."""
    pa, _ = load_arrow()
    if "patient_codes" not in batch.schema.names:
        return pa.array([], pa.string()), np.zeros(0, dtype=np.int64)
    codes, codes_per_row = flatten_lists(batch.column("patient_codes"), "patient_codes")
    return as_strings(codes, "patient_codes"), np.repeat(np.arange(len(batch)), codes_per_row)


def flatten_lists(column: Any, name: str) -> tuple[Any, np.ndarray]:
    """Values of a list column without those of null lists, and the length of each list."""
    pa, pc = load_arrow()
    if pa.types.is_null(column.type):
        return pa.nulls(0), np.zeros(len(column), dtype=np.int64)
    if not (
        pa.types.is_list(column.type)
        or pa.types.is_large_list(column.type)
        or pa.types.is_fixed_size_list(column.type)
    ):
        raise ValueError(f"expected {name} to hold lists, found {column.type}")
    lengths = pc.fill_null(pc.list_value_length(column), 0)
    return pc.list_flatten(column), lengths.to_numpy(zero_copy_only=False).astype(np.int64)


def as_days(values: Any, name: str) -> Any:
    """Dates, and text `YYYY-MM-DD`, as days since 1970-01-01; numbers as they are."""
    pa, _ = load_arrow()
    if not _are_dates(values.type):
        return values
    try:
        dates = values.cast(pa.date32())
        # A time of day, and more so a time zone, can move the date.
        if pa.types.is_timestamp(values.type) and (values.type.tz or not dates.cast(values.type).equals(values)):
            raise pa.ArrowInvalid
        return dates.cast(pa.int32())
    except pa.ArrowInvalid:
        # Not shown: an error of Arrow holds the value.
        raise ValueError(
            f"expected {name} to hold integers, dates or text YYYY-MM-DD, found {values.type} of another form"
        ) from None


def _are_dates(kind: Any) -> bool:
    pa, _ = load_arrow()
    return bool(
        pa.types.is_date(kind)
        or pa.types.is_timestamp(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
    )


def _refuse_two_kinds(batch: Any) -> None:
    """Refuse days of the calendar beside days that are counted from somewhere else."""
    pa, _ = load_arrow()
    kinds = [batch.schema.field(name).type for name in DAY_COLUMNS if name in batch.schema.names]
    kinds = [getattr(kind, "value_type", kind) for kind in kinds]
    if len({_are_dates(kind) for kind in kinds if not pa.types.is_null(kind)}) > 1:
        raise ValueError(two_kinds_of_days())


def _integers(values: Any, name: str) -> np.ndarray:
    """Integers without nulls as int64."""
    pa, _ = load_arrow()
    if not (pa.types.is_integer(values.type) or pa.types.is_null(values.type)):
        raise ValueError(f"expected {name} to hold integers, found {values.type}")
    return np.asarray(values.cast(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)


def as_strings(values: Any, name: str) -> Any:
    """Check that an array holds text."""
    pa, _ = load_arrow()
    value_type = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if pa.types.is_string(value_type) or pa.types.is_large_string(value_type):
        return values
    if pa.types.is_null(value_type) or pa.types.is_string_view(value_type):
        return values.cast(pa.string())
    raise ValueError(f"expected {name} to hold strings, found {values.type}")


def _type_ranks(types: Any) -> tuple[np.ndarray, list[str]]:
    """Rank of each visit type in text order, and the types by rank; null is the empty string."""
    pa, pc = load_arrow()
    types = as_strings(types, "visit_type")
    if not pa.types.is_dictionary(types.type):
        types = types.dictionary_encode()
    # One more entry at the end takes the nulls.
    names = [canonical_type(name or "") for name in types.dictionary.to_pylist()] + [""]
    ranked = sorted(set(names))
    rank_of_name = {name: rank for rank, name in enumerate(ranked)}
    ranks = np.array([rank_of_name[name] for name in names])
    index = pc.fill_null(types.indices.cast(pa.int64()), len(names) - 1).to_numpy(zero_copy_only=False)
    return ranks[index], ranked


def _join_visits(row: np.ndarray, day: np.ndarray, type_index: np.ndarray) -> tuple[np.ndarray, Any]:
    """Joined visit of each entry, and what takes an entry of each joined visit, ordered by (row, day, type)."""
    same_row = row[1:] == row[:-1]
    same_day = same_row & (day[1:] == day[:-1])
    if (same_day & (type_index[1:] < type_index[:-1]) | same_row & (day[1:] < day[:-1])).any():
        order = np.lexsort((type_index, day, row))
        inverse = np.empty_like(order)
        inverse[order] = np.arange(order.size)
        joined, first = _join_visits(row[order], day[order], type_index[order])
        return joined[inverse], order[first]
    is_same = same_day & (type_index[1:] == type_index[:-1])
    if not is_same.any():
        return np.arange(row.size), slice(None)
    is_first = np.append(True, ~is_same)
    return np.cumsum(is_first) - 1, np.flatnonzero(is_first)
