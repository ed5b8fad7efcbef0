"""Few rows of text, held in memory: the engine takes longer to plan their columns than to copy them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from claim_transformers.sources.pipeline.numeric_codes import ColumnFacts
from claim_transformers.sources.pipeline.untidy_text import UntidyText

_ROWS = 1 << 12


def hold_rows_of(path: Path) -> pa.Table | None:
    """Read a small parquet file: its columns one by one take longer than looking at them."""
    with pq.ParquetFile(path) as parquet:
        return parquet.read() if parquet.metadata.num_rows <= _ROWS else None


def mend_texts(held: pa.Table, facts: ColumnFacts, untidy: UntidyText) -> pa.Table:
    """Write the columns that need it as the engine writes them when it reads the file."""
    for column in {**facts.whole, **untidy.kinds}:
        texts = untidy.mend(column, held[column])
        if column in facts.whole:
            texts = pc.replace_substring_regex(texts, "[.]0+$", "")
            texts = pc.if_else(pc.equal(texts, "nan"), None, texts)
        held = held.set_column(held.schema.get_field_index(column), column, texts)
    return held


def name_texts(
    held: pa.Table, names: Mapping[str, str], absent: Sequence[str], constants: Mapping[str, str], is_numbered: bool
) -> pa.Table:
    """Give the rows of a file the columns of its layout, and the numbers of their rows behind them."""
    columns = {known: held[column] for column, known in names.items()}
    columns |= {name: pa.nulls(held.num_rows, pa.string()) for name in absent}
    columns |= {name: pa.repeat(pa.scalar(value), held.num_rows) for name, value in constants.items()}
    return pa.table(columns | {"row_no": held["row_no"] if is_numbered else pa.array(np.arange(1, held.num_rows + 1))})


def join_held(held: Sequence[pa.Table | None], files: Sequence[str]) -> pa.Table | None:
    """The rows of all files, if all are held and the engine, to which case is nothing, would name their columns so."""
    tables = [
        rows.add_column(rows.num_columns - 1, "source_file", pa.repeat(pa.scalar(file), rows.num_rows))
        for rows, file in zip(held, files, strict=True)
        if rows is not None
    ]
    if not tables or len(tables) < len(held):
        return None
    joined = pa.concat_tables(tables, promote_options="default")
    return joined if len({name.lower() for name in joined.column_names}) == joined.num_columns else None
