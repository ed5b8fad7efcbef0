"""Tables of a warehouse, brought onto the local disk as strings through any Ibis connection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from claim_transformers.claims.engine import read_batches
from claim_transformers.codes.errors import ClaimDataError

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis import BaseBackend


def fetch_to_parquet(
    warehouse: BaseBackend, tables: Sequence[str], folder: Path, *, schema: str | None = None, suffix: str = ""
) -> dict[str, list[Path]]:
    """Write tables of a warehouse to parquet files, streaming, types as the warehouse has them."""
    from ibis.common.exceptions import TableNotFound

    folder.mkdir(parents=True, exist_ok=True)
    written: dict[str, list[Path]] = {}
    for table in tables:
        for name in (f"{table}{suffix}", f"{table}{suffix}".upper()):
            try:
                rows = warehouse.table(name, database=schema)
            except TableNotFound:
                continue
            path = folder / f"{table}.parquet"
            _write(path, rows, _batches(warehouse, rows))
            written[table] = [path]
            break
    return written


def _batches(warehouse: BaseBackend, rows: ir.Table) -> Iterator[pa.RecordBatch]:
    # Ibis 12 calls a method that DuckDB 2.0 no longer has.
    yield from read_batches(warehouse, rows) if warehouse.name == "duckdb" else warehouse.to_pyarrow_batches(rows)


def _write(path: Path, rows: ir.Table, batches: Iterable[pa.RecordBatch]) -> None:
    schema = rows.schema().to_pyarrow()
    try:
        with pq.ParquetWriter(path, schema) as writer:
            for batch in batches:
                writer.write_table(pa.Table.from_batches([batch]).cast(schema))
    except pa.ArrowInvalid as error:
        raise ClaimDataError("E_WAREHOUSE", f"could not fetch {path.stem}: {type(error).__name__}") from None
