"""Codes and identifiers that came as numbers: zeros of theirs are gone and nobody can know which.

A typed file says so by the type of a column. In text a whole column gives it away: each of its values is written as a
float is (`389.0`, `38.9`: no zero in front, none behind but that of `.0`). One value of another form, such as
`V58.61`, `250.00` or `486`, and it is no column of floats. Where codes may have a dot (`icd`), the values must also be
none that codes can have: a dot of ICD-9 stands behind three digits in every diagnosis and behind two in every
procedure, while floats of `038.9` and `4019` have it behind two and four.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from claim_transformers.codes.errors import ClaimDataError

# Kinds of columns whose zeros count, with what a file with numbers there is refused for.
_REFUSALS: Mapping[str, str] = {"id": "E_ID_TYPE", **dict.fromkeys(("code", "icd", "ndc", "modifier"), "E_CODE_TYPE")}
_DOTTED, _FLAG = "icd", "flag"
_FLOAT, _WHOLE_FLOAT = "^(?:0|[1-9][0-9]*)[.](?:0|[0-9]*[1-9])$", "^(?:0|[1-9][0-9]*)[.]0$"
_DIGITS_BEFORE_A_DOT = ([2], [3])
# So many different codes with three digits do not all end in `.0` by chance.
_MANY = 10
_ROWS = 1 << 12


@dataclass(frozen=True)
class ColumnFacts:
    """Columns of a parquet file with a value (`filled`), and flags whose values all end in `.0` (`whole`).

    Of each such flag that is the number of values that are text.
    """

    filled: frozenset[str]
    whole: Mapping[str, int]

    @property
    def fixes(self) -> dict[str, int]:
        """What the report says of the flags."""
        number = sum(self.whole.values())
        return {"F_CODE_FORM": number} if number else {}


def find_numeric_codes(path: Path, file: str, kinds: Mapping[str, str], held: pa.Table | None = None) -> ColumnFacts:
    """Refuse a file in which codes or ids came as numbers; tell which columns hold values, and which flags are floats.

    `held` are all its rows, where they are read already.
    """
    with pq.ParquetFile(path) as parquet:
        schema = parquet.schema_arrow
        names = schema.names
        filled = _find_filled(parquet, schema) if held is None else frozenset(filter(partial(_is_filled, held), names))
        wrong: dict[tuple[str, str], list[str]] = {}
        whole: dict[str, int] = {}
        for name in names:
            kind = kinds.get(name, "")
            found = schema.field(name).type
            if name not in filled or kind not in (*_REFUSALS, _FLAG):
                continue
            if kind == _FLAG:
                if _is_pointed(found):
                    whole[name] = 0
                elif is_text(found) and (number := _texts(parquet, held, name, _WHOLE_FLOAT)[1]):
                    whole[name] = number
            elif not is_text(found):
                wrong.setdefault((_REFUSALS[kind], str(found)), []).append(name)
            elif are_floats(_texts(parquet, held, name, _FLOAT)[0], may_have_dot=kind == _DOTTED):
                wrong.setdefault((_REFUSALS[kind], "text that a float was written to"), []).append(name)
    for (code, type_name), columns in wrong.items():
        others = f" and {len(columns) - 1} more columns" if len(columns) > 1 else ""
        cure = "leading zeros are lost and nobody can know which, so export it as text"
        raise ClaimDataError(
            code,
            f"expected text in {columns[0]}{others} of {file}, found {type_name}: {cure}",
        )
    return ColumnFacts(filled, whole)


def is_text(found: pa.DataType) -> bool:
    """Whether a type of Arrow holds text, also as a dictionary, or as bytes without the mark that they are text."""
    if pa.types.is_dictionary(found):
        found = found.value_type
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    bytes_ = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return any(bool(is_kind(found)) for is_kind in (*texts, *bytes_))


def _is_pointed(found: pa.DataType) -> bool:
    return bool(pa.types.is_floating(found) or pa.types.is_decimal(found))


def _is_filled(rows: pa.RecordBatch | pa.Table, name: str) -> bool:
    """Whether a column holds any value; some writers have no null for a missing float."""
    if pa.types.is_floating(rows.schema.field(name).type):
        return bool(pc.any(pc.invert(pc.is_null(rows[name], nan_is_null=True))).as_py())
    return bool(rows[name].null_count < rows.num_rows)


def _find_filled(parquet: pq.ParquetFile, schema: pa.Schema) -> frozenset[str]:
    """The columns that hold any value."""
    metadata = parquet.metadata
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    places = {metadata.schema.column(place).path: place for place in range(metadata.num_columns)}
    filled = set()
    for name, kind in zip(schema.names, schema.types, strict=True):
        if name in places and not pa.types.is_floating(kind):
            found = [group.column(places[name]).statistics for group in groups]
            if all(facts is not None and facts.has_null_count for facts in found):
                if any(facts.num_values for facts in found):
                    filled.add(name)
                continue
        # Some writers have no statistics.
        if any(_is_filled(batch, name) for batch in parquet.iter_batches(_ROWS, columns=[name])):
            filled.add(name)
    return frozenset(filled)


def _texts(parquet: pq.ParquetFile, held: pa.Table | None, name: str, pattern: str) -> tuple[pa.Array, int]:
    """The different texts of a column and how many it has, none unless all are of a pattern."""
    parts, number = [], 0
    if held is not None and not _can_match(held[name], pattern):
        return pa.nulls(0, pa.string()), 0
    for batch in parquet.iter_batches(_ROWS, columns=[name]) if held is None else held.select([name]).to_batches():
        texts = pc.utf8_trim_whitespace(batch[name].cast(pa.string()))
        texts = texts.filter(pc.fill_null(pc.not_equal(texts, ""), False))
        # Nearly every column shows within its first rows that it is no column of floats.
        if not pc.all(pc.match_substring_regex(texts, pattern)).as_py():
            return pa.nulls(0, pa.string()), 0
        number += len(texts)
        parts.append(texts.unique())
    return pa.chunked_array(parts, pa.string()).unique(), number


def _can_match(column: pa.ChunkedArray, pattern: str) -> bool:
    """Whether the first text of a column is of a pattern, as all must be; a blank one says nothing."""
    first = next((text for text in column if text.is_valid), None)
    text = "" if first is None else first.cast(pa.string()).as_py().strip()
    return not text or re.search(pattern, text) is not None


def are_floats(different: pa.Array, *, may_have_dot: bool) -> bool:
    """Whether different texts, all that a column holds, are codes that were floats.

    Examples:
        >>> [are_floats(pa.array(texts), may_have_dot=True) for texts in (["389.0", "4019.0"], ["250.0"])]
        [True, False]
    """
    pattern = _FLOAT if may_have_dot else _WHOLE_FLOAT
    if not len(different) or not pc.all(pc.match_substring_regex(different, pattern)).as_py():
        return False
    if not may_have_dot:
        return True
    digits = pc.unique(pc.find_substring(different, ".")).to_pylist()
    is_whole = pc.all(pc.ends_with(different, ".0")).as_py()
    return digits not in _DIGITS_BEFORE_A_DOT or bool(is_whole and len(different) >= _MANY)
