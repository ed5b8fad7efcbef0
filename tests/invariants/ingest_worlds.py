"""One ingest of many worlds, and what came out of each: canonical tables, timelines, labels, counts.

Planning a query costs a second whatever the number of rows, so worlds share a load. A load that is refused is taken
apart until the world that it is refused for stands alone.
"""

import datetime as dt
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from invariants.clean_worlds import FIRST_DAY, HORIZON_DAYS, INDEX_AFTER_DAYS, OUTCOMES, prefix_of
from invariants.raw_files import RawTable, World, write_world

from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.claims.sequences import write_patients
from claim_transformers.claims.store import open_folder
from claim_transformers.cohorts import EventDefinition, ReadmissionDefinition, build_cohort
from claim_transformers.cohorts.event.definition import Criterion, IndexRule, LabelRule
from claim_transformers.sources.pipeline.ingest import ingest

Rows = list[dict[str, Any]]
NOBODY = "rows of nobody"
_IDS = ("patient_id", "claim_id", "source_member_id")


@dataclass(frozen=True)
class Outcome:
    """What one world became. `tables` hold rows without the number of the world, in a fixed order."""

    tables: Mapping[str, Rows] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    error: Exception | None = None


def ingest_worlds(
    source: str, worlds: Mapping[int, World], *, shift_days: int = 0, labels: bool = True, **options: Any
) -> dict[int, Outcome]:
    """Ingest worlds together and tell their outcomes apart by the numbers that their ids begin with."""
    folder = Path(tempfile.mkdtemp(prefix="worlds-"))
    shards = options.pop("shards", None)
    options = {"max_quarantine_share": 1.0, "max_reason_share": 1.0, "progress": False, **options}
    if source != "meds":
        options = {"threads": 1, **options}
    try:
        files: dict[str, tuple[int, RawTable]] = {}
        for number, world in worlds.items():
            for name, table in write_world(source, world, f"w{number:04d}", folder / "raw").items():
                files[name] = number, table
        try:
            summary = ingest(source, folder / "raw", folder / "out", **options)
        except Exception as error:  # noqa: BLE001 - a traceback of one world is a finding, not the end of the others.
            if len(worlds) == 1:
                return {number: Outcome(error=error) for number in worlds}
            return _apart(source, worlds, error, shift_days=shift_days, labels=labels, **options)
        if shards is not None:
            write_patients(folder / "out", shards=shards)
        return _read(source, folder / "out", summary.report["files"], worlds, files, shift_days, labels)
    finally:
        shutil.rmtree(folder)


def _apart(source: str, worlds: Mapping[int, World], error: Exception, **options: Any) -> dict[int, Outcome]:
    """Ingest apart the worlds whose files the message names, or halves if it names none."""
    numbers = list(worlds)
    named = [number for number in numbers if f"w{number:04d}" in str(error)]
    parts = [[number] for number in named] + [[number for number in numbers if number not in named]]
    if not named or not parts[-1]:
        parts = [numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]]
    outcomes: dict[int, Outcome] = {}
    for part in parts:
        outcomes |= ingest_worlds(source, {number: worlds[number] for number in part}, **options)
    return outcomes


def _read(
    source: str,
    out: Path,
    entries: Sequence[Mapping[str, Any]],
    worlds: Mapping[int, World],
    files: Mapping[str, tuple[int, RawTable]],
    shift_days: int,
    labels: bool,
) -> dict[int, Outcome]:
    counts: dict[int, Counter[str]] = {number: Counter() for number in worlds}
    rows_in: Counter[str] = Counter()
    for entry in entries:
        name = entry["source_file"]
        rows_in[name] += entry["rows_in"]
        for kind in ("quarantine_reasons", "drop_reasons", "fixes", "warnings"):
            counts[files[name][0]].update(entry[kind])
        counts[files[name][0]]["netted_out"] += entry["netted_out"]
        kept = sum(entry[kind] for kind in ("rows_out", "quarantined", "dropped", "netted_out"))
        assert kept == entry["rows_in"], f"{name}: {entry}"
    # What was written is known, so this count is nobody's parser's.
    written = {name: len(table.rows) for name, (_, table) in files.items()}
    assert rows_in == Counter(written), {name: (rows_in[name], written[name]) for name in written}
    tables = _read_tables(out)
    if labels:
        tables |= _build_labels(source, out, shift_days)
    by_world: dict[int, dict[str, Rows]] = {number: {name: [] for name in tables} for number in worlds}
    numbers = {prefix_of(number): number for number in worlds}
    for name, rows in tables.items():
        for row in rows:
            number = numbers.get(row["patient_id"].strip()[:5])
            if number is None:
                counts[min(worlds)][NOBODY] += 1
                continue
            by_world[number][name].append(without_world(row, prefix_of(number)))
    return {
        number: Outcome({name: in_order(rows) for name, rows in of_world.items()}, counts[number])
        for number, of_world in by_world.items()
    }


def without_world(row: dict[str, Any], prefix: str) -> dict[str, Any]:
    return row | {name: row[name].removeprefix(prefix) for name in _IDS if row.get(name) is not None}


def in_order(rows: Rows) -> Rows:
    return sorted(rows, key=repr)


def difference(expected: Mapping[str, Rows], found: Mapping[str, Rows]) -> str:
    """Where two outcomes differ, in a few words; empty if nowhere."""
    for name, rows in expected.items():
        if rows == found[name]:
            continue
        before, after = Counter(map(repr, rows)), Counter(map(repr, found[name]))
        missing = [row for row in rows if repr(row) in before - after]
        further = [row for row in found[name] if repr(row) in after - before]
        text = f"{name}: {len(missing)} of {len(rows)} rows are missing, {len(further)} are too many"
        if len(missing) == len(further):
            pair = zip(missing[0].items(), further[0].values(), strict=True)
            text += f", such as {[(key, old, new) for (key, old), new in pair if old != new]}"
        return text
    return ""


def _read_tables(out: Path) -> dict[str, Rows]:
    folder = open_folder(out)
    tables = {}
    for name in (*SCHEMAS, "patients"):
        parts = [pq.read_table(path) for path in folder.table_files(name)]
        tables[name] = pa.concat_tables(parts).to_pylist() if parts else []
    return tables


def _build_labels(source: str, out: Path, shift_days: int) -> dict[str, Rows]:
    first = FIRST_DAY.get(source, dt.date(2016, 3, 1)) + dt.timedelta(days=INDEX_AFTER_DAYS + shift_days)
    event = EventDefinition(
        name="outcome",
        title="An outcome within the horizon",
        source="tests",
        codes={"outcome": (f"ICD10CM/{OUTCOMES[0]}", f"ICD9CM/{OUTCOMES[1]}")},
        index=IndexRule("fixed_date", (f"{first}",)),
        criteria=(Criterion("seen before", "visits", minimum=1),),
        label=LabelRule(HORIZON_DAYS, codes="outcome", death="negative"),
    )
    tables = {"event": build_cohort(event, out).examples.to_pylist()}
    if source != "meds":
        stays = build_cohort(ReadmissionDefinition("stays"), out).examples
        tables["readmission"] = stays.to_pylist()
    return tables
