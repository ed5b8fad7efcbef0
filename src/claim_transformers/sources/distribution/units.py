"""Units of work: raw files, staged by whichever task reads them, and cut into the rows of each part.

A part is the patients of one hash. Its rows travel as small parquet files, and the reader of the source then finds
them where it asks for its raw files.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from ibis import _

from claim_transformers.claims.cleaning import hash_of_ids
from claim_transformers.claims.engine import engine_errors, fetch, free_name, load, open_table, quote_text
from claim_transformers.claims.fields import clean_id
from claim_transformers.claims.files import replacing_file
from claim_transformers.claims.patient_parts import cut_by_patient, pack_piece, task_engine
from claim_transformers.claims.planning import to_sql
from claim_transformers.claims.splits import DEFAULT_SALT
from claim_transformers.sources.pipeline.archives import MAX_EXPANSION, allow_expansion
from claim_transformers.sources.pipeline.contract import StagedSource, StagedTable, name_apart
from claim_transformers.sources.pipeline.identity import write_ids
from claim_transformers.sources.pipeline.reading import Layout, stage_files
from claim_transformers.sources.pipeline.staging import KEY_PATIENT, names_taken, stage_elsewhere
from claim_transformers.sources.registry import find_source, load_function

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

_ROW_NO = "row_no"


@dataclass(frozen=True)
class Job:
    """What every task of an ingest knows."""

    source: str
    path: str
    # On a file system that every executor shares.
    folder: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    extract_date: dt.date | None = None
    salt: str = DEFAULT_SALT
    drug_names: Mapping[str, str] | None = None
    threads: int = 1
    memory_limit: str | None = None
    max_expansion: int = MAX_EXPANSION

    @contextmanager
    def engine(self) -> Iterator[tuple[Backend, Path]]:
        """Open an engine and a folder on the disk of this machine, for one task."""
        with (
            allow_expansion(self.max_expansion),
            task_engine(threads=self.threads, memory_limit=self.memory_limit) as opened,
        ):
            yield opened

    def read(self, connection: Backend, scratch: Path, stage: Any) -> StagedSource:
        """Run the reader of the source over rows that `stage` gives."""
        with stage_elsewhere(stage):
            return find_source(self.source).reader()(self.path, connection, scratch=scratch, **self.options)


@dataclass(frozen=True)
class Unit:
    """One file that a reader asks for, and once it is staged what is in it."""

    name: str
    number: int
    path: Path
    # A `Layout`, or what else the source stages it by.
    layout: Any
    # The raw files in it, several in an archive, or what the source says of it; and once all are known their names.
    files: tuple[Any, ...] = ()
    names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    num_bytes: int = 0

    def staged(self, job: Job) -> Path:
        """Where its rows are."""
        return job.folder / "staged" / f"{self.name}-{self.number:05d}.parquet"


@dataclass(frozen=True)
class StageUnit:
    """Task that stages a unit."""

    job: Job

    def __call__(self, unit: Unit) -> Unit:
        """Stage a unit."""
        target = unit.staged(self.job)
        target.parent.mkdir(exist_ok=True)
        with self.job.engine() as (connection, scratch):
            if (own := find_source(self.job.source).stage) is None:
                rows, files = stage_files(connection, [(unit.path, unit.layout)], scratch, name=unit.name)
                # Parts count the codes of their own rows.
                files = tuple(replace(file, codes={}) for file in files)
            else:
                rows, files = load_function(own)(connection, unit.path, unit.layout, scratch)
            with replacing_file(target) as temporary, engine_errors(f"staging {unit.name}"):
                connection.raw_sql(f"COPY ({to_sql(connection, rows)}) TO {quote_text(temporary)} (FORMAT parquet)")
            # The layout has done its work, and would travel to every task with all others.
            size = target.stat().st_size
            return replace(unit, layout=None, files=files, columns=tuple(rows.columns), num_bytes=size)


def list_units(job: Job, connection: Backend, scratch: Path) -> list[Unit]:
    """List what the reader of a source asks for, without reading any of it."""
    units: list[Unit] = []

    def stage(
        connection: Backend, files: Sequence[tuple[Path, Any]], name: str, _: bool = False
    ) -> tuple[ir.Table, tuple[()]]:
        first = len(units)
        units.extend(
            Unit(name, first + place, Path(path).absolute(), layout) for place, (path, layout) in enumerate(files)
        )
        layouts = [layout for _, layout in files if isinstance(layout, Layout)]
        columns = dict.fromkeys(column for layout in layouts for column in (*layout.columns, *layout.constants))
        return load(connection, f"listed_{first}", _rows_of_nobody(columns)), ()

    job.read(connection, scratch, stage)
    return units


def _rows_of_nobody(columns: Collection[str]) -> pa.Table:
    """No rows of some columns of text."""
    names = [name for name in columns if name not in ("source_file", _ROW_NO)]
    fields = [*((name, pa.string()) for name in (*names, "source_file")), (_ROW_NO, pa.int64())]
    return pa.schema(fields).empty_table()


@dataclass(frozen=True)
class _Keys:
    """Columns that say of a row whose it is, and of which claim: none without claims."""

    table: str
    patient: str
    claim: tuple[str, ...]


@dataclass(frozen=True)
class Whole:
    """A source of which every unit is staged."""

    job: Job
    units: tuple[Unit, ...]
    # Of units that are a raw table; what is none goes to every part.
    keys: Mapping[int, _Keys] = field(default_factory=dict)
    # Units with rows of eligibility.
    people: frozenset[int] = frozenset()

    @property
    def is_staged_by_source(self) -> bool:
        """Whether rows are staged by the source itself, under a key of the patient that it gives them."""
        return find_source(self.job.source).stage is not None

    def of_patients(self, *, only_people: bool = False) -> list[Unit]:
        """Units whose rows are cut by patient."""
        return [
            unit
            for unit in self.units
            if (self.is_staged_by_source or unit.number in self.keys)
            and (unit.number in self.people or not only_people)
        ]

    def open(self, connection: Backend, name: str, paths: Sequence[Path]) -> ir.Table:
        """Open files of rows that a reader asks for under a name, with the columns of all."""
        units = [unit for unit in self.units if unit.name == name]
        if self.is_staged_by_source:
            nobody = f"(SELECT * FROM {rows_of([units[0].staged(self.job)])} LIMIT 0)"
        else:
            columns = dict.fromkeys(column for unit in units for column in unit.columns)
            load(connection, f"nobody_of_{name}", _rows_of_nobody(columns))
            nobody = f'"nobody_of_{name}"'
        view, sql = free_name(connection, f"staged_{name}"), f"SELECT * FROM {nobody}"
        if paths:
            sql += f" UNION ALL BY NAME SELECT * FROM {rows_of(paths)}"
        connection.raw_sql(f'CREATE VIEW "{view}" AS {sql}')
        return open_table(connection, view)


def read_whole(job: Job, units: Sequence[Unit], connection: Backend, scratch: Path) -> tuple[Whole, StagedSource]:
    """Run the reader over what was staged, without rows: what it makes of the files, and which becomes which table."""
    columns: dict[tuple[str, ...], tuple[str, ...]] = {}
    # Of equal columns one tuple travels.
    units = [replace(unit, columns=columns.setdefault(unit.columns, unit.columns)) for unit in units]
    by_place = {(unit.name, unit.path): unit for unit in units}
    whole = Whole(job, tuple(units))
    named: dict[int, Unit] = {unit.number: unit for unit in units}

    def stage(
        connection: Backend, files: Sequence[tuple[Path, Any]], name: str, may_repeat: bool = False
    ) -> tuple[ir.Table, tuple[Any, ...]]:
        asked = [by_place[name, Path(path).absolute()] for path, _ in files]
        rows = whole.open(connection, name, [])
        if whole.is_staged_by_source:
            return rows, tuple(file for unit in asked for file in unit.files)
        found = [(unit.path, file) for unit in asked for file in unit.files]
        staged = name_apart(found, taken=names_taken(), may_repeat=may_repeat)
        names = iter(staged)
        for unit in asked:
            named[unit.number] = replace(unit, names=tuple(next(names).name for _ in unit.files))
        return rows, staged

    source = job.read(connection, scratch, stage)
    if whole.is_staged_by_source:
        return replace(whole, people=frozenset(named)), source
    known = {file.name: table for table in source.tables for file in table.files}
    tables = {unit.number: known[unit.names[0]] for unit in named.values() if unit.names and unit.names[0] in known}
    keys = {number: _keys_of(table) for number, table in tables.items()}
    people = frozenset(number for number, table in tables.items() if table.target == "eligibility")
    return Whole(job, tuple(named.values()), keys, people), source


def _keys_of(table: StagedTable) -> _Keys:
    return _Keys(table.name, table.patient_column, table.claim_key)


@dataclass(frozen=True)
class KeysOfUnit:
    """Task that counts the rows of each claim and patient of a unit, both as hashes."""

    whole: Whole

    def __call__(self, unit: Unit) -> Iterator[pa.RecordBatch]:
        """Count a unit."""
        with self.whole.job.engine() as (connection, scratch):
            rows = _open_unit(connection, unit, self.whole.job)
            if not self.whole.is_staged_by_source:
                yield from _count_keys(connection, rows, self.whole.keys[unit.number])
                return
            source = self.whole.job.read(connection, scratch, lambda *_: (rows, unit.files))
            for table in source.tables:
                yield from _count_keys(connection, table.rows, _keys_of(table))


def _count_keys(connection: Backend, rows: ir.Table, keys: _Keys) -> Iterator[pa.RecordBatch]:
    claim = keys.claim or (keys.patient,)
    rows = write_ids(rows, list(dict.fromkeys([*claim, keys.patient])), keys.patient)
    keyed = rows.select(patient=hash_of_ids(rows, [keys.patient]), claim=hash_of_ids(rows, claim))
    counted = keyed.filter(keyed.patient.notnull()).group_by("claim", "patient").aggregate(num_rows=_.count())
    with engine_errors(f"reading the ids of {keys.table}"):
        found = fetch(connection, counted)
    columns = [found[name].cast(pa.int64()) for name in ("claim", "patient", "num_rows")]
    names = pa.array([keys.table] * found.num_rows, pa.string())
    yield from pa.table([names, *columns], names=["table", "claim", "patient", "num_rows"]).to_batches()


@dataclass(frozen=True)
class CutUnit:
    """Cuts the rows of a unit by patient, for as many parts."""

    whole: Whole
    num_parts: int

    def __call__(self, unit: Unit) -> Iterator[tuple[int, bytes]]:
        """Cut a unit."""
        patient = KEY_PATIENT if self.whole.is_staged_by_source else self.whole.keys[unit.number].patient
        with self.whole.job.engine() as (connection, scratch):
            rows = _open_unit(connection, unit, self.whole.job)
            # Layouts are wide and files are not: what is empty in all rows is filled in again where rows are opened.
            empty = _find_empty(unit.staged(self.whole.job)) - {patient}
            rows = rows.select([name for name in rows.columns if name not in empty])
            key = clean_id(rows[patient])
            for part, content in cut_by_patient(connection, rows, key, self.num_parts, scratch):
                yield part, pack_piece(unit.number, content)


def _find_empty(path: Path) -> set[str]:
    """Columns of a parquet file whose footer says that no row holds anything."""
    filled, found = set(), set()
    metadata = pq.read_metadata(path)
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            found.add(column.path_in_schema)
            if column.statistics is None or column.statistics.null_count != group.num_rows:
                filled.add(column.path_in_schema)
    return found - filled


def _open_unit(connection: Backend, unit: Unit, job: Job) -> ir.Table:
    """Rows of a unit, under the names that its raw files have in the whole."""
    view = free_name(connection, "unit")
    connection.raw_sql(f'CREATE VIEW "{view}" AS SELECT * FROM {rows_of([unit.staged(job)])}')
    rows = open_table(connection, view)
    renamed = {file.name: name for file, name in zip(unit.files, unit.names, strict=False) if file.name != name}
    return (
        rows.mutate(source_file=rows.source_file.cases(*renamed.items(), else_=rows.source_file)) if renamed else rows
    )


def rows_of(paths: Sequence[Path]) -> str:
    """Rows of files; folders above them that are named like a column and its value, as in lakes, say nothing."""
    return f"read_parquet([{', '.join(map(quote_text, paths))}], union_by_name = true, hive_partitioning = false)"


def check_by_patient(tables: Sequence[StagedTable]) -> None:
    """Raise `ValueError` if a table compares rows of several patients, which may lie in several parts."""
    for table in tables:
        keys = [table.row_key, *((table.versions.key,) if table.versions else ())]
        keys += [table.reversal.key] if table.reversal else []
        if any(table.patient_column not in key for key in keys):
            raise ValueError(
                f"expected rows of {table.name} to be compared within {table.patient_column}, found a key without it: "
                "ingest this source on one machine"
            )
