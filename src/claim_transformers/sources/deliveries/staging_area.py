"""Staging area: raw rows as they were received, in one embedded DuckDB file, one table per claim type.

Deliveries come over months, and a file is sent again when it was wrong. So every load is registered with the hash of
the file, and the same content is refused. Names say little, because every delivery has its `inpatient.csv`, so claims
tell: a file that repeats most claims of a load of its name is its correction and supersedes it, one that repeats none
is another delivery and stands beside it, and of anything between the caller says what it is. Superseded rows stay.
`consolidation` makes canonical tables of what is valid. It is step 1 of Figure 2 of the Medicare claim
encoder (Lahlou et al.): files are staged in separate tables by type before their schemas are consolidated.

| table | columns |
|---|---|
| `loads` | `load_id`, `source`, `table_name`, `file_name`, `sha256`, counts, notes, `superseded_by`, `raw_columns` |
| `rejects` | `load_id`, `row_no`, `reason_code`, `raw_line`: lines that could not be split into columns |
| `stage_SOURCE_TABLE` | raw columns as strings, `load_id`, `file_sha256`, `source_file`, `row_no` |
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from claim_transformers.claims.engine import engine_errors, is_computed, open_engine, quote_name, quote_text
from claim_transformers.claims.fields import clean_id
from claim_transformers.claims.files import private_umask, scratch_folder, write_errors
from claim_transformers.claims.inputs import check_inputs
from claim_transformers.claims.planning import to_sql
from claim_transformers.claims.small_cells import show_part_of
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.pipeline.archives import MAX_EXPANSION, allow_expansion
from claim_transformers.sources.pipeline.contract import RawFile
from claim_transformers.sources.pipeline.reading import Layout, stage_files
from claim_transformers.sources.registry import find_stageable, load_function

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa
    from duckdb import DuckDBPyConnection
    from ibis.backends.duckdb import Backend

_LOAD_COLUMNS = ("load_id", "file_sha256", "source_file", "row_no")
_LOADS = {
    "load_id": "BIGINT PRIMARY KEY",
    "source": "VARCHAR",
    "table_name": "VARCHAR",
    "file_name": "VARCHAR",
    "sha256": "VARCHAR",
    "num_rows": "BIGINT",
    "num_bytes": "BIGINT",
    "superseded_by": "BIGINT",
    "fixes": "VARCHAR",
    "warnings": "VARCHAR",
    "raw_columns": "VARCHAR[]",
}
_REJECTS = {"load_id": "BIGINT", "row_no": "BIGINT", "reason_code": "VARCHAR", "raw_line": "VARCHAR"}
_OFFLINE: dict[str, Any] = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
# Bytes 8 to 11 of every DuckDB file.
_MAGIC = slice(8, 12), b"DUCK"
_SAY_WHICH = "say corrects=True (--corrects) or corrects=False (--adds)"
_BY_NUMBER = "name the load by its number, corrects=[NUMBER] (--corrects-load NUMBER)"


@dataclass(frozen=True)
class Load:
    """One file that was loaded."""

    load_id: int  # 1 for the first load of a staging area.
    source: str  # Such as `"cms-rif"`.
    table: str  # Raw table, such as `"inpatient"`.
    file_name: str  # Name of the file, its slot within the source.
    sha256: str  # Hash of its content.
    num_rows: int  # Rows, those that could not be split included.
    num_bytes: int  # Size.
    superseded_by: int | None = None  # Load of the corrected file.
    # `F_...` code to count, such as a byte-order mark that was skipped.
    fixes: Mapping[str, int] = field(default_factory=dict)
    warnings: Mapping[str, int] = field(default_factory=dict)  # `W_...` code to count.

    @property
    def is_valid(self) -> bool:
        """Whether no corrected file came later."""
        return self.superseded_by is None


class Staging:
    r"""A staging area in one DuckDB file, made if it is not there and readable by its owner only.

    Args:
        path (`str` or `Path`): The file.
        read_only (`bool`, *optional*, defaults to `False`): Only read; the file must be there.

    Raises:
        ClaimDataError: `E_STAGING` if the path is no staging area or another process holds it. It is then as it was.
            `E_WRITE` if a new one cannot be written.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Staging(Path(folder, "staging.duckdb")) as staging:
        ...     raw = Path(folder, "pde.csv")
        ...     _ = raw.write_text("DESYNPUF_ID,PDE_ID,SRVC_DT,PROD_SRVC_ID\nP1,E1,20090107,59591025068\n")
        ...     [load.table for load in staging.load("synpuf", raw)]
        ['prescription']
    """

    def __init__(self, path: str | Path, *, read_only: bool = False) -> None:
        import duckdb

        self.path = Path(path)
        is_new = _is_new(self.path, read_only=read_only)
        try:
            with write_errors(self.path):
                if is_new:
                    _make(self.path)
                with duckdb.connect(str(self.path), read_only=True, config=_OFFLINE) as existing:
                    _check_tables(self.path, existing)
                # The log that DuckDB writes beside the file holds raw rows, too.
                with private_umask():
                    self.connection: Backend = open_engine(str(self.path), read_only=read_only)
        except duckdb.OutOfMemoryException as error:
            message = f"memory is full while opening {self.path}: close other programs or take a larger machine"
            raise ClaimDataError("E_MEMORY", message) from error
        except duckdb.Error as error:
            raise _no_staging(
                self.path,
                f"one that does not open ({type(error).__name__}): it is damaged, another process holds it, or "
                "you may not read it",
            ) from None

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with private_umask():
            self.connection.disconnect()

    def load(
        self,
        source: str,
        path: str | Path,
        *,
        corrects: bool | Sequence[int] | None = None,
        max_expansion: int = MAX_EXPANSION,
        **options: Any,
    ) -> list[Load]:
        """Load a file, or all files of a folder: all of them or none.

        A file that repeats more than half of the claims (or patients of the year) of a valid load of its name
        supersedes it; one that repeats none of them stands beside it.

        Args:
            source (`str`): A source that is stageable, such as `"cms-rif"`.
            path (`str` or `Path`): File or folder, as the source knows them.
            corrects (`bool` or `Sequence[int]`, *optional*):
                `True` if each file corrects the one valid load of its name, `False` if none corrects anything, or the
                numbers of the loads that the files correct, each by the file of its table. Without it the claims tell.
            max_expansion (`int`, *optional*, defaults to 100):
                How many times as large as itself an archive may become, beyond 64 MiB.
            options: Options of the source that say how its files are laid out, such as `layouts` of `"cms-rif"`.

        Raises:
            ValueError: If the source is not stageable, or does not know an option.
            ClaimDataError: `E_FILE_TWICE` if a valid load has the content, `E_CORRECTION` if it is not plain which
                file corrects which load, `E_NO_FILE` if no file is known by its name, and the errors of `stage_files`.
                `E_WRITE` if the disk is full, `E_MEMORY` if memory is. The staging area is then as it was.
        """
        import duckdb

        files = _find(source, check_inputs(path), options)
        corrected = self._find_corrected(source, files, corrects)
        loaded: list[Load] = []
        with write_errors(self.path), private_umask(), scratch_folder(self.path) as scratch:
            self.connection.raw_sql("BEGIN")
            try:
                with allow_expansion(max_expansion):
                    for (table, file, layout), older in zip(files, corrected, strict=True):
                        loaded.append(self._load_file(source, table, file, layout, older, scratch))
                with engine_errors(f"writing {self.path.name}"):
                    self.connection.raw_sql("COMMIT")
            except BaseException:
                # A disk that is full has rolled back by itself.
                with suppress(duckdb.Error):
                    self.connection.raw_sql("ROLLBACK")
                raise
        return loaded

    def _find_corrected(
        self, source: str, files: Sequence[tuple[str, Path, Layout]], corrects: bool | Sequence[int] | None
    ) -> Sequence[list[Load] | None]:
        """The loads that each file corrects, as far as the caller says so."""
        if corrects is None:
            return [None] * len(files)
        valid = [load for load in self.loads() if load.is_valid and load.source == source]
        if corrects is True:
            return [_of_same_name(valid, table, file.name) for table, file, _ in files]
        corrected: list[list[Load]] = [[] for _ in files]
        for number in corrects or ():
            older = [load for load in valid if load.load_id == number]
            if not older:
                raise ClaimDataError(
                    "E_CORRECTION", f"expected the number of a valid load of {source} to correct, found {number}"
                )
            of_table = [position for position, (table, *_) in enumerate(files) if table == older[0].table]
            of_name = [position for position in of_table if files[position][1].name == older[0].file_name]
            takers = of_name if len(of_table) > 1 else of_table
            if len(takers) != 1:
                raise ClaimDataError(
                    "E_CORRECTION",
                    f"expected one file of {older[0].table} to correct load {number}, {older[0].file_name}, found "
                    f"{len(of_table)}: load the file that corrects it alone",
                )
            corrected[takers[0]] += older
        return corrected

    def _load_file(
        self, source: str, table: str, path: Path, layout: Layout, older: Sequence[Load] | None, scratch: Path
    ) -> Load:
        number = len(list(scratch.iterdir()))
        folder = scratch / f"{number:05d}"
        folder.mkdir()
        rows, raw_files = stage_files(self.connection, [(path, layout)], folder, name=f"{table}_{number}")
        if len(raw_files) != 1:
            raise ClaimDataError("E_ARCHIVE", f"expected one file in {path.name}, found {len(raw_files)}: unpack it")
        raw = raw_files[0]
        self._check_new(source, table, path.name, raw, older or ())
        (load_id,) = self.connection.raw_sql("SELECT nextval('load_ids')").fetchall()[0]
        columns = [column for column in rows.columns if column not in _LOAD_COLUMNS]
        if older is None:
            older = self._find_repeated(source, table, path.name, rows, columns)
        counts = (raw.sha256, raw.num_rows, raw.num_bytes)
        load = Load(int(load_id), source, table, path.name, *counts, fixes=raw.fixes, warnings=raw.warnings)
        notes = [json.dumps(dict(raw.fixes)), json.dumps(dict(raw.warnings))]
        with engine_errors(f"staging {path.name}"):
            for one in older:
                self.connection.con.execute(
                    "UPDATE loads SET superseded_by = ? WHERE load_id = ?", [load.load_id, one.load_id]
                )
            self.connection.con.execute(
                "INSERT INTO loads VALUES (?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?)",
                [load.load_id, source, table, path.name, *counts, *notes, columns],
            )
            self._insert(stage_table(source, table), rows, columns, load)
            if raw.rejects is not None:
                self.connection.con.register("reject_rows", raw.rejects)
                self.connection.raw_sql(f"INSERT INTO rejects SELECT {load.load_id}, * FROM reject_rows")
                self.connection.con.unregister("reject_rows")
        # A view reads a file that goes away with the scratch folder.
        kind = "TABLE" if is_computed(self.connection, rows) else "VIEW"
        self.connection.raw_sql(f'DROP {kind} "{rows.get_name()}"')
        return load

    def _find_repeated(self, source: str, table: str, name: str, rows: ir.Table, columns: Sequence[str]) -> list[Load]:
        """The valid loads of the name of a file whose claims it repeats, so that it is their correction."""
        repeated = []
        keys = find_stageable(source).keys
        for load in self.loads():
            if not load.is_valid or (load.source, load.table, load.file_name) != (source, table, name):
                continue
            known = set(columns) & set(self.raw_columns(load))
            key = next((key for key in keys if known.issuperset(key)), None)
            if key is None:
                raise ClaimDataError(
                    "E_CORRECTION",
                    f"expected a column of claims to tell whether {name} corrects load {load.load_id}, found none out "
                    f"of {', '.join('/'.join(names) for names in keys)}: {_SAY_WHICH}",
                )
            held, again = self._count_repeated(load, rows, key)
            if 2 * again > held:
                repeated.append(load)
            elif again:
                raise ClaimDataError(
                    "E_CORRECTION",
                    f"expected {name} to repeat most or none of load {load.load_id} of its name, found "
                    f"{show_part_of(again, held)} ({'/'.join(key)}): {_SAY_WHICH}",
                )
        return repeated

    def _count_repeated(self, load: Load, rows: ir.Table, key: Sequence[str]) -> tuple[int, int]:
        """How many claims a load holds, and how many of them new rows hold again."""
        staged = self.connection.table(stage_table(load.source, load.table))
        held, new = (
            part.select(**{name: clean_id(part[name]).fill_null(part[name]) for name in key}).distinct()
            for part in (staged.filter(staged.load_id == load.load_id), rows)
        )
        # No cursor: the load is part of a transaction, which no other sees yet.
        num_held, num_again = (
            int(self.connection.raw_sql(to_sql(self.connection, part.aggregate(n=part.count()))).fetchall()[0][0])
            for part in (held, held.semi_join(new, key))
        )
        return num_held, num_again

    def _insert(self, name: str, rows: ir.Table, columns: Sequence[str], load: Load) -> None:
        own = "load_id BIGINT, file_sha256 VARCHAR, source_file VARCHAR, row_no BIGINT"
        self.connection.raw_sql(f'CREATE TABLE IF NOT EXISTS "{name}" ({own})')
        # A later version of a layout may bring new columns; rows of earlier loads have none of them.
        for column in columns:
            self.connection.raw_sql(f'ALTER TABLE "{name}" ADD COLUMN IF NOT EXISTS {quote_name(column)} VARCHAR')
        self.connection.raw_sql(
            f'INSERT INTO "{name}" BY NAME SELECT {load.load_id}::BIGINT AS load_id, '
            f"'{load.sha256}' AS file_sha256, * REPLACE ({quote_text(load.file_name)} AS source_file) "
            f'FROM "{rows.get_name()}"'
        )

    def _check_new(self, source: str, table: str, name: str, raw: RawFile, older: Sequence[Load]) -> None:
        """Refuse content that a valid load has. What a load that is corrected away holds may come again."""
        twins = [
            load
            for load in self.loads()
            if load.is_valid and load.sha256 == raw.sha256 and load.source == source and raw.num_rows
            if load.file_name == name or table not in find_stageable(source).repeatable
        ]
        leaving, twin_ids = {load.load_id for load in older}, {load.load_id for load in twins}
        # One of two loads may be taken back by the content of the other, but nothing corrects itself.
        if not twins or (twin_ids < leaving):
            return
        raise ClaimDataError(
            "E_FILE_TWICE",
            f"{name} has the content of load {twins[0].load_id}, {twins[0].file_name}: leave it out, or load the file "
            "that corrects it",
        )

    def loads(self) -> list[Load]:
        """List all loads."""
        with engine_errors(f"reading {self.path.name}"):
            found = self.connection.raw_sql("SELECT * EXCLUDE (raw_columns) FROM loads ORDER BY load_id").fetchall()
        return [Load(*row[:8], *map(json.loads, row[8:])) for row in found]

    def rejects(self, load: Load) -> pa.Table:
        """Give the lines of a load that could not be split into columns."""
        query = f"SELECT * EXCLUDE (load_id) FROM rejects WHERE load_id = {load.load_id:d} ORDER BY row_no"
        with engine_errors(f"reading {self.path.name}"):
            return self.connection.con.sql(query).to_arrow_table()

    def raw_columns(self, load: Load) -> list[str]:
        """List the raw columns of a load; its staging table may have more, of other versions of the layout."""
        found = self.connection.con.execute(
            "SELECT raw_columns FROM loads WHERE load_id = ?", [load.load_id]
        ).fetchall()
        if not found:
            raise KeyError(f"expected a load of {self.path.name}, found no load {load.load_id}")
        return [str(name) for name in found[0][0]]

    def rows(self, source: str, table: str) -> ir.Table:
        """Give the valid rows of a staging table."""
        loads = self.connection.table("loads")
        valid = loads.filter(loads.superseded_by.isnull()).select("load_id")
        return self.connection.table(stage_table(source, table)).semi_join(valid, "load_id")


def stage_table(source: str, table: str) -> str:
    """Name the staging table of a raw table."""
    return f"stage_{source.replace('-', '_')}_{table}"


def _is_new(path: Path, *, read_only: bool) -> bool:
    """Whether the file is still to be made; raises if the path cannot be a staging area."""
    if check_inputs(path).is_dir():
        raise _no_staging(path, "a folder: name a file, such as staging.duckdb in it")
    if path.exists():
        with path.open("rb") as file:
            head = file.read(_MAGIC[0].stop)
        if head[_MAGIC[0]] != _MAGIC[1]:
            raise _no_staging(path, "a file that is no DuckDB file")
        return False
    if read_only:
        raise _no_staging(path, "no file: `claim-transformers stage` makes one")
    if not path.absolute().parent.is_dir():
        raise _no_staging(path, f"no folder {path.parent} to make it in: make the folder first")
    return True


def _make(path: Path) -> None:
    """Make an empty staging area, whole or not at all."""
    import duckdb

    with scratch_folder(path) as scratch, private_umask(), engine_errors(f"making {path.name}"):
        with duckdb.connect(str(scratch / path.name), config=_OFFLINE) as new:
            for name, columns in {"loads": _LOADS, "rejects": _REJECTS}.items():
                listed = ", ".join(f"{column} {kind}" for column, kind in columns.items())
                new.execute(f"CREATE TABLE {name} ({listed})")
            new.execute("CREATE SEQUENCE load_ids")
            # Said here where the disk is full; the log stays behind.
            new.execute("CHECKPOINT")
        # Another run may have made one meanwhile, which stands.
        with suppress(FileExistsError):
            os.link(scratch / path.name, path)


def _check_tables(path: Path, existing: DuckDBPyConnection) -> None:
    found = existing.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE table_name IN ('loads', 'rejects') "
        "AND NOT internal ORDER BY table_name, column_index"
    ).fetchall()
    if found != [("loads", column) for column in _LOADS] + [("rejects", column) for column in _REJECTS]:
        raise _no_staging(path, "a DuckDB file of something else: name another file")


def _no_staging(path: Path, found: str) -> ClaimDataError:
    return ClaimDataError("E_STAGING", f"expected a staging area at {path}, found {found}")


def _of_same_name(valid: Sequence[Load], table: str, name: str) -> list[Load]:
    """The one valid load of a name."""
    found = [load for load in valid if (load.table, load.file_name) == (table, name)]
    if len(found) == 1:
        return found
    numbers = ", ".join(str(load.load_id) for load in found)
    raise ClaimDataError(
        "E_CORRECTION",
        f"expected one valid load of the name {name} to correct, found {f'the loads {numbers}' if found else 'none'}: "
        f"{_BY_NUMBER}{'' if found else ', or load the file as an addition, without corrects'}",
    )


def _find(source: str, path: Path, options: Mapping[str, Any]) -> Sequence[tuple[str, Path, Layout]]:
    """Raw table, file and layout of every file."""
    stageable = find_stageable(source)
    if unknown := sorted(set(options) - set(stageable.options)):
        raise ValueError(f"expected options of {source!r} out of {sorted(stageable.options)}, found {unknown}")
    found: Sequence[tuple[str, Path, Layout]] = load_function(stageable.find)(path, **options)
    return found
