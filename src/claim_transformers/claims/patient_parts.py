"""Parts of an ingested folder: the rows of some patients, which are opened as a folder of its own.

What asks about one patient at a time is asked of each part, so that memory is bounded by a part: in tasks of Spark, or
here in turn. A folder that is no larger than a part is asked whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow.parquet as pq

from claim_transformers.claims.engine import (
    MEMORY_LIMIT,
    connect,
    engine_errors,
    own_scratch,
    quote_text,
    view_table,
)
from claim_transformers.claims.patient_files import PATIENTS_SCHEMA
from claim_transformers.claims.planning import to_sql
from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.claims.spark import SparkTasks
from claim_transformers.claims.store import DRUG_NAMES, IngestedFolder

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_Columns = Mapping[str, Sequence[str] | None]
_PATIENTS = "patients"
# No table has a column of this name, as raw ones may have one of parts of Medicare.
_PART = "part_of_patients"
# Canonical rows, compressed; as tables of the engine they take some ten times as much.
_BYTES_PER_PART = 1 << 26


@contextmanager
def task_engine(*, threads: int | None = 1, memory_limit: str | None = MEMORY_LIMIT) -> Iterator[tuple[Backend, Path]]:
    """Open an engine and a folder on the disk of this machine, for one task."""
    with own_scratch() as scratch:
        connection = connect(threads=threads, memory_limit=memory_limit, spill_folder=scratch / "spill")
        try:
            yield connection, scratch
        finally:
            connection.disconnect()


def cut_by_patient(
    connection: Backend, rows: ir.Table, patient: ir.Value, num_parts: int, scratch: Path
) -> Iterator[tuple[int, bytes]]:
    """Cut rows by a hash of the patient, and give parquet files with the numbers of their parts."""
    # A hash can be negative, and so can what is left of it.
    part = (patient.hash() % num_parts + num_parts) % num_parts
    folder = scratch / "cut"
    with engine_errors("cutting rows by patient"):
        sql = to_sql(connection, rows.mutate(part.name(_PART)))
        connection.raw_sql(
            f"COPY ({sql}) TO {quote_text(folder)} (FORMAT parquet, PARTITION_BY ({_PART}), OVERWRITE_OR_IGNORE true)"
        )
    for path in sorted(folder.glob(f"{_PART}=*/*.parquet")):
        yield int(path.parent.name.removeprefix(f"{_PART}=")), path.read_bytes()


def pack_piece(number: int, content: bytes) -> bytes:
    """A piece with the number of what it was cut from, as it travels."""
    return number.to_bytes(4, "big") + content


def unpack_piece(piece: bytes) -> tuple[int, bytes]:
    """Number and content of a piece."""
    return int.from_bytes(piece[:4], "big"), piece[4:]


def count_parts(folder: IngestedFolder, *tables: str) -> int:
    """Into how many parts tables are cut, so that one fits a task: the same number in every run."""
    num_bytes = sum(path.stat().st_size for name in tables for path in folder.table_files(name))
    return max(1, -(-num_bytes // _BYTES_PER_PART))


def run_on_parts(
    tasks: SparkTasks | None,
    folder: IngestedFolder,
    columns: _Columns,
    function: Callable[..., _Result],
    num_parts: int,
) -> Iterator[_Result]:
    """Run a function over the patients of each part, given its number, an engine and an ingested folder of theirs.

    The folder has the tables of `columns`, whole where these are none, and always a file of patients. Without tasks
    one part after the other is run here, on a few cores.
    """
    threads = None if tasks is None else 1
    if tasks is None and num_parts == 1:
        with task_engine(threads=threads) as (connection, _):
            yield function(0, connection, folder.path)
        return
    tables = list(columns)
    files = [(number, path) for number, name in enumerate(tables) for path in folder.table_files(name)]
    cut, take = partial(_cut_file, columns, num_parts, threads), partial(_open_part, folder, tables, function, threads)
    yield from (_exchange_here if tasks is None else tasks.exchange)(cut, files, take, num_parts)


def _exchange_here(
    cut: Callable[[_Item], Iterator[tuple[int, bytes]]],
    items: Sequence[_Item],
    take: Callable[[int, Iterator[bytes]], _Result],
    num_places: int,
) -> Iterator[_Result]:
    """Do as `SparkTasks.exchange` on one machine; what is cut waits on its disk."""
    with own_scratch() as scratch:
        for number, item in enumerate(items):
            # The engine gives several pieces of an item for one place where many rows go to many places.
            for order, (place, piece) in enumerate(cut(item)):
                (scratch / f"{place:06d}-{number:06d}-{order:06d}").write_bytes(piece)
        for place in range(num_places):
            yield take(place, (path.read_bytes() for path in sorted(scratch.glob(f"{place:06d}-*"))))


def _cut_file(
    columns: _Columns, num_parts: int, threads: int | None, numbered: tuple[int, Path]
) -> Iterator[tuple[int, bytes]]:
    """Cut a file of a table by patient."""
    number, path = numbered
    with task_engine(threads=threads) as (connection, scratch):
        name = list(columns)[number]
        rows = view_table(connection, name, [path], SCHEMAS.get(name, PATIENTS_SCHEMA))
        rows = rows.select(*(columns[name] or rows.columns))
        for part, content in cut_by_patient(connection, rows, rows.patient_id, num_parts, scratch):
            yield part, pack_piece(number, content)


def _open_part(
    folder: IngestedFolder,
    tables: Sequence[str],
    function: Callable[..., Any],
    threads: int | None,
    number: int,
    pieces: Iterator[bytes],
) -> Any:
    """Put what came for a part into a folder, and run the function there."""
    with task_engine(threads=threads) as (connection, scratch):
        own = scratch / "claims"
        for place, (table, content) in enumerate(map(unpack_piece, pieces)):
            path = own / tables[table] / f"part-{place:06d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if not (own / _PATIENTS).is_dir():
            (own / _PATIENTS).mkdir(parents=True)
            pq.write_table(PATIENTS_SCHEMA.empty_table(), own / _PATIENTS / "part-000000.parquet")
        for path in filter(Path.is_file, folder.path.iterdir()):
            shutil.copyfile(path, own / path.name)
        if folder.table_files(DRUG_NAMES):
            shutil.copytree(folder.path / DRUG_NAMES, own / DRUG_NAMES)
        return function(number, connection, own)
