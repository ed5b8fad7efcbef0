"""Units of work: raw files, staged by whichever task reads them, and cut into the rows of each part.

A part is the patients of one hash. Its rows travel as small parquet files, and the reader of the source then finds
them where it asks for its raw files.
"""

from __future__ import annotations

import datetime as dt
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from ibis import _

from claim_transformers.claims.engine import connect, engine_errors, fetch, load, open_table
from claim_transformers.claims.fields import clean_id
from claim_transformers.claims.files import replacing_file, scratch_folder
from claim_transformers.claims.cleaning import hash_of_ids
from claim_transformers.claims.planning import to_sql
from claim_transformers.claims.splits import DEFAULT_SALT
from claim_transformers.sources.pipeline.archives import MAX_EXPANSION, allow_expansion
from claim_transformers.sources.pipeline.contract import RawFile, StagedSource, StagedTable
from claim_transformers.sources.pipeline.identity import write_ids
from claim_transformers.sources.pipeline.reading import Layout, check_files_differ, name_apart, stage_files
from claim_transformers.sources.pipeline.staging import stage_elsewhere
from claim_transformers.sources.registry import find_source

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

_ROW_NO = "row_no"


@dataclass(frozen=True)
class Job:
    """What every task of an ingest knows.

    Args:
        source (`str`): Name of the source.
        path (`str`): Where the raw files are, for every executor alike.
        folder (`Path`): Folder of what is under way, which every executor can write.
        options (`Mapping[str, Any]`, *optional*): Options of the source.
        extract_date (`datetime.date`, *optional*): Day of the extract.
        salt (`str`, *optional*): Salt of the split by patient.
        drug_names (`Mapping[str, str]`, *optional*): Ingredients of products.
        threads (`int`, *optional*, defaults to 1): Threads of the engine in a task.
        memory_limit (`str`, *optional*): Memory of the engine in a task.
        max_expansion (`int`, *optional*): How many times as large an archive may become.
    """

    source: str
    path: str
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
        place = Path(tempfile.gettempdir(), f"claim-transformers-{os.getuid()}")
        with scratch_folder(place) as scratch, allow_expansion(self.max_expansion):
            connection = connect(
                threads=self.threads, memory_limit=self.memory_limit, spill_folder=scratch / "spill"
            )
            try:
                yield connection, scratch
            finally:
                connection.disconnect()

    def read(self, connection: Backend, scratch: Path, stage: Any) -> StagedSource:
        """Run the reader of the source over rows that `stage` gives."""
        with stage_elsewhere(stage):
            return find_source(self.source).reader()(self.path, connection, scratch=scratch, **self.options)


@dataclass(frozen=True)
class Unit:
    """One file that a reader asks for, and once it is staged what is in it.

    Args:
        name (`str`): Name under which the reader asks for it.
        number (`int`): Its number among all.
        path (`Path`): The file.
        layout (`Layout`): Its layout.
        files (`tuple[RawFile, ...]`, *optional*): The raw files in it, several in an archive.
        names (`tuple[str, ...]`, *optional*): What they are called where two of a table share a name.
        columns (`tuple[str, ...]`, *optional*): Columns of its rows.
        num_bytes (`int`, *optional*): Bytes of the rows, as they are staged.
    """

    name: str
    number: int
    path: Path
    layout: Layout
    files: tuple[RawFile, ...] = ()
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
        target = unit.staged(self.job)
        target.parent.mkdir(exist_ok=True)
        with self.job.engine() as (connection, scratch):
            rows, files = stage_files(connection, [(unit.path, unit.layout)], scratch, name=unit.name)
            with replacing_file(target) as temporary, engine_errors(f"staging {unit.name}"):
                _copy(connection, to_sql(connection, rows), temporary)
            return replace(
                unit,
                files=files,
                names=tuple(file.name for file in files),
                columns=tuple(rows.columns),
                num_bytes=target.stat().st_size,
            )


def list_units(job: Job, connection: Backend, scratch: Path) -> list[Unit]:
    """List what the reader of a source asks for, without reading any of it."""
    units: list[Unit] = []

    def stage(connection: Backend, files: Sequence[tuple[Path, Layout]], name: str) -> tuple[ir.Table, tuple[()]]:
        first = len(units)
        units.extend(
            Unit(name, first + place, Path(path).absolute(), layout) for place, (path, layout) in enumerate(files)
        )
        columns = dict.fromkeys(column for _, layout in files for column in (*layout.columns, *layout.constants))
        return load(connection, f"listed_{first}", rows_of_nobody(columns)), ()

    job.read(connection, scratch, stage)
    return units


def rows_of_nobody(columns: Collection[str]) -> pa.Table:
    """No rows of some columns of text."""
    names = [name for name in columns if name not in ("source_file", _ROW_NO)]
    fields = [*((name, pa.string()) for name in (*names, "source_file")), (_ROW_NO, pa.int64())]
    return pa.schema(fields).empty_table()


@dataclass(frozen=True)
class Whole:
    """A source of which every unit is staged.

    Args:
        units (`tuple[Unit, ...]`): Units by number.
        table_of_unit (`Mapping[int, str]`): Raw table that each becomes; one that becomes none goes to every part.
        patient_of_table (`Mapping[str, str]`): Column of the patient of each raw table.
    """

    units: tuple[Unit, ...]
    table_of_unit: Mapping[int, str]
    patient_of_table: Mapping[str, str]

    def columns(self, name: str) -> list[str]:
        """Columns of all rows that a reader asks for under a name."""
        return list(dict.fromkeys(column for unit in self.units if unit.name == name for column in unit.columns))


def read_whole(job: Job, units: Sequence[Unit], connection: Backend, scratch: Path) -> tuple[Whole, StagedSource]:
    """Run the reader over what was staged, without rows: what it makes of the files, and which becomes which table."""
    by_place = {(unit.name, unit.path): unit for unit in units}
    whole = Whole(tuple(units), {}, {})
    named: dict[int, Unit] = {unit.number: unit for unit in units}

    def stage(
        connection: Backend, files: Sequence[tuple[Path, Layout]], name: str
    ) -> tuple[ir.Table, tuple[RawFile, ...]]:
        staged: list[RawFile] = []
        for path, _ in files:
            unit = by_place[name, Path(path).absolute()]
            own: list[RawFile] = []
            for position, file in enumerate(unit.files):
                own.append(name_apart(file, [*staged, *own], Path(path), position))
            staged += own
            named[unit.number] = replace(unit, names=tuple(file.name for file in own))
        check_files_differ(staged)
        return load(connection, f"staged_{name}", rows_of_nobody(whole.columns(name))), tuple(staged)

    source = job.read(connection, scratch, stage)
    known = {(file.name, file.sha256): table for table in source.tables for file in table.files}
    tables = {
        unit.number: known[unit.names[0], unit.files[0].sha256].name
        for unit in named.values()
        if unit.files and (unit.names[0], unit.files[0].sha256) in known
    }
    patients = {table.name: table.patient_column for table in source.tables}
    return Whole(tuple(named.values()), tables, patients), source


@dataclass(frozen=True)
class KeysOfUnit:
    """Task that counts the rows of each claim and patient of a unit, both as hashes."""

    job: Job
    whole: Whole
    claim_keys: Mapping[str, tuple[str, ...]]

    def __call__(self, unit: Unit) -> Iterator[pa.RecordBatch]:
        table = self.whole.table_of_unit[unit.number]
        patient = self.whole.patient_of_table[table]
        claim = self.claim_keys[table] or (patient,)
        with self.job.engine() as (connection, _scratch), engine_errors(f"reading the ids of {table}"):
            rows = write_ids(_open_unit(connection, unit, self.job), {*claim, patient}, patient)
            keyed = rows.select(patient=hash_of_ids(rows, [patient]), claim=hash_of_ids(rows, claim))
            counted = keyed.filter(keyed.patient.notnull()).group_by("claim", "patient")
            found = fetch(connection, counted.aggregate(num_rows=_.count()))
        hashes = [_as_signed(found[name]) for name in ("claim", "patient")]
        for batch in pa.table(
            [pa.array([table] * found.num_rows, pa.string()), *hashes, found["num_rows"].cast(pa.int64())],
            names=["table", "claim", "patient", "num_rows"],
        ).to_batches():
            yield batch


def _as_signed(hashes: pa.ChunkedArray) -> pa.Array:
    """Hashes of 64 bits as Spark can hold them."""
    return hashes.cast(pa.decimal128(20)).cast(pa.uint64()).combine_chunks().view(pa.int64())


@dataclass(frozen=True)
class CutUnit:
    """Cuts the rows of a unit by patient, for as many parts."""

    job: Job
    whole: Whole
    num_parts: int

    def __call__(self, unit: Unit) -> Iterator[tuple[int, bytes]]:
        patient = self.whole.patient_of_table[self.whole.table_of_unit[unit.number]]
        with self.job.engine() as (connection, scratch):
            rows = _open_unit(connection, unit, self.job)
            part = (clean_id(rows[patient]).hash() % self.num_parts).name("part")
            with engine_errors(f"cutting {unit.name}"):
                sql = to_sql(connection, rows.mutate(part))
                _copy(connection, sql, scratch / "cut", ", PARTITION_BY (part), OVERWRITE_OR_IGNORE true")
            for path in sorted((scratch / "cut").glob("part=*/*.parquet")):
                yield int(path.parent.name.removeprefix("part=")), pack_piece(unit.number, path.read_bytes())


def pack_piece(number: int, content: bytes) -> bytes:
    """A piece of a unit, as it travels."""
    return number.to_bytes(4, "big") + content


def unpack_piece(piece: bytes) -> tuple[int, bytes]:
    """Number of the unit and content of a piece."""
    return int.from_bytes(piece[:4], "big"), piece[4:]


def _open_unit(connection: Backend, unit: Unit, job: Job) -> ir.Table:
    """Rows of a unit, under the names that its raw files have in the whole."""
    path = str(unit.staged(job)).replace("'", "''")
    connection.raw_sql(f"CREATE VIEW unit AS SELECT * FROM read_parquet('{path}')")
    rows = open_table(connection, "unit")
    renamed = {
        file.name: name for file, name in zip(unit.files, unit.names, strict=True) if file.name != name
    }
    return rows.mutate(source_file=rows.source_file.cases(*renamed.items(), else_=rows.source_file)) if renamed else rows


def _copy(connection: Backend, sql: str, target: Path, more: str = "") -> None:
    quoted = str(target).replace("'", "''")
    connection.raw_sql(f"COPY ({sql}) TO '{quoted}' (FORMAT parquet{more})")


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
