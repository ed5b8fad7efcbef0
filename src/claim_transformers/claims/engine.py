"""Engine that executes every relational step: Ibis on embedded DuckDB.

The steps themselves are Ibis expressions; only reading raw files speaks DuckDB's own SQL.
"""

from __future__ import annotations

import itertools
import os
import re
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir

from claim_transformers.claims.files import scratch_folder
from claim_transformers.claims.planning import Plan, describe_table, name_table, schema_of, to_sql
from claim_transformers.codes.errors import ClaimDataError

if TYPE_CHECKING:
    import pyarrow as pa
    from ibis.backends.duckdb import Backend


# Of the engine alone, wherever nothing else is asked for.
MEMORY_LIMIT = "1GB"
# Each thread takes some of the memory; of more than have enough the engine spills, or has nothing.
_BYTES_PER_THREAD = 250_000_000


class _Engine:
    """DuckDB as steps use it; the backend of Ibis itself, slow to import, is made when more is asked for."""

    def __init__(self, database: str, config: dict[str, Any], *, read_only: bool) -> None:
        import duckdb

        self.con = duckdb.connect(database, read_only=read_only, config=config)
        self.raw_sql, self.disconnect = self.con.execute, self.con.close
        self.con.execute("SET TimeZone = 'UTC'; SET python_enable_replacements = false")  # as Ibis does

    @cached_property
    def _backend(self) -> Backend:
        return ibis.duckdb.from_connection(self.con)

    def __getattr__(self, name: str) -> Any:
        if "con" not in vars(self):  # a copy that is being made asks before it has anything
            raise AttributeError(name)
        return getattr(self._backend, name)


def connect(
    *, threads: int | None = None, memory_limit: str | None = MEMORY_LIMIT, spill_folder: Path | None = None
) -> Backend:
    """Open an in-memory DuckDB behind Ibis, with settings under which results are reproducible and nothing leaves.

    The order of results is kept (`preserve_insertion_order`): without it DuckDB 2.0 hands Arrow readers rows in
    another order than `ORDER BY` asks for. Extensions are never fetched, so a run needs no network.

    What does not fit into `memory_limit`, such as `"2GB"`, is spilled; the process itself may use about a fifth more.
    `None` is what DuckDB takes by itself, four fifths of the machine. Of `threads` there are by themselves as many as
    have 250 MB of it each, at most all cores. Without `spill_folder` it goes to a folder of the owner alone in the
    system's temporary one, which vanishes with the connection; the next one removes those of runs that were killed.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"expected threads >= 1, found {threads}")
    import duckdb

    settings: dict[str, Any] = {"threads": threads, "memory_limit": memory_limit, "preserve_insertion_order": True}
    try:
        return open_engine(spill_folder=spill_folder, **settings)
    except (duckdb.ProgrammingError, duckdb.OutOfMemoryException) as error:
        raise ValueError(f"expected a memory_limit such as '2GB', found {memory_limit!r}") from error


def open_engine(
    database: str = ":memory:",
    *,
    spill_folder: Path | None = None,
    threads: int | None = None,
    memory_limit: str | None = MEMORY_LIMIT,
    read_only: bool = False,
    **settings: Any,
) -> Backend:
    """Open DuckDB behind Ibis so that nothing is fetched and nobody else can read what it spills."""
    if memory_limit is not None:
        settings["memory_limit"] = memory_limit
    with ExitStack() as stack:
        if spill_folder is None:
            # DuckDB would spill into the working folder, for everybody to read.
            spill_folder = stack.enter_context(own_scratch()) / "spill"
        settings |= dict.fromkeys(("autoinstall_known_extensions", "autoload_known_extensions"), False)
        connection = _Engine(database, {"temp_directory": str(spill_folder), **settings}, read_only=read_only)
        weakref.finalize(connection, stack.pop_all().close)
    set_limits(cast("Backend", connection), threads)
    return cast("Backend", connection)


def set_limits(connection: Backend, threads: int | None = None, memory_limit: str | None = None) -> None:
    """Limit an open engine; without a number so many threads run as [`connect`] says."""
    if memory_limit is not None:
        connection.raw_sql(f"SET memory_limit = {quote_text(memory_limit)}")
    if threads is None:
        settings = "parse_formatted_bytes(current_setting('memory_limit')), current_setting('threads')"
        ((memory, cores),) = connection.raw_sql(f"RESET threads; SELECT {settings}").fetchall()
        threads = max(1, min(round(memory / _BYTES_PER_THREAD), cores))
    connection.raw_sql(f"SET threads = {threads}")


def limits_of(connection: Backend) -> dict[str, Any]:
    """Memory and threads of an engine, as [`open_engine`] takes them."""
    names = ("memory_limit", "threads")
    return {name: connection.raw_sql(f"SELECT current_setting('{name}')").fetchall()[0][0] for name in names}


def own_scratch() -> AbstractContextManager[Path]:
    """A folder of this user in the system's temporary one, for the block."""
    return scratch_folder(Path(tempfile.gettempdir(), f"claim-transformers-{os.getuid()}"))


@contextmanager
def engine_errors(step: str) -> Iterator[None]:
    """Turn DuckDB's errors into [`ClaimDataError`], because DuckDB quotes cell values in its messages.

    It is `E_WRITE` if the disk is full, `E_MEMORY` if memory is, else `E_ENGINE`.
    """
    import duckdb

    try:
        yield
    except (duckdb.OutOfMemoryException, MemoryError) as error:
        message = f"{type(error).__name__} while {step}: raise memory_limit, or take fewer claims where there is none"
        raise ClaimDataError("E_MEMORY", message) from None
    except duckdb.Error as error:
        is_cut = isinstance(error, duckdb.IOException) and "Could not read" in str(error)
        if isinstance(error, duckdb.IOException | duckdb.TransactionException | duckdb.FatalException) and not is_cut:
            # A connection is used by one alone, so a transaction or a checkpoint fails where the disk is full.
            message = f"{type(error).__name__} while {step}: free disk space, then run it again"
            raise ClaimDataError("E_WRITE", message) from None
        # The plain class stands for a reader that met damaged pages of parquet or blocks of a database.
        cause = "damaged content" if is_cut or type(error) is duckdb.Error else type(error).__name__
        message = f"{cause} while {step}: write or fetch the raw file of this table again, or report the step"
        raise ClaimDataError("E_ENGINE", message) from None


def fetch(connection: Backend, expression: Plan, names: Mapping[str, str] | None = None) -> pa.Table:
    """Execute an expression into memory; `names` are those of [`read_batches`]."""
    # Read as a stream, a query is parsed and planned twice.
    sql = _put_names(to_sql(connection, expression), names)
    connection.raw_sql(f"CREATE OR REPLACE TEMP TABLE fetched_rows AS {sql}")
    found = connection.con.sql("FROM temp.fetched_rows").to_arrow_table()
    connection.raw_sql("DROP TABLE temp.fetched_rows")
    return found


def fetch_rows(connection: Backend, expression: Plan) -> list[dict[str, Any]]:
    """Execute an expression of a few rows, which are read one by one."""
    found = connection.raw_sql(to_sql(connection, expression))
    names = [name for name, *_ in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def read_batches(
    connection: Backend, expression: Plan, *, rows_per_batch: int = 1 << 17, names: Mapping[str, str] | None = None
) -> pa.RecordBatchReader:
    """Execute an expression as a stream of record batches, so that a result larger than the memory can be written.

    `names` are texts by the texts that stand for them in the expression, which so is the same in every run.
    """
    sql = _put_names(to_sql(connection, expression), names)
    # A cursor of its own, because an open result would block the next query of the connection.
    cursor = connection.con.cursor()
    return cursor.sql(sql).to_arrow_reader(rows_per_batch)


def _put_names(sql: str, names: Mapping[str, str] | None) -> str:
    if not names:
        return sql
    # In one pass, because a name can be what stands for another.
    quoted = {quote_text(stand_in): quote_text(name) for stand_in, name in names.items()}
    return re.sub("|".join(map(re.escape, quoted)), lambda found: quoted[found[0]], sql)


def materialize(connection: Backend, name: str, expression: Plan) -> tuple[ir.Table, int]:
    """Execute an expression into a table of the engine, which lives as long as the connection."""
    created = connection.raw_sql(f'CREATE OR REPLACE TABLE "{name}" AS {to_sql(connection, expression)}').fetchall()
    return describe_table(connection, name, expression), int(created[0][0])


def create_view(connection: Backend, name: str, expression: Plan) -> ir.Table:
    """Give an expression a name in the engine, so that what is built on it need not compile it again."""
    connection.raw_sql(f'CREATE OR REPLACE VIEW "{name}" AS {to_sql(connection, expression)}')
    return describe_table(connection, name, expression)


def hold_rows(connection: Backend, name: str, expression: Plan, *, are_few: bool) -> ir.Table:
    """Give an expression a name: few rows are computed once, and of many each step computes the columns it needs."""
    return materialize(connection, name, expression)[0] if are_few else create_view(connection, name, expression)


def name_columns(connection: Backend, rows: ir.Table, columns: Mapping[str, str]) -> ir.Table:
    """Name some columns of a table of the engine anew, so that equal steps are planned once.

    Until the next call: a step on them has to be executed at once.
    """
    named = ", ".join(f"{quote_name(column)} AS {name}" for name, column in columns.items())
    schema = rows.schema()
    types = {name: schema[column] for name, column in columns.items()}
    return _name_query(connection, "TEMP VIEW", "named_rows", f'SELECT {named} FROM "{rows.get_name()}"', types)


def join_rows(connection: Backend, name: str, rows: ir.Table, others: ir.Table, key: str, other_key: str) -> ir.Table:
    """Give each row of a table of the engine the columns of the one row of another table that has its key, if any."""
    query = (
        f'SELECT rows.*, others.* FROM "{rows.get_name()}" AS rows LEFT JOIN "{others.get_name()}" AS others '
        f"ON rows.{quote_name(key)} = others.{quote_name(other_key)}"
    )
    return _name_query(connection, "TEMP VIEW", name, query, {**rows.schema(), **others.schema()})


def add_text(connection: Backend, name: str, rows: ir.Table, column: str, text: str, *, are_few: bool) -> ir.Table:
    """Hold the rows of a table of the engine with a constant text, without planning its columns."""
    query = f'SELECT *, {quote_text(text)} AS {column} FROM "{rows.get_name()}"'
    schema = {**rows.schema(), column: "string"}
    return _name_query(connection, "TABLE" if are_few else "VIEW", name, query, schema)


def _name_query(connection: Backend, kind: str, name: str, query: str, schema: Mapping[str, Any]) -> ir.Table:
    connection.raw_sql(f'CREATE OR REPLACE {kind} "{name}" AS {query}')
    return name_table(name, ibis.schema(schema))


def fetch_columns(connection: Backend, rows: ir.Table, columns: Sequence[str]) -> pa.Table:
    """Fetch some columns of a table of the engine as they are."""
    return connection.con.sql(
        f'SELECT {", ".join(map(quote_name, columns))} FROM "{rows.get_name()}"'
    ).to_arrow_table()


def is_named(rows: Plan) -> bool:
    """Whether rows are a table or a view of the engine."""
    operation = rows.op() if isinstance(rows, ir.Table) else None
    return isinstance(operation, ops.DatabaseTable) and operation.namespace == ops.Namespace()


def quote_text(text: str | Path) -> str:
    """A text as SQL writes it."""
    return "'" + str(text).replace("'", "''") + "'"


def quote_name(name: str) -> str:
    """The name of a column as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def is_computed(connection: Backend, rows: ir.Table) -> bool:
    """Whether rows are a table of the engine, and no view or expression."""
    if not is_named(rows):
        return False
    found = connection.con.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = ?", [rows.get_name()])
    return bool(found.fetchall()[0][0])


def open_table(connection: Backend, name: str) -> ir.Table:
    """Open a table or view of the engine."""
    return name_table(name, schema_of(connection, name))


def free_name(connection: Backend, stem: str) -> str:
    """Give a name for a table that the connection does not have: the same ones in the same order in every run."""
    found = connection.con.execute(
        "SELECT table_name FROM information_schema.tables WHERE starts_with(table_name, ?)", [f"{stem}_"]
    ).fetchall()
    taken = {name for (name,) in found}
    return next(name for number in itertools.count() if (name := f"{stem}_{number}") not in taken)


def store_rows(connection: Backend, stem: str, rows: Plan, scratch: Path, *, are_few: bool) -> ir.Table:
    """Compute rows once, so that later steps read the columns they need: few into memory, many to a parquet file."""
    name = free_name(connection, stem)
    with engine_errors(f"computing {stem}"):
        if are_few:
            return materialize(connection, name, rows)[0]
        path = quote_text(scratch / f"{name}.parquet")
        connection.raw_sql(f"COPY ({to_sql(connection, rows)}) TO {path} (FORMAT parquet)")
        connection.raw_sql(f'CREATE VIEW "{name}" AS SELECT * FROM read_parquet({path}, hive_partitioning = false)')
        return open_table(connection, name)


def view_table(connection: Backend, name: str, files: Sequence[Path], schema: pa.Schema) -> ir.Table:
    """Open the parquet files of a table as a view; without files it has no rows."""
    if not files:
        return load(connection, name, schema.empty_table())
    listed = ", ".join(map(quote_text, files))
    rows = f"read_parquet([{listed}], hive_partitioning = false)"
    connection.raw_sql(f'CREATE OR REPLACE VIEW "{name}" AS SELECT * FROM {rows}')
    return open_table(connection, name)


def load(connection: Backend, name: str, table: pa.Table) -> ir.Table:
    """Copy an Arrow table into a table of the engine."""
    connection.con.register("arrow_rows", table)
    connection.raw_sql(f'CREATE OR REPLACE TABLE "{name}" AS SELECT * FROM arrow_rows')
    connection.con.unregister("arrow_rows")
    return describe_table(connection, name, table.schema)
