"""The first rows of tables, from files or a database, read so that memory is bounded by their number."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from claim_transformers.claims.engine import connect, engine_errors, fetch, quote_text
from claim_transformers.claims.inputs import check_inputs
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.tables.forms import Profile, profile
from claim_transformers.sources.formats.tables.inputs import SUFFIXES

if TYPE_CHECKING:
    from ibis import BaseBackend

SAMPLED_ROWS = 20_000
_MOST_FILES = 4
_FIRST_BYTES = 1 << 20
_DELIMITERS = ",\t|;"
# A number, a day or a code with a dot, none of which is a name.
_VALUE = re.compile(r"[-+$0-9./: ]+|[A-Z][0-9]{2}[.][0-9A-Z]+")


@dataclass(frozen=True)
class Sample:
    """What was seen of one table."""

    name: str  # Name for the mapping.
    files: tuple[str, ...]  # Its files, as they were given.
    table: str  # Its name in a database, empty for files.
    columns: tuple[Profile, ...]  # Its columns.
    delimiter: str = ""  # Between columns, empty for other files than text.
    encoding: str = "utf-8"  # Of text.

    @property
    def num_rows(self) -> int:
        """Rows that were looked at."""
        return self.columns[0].num_rows if self.columns else 0


def sample_files(name: str, paths: Sequence[Path], *, rows: int = SAMPLED_ROWS) -> Sample:
    """Look at the first rows of the files of a table."""
    parts, delimiter, encoding = [], "", "utf-8"
    few = paths[:_MOST_FILES]
    for path in few:
        check_inputs(path)
        if not path.name.lower().endswith(SUFFIXES) or path.suffix.lower() == ".zip":
            raise ClaimDataError(
                "E_NO_FILE", f"expected csv, tsv, txt, gzip or parquet, found {path.name}: unpack or convert it"
            )
        number = max(rows // len(few), 1)
        if path.suffix.lower() == ".parquet":
            parts.append(_first_of_parquet(path, number))
        else:
            table, delimiter, encoding = _first_of_text(path, number)
            parts.append(table)
    return Sample(name, tuple(map(str, paths)), "", _profiles(parts), delimiter, encoding)


def sample_table(database: BaseBackend, table: str, *, rows: int = SAMPLED_ROWS) -> Sample:
    """Look at the first rows of a table of a database."""
    from ibis.common.exceptions import TableNotFound

    schema, _, bare = table.rpartition(".")
    try:
        expression = database.table(bare, database=schema or None).limit(rows)
    except TableNotFound as error:
        raise ClaimDataError("E_NO_FILE", "expected a table of this name in the database, found none") from error
    found: Any = fetch(database, expression) if database.name == "duckdb" else expression.to_pyarrow()
    return Sample(re.sub(r"\W", "_", bare).lower(), (), table, _profiles([found]))


def _profiles(parts: Sequence[pa.Table]) -> tuple[Profile, ...]:
    """Profiles of the columns of several files together; a nested column has none."""
    whole = pa.concat_tables(parts, promote_options="permissive")
    plain = [name for name in whole.column_names if not pa.types.is_nested(whole.schema.field(name).type)]
    return tuple(profile(name, whole[name]) for name in plain)


def _first_of_parquet(path: Path, rows: int) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            batch = next(file.iter_batches(rows), None)
            return pa.Table.from_batches([] if batch is None else [batch], file.schema_arrow)
    except (pa.ArrowInvalid, OSError) as error:
        raise ClaimDataError("E_PARQUET", f"expected a parquet file, found no whole one in {path.name}") from error


def _first_of_text(path: Path, rows: int) -> tuple[pa.Table, str, str]:
    """The first rows of delimited text, with what separates its columns and its encoding."""
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            start = file.read(_FIRST_BYTES)
    except (OSError, EOFError) as error:
        raise ClaimDataError("E_ARCHIVE", f"expected a whole gzip file, found {path.name} damaged") from error
    if not start.strip():
        raise ClaimDataError("E_EMPTY_FILE", f"expected at least a header in {path.name}, found nothing")
    encoding = "utf-8"
    try:
        # The last letter may be cut in two.
        start[:-4].decode("utf-8") if len(start) == _FIRST_BYTES else start.decode("utf-8")
    except UnicodeDecodeError:
        encoding = "latin-1"
    first = start.decode(encoding, "replace").lstrip("\ufeff").splitlines()[0]
    delimiter = max(_DELIMITERS, key=first.count)
    header = next(csv.reader([first], delimiter=delimiter), [])
    if any(_VALUE.fullmatch(name.strip()) for name in header if name.strip()):
        raise ClaimDataError(
            "E_COLUMN", f"expected names in the first line of {path.name}, found values: add a header"
        )
    with engine_errors(f"reading {path.name}"):
        connection = connect(threads=1)
        found = connection.con.sql(
            f"SELECT * FROM read_csv({quote_text(path)}, all_varchar = true, header = true, "
            f"delim = {quote_text(delimiter)}, quote = '\"', hive_partitioning = false, "
            f"escape = '\"', auto_detect = false, columns = {_columns(header)}, ignore_errors = true, "
            f"encoding = '{encoding}', null_padding = true, nullstr = '') LIMIT {rows}"
        ).to_arrow_table()
        connection.disconnect()
    return found, delimiter, encoding


def _columns(header: Sequence[str]) -> str:
    names = [name.strip() or f"unnamed_{place}" for place, name in enumerate(header, start=1)]
    if len({name.lower() for name in names}) < len(names):
        raise ClaimDataError("E_COLUMN", "expected every column once, found a name twice in the first line")
    return "{" + ", ".join(f"{quote_text(name)}: 'VARCHAR'" for name in names) + "}"
