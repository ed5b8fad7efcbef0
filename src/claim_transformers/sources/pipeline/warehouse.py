"""Tables of a warehouse, brought onto the local disk as strings through any Ibis connection."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from claim_transformers.codes.errors import ClaimDataError

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis import BaseBackend
    from ibis.backends.duckdb import Backend

    from claim_transformers.sources.pipeline.contract import RawLocation

_DUCKDB, _DUCKDB_SUFFIXES = "duckdb://", (".duckdb", ".ddb", ".db")
_OPENS = "a database that opens"
_ASK = "read the table with a client of the database, which says why"
_CHECK = "check the URL, that its server answers, and that the driver of Ibis for it is installed"


def is_address(path: RawLocation) -> bool:
    """Whether a location is the URL of a database, such as `duckdb://cdm.duckdb` or `postgres://host/name`."""
    return isinstance(path, str) and "://" in path


def open_database(
    path: RawLocation, *, folder: Path | None = None, spill_folder: Path | None = None, engine: Backend | None = None
) -> BaseBackend | None:
    """Open a database for reading: an Ibis connection, a URL or a DuckDB file; `None` for other files.

    `$NAME` is the URL in an environment variable, so that no file holds a password. A DuckDB file is looked up from
    `folder`, spills to `spill_folder`, and has the memory and the threads of `engine`.
    """
    if path is None or not isinstance(path, (str, Path)):
        return path
    text = str(path)
    if text.startswith("$"):
        text = os.environ.get(text[1:], "")
        if not text:
            raise ClaimDataError("E_WAREHOUSE", f"expected the URL of the database in the variable {path}, found none")
    file = (folder or Path()) / text.removeprefix(_DUCKDB).partition("?")[0]
    if text.startswith(_DUCKDB) or (file.suffix.lower() in _DUCKDB_SUFFIXES and file.is_file()):
        if not file.is_file():
            raise ClaimDataError("E_NO_FILE", f"expected a DuckDB file at {file}, found none")
        # Here, because who reads a folder asks `is_address` too, and needs no engine.
        import duckdb

        from claim_transformers.claims.engine import limits_of, open_engine

        limits = {} if engine is None else limits_of(engine)
        with _no_words(_OPENS, _CHECK, duckdb.Error):
            return open_engine(str(file), spill_folder=spill_folder, read_only=True, **limits)
    if not is_address(text):
        return None
    import ibis

    with _no_words(_OPENS, _CHECK):
        return ibis.connect(text)


# Every driver has errors of its own, which have nothing in common.
@contextmanager
def _no_words(expected: str, advice: str, errors: type[Exception] = Exception) -> Iterator[None]:
    """Refuse without the words of the driver: some quote the password of the URL, or a value."""
    try:
        yield
    except errors as error:
        message = f"expected {expected}, found {type(error).__name__}: {advice}"
        raise ClaimDataError("E_WAREHOUSE", message) from None


def fetch_to_parquet(
    warehouse: BaseBackend, tables: Sequence[str], folder: Path, *, schema: str | None = None, suffix: str = ""
) -> dict[str, list[Path]]:
    """Write tables of a warehouse to parquet files, streaming, types as the warehouse has them."""
    from ibis.common.exceptions import TableNotFound

    folder.mkdir(parents=True, exist_ok=True)
    written: dict[str, list[Path]] = {}
    for table in tables:
        for name in (f"{table}{suffix}", f"{table}{suffix}".upper()):
            with _no_words(f"{name} or no such table", _ASK):
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
    from claim_transformers.claims.engine import engine_errors, read_batches

    name, is_duckdb = rows.get_name(), warehouse.name == "duckdb"
    # A view can compute anything, and what it fails on is quoted.
    with engine_errors(f"fetching {name}") if is_duckdb else _no_words(f"the rows of {name}", _ASK):
        # Ibis 12 calls a method that DuckDB 2.0 no longer has.
        yield from read_batches(warehouse, rows) if is_duckdb else warehouse.to_pyarrow_batches(rows)


def _write(path: Path, rows: ir.Table, batches: Iterable[pa.RecordBatch]) -> None:
    schema = rows.schema().to_pyarrow()
    with _no_words(f"the types of {path.stem}", _ASK, pa.ArrowInvalid), pq.ParquetWriter(path, schema) as writer:
        for batch in batches:
            writer.write_table(pa.Table.from_batches([batch]).cast(schema))
