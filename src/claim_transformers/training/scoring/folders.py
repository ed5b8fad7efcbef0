"""Scores of an ingested folder of any size: part by part, so that memory stays flat and a killed run goes on."""

import datetime as dt
import itertools
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from claim_transformers.claims.files import (
    file_sha256,
    lock_folder,
    private_folder,
    publish_folder,
    remove_left_files,
    replacing_file,
    to_json,
    write_file,
)
from claim_transformers.claims.last_day import last_day_of, last_enrollment_day_of
from claim_transformers.claims.packing import NULL_DAY
from claim_transformers.claims.patient_files import PATIENTS_SCHEMA
from claim_transformers.claims.patient_parts import count_parts, run_on_parts
from claim_transformers.claims.small_cells import Shown, show, show_counts
from claim_transformers.claims.spark import SparkTasks
from claim_transformers.claims.store import MANIFEST, IngestedFolder, open_folder
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.cohorts.timelines import patient_files
from claim_transformers.models.claim.names_claim import name_for_others
from claim_transformers.training.callbacks import return_free_memory
from claim_transformers.training.manifests import json_sha256
from claim_transformers.training.scoring.patients import LEFT_OUT
from claim_transformers.training.scoring.scorer import ROWS_AT_A_TIME, Scorer, date_of
from claim_transformers.training.scoring.unclaimed import TABLES as UNCLAIMED_TABLES
from claim_transformers.training.scoring.unclaimed import unclaimed_patients
from claim_transformers.version import __version__

_SCORES_FILE = "_scores.json"
_FORMAT = 1
_ROWS_PER_PART = 20_000
_EPOCH = dt.date(1970, 1, 1)

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoreSummary:
    """What a run scored.

    Args:
        members (`int`): Patients in the claims, with claims or without.
        scored (`int`): Those who have a score.
        left_out (`Mapping[str, int]`): Those who have none, by reason.
        seconds (`float`): How long this run took.
        parts (`int`): Files written in all.
        parts_kept (`int`): Those of them that an earlier run had finished.

    Examples:
        >>> print(ScoreSummary(120, 100, {"not enrolled at the date": 20}, 2.0, 1, 0))
        120 members, 100 scored; left out: 20 not enrolled at the date; 2.0 seconds
    """

    members: int
    scored: int
    left_out: Mapping[str, int]
    seconds: float
    parts: int
    parts_kept: int

    def shown(self, *, raw: bool = False) -> dict[str, Shown]:
        """Return the counts that may be shown.

        Args:
            raw (`bool`, *optional*, defaults to `False`): Show counts of 1 to 10 too, and what gives them away.

        Returns:
            `dict`: `members`, `scored`, and the reasons for which somebody is left out.
        """
        reasons = {reason: count for reason, count in self.left_out.items() if count}
        counts = {"members": self.members, "scored": self.scored, **reasons}
        return show_counts(counts, [("members", ["scored", *reasons])], raw=raw)

    def to_text(self, *, raw: bool = False) -> str:
        """Return a line for a terminal.

        Args:
            raw (`bool`, *optional*, defaults to `False`): As of `shown`.

        Returns:
            `str`: Members, scores, who is left out and why, and how long it took.
        """
        shown = self.shown(raw=raw)
        members, scored = (show(shown.pop(name)) for name in ("members", "scored"))
        reasons = ", ".join(f"{show(count)} {reason}" for reason, count in shown.items()) or "nobody"
        kept = f", {self.parts_kept} of {self.parts} parts by an earlier run" if self.parts_kept else ""
        return f"{members} members, {scored} scored; left out: {reasons}; {self.seconds:.1f} seconds{kept}"

    def __str__(self) -> str:
        return self.to_text()


@dataclass(frozen=True)
class _Part:
    """Patients that become one file: where they come from, a digest of it, and how they are read."""

    source: Mapping[str, Any]
    path: Path | None = None
    of_no_file: tuple[pa.Table, ...] = ()

    def tables(self) -> Iterator[pa.Table]:
        """Rows of the patients, so many at a time; at least one table, if need be without rows."""
        if self.path is None:
            yield from self.of_no_file
            return
        with _reading(self.path), pq.ParquetFile(self.path) as file:
            rows = 0
            for batch in file.iter_batches(batch_size=ROWS_AT_A_TIME, row_groups=self.source["groups"]):
                rows += batch.num_rows
                yield pa.Table.from_batches([batch])
            if not rows:
                yield file.schema_arrow.empty_table()


@dataclass(frozen=True)
class _ScorePart:
    """Task that scores a part where it lies; the checkpoint is read once by each process."""

    checkpoint: str
    options: Mapping[str, Any]
    at: dt.date
    work: Path
    facts: Mapping[str, Any]
    # Told apart by it, a run never takes what an earlier one found under the same name.
    run: str

    def __call__(self, numbered: tuple[int, _Part]) -> dict[str, int]:
        number, part = numbered
        scorer = _load_scorer(self.checkpoint, tuple(sorted(self.options.items())), self.run)
        return _score_part(scorer, part, self.at, self.work, number, self.facts)


@lru_cache(maxsize=1)
def _load_scorer(checkpoint: str, options: tuple[tuple[str, Any], ...], run: str) -> Scorer:
    return Scorer.from_pretrained(checkpoint, **dict(options))


def score_claims(
    checkpoint: "str | Path | Scorer",
    claims: str | Path,
    out: str | Path,
    *,
    at: dt.date | str,
    overwrite: bool = False,
    progress: bool = False,
    raw_counts: bool = False,
    threads: int | None = None,
    tasks: SparkTasks | None = None,
    **options: Any,
) -> ScoreSummary:
    """Score every member of an ingested folder who is enrolled at a date, with claims or without.

    What is done is kept beside `out` until all is: the same call after a kill goes on where it was, and the result is
    that of a run which nobody killed, to the byte. `out` appears whole, for its owner alone.

    Args:
        checkpoint (`str`, `Path` or [`Scorer`]): Name or folder of a checkpoint, or one that is loaded.
        claims (`str` or `Path`): Folder that `ingest` wrote.
        out (`str` or `Path`): Folder to make, of parquet files with the columns of [`score_table`] and `_scores.json`.
        at (`datetime.date` or `str`): The date, or one written as `"2024-12-31"`. Nothing of that day is seen but a
            payment.
        overwrite (`bool`, *optional*, defaults to `False`): Whether scores at `out` may be replaced.
        progress (`bool`, *optional*, defaults to `False`): Whether there is a bar.
        raw_counts (`bool`, *optional*, defaults to `False`): Whether `_scores.json` shows counts of 1 to 10.
        threads (`int`, *optional*): Threads of the engine that looks for members without claims.
        tasks ([`SparkTasks`], *optional*): Score the patients in tasks of Spark, for which the three folders lie on a
            file system that every executor shares.
        **options: As of [`Scorer`], for a checkpoint that is to be loaded.

    Raises:
        OSError: If there is no checkpoint under that name.
        ClaimDataError: If the folder is not ingested, `out` is there and may not be replaced (`E_EXISTS`), another
            process is scoring into it (`E_BUSY`), nobody has a claim before the date (`E_NO_HISTORY`), or a file is
            damaged (`E_PARQUET`); `E_SPARK` if what tasks wrote is not here.
        ValueError: If the checkpoint predicts nothing of patients, or an option does not fit.

    Examples:
        >>> score_claims("claim-pt-base", "/nowhere", "scores", at="2024-12-31")
        Traceback (most recent call last):
        claim_transformers.codes.errors.ClaimDataError: E_NO_FOLDER: expected an ingested folder at /nowhere, ...
    """
    start, out = time.monotonic(), Path(out).absolute()
    at = date_of(at)
    folder = open_folder(claims)
    files = patient_files(claims)
    _check_date(folder, files, (at - _EPOCH).days)
    _check_out(out, overwrite)
    if isinstance(checkpoint, Scorer) and tasks is not None:
        raise ValueError("expected the name or folder of a checkpoint, which tasks can read, found one that is loaded")
    scorer = checkpoint if isinstance(checkpoint, Scorer) else Scorer.from_pretrained(checkpoint, **options)
    facts = {"index_date": at.isoformat(), **scorer.options, "format": _FORMAT, "version": __version__}
    read = [*files, *folder.table_files("eligibility")]
    digests = dict(zip(read, (map if tasks is None else tasks.run)(file_sha256, read), strict=True))
    key = json_sha256({**facts, "manifest": file_sha256(folder.path / MANIFEST), "files": list(digests.values())})
    private_folder(out.parent)
    counts = dict.fromkeys(("members", "scored", *LEFT_OUT), 0)
    with _work_folder(out, key) as work:
        every: Iterable[_Part]
        if tasks is None:
            done, every = 0, itertools.chain(_parts(files, digests), _parts_without_claims(folder, digests, threads))
        else:
            score = _ScorePart(name_for_others(str(checkpoint)), options, at, work, facts, uuid.uuid4().hex)
            done, every = _score_in_tasks(tasks, score, [*_parts(files, digests)], folder, digests)
        kept, number = -done, 0
        with _bar(files, progress) as bar:
            for number, part in enumerate(every, 1):
                found = _finished(work, number, part.source)
                kept += found is not None
                if found is None:
                    found = _score_part(scorer, part, at, work, number, facts)
                counts = {name: count + found[name] for name, count in counts.items()}
                bar.update(found["members"])
        seconds = time.monotonic() - start
        if not counts["scored"]:
            _logger.warning("NOBODY IS SCORED: every member is left out, for the reasons that the counts give")
        left_out = {reason: counts[reason] for reason in LEFT_OUT}
        summary = ScoreSummary(counts["members"], counts["scored"], left_out, seconds, number, kept)
        with publish_folder(out, check=lambda found: _check_out(found, overwrite)) as temporary:
            for one in range(1, number + 1):
                _link(work / _name(one), temporary / _name(one))
            content = {**facts, "counts": summary.shown(raw=raw_counts)}
            write_file(temporary / _SCORES_FILE, to_json(content, indent=2, sort_keys=True))
        shutil.rmtree(work, ignore_errors=True)
    return summary


# ---- Parts ----


def _parts(files: list[Path], digests: Mapping[Path, str]) -> Iterator[_Part]:
    """Row groups of the patients, some together."""
    for path in files:
        with _reading(path):
            metadata = pq.read_metadata(path)
        groups: list[int] = []
        rows = 0
        for group in range(metadata.num_row_groups):
            groups.append(group)
            rows += metadata.row_group(group).num_rows
            if rows >= _ROWS_PER_PART or group == metadata.num_row_groups - 1:
                yield _Part({"input": digests[path], "groups": groups}, path)
                groups, rows = [], 0


def _parts_without_claims(folder: IngestedFolder, digests: Mapping[Path, str], threads: int | None) -> Iterator[_Part]:
    """Members without claims."""
    everything = json_sha256(list(digests.values()))
    for number, table in enumerate(unclaimed_patients(folder, _end_of(folder), threads=threads)):
        yield _Part({"input": everything, "groups": [number]}, of_no_file=(table,))


def _score_in_tasks(
    tasks: SparkTasks, score: _ScorePart, parts: list[_Part], folder: IngestedFolder, digests: Mapping[Path, str]
) -> tuple[int, list[_Part]]:
    """Score what no earlier run did, and who has no claims; give the number of parts of this run, and all parts."""
    numbered = enumerate(parts, 1)
    done = len([*tasks.run(score, [one for one in numbered if not _finished(score.work, one[0], one[1].source)])])
    if folder.table_files("eligibility"):
        first, source = len(parts), {"input": json_sha256(list(digests.values()))}
        parts += [_Part({**source, "place": place}) for place in range(count_parts(folder, "eligibility"))]
        fill = partial(_score_unclaimed, score, [*enumerate(parts, 1)][first:], _end_of(folder))
        done += len([*run_on_parts(tasks, folder, UNCLAIMED_TABLES, fill, len(parts) - first)])
    if not all((score.work / _name(number)).is_file() for number, _ in enumerate(parts, 1)):
        raise ClaimDataError("E_SPARK", f"expected what tasks wrote beside {score.work}, found none: share the folder")
    return done, parts


def _score_unclaimed(
    score: _ScorePart, numbered: Sequence[tuple[int, _Part]], last_day: int, place: int, engine: Any, claims: Path
) -> dict[str, int]:
    """Score the members without claims among the patients of a place."""
    number, part = numbered[place]
    found = tuple(unclaimed_patients(open_folder(claims), last_day, connection=engine))
    return score((number, replace(part, of_no_file=found or (PATIENTS_SCHEMA.empty_table(),))))


def _score_part(
    scorer: Scorer, part: _Part, at: dt.date, work: Path, number: int, facts: Mapping[str, Any]
) -> dict[str, int]:
    """Score a part into its file, and note what it was made of when that is on the disk."""
    counts = dict.fromkeys(("members", "scored", *LEFT_OUT), 0)
    metadata = {f"claim_transformers.{name}": str(facts[name]) for name in ("checkpoint", "index_date", "version")}
    path = work / _name(number)
    with replacing_file(path) as temporary:
        writer: pq.ParquetWriter | None = None
        try:
            for table in part.tables():
                scores, left_out = scorer.score(table, at)
                return_free_memory()
                if writer is None:
                    writer = pq.ParquetWriter(temporary, scores.schema, compression="zstd", store_schema=False)
                    writer.add_key_value_metadata(metadata)
                writer.write_table(scores)
                found = {"members": table.num_rows, "scored": scores.num_rows, **left_out}
                counts = {name: count + found[name] for name, count in counts.items()}
        finally:
            if writer is not None:
                writer.close()
    note = {"source": dict(part.source), "sha256": file_sha256(path), "counts": counts}
    write_file(_note(path), to_json(note))
    return counts


def _finished(work: Path, number: int, source: Mapping[str, Any]) -> dict[str, int] | None:
    """Counts of a part that an earlier run finished, of the same patients and undamaged."""
    path = work / _name(number)
    if not path.is_file() or not _note(path).is_file():
        return None
    try:
        note = json.loads(_note(path).read_text(encoding="utf-8"))
    except ValueError:
        return None
    if note.get("source") != dict(source) or note.get("sha256") != file_sha256(path):
        return None
    counts: dict[str, int] = note["counts"]
    return counts


def _name(number: int) -> str:
    return f"part-{number - 1:05d}.parquet"


def _note(path: Path) -> Path:
    return path.with_suffix(".json")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Name a damaged file; Arrow quotes what it found there."""
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise ClaimDataError(
            "E_PARQUET",
            f"expected patients in {path.name}, found a damaged file ({type(error).__name__}): ingest again",
        ) from None


# ---- Folders ----


@contextmanager
def _work_folder(out: Path, key: str) -> Iterator[Path]:
    """The folder of finished parts beside `out`, held by this process; those of other questions are removed."""
    prefix = f".{out.name}.parts-"
    work = private_folder(out.parent / f"{prefix}{key[:16]}")
    with lock_folder(work) as is_mine:
        if not is_mine:
            raise ClaimDataError(
                "E_BUSY",
                f"expected nobody at work on {out}, found another process: wait for it, or choose another OUT",
            )
        for other in sorted(out.parent.iterdir()):
            if other.name.startswith(prefix) and other != work and other.is_dir() and not other.is_symlink():
                with lock_folder(other) as is_dead:
                    if is_dead:
                        shutil.rmtree(other, ignore_errors=True)
        remove_left_files(work)
        try:
            yield work
        finally:
            # What a refusal leaves; a run that goes on needs a part that is whole.
            if work.is_dir() and not any(work.iterdir()):
                work.rmdir()


def _check_out(out: Path, overwrite: bool) -> None:
    if not out.exists() and not out.is_symlink():
        return
    if out.is_dir() and not out.is_symlink() and not any(out.iterdir()):
        return
    if not overwrite:
        raise ClaimDataError(
            "E_EXISTS", f"expected no folder at {out}, found one: choose another or pass overwrite (--overwrite)"
        )
    if out.is_symlink() or not (out / _SCORES_FILE).is_file():
        raise ClaimDataError("E_EXISTS", f"expected a folder of scores to replace at {out}, found something else")


def _link(source: Path, target: Path) -> None:
    """The same file under another name, or a copy where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _end_of(folder: IngestedFolder) -> int:
    """The last day of the data, where it is known."""
    return last_day_of(folder) if _has_last_day(folder) else NULL_DAY


def _has_last_day(folder: IngestedFolder) -> bool:
    return (folder.manifest.get("patients") or {}).get("last_day") is not None


def _check_date(folder: IngestedFolder, files: list[Path], day: int) -> None:
    """Refuse a date before which nobody has a claim, and warn of one behind the data."""
    if _is_before_every_visit(files, day):
        raise ClaimDataError(
            "E_NO_HISTORY",
            "expected a date after the first claim known, found one before any: every score would be of a patient "
            "without a past. Take a later date, or ingest earlier claims",
        )
    if not _has_last_day(folder):
        return
    if day > last_enrollment_day_of(folder):
        _logger.warning(
            "the date lies behind the last day of enrolment in the claims: WHO IS ENROLLED THEN IS NOT KNOWN, and "
            "spans end with the data. Take an earlier date, later claims, or everyone (--everyone)"
        )
    elif day > last_day_of(folder) + 1:
        _logger.warning(
            "the date lies behind the last day of service in the claims: WHAT HAPPENED BETWEEN IS NOT SEEN"
        )


def _is_before_every_visit(files: list[Path], day: int) -> bool:
    """Whether there are visits, and none before a day; the first few patients tell where there is one."""
    found = False
    for path in files:
        with _reading(path), pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=ROWS_AT_A_TIME, columns=["visit_day"]):
                first = pc.min(batch.column(0).flatten()).as_py()
                if first is not None and first < day:
                    return False
                found = found or first is not None
    return found


@contextmanager
def _bar(files: list[Path], progress: bool) -> Iterator[Any]:
    from tqdm import tqdm

    total = sum(pq.read_metadata(path).num_rows for path in files) if progress else None
    with tqdm(total=total, desc="scores", unit=" members", disable=not progress) as bar:
        yield bar
