"""Screening: which rows of a staged table stay, what the ledger says of the others, and what goes to quarantine."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from ibis import _

from claim_transformers.claims.cleaning import ROW_ID
from claim_transformers.claims.coding import find_changed_columns, rewrite_codes, survey_codes
from claim_transformers.claims.engine import (
    engine_errors,
    fetch,
    fetch_columns,
    fetch_rows,
    hold_rows,
    is_computed,
    is_named,
    name_columns,
)
from claim_transformers.claims.fields import clean_word
from claim_transformers.claims.ledger import Ledger
from claim_transformers.claims.planning import Plan, build
from claim_transformers.claims.quality import RowCheck
from claim_transformers.claims.small_cells import show_count
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.pipeline.contract import RawFile, StagedTable
from claim_transformers.sources.pipeline.identity import UNKNOWN_TYPE, clean_ids, hold_typed, warn_id_share
from claim_transformers.sources.pipeline.leaving import NETTED, flag_rows

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

_TYPE = {name: name for name in ("source_file", "ledger_type")}
_DIAGNOSIS_SYSTEMS = {"ICD9CM", "ICD10CM"}


@dataclass(frozen=True)
class ScreenedTable:
    """A staged table after screening."""

    table: StagedTable
    rows: ir.Table
    flagged: ir.Table
    num_flagged: int


def screen_table(
    connection: Backend,
    table: StagedTable,
    ledger: Ledger,
    *,
    people: ir.Table | None = None,
    has_spans: bool = False,
    extract_date: dt.date | None = None,
) -> ScreenedTable:
    """Decide for every row of a staged table whether it stays, and enter it in the ledger."""
    with engine_errors(f"screening {table.name}"):
        are_few = table.has_few_rows
        if not (is_computed(connection, table.rows) if are_few else is_named(table.rows)):
            rows = hold_rows(connection, f"raw_of_{table.name}", table.rows, are_few=are_few)
            table = replace(table, rows=rows)
        as_received, table = table, clean_ids(connection, table, ledger)
        rows = table.rows if table.derive is None else build(table.derive, table.rows)
        rows = hold_typed(connection, table, rows)
        _enter_rows_in(connection, table, rows, ledger)
        warn_id_share(connection, table, rows, ledger)
        flagged, num_flagged = flag_rows(connection, table, rows, people, extract_date)
        _enter_flagged(connection, flagged, num_flagged, ledger)
        if num_flagged:
            staying = build(_without, rows, flagged)
            rows = hold_rows(connection, f"staying_of_{table.name}", staying, are_few=are_few)
        _enter_warnings(connection, table, rows, ledger)
        if people is not None and has_spans:
            _enter_unenrolled(connection, table, rows, people, ledger)
        raw = build(_without, table.rows, flagged) if num_flagged else table.rows
        rows = _rewrite(connection, table, rows, raw, ledger)
    return ScreenedTable(as_received, rows, flagged, num_flagged)


def _without(rows: ir.Table, flagged: ir.Table) -> ir.Table:
    return rows.anti_join(flagged, ROW_ID)


def _count_by(rows: ir.Table, *more: str) -> ir.Table:
    """Count rows by file, type and more."""
    return rows.group_by("source_file", "ledger_type", *more).aggregate(n=_.count())


def _enter_unenrolled(
    connection: Backend, table: StagedTable, rows: ir.Table, people: ir.Table, ledger: Ledger
) -> None:
    """Enter `W_NO_ELIGIBILITY`: claims of patients without any span of a source that tells of enrolment."""
    typed = name_columns(connection, rows, {**_TYPE, "patient": table.patient_column})
    for row in fetch_rows(connection, build(_count_unenrolled, typed, people)):
        ledger.entry(row["source_file"], row["ledger_type"] or UNKNOWN_TYPE).warnings["W_NO_ELIGIBILITY"] += row["n"]


def _count_unenrolled(rows: ir.Table, people: ir.Table) -> ir.Table:
    enrolled = people.filter(people.has_span)
    return _count_by(rows.anti_join(enrolled, rows.patient == enrolled.known_patient_id))


def write_quarantine(connection: Backend, screened: Sequence[ScreenedTable], folder: Path) -> int:
    """Write the quarantined rows of each raw file as they came, with reason, file, number and stage."""
    stems = name_quarantine([(file.name, one.table.name) for one in screened for file in one.table.files])
    num_rows = 0
    for one in screened:
        found = None
        if one.num_flagged:
            with engine_errors(f"writing the quarantine of {one.table.name}"):
                found = fetch(connection, build(_quarantined, one.table.rows, one.flagged))
        for file in one.table.files:
            rows = quarantine_of(file, found)
            if rows.num_rows:
                folder.mkdir(exist_ok=True)
                pq.write_table(rows, folder / f"{stems[file.name, one.table.name]}.parquet")
            num_rows += rows.num_rows
    return num_rows


def _quarantined(rows: ir.Table, flagged: ir.Table) -> ir.Table:
    quarantined = flagged.filter(flagged.reason_code.startswith("R_")).drop("ledger_type")
    return rows.inner_join(quarantined, ROW_ID).order_by(ROW_ID)


def name_quarantine(files: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """By name and table of a raw file, the shortest name that no other raw file shares."""
    stems = Counter(Path(name).stem for name, _ in files)
    longer = Counter((Path(name).stem, table) for name, table in files)
    names = {}
    for name, table in files:
        stem = Path(name).stem
        # Loads of one file name differ in what follows it only.
        used = stem if longer[stem, table] == 1 else name
        names[name, table] = stem if stems[stem] == 1 else f"{used}-{table}"
    return names


def quarantine_of(file: RawFile, found: pa.Table | None) -> pa.Table:
    """Give the rows of a raw file that are in quarantine, of which `found` those that could be read."""
    tables = []
    if found is not None:
        rows = found.filter(pa.compute.equal(found["source_file"], file.name))
        tables.append(rows.append_column("stage", pa.array(["checks"] * rows.num_rows, pa.string())))
    if file.rejects is not None:
        rejects = file.rejects.append_column("source_file", pa.array([file.name] * file.num_rejected, pa.string()))
        tables.append(rejects.append_column("stage", pa.array(["reading"] * file.num_rejected, pa.string())))
    return pa.concat_tables(tables, promote_options="default") if tables else pa.table({})


def _enter_rows_in(connection: Backend, table: StagedTable, rows: ir.Table, ledger: Ledger) -> None:
    counts = Counter(
        {
            (row["source_file"], row["ledger_type"] or UNKNOWN_TYPE): row["n"]
            for row in fetch_rows(connection, build(_count_by, name_columns(connection, rows, _TYPE)))
        }
    )
    ledger.add_rows_in(table.name, counts)
    enter_files(table, counts, ledger)


def enter_files(table: StagedTable, counts: Mapping[tuple[str, str], int], ledger: Ledger) -> None:
    """Enter what is true of whole raw files, whose rows are counted by file and type; each row must have been read."""
    if table.target != "eligibility":
        ledger.denials[table.name] = list(table.denials)
    for file in table.files:
        of_file = {kind: number for (name, kind), number in counts.items() if name == file.name}
        read = sum(of_file.values())
        if read + file.num_rejected != file.num_rows:
            raise ClaimDataError(
                "E_CONSERVATION",
                f"expected {show_count(file.num_rows)} rows in {file.name}, found {show_count(read)} readable and "
                f"{show_count(file.num_rejected)} rejected",
            )
        types = sorted(of_file)
        of_rejects = table.claim_type if isinstance(table.claim_type, str) else UNKNOWN_TYPE
        # What is true of a whole file is entered once, under the first of its types.
        if types or table.whole is None:
            entry = ledger.entry(file.name, types[0] if types else of_rejects)
            entry.fixes.update(file.fixes)
            entry.warnings.update(file.warnings)
        ledger.unused_columns[file.name] = list(file.unused)
        if file.unknown_systems:
            ledger.unknown_systems[file.name] = dict(sorted(file.unknown_systems.items()))
        if file.rejects is not None:
            entry = ledger.entry(file.name, of_rejects)
            entry.rows_in += file.num_rejected
            entry.quarantined.update(file.rejects["reason_code"].to_pylist())


def _enter_flagged(connection: Backend, flagged: ir.Table, num_flagged: int, ledger: Ledger) -> None:
    if not num_flagged:
        return
    for row in fetch_rows(connection, build(_count_by, flagged, "reason_code")):
        entry = ledger.entry(row["source_file"], row["ledger_type"] or UNKNOWN_TYPE)
        if row["reason_code"] == NETTED:
            entry.netted_out += row["n"]
        elif row["reason_code"].startswith("D_"):
            entry.dropped[row["reason_code"]] += row["n"]
        else:
            entry.quarantined[row["reason_code"]] += row["n"]


def _enter_warnings(connection: Backend, table: StagedTable, rows: ir.Table, ledger: Ledger) -> None:
    if not table.warnings:
        return
    for row in fetch_rows(connection, build(_count_warnings, rows, table.warnings)):
        entry = ledger.entry(row["source_file"], row["ledger_type"] or UNKNOWN_TYPE)
        for position, check in enumerate(table.warnings):
            if number := row[f"n_{position}"]:
                counter = entry.fixes if check.reason_code.startswith("F_") else entry.warnings
                # DuckDB sums into 128 bits, which arrive as a decimal.
                counter[check.reason_code] += int(number)


def _count_warnings(rows: ir.Table, warnings: Sequence[RowCheck]) -> ir.Table:
    counts = {f"n_{position}": check.fails(rows).sum() for position, check in enumerate(warnings)}
    return rows.group_by("source_file", "ledger_type").aggregate(**counts)


def _rewrite(connection: Backend, table: StagedTable, rows: ir.Table, raw: Plan, ledger: Ledger) -> ir.Table:
    staying, has_lost_diagnoses = rows, False
    coded: Plan = rows
    few = _hold_codes(connection, table, staying)
    for group in table.code_columns:
        # Columns that need no other rows are looked at without the joins of `derive`.
        source = raw if set(group.columns) <= set(table.rows.columns) else staying
        system, held = group.system_of, few if group.system is not None else None
        if held is not None and not {*group.columns} <= {*held.column_names}:
            held = None
        surveys = survey_codes(
            connection, source, group.columns, group.systems, system, tolerant=group.tolerant, held=held
        )
        for survey in surveys:
            ledger.add_codes(table.name, survey)
            has_lost_diagnoses |= survey.system in _DIAGNOSIS_SYSTEMS and bool(survey.quarantined)
        codes = pa.concat_arrays([survey.changed for survey in surveys])
        if len(codes):
            columns = find_changed_columns(connection, source, group.columns, codes, held)
            coded = build(rewrite_codes, coded, columns, group.systems, system, tolerant=group.tolerant)
    is_same = coded is staying
    held = staying if is_same else hold_rows(connection, f"coded_of_{table.name}", coded, are_few=table.has_few_rows)
    # Rows of some patients that lose nothing may be those in which the diagnoses of a file are left.
    if has_lost_diagnoses or table.whole is not None:
        _enter_diagnoses(connection, table, staying, held, ledger)
    return held


def _hold_codes(connection: Backend, table: StagedTable, rows: ir.Table) -> pa.Table | None:
    """Few rows with the codes of known systems, which are counted in memory: a query of each would be planned."""
    names = {name: None for group in table.code_columns if group.system is not None for name in group.columns}
    columns = [name for name in names if name in rows.columns]
    return fetch_columns(connection, rows, columns) if columns and table.has_few_rows else None


def _enter_diagnoses(connection: Backend, table: StagedTable, rows: ir.Table, coded: ir.Table, ledger: Ledger) -> None:
    """Enter the rows of each file that have diagnoses, before and after the codes are written."""
    names = [name for group in table.code_columns if _DIAGNOSIS_SYSTEMS & {*group.systems} for name in group.columns]
    if not names:
        return

    def count(rows: ir.Table) -> Counter[str]:
        counts = fetch_rows(connection, build(_count_filled, rows, names))
        return Counter({row["source_file"]: row["n"] for row in counts})

    ledger.add_diagnoses(count(rows), count(coded))


def _count_filled(rows: ir.Table, names: Sequence[str]) -> ir.Table:
    """Count the rows of each file that hold anything in some columns."""
    filled = rows.filter(ibis.coalesce(*(clean_word(rows[name]) for name in names)).notnull())
    return filled.group_by("source_file").aggregate(n=_.count())
