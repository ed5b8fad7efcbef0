"""What a task does to the rows of its patients: all that one machine does to those of all patients."""

from __future__ import annotations

import datetime as dt
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from claim_transformers.claims.assembly import PatientCounts
from claim_transformers.claims.engine import load
from claim_transformers.claims.patient_parts import unpack_piece
from claim_transformers.claims.sequences import PatientFacts, PatientsWriter
from claim_transformers.sources.distribution.ledgers import PartLedger
from claim_transformers.sources.distribution.units import Job, Whole
from claim_transformers.sources.pipeline.contract import RawFile, StagedSource, WholeTable
from claim_transformers.sources.pipeline.eligibility import find_latest_start
from claim_transformers.sources.pipeline.ingest import settle_tables
from claim_transformers.sources.pipeline.screening import screen_table

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend


@dataclass(frozen=True)
class Part:
    """What became of the patients of a part."""

    number: int
    ledger: PartLedger
    lines: Mapping[str, int]
    counts: PatientCounts | None = None
    facts: PatientFacts | None = None


def part_folder(job: Job, number: int) -> Path:
    """Where a part is written."""
    return job.folder / "parts" / f"{number:05d}"


@dataclass(frozen=True)
class LatestStart:
    """Task that finds the latest start of enrolment of its patients."""

    whole: Whole

    def __call__(self, number: int, pieces: Iterator[bytes]) -> dt.date | None:
        """Read the rows of eligibility of a part."""
        with self.whole.job.engine() as (connection, scratch):
            source = _read_part(self.whole, connection, scratch, pieces)
            tables = [replace(table, whole=_nobody_else(connection)) for table in source.tables]
            screened = [
                screen_table(connection, table, PartLedger()) for table in tables if table.target == "eligibility"
            ]
            return find_latest_start(connection, screened)


def _nobody_else(connection: Backend) -> WholeTable:
    return WholeTable((0, 0, 0), load(connection, "shared_by_none", _claims([])))


def _claims(hashes: Sequence[int]) -> pa.Table:
    return pa.table({"claim_hash": pa.array(hashes, pa.int64())})


@dataclass(frozen=True)
class SettlePart:
    """Task that settles the rows of its patients and writes their canonical tables, quarantine and patients."""

    whole: Whole
    # By raw table, as `WholeTable` has them.
    id_counts: Mapping[str, tuple[int, int, int]]
    shared_claims: Mapping[str, Sequence[int]]
    latest_start: dt.date | None

    def __call__(self, number: int, pieces: Iterator[bytes]) -> Part:
        """Settle a part."""
        target = part_folder(self.whole.job, number)
        target.parent.mkdir(exist_ok=True)
        # Of two attempts at a part the first that ends stays: they write the same.
        folder = target.parent / f".{target.name}-{uuid.uuid4().hex[:12]}"
        folder.mkdir()
        try:
            part = self._settle(number, pieces, folder)
            part.ledger.put_codes_down(folder)
            try:
                folder.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
            return part
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _settle(self, number: int, pieces: Iterator[bytes], folder: Path) -> Part:
        job, ledger = self.whole.job, PartLedger()
        with _open_patients(job, folder) as patients:
            with job.engine() as (connection, scratch):
                source = _read_part(self.whole, connection, scratch, pieces)
                tables = tuple(
                    replace(
                        table,
                        # What is true of whole files is entered for the whole.
                        files=tuple(RawFile(one.name, one.num_rows, one.num_bytes, one.sha256) for one in table.files),
                        whole=WholeTable(
                            self.id_counts.get(table.name, (0, 0, 0)),
                            load(
                                connection,
                                f"shared_by_all_{table.name}",
                                _claims(self.shared_claims.get(table.name, ())),
                            ),
                        ),
                    )
                    for table in source.tables
                )
                source = replace(source, tables=tables, latest_start=self.latest_start)
                quiet = SimpleNamespace(update=lambda: None, set_postfix_str=lambda _: None)
                lines = settle_tables(connection, source, folder, ledger, quiet, 1.0, 1.0, job.extract_date, patients)
            if not any(lines.values()):
                return Part(number, ledger, lines)
            written = _write_patients(job, patients, source.name, _is_silent(source))
        return Part(number, ledger, lines, *written)


@dataclass(frozen=True)
class WritePatients:
    """Task that writes the patients of a part again, now that it is known what all of them say."""

    job: Job
    source: str
    is_silent: bool
    facts: PatientFacts

    @classmethod
    def of(cls, job: Job, source: StagedSource, facts: PatientFacts) -> WritePatients:
        """The task for the patients of a source."""
        return cls(job, source.name, _is_silent(source), facts)

    def __call__(self, number: int) -> PatientCounts:
        """Write the patients of a part."""
        with _open_patients(self.job, part_folder(self.job, number)) as patients:
            return _write_patients(self.job, patients, self.source, self.is_silent, self.facts)[0]


def _is_silent(source: StagedSource) -> bool:
    """Whether the source does not tell when patients were enrolled."""
    return any(not table.has_spans for table in source.tables)


def _open_patients(job: Job, folder: Path) -> PatientsWriter:
    return PatientsWriter(folder, salt=job.salt, drug_names=job.drug_names)


def _write_patients(
    job: Job, patients: PatientsWriter, source: str, is_silent: bool, whole: PatientFacts | None = None
) -> tuple[PatientCounts, PatientFacts]:
    return patients.write(
        extract_date=job.extract_date,
        source=source,
        without_enrollment={source} if is_silent else (),
        whole=whole,
    )


def _read_part(whole: Whole, connection: Backend, scratch: Path, pieces: Iterator[bytes]) -> StagedSource:
    """Run the reader over the rows of a part."""
    folder = scratch / "pieces"
    folder.mkdir()
    paths: dict[str, list[Path]] = {}
    for place, (number, content) in enumerate(map(unpack_piece, pieces)):
        path = folder / f"{place:06d}.parquet"
        path.write_bytes(content)
        paths.setdefault(whole.units[number].name, []).append(path)
    cut = {unit.number for unit in whole.of_patients()}

    def stage(
        connection: Backend, files: Sequence[tuple[Path, Any]], name: str, _: bool = False
    ) -> tuple[ir.Table, tuple[Any, ...]]:
        places = {Path(path).absolute() for path, _ in files}
        asked = [unit for unit in whole.units if unit.name == name and unit.path in places]
        # What is no raw table of patients goes to every part as it is.
        everywhere = [unit.staged(whole.job) for unit in asked if unit.number not in cut]
        rows = whole.open(connection, name, [*everywhere, *paths.get(name, ())])
        if whole.is_staged_by_source:
            return rows, tuple(replace(facts, is_part=True) for unit in asked for facts in unit.files)
        counted = f'SELECT source_file, count(*) FROM "{rows.get_name()}" GROUP BY 1'
        counts = dict(connection.raw_sql(counted).fetchall())
        return rows, tuple(
            RawFile(own_name, counts.get(own_name, 0), file.num_bytes, file.sha256)
            for unit in asked
            for own_name, file in zip(unit.names, unit.files, strict=True)
        )

    return whole.job.read(connection, scratch, stage)
