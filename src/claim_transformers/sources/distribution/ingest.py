"""Ingest on Spark: the folder that one machine would write, of claims that no machine holds."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from claim_transformers.claims.assembly import PatientCounts
from claim_transformers.claims.engine import MEMORY_LIMIT, engine_errors
from claim_transformers.claims.inputs import check_inputs
from claim_transformers.claims.last_day import find_counted_last_day, write_day
from claim_transformers.claims.ledger import MAX_QUARANTINE_SHARE, MAX_REASON_SHARE
from claim_transformers.claims.sequences import PatientFacts
from claim_transformers.claims.spark import SparkTasks, open_spark
from claim_transformers.claims.splits import DEFAULT_SALT, SPLITS
from claim_transformers.claims.store import write_folder
from claim_transformers.sources.distribution.ledgers import add_up
from claim_transformers.sources.distribution.parts import LatestStart, Part, SettlePart, WritePatients, part_folder
from claim_transformers.sources.distribution.units import (
    CutUnit,
    Job,
    KeysOfUnit,
    StageUnit,
    Unit,
    Whole,
    check_by_patient,
    list_units,
    read_whole,
    rows_of,
)
from claim_transformers.sources.pipeline.archives import MAX_EXPANSION
from claim_transformers.sources.pipeline.contract import RawLocation, StagedSource
from claim_transformers.sources.pipeline.ingest import IngestSummary, drugs_of, write_facts
from claim_transformers.sources.pipeline.screening import name_quarantine, quarantine_of
from claim_transformers.sources.registry import Source, find_source, sources

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend
    from pyspark.sql import SparkSession

# Rows of text, compressed; as tables of the engine they take some ten times as much.
_BYTES_PER_PART = 1 << 27
_TABLES = ("eligibility", "claim_line", "rx_claim")


def ingest_on_spark(
    source: str,
    path: RawLocation,
    out: str | Path,
    *,
    spark: SparkSession | SparkTasks | str | None = None,
    num_parts: int | None = None,
    overwrite: bool = False,
    max_quarantine_share: float = MAX_QUARANTINE_SHARE,
    max_reason_share: float = MAX_REASON_SHARE,
    extract_date: dt.date | None = None,
    ndc_directory: str | Path | None = None,
    salt: str = DEFAULT_SALT,
    threads: int = 1,
    memory_limit: str | None = MEMORY_LIMIT,
    max_expansion: int = MAX_EXPANSION,
    progress: bool = True,
    **options: Any,
) -> IngestSummary:
    """Read a raw source on Spark and publish what [`ingest`] publishes: the same rows, in more files.

    Each file is staged by one task, and then each task settles the rows of the patients of one part with the very
    functions of one machine. `path` and `out` are on a file system that the driver and every executor share. A task
    that is killed is run again and writes the same.

    Args:
        source (`str`): A name in `sources.registry.sources`; one whose rows are compared within patients.
        path (`str` or `Path`): The raw files.
        out (`str` or `Path`): The folder to publish; it appears whole or not at all.
        spark (`SparkSession` or `str`, *optional*): The session, or the address of one, as of [`open_spark`].
        num_parts (`int`, *optional*): Parts that the patients are cut into; so many by default that the rows of each
            take 128 MiB, compressed.
        overwrite (`bool`, *optional*, defaults to `False`): As of [`ingest`], like all that follow up to `salt`.
        max_quarantine_share (`float`, *optional*, defaults to `0.05`): Of a file.
        max_reason_share (`float`, *optional*, defaults to `0.01`): Of a file.
        extract_date (`datetime.date`, *optional*): Day of the extract.
        ndc_directory (`str` or `Path`, *optional*): Names of drugs.
        salt (`str`, *optional*, defaults to `"claim-transformers"`): Of the split.
        threads (`int`, *optional*, defaults to 1): Threads of the engine in a task: `spark.task.cpus`.
        memory_limit (`str`, *optional*, defaults to `"1GB"`): Memory of the engine in a task; it spills to the disk of
            the executor.
        max_expansion (`int`, *optional*, defaults to 100): As of [`ingest`].
        progress (`bool`, *optional*, defaults to `True`): Whether to show a progress bar.
        options: Options of the source.

    Returns:
        `IngestSummary`: Counts; `print` shows them as a table.

    Raises:
        ValueError: If the source is unknown or cannot be cut by patient, or does not know an option.
        ClaimDataError: What [`ingest`] raises, and `E_SPARK` if there is no session or Spark gives up on a task.

    Examples:
        >>> ingest_on_spark("omop", "/nowhere", "/tmp/claims-of-nowhere")
        Traceback (most recent call last):
        ValueError: expected a source that is cut by patient on Spark (...), found 'omop': ingest it on one machine
    """
    registered = _find_source_by_patient(source, options)
    path = _raw_files(path)
    drugs = drugs_of(registered, path, ndc_directory)
    with (
        write_folder(Path(out).absolute(), overwrite=overwrite) as folder,
        tqdm(total=5, desc=source, disable=not progress) as bar,
    ):
        scratch = folder / ".scratch"
        scratch.mkdir()
        names = None if drugs is None else drugs.names
        job = Job(source, str(path), scratch, options, extract_date, salt, names, threads, memory_limit, max_expansion)
        with job.engine() as (connection, own):
            listed = list_units(job, connection, own)
        tasks = _tasks_of(spark)
        bar.set_postfix_str("reading")
        units = list(tasks.run(StageUnit(job), listed))
        bar.update()
        with job.engine() as (connection, own):
            whole, staged = read_whole(job, units, connection, own)
            check_by_patient(staged.tables)
            bar.set_postfix_str("checks")
            parts = _settle_parts(tasks, whole, num_parts or _count_parts(units))
            bar.update()
            ledger = add_up([part.ledger for part in parts], [part_folder(job, part.number) for part in parts], staged)
        ledger.check_rates(max_quarantine_share=max_quarantine_share, max_reason_share=max_reason_share)
        ledger.check_conservation()
        bar.set_postfix_str("patients")
        lines = {name: sum(part.lines.get(name, 0) for part in parts) for name in parts[0].lines}
        patients = None
        if any(lines.get(name) for name in ("claim_line", "rx_claim")):
            patients = _settle_patients(tasks, job, staged, parts)
        bar.update()
        bar.set_postfix_str("publishing")
        _gather(job, staged, parts, folder, has_patients=patients is not None)
        shutil.rmtree(scratch)
        bar.update()
        report = write_facts(folder, path, staged, ledger, lines, patients, drugs, salt)
        bar.update()
    return IngestSummary(Path(out), report, lines, patients)


def _find_source_by_patient(name: str, options: dict[str, Any]) -> Source:
    registered = find_source(name)
    registered.check_options(options)
    if not registered.is_by_patient:
        known = ", ".join(name for name, one in sources().items() if one.is_by_patient)
        raise ValueError(
            f"expected a source that is cut by patient on Spark ({known}), found {name!r}: ingest it on one machine"
        )
    return registered


def _raw_files(path: RawLocation) -> Path:
    if not isinstance(path, str | Path):
        raise ValueError("expected the folder of raw files, found none: fetch or export them on one machine")
    return check_inputs(path).absolute()


def _tasks_of(spark: SparkSession | SparkTasks | str | None) -> SparkTasks:
    if isinstance(spark, SparkTasks):
        return spark
    return SparkTasks(open_spark(spark) if spark is None or isinstance(spark, str) else spark)


def _count_parts(units: Iterable[Unit]) -> int:
    return max(1, math.ceil(sum(unit.num_bytes for unit in units) / _BYTES_PER_PART))


def _settle_parts(tasks: SparkTasks, whole: Whole, num_parts: int) -> list[Part]:
    """Settle the rows of every part, told what the whole says of ids, claims and enrolment."""
    of_patients, of_people = whole.of_patients(), whole.of_patients(only_people=True)
    counts, shared = tasks.count_keys(KeysOfUnit(whole), of_patients)
    id_counts = {row["table"]: (row["total"], row["ids"], row["most"]) for row in counts.to_pylist()}
    claims = {name: shared["claim"].filter(pc.equal(shared["table"], name)).to_pylist() for name in id_counts}
    cut, latest = CutUnit(whole, num_parts), None
    if of_people:
        found = tasks.exchange(cut, of_people, LatestStart(whole), num_parts)
        latest = max((day for day in found if day is not None), default=None)
    return list(tasks.exchange(cut, of_patients, SettlePart(whole, id_counts, claims, latest), num_parts))


def _settle_patients(tasks: SparkTasks, job: Job, staged: StagedSource, parts: Sequence[Part]) -> PatientCounts:
    """Write the patients of those parts again that would be others by what all parts say, and count all."""
    known = {part.number: part.facts for part in parts if part.facts is not None}
    facts = PatientFacts.of_parts(list(known.values()))
    again = [number for number, of_part in known.items() if not of_part.decides_alike(facts, job.extract_date)]
    rewritten = dict(zip(again, tasks.run(WritePatients.of(job, staged, facts), again), strict=True))
    counts = [rewritten.get(part.number, part.counts) for part in parts if part.counts is not None]
    last_day, last_end = (
        write_day(find_counted_last_day(days, job.extract_date)) for days in (facts.last_days, facts.last_ends)
    )
    total = PatientCounts.of_parts([one for one in counts if one is not None])
    return replace(total, distinct_codes=len(facts.codes), last_day=last_day, last_enrollment_day=last_end)


# ---- Files ----


def _gather(job: Job, staged: StagedSource, parts: Sequence[Part], folder: Path, *, has_patients: bool) -> None:
    """Move what the parts wrote into the folder, numbered through."""
    folders = [part_folder(job, part.number) for part in parts]
    for table in _TABLES:
        _move(folder / table, "part", [path for one in folders for path in sorted((one / table).glob("*.parquet"))])
    for split in SPLITS if has_patients else ():
        files = [path for one in folders for path in sorted((one / "patients").glob(f"{split}-*.parquet"))]
        _move(folder / "patients", split, files)
    tables = [(table.name, file) for table in staged.tables for file in table.files]
    names = name_quarantine([(file.name, table) for table, file in tables])
    with job.engine() as (connection, _):
        for table, file in tables:
            name = f"{names[file.name, table]}.parquet"
            found = [path for one in folders if (path := one / "quarantine" / name).is_file()]
            rejects = quarantine_of(file, None)
            if found or rejects.num_rows:
                (folder / "quarantine").mkdir(exist_ok=True)
                with engine_errors(f"writing the quarantine of {table}"):
                    _write_quarantine(connection, found, rejects, folder / "quarantine" / name)


def _write_quarantine(connection: Backend, paths: Sequence[Path], rejects: pa.Table, target: Path) -> None:
    """Write what the checks of all parts left of a raw file, in its order, then what could not be read."""
    schema, rows = rejects.schema, iter(())
    if paths:
        # Sorted by the engine, which spills, because a file may be bad as a whole.
        reader = connection.con.sql(f"SELECT * FROM {rows_of(paths)} ORDER BY row_no").to_arrow_reader(1 << 16)
        schema, rows = pa.unify_schemas([reader.schema, schema]), (pa.Table.from_batches([one]) for one in reader)
    with pq.ParquetWriter(target, schema) as writer:
        for table in itertools.chain(rows, [rejects]):
            writer.write_table(pa.concat_tables([schema.empty_table(), table], promote_options="default"))


def _move(target: Path, stem: str, files: Sequence[Path]) -> None:
    """Move parquet files under numbers; files without rows only if all are, since a table without rows says so."""
    kept = [path for path in files if pq.read_metadata(path).num_rows] or list(files[:1])
    for number, path in enumerate(kept):
        target.mkdir(exist_ok=True)
        path.rename(target / f"{stem}-{number:05d}.parquet")
