"""Screening: which rows of a staged table stay, what the ledger says of the others, and what goes to quarantine."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from ibis import _

from claim_transformers.claims.cleaning import ROW_ID, find_failing_rows
from claim_transformers.claims.coding import count_codes, find_changed_columns, rewrite_codes, survey_codes
from claim_transformers.claims.engine import (
    engine_errors,
    fetch,
    fetch_columns,
    fetch_rows,
    hold_rows,
    is_computed,
    is_named,
    join_rows,
)
from claim_transformers.claims.fields import clean_word
from claim_transformers.claims.ledger import Ledger
from claim_transformers.claims.planning import Plan, build
from claim_transformers.claims.quality import RowCheck
from claim_transformers.claims.reversals import Reversal
from claim_transformers.claims.small_cells import show_count
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.pipeline.contract import CodeColumns, RawFile, StagedTable
from claim_transformers.sources.pipeline.identity import (
    UNKNOWN_TYPE,
    as_cleaned,
    clean_ids,
    count_mended,
    hold_typed,
    ids_of,
    is_changed_id,
    warn_id_share,
)
from claim_transformers.sources.pipeline.leaving import NETTED, checks_of, flag_rows
from claim_transformers.sources.pipeline.reading import are_as_read
from claim_transformers.sources.pipeline.untidy_text import add_occurrences

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

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
        are_few, knows_spans = table.has_few_rows, has_spans and people is not None
        if not (is_computed(connection, table.rows) if are_few else is_named(table.rows)):
            rows = hold_rows(connection, f"raw_of_{table.name}", table.rows, are_few=are_few)
            table = replace(table, rows=rows)
        as_received, table = table, as_cleaned(table)
        checks = checks_of(table, people, extract_date)
        rows, beside, facts = _look_at(connection, table, checks, people, knows_spans)
        if any(row["changed_ids"] for row in facts):
            mended = fetch_rows(connection, build(count_mended, rows, ids_of(table), table.patient_column))
            for row in mended:
                ledger.entry(row["source_file"], row["ledger_type"] or UNKNOWN_TYPE).fixes["F_ID_FORM"] += row["n"]
            table = clean_ids(connection, table)
            rows, beside, facts = _look_at(connection, table, checks, people, knows_spans)
        _enter_rows_in(table, facts, ledger)
        warn_id_share(connection, table, rows, ledger)
        has_failing, has_negative = (any(row[name] for row in facts) for name in ("failing", "negative"))
        flagged, num_flagged = flag_rows(
            connection, table, rows, build(find_failing_rows, beside, checks) if has_failing else None, has_negative
        )
        _enter_flagged(connection, flagged, num_flagged, ledger)
        _enter_notes(table, facts, ledger)
        if num_flagged:
            counts = build(_count_facts, build(_only, beside, flagged), knows_spans, table.warnings)
            _enter_notes(table, fetch_rows(connection, counts), ledger, sign=-1)
            staying = build(_without, rows, flagged)
            rows = hold_rows(connection, f"staying_of_{table.name}", staying, are_few=are_few)
        rows = _rewrite(connection, as_received, rows, flagged if num_flagged else None, ledger)
    return ScreenedTable(as_received, rows, flagged, num_flagged)


def _look_at(
    connection: Backend, table: StagedTable, checks: Sequence[RowCheck], people: ir.Table | None, knows_spans: bool
) -> tuple[ir.Table, ir.Table, list[dict[str, Any]]]:
    """Rows that know their type, also beside their patients, and by file and type what one pass over them finds."""
    rows = hold_typed(connection, table, table.rows if table.derive is None else build(table.derive, table.rows))
    beside, patient = rows, table.patient_column
    if people is not None:
        # A view names none of the columns, of which checks read few.
        beside = join_rows(connection, "rows_beside_people", rows, people, patient, "known_patient_id")
    of_all = (checks, table.reversal, ids_of(table), patient)
    counts = build(_count_facts, beside, knows_spans, table.warnings, *of_all)
    return rows, beside, fetch_rows(connection, counts)


def _count_facts(
    rows: ir.Table,
    knows_spans: bool,
    warnings: Sequence[RowCheck],
    checks: Sequence[RowCheck] = (),
    reversal: Reversal | None = None,
    ids: Sequence[str] = (),
    patient: str = "",
) -> ir.Table:
    """Count rows, those with ids to be written otherwise, failing, negative, unenrolled, and each warning."""
    nothing = ibis.literal(False)
    facts = {
        "changed_ids": ibis.or_(nothing, *(is_changed_id(rows, name, patient) for name in ids)),
        "failing": ibis.or_(nothing, *(check.fails(rows).fill_null(False) for check in checks)),
        "negative": nothing if reversal is None else reversal.is_void(rows),
        "unenrolled": ~rows.is_known_enrolled.fill_null(False) if knows_spans else nothing,
        **{f"n_{position}": check.fails(rows) for position, check in enumerate(warnings)},
    }
    counts = {name: rows.count(where=is_so) for name, is_so in facts.items()}
    return rows.group_by("source_file", "ledger_type").aggregate(n=_.count(), **counts)


def _enter_notes(
    table: StagedTable, facts: Sequence[Mapping[str, Any]], ledger: Ledger, *, sign: Literal[1, -1] = 1
) -> None:
    """Enter the warnings and fixes of rows, or take those of rows that leave back."""
    for row in facts:
        entry = ledger.entry(row["source_file"], row["ledger_type"] or UNKNOWN_TYPE)
        counted = {"W_NO_ELIGIBILITY": row["unenrolled"]}
        for position, check in enumerate(table.warnings):
            counted[check.reason_code] = counted.get(check.reason_code, 0) + row[f"n_{position}"]
        for code, number in counted.items():
            counter = entry.fixes if code.startswith("F_") else entry.warnings
            counter[code] += sign * number
            if not counter[code]:
                del counter[code]


def _without(rows: ir.Table, flagged: ir.Table) -> ir.Table:
    return rows.anti_join(flagged, ROW_ID)


def _only(rows: ir.Table, flagged: ir.Table) -> ir.Table:
    return rows.semi_join(flagged, ROW_ID)


def _count_by(rows: ir.Table, *more: str) -> ir.Table:
    """Count rows by file, type and more."""
    return rows.group_by("source_file", "ledger_type", *more).aggregate(n=_.count())


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


def _enter_rows_in(table: StagedTable, facts: Sequence[Mapping[str, Any]], ledger: Ledger) -> None:
    counts = Counter({(row["source_file"], row["ledger_type"] or UNKNOWN_TYPE): row["n"] for row in facts})
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


def _rewrite(
    connection: Backend, table: StagedTable, rows: ir.Table, flagged: ir.Table | None, ledger: Ledger
) -> ir.Table:
    staying, has_lost_diagnoses = rows, False
    coded: Plan = rows
    raw = table.rows if flagged is None else build(_without, table.rows, flagged)
    few = _hold_codes(connection, table, staying)
    for group in table.code_columns:
        # Columns that need no other rows are looked at without the joins of `derive`.
        source = raw if set(group.columns) <= set(table.rows.columns) else staying
        system = group.system_of
        is_held = group.system is not None and {*group.columns} <= {*few.column_names}
        own = few.select(group.columns) if is_held else None
        counted = _count_codes(connection, table, group, flagged) if own is None else _count_held(own)
        surveys = survey_codes(
            connection, source, group.columns, group.systems, system, tolerant=group.tolerant, counted=counted
        )
        for survey in surveys:
            ledger.add_codes(table.name, survey)
            has_lost_diagnoses |= survey.system in _DIAGNOSIS_SYSTEMS and bool(survey.quarantined)
        codes = pa.concat_arrays([survey.changed for survey in surveys])
        if len(codes):
            columns = find_changed_columns(connection, source, group.columns, codes, own)
            coded = build(rewrite_codes, coded, columns, group.systems, system, tolerant=group.tolerant)
    is_same = coded is staying
    held = staying if is_same else hold_rows(connection, f"coded_of_{table.name}", coded, are_few=table.has_few_rows)
    # Rows of some patients that lose nothing may be those in which the diagnoses of a file are left.
    if has_lost_diagnoses or table.whole is not None:
        _enter_diagnoses(connection, table, staying, held, ledger)
    return held


def _count_codes(
    connection: Backend, table: StagedTable, group: CodeColumns, flagged: ir.Table | None
) -> pa.Table | None:
    """How often each code of a group occurs in the rows that stay, where that was seen when they were read."""
    is_known = all({*group.columns} <= {*file.codes} for file in table.files)
    if group.system is None or table.has_few_rows or not is_known or not are_as_read(table.rows):
        return None
    parts = [file.codes[name] for file in table.files for name in group.columns]
    if flagged is not None:
        leaving = fetch(connection, build(_codes_of, table.rows, flagged, group.columns))
        parts.append(leaving.set_column(1, "occurrences", pc.negate(leaving["occurrences"])))
    counted = add_occurrences(parts)
    return counted.filter(pc.greater(counted["occurrences"], 0))


def _hold_codes(connection: Backend, table: StagedTable, rows: ir.Table) -> pa.Table:
    """Few rows with the codes of known systems, which are counted in memory: a query of each would be planned."""
    names = dict.fromkeys(name for group in table.code_columns if group.system is not None for name in group.columns)
    columns = [name for name in names if name in rows.columns]
    return fetch_columns(connection, rows, columns) if columns and table.has_few_rows else pa.table({})


def _count_held(held: pa.Table) -> pa.Table:
    codes = pa.chunked_array([chunk for column in held.columns for chunk in column.chunks], pa.string())
    return pa.table(codes.drop_null().value_counts().flatten(), ["raw", "occurrences"])


def _codes_of(rows: ir.Table, flagged: ir.Table, columns: Sequence[str]) -> ir.Table:
    return count_codes(_only(rows, flagged), columns, "").drop("system")


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
