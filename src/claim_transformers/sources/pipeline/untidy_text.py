"""Text that stands for the same value in another writing: blanks or a formula around it, small letters, no value.

A file is looked through once, by the different texts of each column, so that only the columns that need it are mended
when rows are staged: the same expression on every column would cost a fifth of an ingest. Ids are written in one way
when rows are screened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from claim_transformers.claims.engine import quote_text
from claim_transformers.claims.fields import FORMULA
from claim_transformers.sources.pipeline.numeric_codes import is_text

# Longer flags are words, such as a code type.
_MAX_FLAG, _MODIFIER = 2, "[A-Za-z0-9]{2}"
# Blanks and control characters of Unicode, and characters without width.
_BLANKS = (
    "".join(
        map(chr, (*range(1, 0x21), 0x7F, 0x85, 0xA0, 0xAD, 0x1680, 0x180E, *range(0x2000, 0x2010), 0x2028, 0x2029))
    )
    + "\u202f\u205f\u2060\u3000\ufeff"
)
KINDS_OF_CODES = ("code", "icd", "ndc")
NO_CODES = pa.schema([("raw", pa.string()), ("occurrences", pa.int64())]).empty_table()
# So many different codes of the columns of a file are kept in memory, and of more none.
_MAX_CODES = 1 << 20
# What programs write for no value. Words that can be a value of some column, such as NA and unknown, are none of them.
_NO_VALUES = ("", "null", "(null)", "\\n", "nan", "none", "n/a", "#n/a", "<na>")


@dataclass(frozen=True)
class UntidyText:
    """Columns of a file with text that has to be mended.

    Args:
        kinds (`Mapping[str, str]`): Their types in the layout.
        fixes (`dict[str, int]`): What the report says of them.
        codes (`Mapping[str, pa.Table]`): Of tidy columns of codes with few different ones, how often each occurs in
            some part of the file (`raw`, `occurrences`).
    """

    kinds: Mapping[str, str]
    fixes: dict[str, int]
    codes: Mapping[str, pa.Table]

    def tidy(self, column: str, text: str) -> str:
        """SQL of the text of a column in its one writing, null where it stands for nothing."""
        if column not in self.kinds:
            return text
        trimmed, kind = f"trim({text}, {quote_text(_BLANKS)})", self.kinds[column]
        trimmed = f"regexp_replace({trimmed}, {quote_text(FORMULA)}, '\\1')"
        written, words = trimmed, ", ".join(map(quote_text, _NO_VALUES))
        if kind == "flag":
            written = f"CASE WHEN length({trimmed}) <= {_MAX_FLAG} THEN upper({trimmed}) ELSE {trimmed} END"
        elif kind == "modifier":
            written = f"CASE WHEN regexp_full_match({trimmed}, '{_MODIFIER}') THEN upper({trimmed}) END"
        return f"CASE WHEN lower({trimmed}) IN ({words}) THEN NULL ELSE {written} END"

    def mend(self, column: str, texts: pa.ChunkedArray) -> pa.ChunkedArray:
        """The texts of a column as [`tidy`] writes them."""
        if column not in self.kinds:
            return texts
        return pa.chunked_array([_write(chunk, self.kinds[column])[0] for chunk in texts.chunks], texts.type)


def find_untidy(path: Path, kinds: Mapping[str, str], held: pa.Table | None = None) -> UntidyText:
    """Find the columns of a parquet file with text that has blanks around it, stands for nothing or has a wrong form.

    `held` are all its rows, where they are read already.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "rows.parquet")
        ...     rows = pa.table({"a": ["x ", "NULL", "x"], "b": ["x", None, "y"], "m": ["tc", "2", "26"]})
        ...     pq.write_table(rows, path)
        ...     found = find_untidy(path, {"a": "text", "b": "text", "m": "modifier"})
        >>> found.kinds, found.fixes
        ({'a': 'text', 'm': 'modifier'}, {'F_TEXT_FORM': 3, 'F_MODIFIER': 1})
    """
    schema = pq.read_schema(path) if held is None else held.schema
    wanted = [name for name, kind in kinds.items() if kind != "id" and is_text(schema.field(name).type)]
    untidy: dict[str, str] = {}
    fixes: Counter[str] = Counter()
    codes: dict[str, list[pa.Table]] | None = {name: [NO_CODES] for name in wanted if kinds[name] in KINDS_OF_CODES}
    for table in _read_groups(path, wanted) if held is None else [held]:
        chunks = {name: [_encode(chunk) for chunk in table[name].chunks] for name in wanted}
        doubted = _find_doubted(chunks, kinds)
        for name, encoded in [(one, chunk) for one in wanted for chunk in chunks[one]]:
            if len(encoded) == encoded.null_count:
                continue
            if name in doubted and (found := _count(encoded, kinds[name])):
                untidy[name] = kinds[name]
                fixes.update(found)
            if codes is not None and name in codes:
                codes[name].append(_occurrences(encoded))
        if codes and _count_rows(codes) > 2 * _MAX_CODES:
            codes = {name: [add_occurrences(parts)] for name, parts in codes.items()}
            codes = codes if _count_rows(codes) <= _MAX_CODES else None
    known = {name: pa.concat_tables(parts) for name, parts in (codes or {}).items() if name not in untidy}
    return UntidyText(untidy, dict(fixes), known)


def _read_groups(path: Path, names: Sequence[str]) -> Iterator[pa.Table]:
    with pq.ParquetFile(path, read_dictionary=names) as parquet:
        for group in range(parquet.num_row_groups):
            yield parquet.read_row_group(group, columns=names)


def _encode(chunk: pa.Array) -> pa.DictionaryArray:
    return chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()


def _find_doubted(chunks: Mapping[str, Sequence[pa.DictionaryArray]], kinds: Mapping[str, str]) -> set[str]:
    """The columns of the kinds in which any column is untidy: most have none, and their texts are much the same."""
    alike: dict[str, list[str]] = {}
    for name in chunks:
        alike.setdefault(kinds[name], []).append(name)
    doubted = set()
    for kind, columns in alike.items():
        texts = [chunk.dictionary.cast(pa.string()) for name in columns for chunk in chunks[name]]
        if texts and _count(pa.concat_arrays(texts).dictionary_encode(), kind):
            doubted |= {*columns}
    return doubted


def _count_rows(codes: Mapping[str, Sequence[pa.Table]]) -> int:
    return sum(part.num_rows for parts in codes.values() for part in parts)


def add_occurrences(parts: Sequence[pa.Table]) -> pa.Table:
    """How often each code occurs in all of some parts."""
    added = pa.concat_tables(parts).group_by("raw").aggregate([("occurrences", "sum")])
    return added.rename_columns(["raw", "occurrences"])


def _occurrences(encoded: pa.DictionaryArray) -> pa.Table:
    counts = np.bincount(encoded.indices.drop_null().to_numpy(), minlength=len(encoded.dictionary))
    return pa.table({"raw": encoded.dictionary.cast(pa.string()), "occurrences": counts})


def _count(encoded: pa.DictionaryArray, kind: str) -> dict[str, int]:
    """How many values are mended, by the code of the report."""
    texts = encoded.dictionary.cast(pa.string())
    written, is_nothing = _write(texts, kind)
    is_lost = pc.and_not(pc.is_null(written), is_nothing)
    is_changed = pc.or_(is_nothing, pc.fill_null(pc.not_equal(written, texts), False))
    found = {"F_TEXT_FORM": is_changed, "F_MODIFIER": is_lost}
    return {
        fix: int(pc.sum(is_hit.take(encoded.indices)).as_py() or 0)
        for fix, is_hit in found.items()
        if pc.any(is_hit).as_py()
    }


def _write(texts: pa.Array, kind: str) -> tuple[pa.Array, pa.Array]:
    """Texts as the engine writes them, null where they are lost, and whether they stand for nothing."""
    written = pc.utf8_trim(texts, _BLANKS)
    if pc.any(pc.starts_with(written, "=")).as_py():
        written = pc.replace_substring_regex(written, FORMULA, r"\1")
    is_nothing = pc.is_in(pc.utf8_lower(written), pa.array(_NO_VALUES))
    if kind == "flag":
        is_short = pc.less_equal(pc.utf8_length(written), _MAX_FLAG)
        written = pc.if_else(is_short, pc.utf8_upper(written), written)
    elif kind == "modifier":
        is_form = pc.match_substring_regex(written, f"^{_MODIFIER}$")
        written = pc.if_else(is_form, pc.utf8_upper(written), None)
    return pc.if_else(is_nothing, None, written), is_nothing
