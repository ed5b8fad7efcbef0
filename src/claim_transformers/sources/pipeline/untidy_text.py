"""Text that stands for the same value in another writing: blanks around it, and words for nothing.

A file is looked through once, by the different texts of each column, so that only the columns that need it are mended
when rows are staged: the same expression on every column would cost a fifth of an ingest.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from claim_transformers.sources.pipeline.numeric_codes import is_text

# Blanks and control characters of Unicode, and characters without width.
_BLANKS = (
    "".join(
        map(chr, (*range(1, 0x21), 0x7F, 0x85, 0xA0, 0xAD, 0x1680, 0x180E, *range(0x2000, 0x2010), 0x2028, 0x2029))
    )
    + "\u202f\u205f\u2060\u3000\ufeff"
)
# What programs write for no value. Words that can be a value of some column, such as NA and unknown, are none of them.
_NO_VALUES = ("", "null", "(null)", "\\n", "nan", "none", "n/a", "#n/a", "<na>")


def count_untidy(path: Path, columns: Collection[str]) -> dict[str, int]:
    """Count the texts of each column that have blanks around them or stand for nothing, where there are any.

    Args:
        path (`Path`): Parquet file.
        columns (`Collection[str]`): Columns to look at; those of other types than text are passed over.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "rows.parquet")
        ...     pq.write_table(pa.table({"a": ["x ", "NULL", "x"], "b": ["x", None, "y"]}), path)
        ...     count_untidy(path, ["a", "b"])
        {'a': 2}
    """
    schema = pq.read_schema(path)
    wanted = [name for name in columns if is_text(schema.field(name).type)]
    counts: dict[str, int] = {}
    with pq.ParquetFile(path, read_dictionary=wanted) as parquet:
        for group in range(parquet.num_row_groups):
            table = parquet.read_row_group(group, columns=wanted)
            for name in wanted:
                for chunk in table[name].chunks:
                    if number := _count(chunk):
                        counts[name] = counts.get(name, 0) + number
    return counts


def tidy(text: str) -> str:
    """SQL of a text without blanks around it, null where it stands for nothing."""
    trimmed = f"trim({text}, {_literal(_BLANKS)})"
    words = ", ".join(map(_literal, _NO_VALUES))
    return f"CASE WHEN lower({trimmed}) IN ({words}) THEN NULL ELSE {trimmed} END"


def _count(values: pa.Array) -> int:
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    texts = encoded.dictionary.cast(pa.string())
    trimmed = pc.utf8_trim(texts, _BLANKS)
    is_untidy = pc.or_(pc.not_equal(trimmed, texts), pc.is_in(pc.utf8_lower(trimmed), pa.array(_NO_VALUES)))
    if not pc.any(is_untidy).as_py():
        return 0
    return int(pc.sum(is_untidy.take(encoded.indices)).as_py() or 0)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
