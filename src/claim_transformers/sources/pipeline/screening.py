"""Screening: which rows of a staged table stay, what the ledger says of the others, and what goes to quarantine."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from ibis import _

from claim_transformers.claims.cleaning import (
    ROW_ID,
    find_duplicates,
    find_failing_rows,
    find_repeated_keys,
    find_reversals,
    find_reversed_claims,
    find_shared_claims,
    hash_of_id,
)
from claim_transformers.claims.coding import find_changed_columns, rewrite_codes, survey_codes
from claim_transformers.claims.engine import create_view, engine_errors, fetch, materialize
from claim_transformers.claims.fields import clean_id, clean_word
from claim_transformers.claims.ledger import Ledger
from claim_transformers.claims.quality import RowCheck, check_future, check_life
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.pipeline.contract import RawFile, StagedTable

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

_UNKNOWN = "UNKNOWN"
_DUPLICATE = "D_DUPLICATE"
_NETTED = "D_NETTED"
_NO_ELIGIBILITY = "W_NO_ELIGIBILITY"
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
        rows = table.rows if table.derive is None else table.derive(table.rows)
        claim_type = table.claim_type
        typed = rows.mutate(ledger_type=ibis.literal(claim_type) if isinstance(claim_type, str) else claim_type(rows))
        rows = create_view(connection, f"rows_of_{table.name}", typed)
        _enter_rows_in(connection, table, rows, ledger)
        flagged, num_flagged, kept = _flag_rows(connection, table, rows, people, extract_date, has_spans=has_spans)
        _enter_flagged(connection, flagged, num_flagged, ledger)
        if kept is not None:
            _enter_flagged(connection, kept.anti_join(flagged, ROW_ID) if num_flagged else kept, 1, ledger)
        if num_flagged:
            rows = create_view(connection, f"staying_of_{table.name}", rows.anti_join(flagged, ROW_ID))
        _enter_warnings(connection, table, rows, ledger)
        raw = table.rows.anti_join(flagged, ROW_ID) if num_flagged else table.rows
        rows = _rewrite(connection, table, rows, raw, ledger)
    return ScreenedTable(table, rows, flagged, num_flagged)


def write_quarantine(connection: Backend, screened: Sequence[ScreenedTable], folder: Path) -> int:
    """Write the quarantined rows of each raw file as they came, with reason, file, number and stage."""
    stems = _quarantine_names([(file.name, one.table.name) for one in screened for file in one.table.files])
    num_rows = 0
    for one in screened:
        quarantined = one.flagged.filter(one.flagged.reason_code.startswith("R_")).drop("ledger_type")
        found = None
        if one.num_flagged:
            with engine_errors(f"writing the quarantine of {one.table.name}"):
                found = fetch(connection, one.table.rows.inner_join(quarantined, ROW_ID).order_by(ROW_ID))
        for file in one.table.files:
            rows = _quarantine_of(file, found)
            if rows.num_rows:
                folder.mkdir(exist_ok=True)
                pq.write_table(rows, folder / f"{stems[file.name, one.table.name]}.parquet")
            num_rows += rows.num_rows
    return num_rows


def _quarantine_names(files: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
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


def _quarantine_of(file: RawFile, found: pa.Table | None) -> pa.Table:
    tables = []
    if found is not None:
        rows = found.filter(pa.compute.equal(found["source_file"], file.name))
        tables.append(rows.append_column("stage", pa.array(["checks"] * rows.num_rows, pa.string())))
    if file.rejects is not None:
        rejects = file.rejects.append_column("source_file", pa.array([file.name] * file.num_rejected, pa.string()))
        tables.append(rejects.append_column("stage", pa.array(["reading"] * file.num_rejected, pa.string())))
    return pa.concat_tables(tables, promote_options="default") if tables else pa.table({})


def _enter_rows_in(connection: Backend, table: StagedTable, rows: ir.Table, ledger: Ledger) -> None:
    counts = fetch(connection, rows.group_by("source_file", "ledger_type").aggregate(n=_.count())).to_pylist()
    for row in counts:
        ledger.entry(row["source_file"], row["ledger_type"] or _UNKNOWN).rows_in += row["n"]
    for file in table.files:
        read = sum(row["n"] for row in counts if row["source_file"] == file.name)
        if read + file.num_rejected != file.num_rows:
            raise ClaimDataError(
                "E_CONSERVATION",
                f"expected {file.num_rows} rows in {file.name}, found {read} readable and {file.num_rejected} "
                "rejected",
            )
        types = sorted(row["ledger_type"] or _UNKNOWN for row in counts if row["source_file"] == file.name)
        of_rejects = table.claim_type if isinstance(table.claim_type, str) else _UNKNOWN
        # What is true of a whole file is entered once, under the first of its types.
        entry = ledger.entry(file.name, types[0] if types else of_rejects)
        entry.fixes.update(file.fixes)
        entry.warnings.update(file.warnings)
        if file.rejects is not None:
            entry = ledger.entry(file.name, of_rejects)
            entry.rows_in += file.num_rejected
            entry.quarantined.update(file.rejects["reason_code"].to_pylist())


def _flag_rows(
    connection: Backend,
    table: StagedTable,
    rows: ir.Table,
    people: ir.Table | None,
    extract_date: dt.date | None,
    *,
    has_spans: bool,
) -> tuple[ir.Table, int, ir.Table | None]:
    """The rows that leave, their number, and those that stay with a warning of the same pass."""
    name = table.name
    checks = list(table.checks)
    keys = find_repeated_keys(table.rows, table.row_key)
    repeated, num_repeated = materialize(connection, f"repeated_{name}", keys)
    marked = rows
    if num_repeated:
        copies = find_duplicates(table.rows, table.row_key, repeated)
        copies, _ = materialize(connection, f"copies_{name}", copies.select(copy_file="source_file", copy_no="row_no"))
        marked = marked.left_join(copies, [marked.source_file == copies.copy_file, marked.row_no == copies.copy_no])
        checks.insert(0, RowCheck(_DUPLICATE, "equal to an earlier row", lambda rows: rows.copy_no.notnull()))
    if table.claim_column is not None:
        claim, patient = table.claim_column, table.patient_column
        claims = find_shared_claims(table.rows, claim, patient)
        shared, num_shared = materialize(connection, f"shared_{name}", claims)
        if num_shared:
            marked = marked.left_join(shared, hash_of_id(marked[claim]) == shared.claim_hash)
            checks.append(
                RowCheck("R_CLAIM_SHARED", "a claim of two patients", lambda rows: rows.claim_hash.notnull())
            )
    if table.service_date is not None and people is not None:
        marked = marked.left_join(people, clean_id(marked[table.patient_column]) == people.known_patient_id)
        checks.extend(check_life(table.service_date))
    if table.service_date is not None and extract_date is not None:
        checks.append(check_future(table.service_date, extract_date))
    if table.service_date is not None and people is not None and has_spans:
        # The last check, so that it marks rows that no other takes out: a pass of its own would read all rows again.
        unenrolled = RowCheck(
            _NO_ELIGIBILITY,
            "a claim of a patient without any enrolment",
            lambda rows: ~rows.has_span.fill_null(False),
        )
        checks.append(unenrolled)
    failing = find_failing_rows(marked, checks, keep=["ledger_type"])
    flagged, num_flagged = materialize(connection, f"flagged_{name}", failing)
    kept = None
    if num_flagged and has_spans:
        is_kept = flagged.reason_code == _NO_ELIGIBILITY
        kept, flagged = flagged.filter(is_kept), flagged.filter(~is_kept)
        flagged, num_flagged = materialize(connection, f"leaving_{name}", flagged)
    if table.reversal is None or table.claim_column is None:
        return flagged, num_flagged, kept
    reversal, claim_key = table.reversal, (table.patient_column, table.claim_column)
    # Claims of both signs are few if any, so only they are looked at again, and then without the rows that leave.
    claims = find_reversed_claims(table.rows, claim_key, reversal.amount)
    reversed_claims, num_reversed = materialize(connection, f"reversed_{name}", claims)
    if not num_reversed:
        return flagged, num_flagged, kept
    staying = table.rows.anti_join(flagged, ROW_ID)
    netted = find_reversals(staying, reversal.key, reversal.amount, claim_key, reversed_claims)
    netted = rows.semi_join(netted, ROW_ID).select(*ROW_ID, "ledger_type", reason_code=ibis.literal(_NETTED))
    return *materialize(connection, f"flagged_and_netted_{name}", flagged.union(netted)), kept


def _enter_flagged(connection: Backend, flagged: ir.Table, num_flagged: int, ledger: Ledger) -> None:
    if not num_flagged:
        return
    counted = flagged.group_by("source_file", "ledger_type", "reason_code").aggregate(n=_.count())
    for row in fetch(connection, counted).to_pylist():
        entry = ledger.entry(row["source_file"], row["ledger_type"] or _UNKNOWN)
        if row["reason_code"] == _NETTED:
            entry.netted_out += row["n"]
        elif row["reason_code"] == _NO_ELIGIBILITY:
            entry.warnings[_NO_ELIGIBILITY] += row["n"]
        elif row["reason_code"].startswith("D_"):
            entry.dropped[row["reason_code"]] += row["n"]
        else:
            entry.quarantined[row["reason_code"]] += row["n"]


def _enter_warnings(connection: Backend, table: StagedTable, rows: ir.Table, ledger: Ledger) -> None:
    if not table.warnings:
        return
    counts = {f"n_{position}": check.fails(rows).sum() for position, check in enumerate(table.warnings)}
    for row in fetch(connection, rows.group_by("source_file", "ledger_type").aggregate(**counts)).to_pylist():
        entry = ledger.entry(row["source_file"], row["ledger_type"] or _UNKNOWN)
        for position, check in enumerate(table.warnings):
            if number := row[f"n_{position}"]:
                counter = entry.fixes if check.reason_code.startswith("F_") else entry.warnings
                # DuckDB sums into 128 bits, which arrive as a decimal.
                counter[check.reason_code] += int(number)


def _rewrite(connection: Backend, table: StagedTable, rows: ir.Table, raw: ir.Table, ledger: Ledger) -> ir.Table:
    staying, has_lost_diagnoses = rows, False
    for group in table.code_columns:
        # Columns that need no other rows are looked at without the joins of `derive`.
        source = raw if set(group.columns) <= set(raw.columns) else staying
        system = None if group.system_of is None else group.system_of(source)
        surveys = survey_codes(connection, source, group.columns, group.systems, system, tolerant=group.tolerant)
        for survey in surveys:
            ledger.add_codes(table.name, survey)
            has_lost_diagnoses |= survey.system in _DIAGNOSIS_SYSTEMS and bool(survey.quarantined)
        codes = pa.concat_arrays([survey.changed for survey in surveys])
        if len(codes):
            columns = find_changed_columns(connection, source, group.columns, codes)
            system = None if group.system_of is None else group.system_of(rows)
            rows = rewrite_codes(rows, columns, group.systems, system, tolerant=group.tolerant)
    if rows is staying:
        return rows
    coded = create_view(connection, f"coded_of_{table.name}", rows)
    if has_lost_diagnoses:
        _check_diagnoses(connection, table, staying, coded)
    return coded


def _check_diagnoses(connection: Backend, table: StagedTable, rows: ir.Table, coded: ir.Table) -> None:
    """Raise if a file had diagnoses and none is left: its codes are then of another system than the layout says."""
    names = [name for group in table.code_columns if _DIAGNOSIS_SYSTEMS & {*group.systems} for name in group.columns]
    if not names:
        return

    def count(rows: ir.Table) -> dict[str, int]:
        filled = rows.filter(ibis.coalesce(*(clean_word(rows[name]) for name in names)).notnull())
        counts = fetch(connection, filled.group_by("source_file").aggregate(n=_.count())).to_pylist()
        return {row["source_file"]: row["n"] for row in counts}

    left = count(coded)
    if lost := {file: number for file, number in count(rows).items() if file not in left}:
        raise ClaimDataError(
            "E_DIAGNOSES",
            f"expected diagnoses of ICD-9-CM or ICD-10-CM, found none left in {', '.join(sorted(lost))} "
            f"({sum(lost.values()):,} rows have some). Check what the qualifiers of the codes say and that the "
            "columns hold diagnoses (docs/quality.md)",
        )
