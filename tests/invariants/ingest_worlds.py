"""One ingest of many worlds, and what came out of each: canonical tables, timelines, labels, counts.

Planning a query costs a second whatever the number of rows, so worlds share a load. A load that is refused is taken
apart until the world that it is refused for stands alone.
"""

import datetime as dt
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from claims.folding import write_patients
from invariants.clean_worlds import FIRST_DAY, HORIZON_DAYS, INDEX_AFTER_DAYS, OUTCOMES, prefix_of
from invariants.raw_files import RawTable, World, write_table

from claim_transformers.claims.schema import SCHEMAS
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
    """Ingest worlds together and tell their outcomes apart by the numbers that their ids begin with.

    Tables of one layout, form and part share a file, because planning grows with the number of files.
    """
    folder = Path(tempfile.mkdtemp(prefix="worlds-"))
    files: dict[str, tuple[list[int], RawTable]] = {}
    try:
        for numbers, table in _shared(worlds):
            files[write_table(source, table, f"w{numbers[0]:04d}", folder / "raw")] = numbers, table
        entries = _ingest(source, folder, **options)
        tables = _read_tables(folder / "out")
        if labels:
            tables |= _build_labels(source, folder / "out", shift_days)
        return _tell_apart(worlds, tables, _count(entries, files))
    except Exception as error:  # noqa: BLE001 - a traceback of one world is a finding, not the end of the others.
        if len(worlds) == 1:
            return dict.fromkeys(worlds, Outcome(error=error))
        parts = _apart(list(worlds), files, str(error))
    finally:
        shutil.rmtree(folder)
    outcomes: dict[int, Outcome] = {}
    for part in parts:
        some = {number: worlds[number] for number in part}
        outcomes |= ingest_worlds(source, some, shift_days=shift_days, labels=labels, **options)
    return outcomes


def _shared(worlds: Mapping[int, World]) -> list[tuple[list[int], RawTable]]:
    """The files of a load, and the worlds that have rows in each."""
    shared: dict[tuple[Any, ...], list[tuple[int, RawTable]]] = defaultdict(list)
    for number, world in worlds.items():
        for table in world:
            shared[table.name, table.part, table.columns, table.form].append((number, table))
    return [
        ([number for number, _ in tables], replace(tables[0][1], rows=tuple(r for _, t in tables for r in t.rows)))
        for tables in shared.values()
    ]


def _ingest(
    source: str, folder: Path, *, shards: int | None = None, mapping: str | None = None, **options: Any
) -> Sequence[Mapping[str, Any]]:
    """Ingest the files of a source, or the same files as own tables if a mapping says how."""
    options = {"max_quarantine_share": 1.0, "max_reason_share": 1.0, "progress": False, **options}
    if source != "meds":
        options = {"threads": 1, **options}
    if source == "omop":
        # A world has no vocabulary.
        options |= {"condition_system": "ICD10CM", "procedure_system": "HCPCS", "drug_system": "NDC"}
    raw = folder / "raw"
    if mapping is not None:
        raw, source = raw / "mapping.yaml", "tables"
        raw.write_text(mapping, encoding="utf-8")
    summary = ingest(source, raw, folder / "out", **options)
    if shards is not None:
        silent = {"mimic3"} & {source}
        write_patients(folder / "out", source=source, without_enrollment=silent, shards=shards)
    return summary.report["files"]


def _apart(
    numbers: list[int], files: Mapping[str, tuple[list[int], RawTable]], message: str
) -> tuple[list[int], list[int]]:
    """The worlds of the files that the message names and the others, or halves where that does not part them."""
    named = {number for name, (of_file, _) in files.items() if name.partition(".")[0] in message for number in of_file}
    if 0 < len(named) < len(numbers):
        return sorted(named), [number for number in numbers if number not in named]
    return numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]


def _count(
    entries: Sequence[Mapping[str, Any]], files: Mapping[str, tuple[list[int], RawTable]]
) -> dict[int, Counter[str]]:
    """What the report says of the first world of each file; every row that was written is in it once."""
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    rows_in: Counter[str] = Counter()
    for entry in entries:
        name = entry["source_file"]
        rows_in[name] += entry["rows_in"]
        for kind in ("quarantine_reasons", "drop_reasons", "fixes", "warnings"):
            counts[files[name][0][0]].update(entry[kind])
        kept = sum(entry[kind] for kind in ("rows_out", "quarantined", "dropped", "netted_out"))
        assert kept == entry["rows_in"], f"{name}: {entry}"
    # What was written is known, so this count is nobody's parser's.
    written = {name: len(table.rows) for name, (_, table) in files.items()}
    wrong = {name: (rows_in[name], number) for name, number in written.items() if rows_in[name] != number}
    assert not wrong, f"rows in the report and in the file: {wrong}"
    return counts


def _tell_apart(
    worlds: Mapping[int, World], tables: Mapping[str, Rows], counts: dict[int, Counter[str]]
) -> dict[int, Outcome]:
    by_world: dict[int, dict[str, Rows]] = {number: {name: [] for name in tables} for number in worlds}
    numbers = {prefix_of(number): number for number in worlds}
    for name, rows in tables.items():
        for row in rows:
            number = numbers.get(row["patient_id"].strip()[:5])
            if number is not None:
                by_world[number][name].append(without_world(row, prefix_of(number)))
            elif (owner := numbers.get(row.get("claim_id", "")[:5])) is not None:
                counts[owner][NOBODY] += 1
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
