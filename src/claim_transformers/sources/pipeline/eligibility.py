"""Eligibility of a source as a whole: what all its rows say of one patient has to fit together.

A birth or a death that cannot be costs itself and never the span (`F_LIFE_DATE`). Of several births, deaths or sexes
of a patient the latest enrolment has the last word (`F_DEMOGRAPHICS`); births more than two years apart are two people
under one id, whose rows leave (`R_DEMOGRAPHICS`). Spans that overlap are merged later and counted here (`F_SPANS`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from ibis import _

from claim_transformers.claims.cleaning import ROW_ID, hash_of_ids
from claim_transformers.claims.encoded_files import EncodedFiles
from claim_transformers.claims.engine import (
    create_view,
    engine_errors,
    fetch,
    fetch_rows,
    hold_rows,
    load,
    materialize,
)
from claim_transformers.claims.enrollment import (
    ELIGIBILITY_COLUMNS,
    MAX_YEARS_APART,
    EligibilityRows,
    merge_eligibility,
    overruled,
    years_apart,
)
from claim_transformers.claims.ledger import Ledger
from claim_transformers.claims.packing import NULL_DAY
from claim_transformers.claims.planning import Plan, build
from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.sources.pipeline.screening import ScreenedTable

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

_MAX_AGE_YEARS = 120
_END_OF_TIME = dt.date(9999, 12, 31)


def find_latest_start(connection: Backend, screened: Sequence[ScreenedTable]) -> dt.date | None:
    """Find the latest day on which an enrolment begins."""
    with engine_errors("comparing the rows of eligibility"):
        return _find_latest(connection, _spans_of(connection, screened)) if screened else None


def settle_eligibility(
    connection: Backend,
    screened: Sequence[ScreenedTable],
    ledger: Ledger,
    extract_date: dt.date | None,
    latest: dt.date | None = None,
) -> list[ScreenedTable]:
    """Judge the rows of every eligibility table together, count what is mended, and take out who is two people.

    `latest` is the latest start of enrolment of all patients, where these are only some.
    """
    if not screened:
        return []
    with engine_errors("comparing the rows of eligibility"):
        lines = _spans_of(connection, screened)
        limits = _load_limits(connection, latest or _find_latest(connection, lines))
        judged = [
            build(_judge, of_table, limits, extract_date) if one.table.has_spans else build(_unmended, of_table)
            for one, of_table in zip(screened, lines, strict=True)
        ]
        columns = list(dict.fromkeys(name for of_table in lines for name in of_table.columns))
        # Computed once: what is compared here is published, row by row.
        every, _rows = materialize(connection, "eligibility_rows", build(_numbered_union, judged, columns))
        _enter(connection, ledger, "F_LIFE_DATE", build(_mended, every))
        losing, torn = _compare(fetch(connection, build(_contradicting, every)))
        if len(torn):
            leaving = load(connection, "torn_patients", pa.table({name: torn[name] for name in ROW_ID}))
            screened = [_without(connection, one, leaving, ledger) for one in screened]
            every = create_view(connection, "settled_rows", build(_staying, every, leaving))
        if len(losing):
            _enter(connection, ledger, "F_DEMOGRAPHICS", load(connection, "losing_rows", losing))
        _enter(connection, ledger, "F_SPANS", build(_overlapping, every))
    return [
        replace(one, table=replace(one.table, to_canonical=partial(_of_table, every, number)))
        for number, one in enumerate(screened)
    ]


def _of_table(every: ir.Table, number: int, rows: ir.Table) -> ir.Table:
    """The lines of a table, which are computed already; `rows` are those that they are of."""
    return every.filter(every.table_number == number).drop("table_number", "is_mended")


def _load_limits(connection: Backend, latest: dt.date | None) -> ir.Table:
    """Load the latest start of enrolment and the latest birth: steps that name no day of the rows are kept."""
    birth = None if latest is None else latest + dt.timedelta(days=366)
    days = {"latest": pa.array([latest], pa.date32()), "latest_birth": pa.array([birth], pa.date32())}
    return load(connection, "limits_of_life", pa.table(days))


def _spans_of(connection: Backend, screened: Sequence[ScreenedTable]) -> list[ir.Table]:
    return [
        hold_rows(
            connection,
            f"spans_of_{one.table.name}",
            build(_with_columns, build(one.table.to_canonical, one.rows)),
            are_few=one.table.has_few_rows,
        )
        for one in screened
    ]


def _find_latest(connection: Backend, lines: Sequence[ir.Table]) -> dt.date | None:
    latest: dt.date | None = fetch(connection, build(_latest, *lines))["latest"][0].as_py()
    return latest


def read_people(connection: Backend, folder: Path) -> ir.Table:
    """Birth and death of each patient of the published table, as the patients table has them, and whether enrolled."""
    return load(connection, "people", pa.concat_tables(map(_people_of, _whole_patients(folder))))


def _whole_patients(folder: Path) -> Iterator[pa.Table]:
    """Rows of the published table in its order, which is that of the patients, some of them at a time."""
    kept = SCHEMAS["eligibility"].empty_table().select(ELIGIBILITY_COLUMNS)
    for batch in EncodedFiles(sorted((folder / "eligibility").glob("*.parquet"))).batches(ELIGIBILITY_COLUMNS):
        rows = pa.concat_tables([kept, pa.Table.from_batches([batch]).cast(kept.schema)]).combine_chunks()
        end = int(np.flatnonzero(_is_next(rows))[-1]) if rows.num_rows else 0
        yield rows.slice(0, end)
        kept = rows.slice(end)
    yield kept


def _is_next(rows: pa.Table) -> npt.NDArray[np.bool_]:
    """Whether a row is the first of its patient."""
    ids = rows["patient_id"].combine_chunks()
    return np.append(True, pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False))[: len(ids)]


def _people_of(whole: pa.Table) -> pa.Table:
    is_next = _is_next(whole)
    positions, firsts = np.cumsum(is_next) - 1, np.flatnonzero(is_next)
    rows, _others = EligibilityRows.of_batches(whole.to_batches(), lambda _ids: positions)
    merged = merge_eligibility(rows, len(firsts))
    has_span = np.zeros(len(firsts), bool)
    has_span[rows.patients[rows.starts != NULL_DAY]] = True
    births, deaths = (
        pa.array(days.astype(np.int32), mask=days == NULL_DAY).cast(pa.date32())
        for days in (merged.birth_days, merged.death_days)
    )
    ids = whole["patient_id"].combine_chunks().take(pa.array(firsts))
    columns = {"known_patient_id": ids, "known_birth_date": births, "known_death_date": deaths}
    return pa.table({**columns, "is_known_enrolled": pa.array(has_span)})


def _latest(*lines: ir.Table) -> ir.Table:
    every = _union(lines, ["enrollment_start_date"])
    return every.aggregate(latest=every.enrollment_start_date.max())


def _union(lines: Sequence[ir.Table], columns: Sequence[str]) -> ir.Table:
    tables = [of_table.select(*columns) for of_table in lines]
    return tables[0] if len(tables) == 1 else ibis.union(*tables, distinct=False)


def _numbered_union(lines: Sequence[ir.Table], columns: Sequence[str]) -> ir.Table:
    """Lines of all tables, with every column that one of them has."""
    numbered = []
    for number, of_table in enumerate(lines):
        missing = {name: _nothing(name) for name in columns if name not in of_table.columns}
        numbered.append(of_table.mutate(**missing, table_number=ibis.literal(number, "int32")))
    return _union(numbered, [*columns, "is_mended", "table_number"])


def _nothing(column: str) -> ir.Value:
    """What a column says where a table lacks it."""
    if column == "is_first_line":
        return ibis.literal(True)
    return ibis.null("date" if column.endswith("_date") else "string")


def _with_columns(lines: ir.Table) -> ir.Table:
    """Lines that have every column that is compared."""
    missing = {name: _nothing(name) for name in ELIGIBILITY_COLUMNS if name not in lines.columns}
    return lines.mutate(**missing) if missing else lines


def _judge(lines: ir.Table, limits: ir.Table, extract_date: dt.date | None) -> ir.Table:
    """Null for births and deaths that cannot be, and `is_mended` where one could not.

    Nobody is born after the own enrolment ends (one without an end: a year after the last that begins), is older than
    120 years when it begins, or dies before it begins; and nobody is born or dies after the extract. Of a death before
    the birth nobody can say which is wrong, so both are null.
    """
    birth, death, start = lines.birth_date, lines.death_date, lines.enrollment_start_date
    latest, latest_birth = (limits[name].max().as_scalar() for name in ("latest", "latest_birth"))
    first, oldest = ibis.coalesce(start, latest), birth.cast("timestamp") + ibis.interval(years=_MAX_AGE_YEARS + 1)
    no_birth = (birth > ibis.coalesce(lines.enrollment_end_date, latest_birth)).fill_null(False)
    # To add years takes long, and few are so old by their calendar years.
    is_old = first.year() - birth.year() > _MAX_AGE_YEARS
    no_birth |= ibis.ifelse(is_old, oldest <= first.cast("timestamp"), False)
    no_death = (death < start).fill_null(False)
    if extract_date is not None:
        no_birth |= (birth > ibis.date(extract_date)).fill_null(False)
        no_death |= (death > ibis.date(extract_date)).fill_null(False)
    is_turned = ((death < birth) & ~no_birth & ~no_death).fill_null(False)
    no_birth, no_death = no_birth | is_turned, no_death | is_turned
    return lines.mutate(
        birth_date=ibis.ifelse(no_birth, ibis.null("date"), birth),
        death_date=ibis.ifelse(no_death, ibis.null("date"), death),
        is_mended=no_birth | no_death,
    )


def _contradicting(rows: ir.Table) -> ir.Table:
    """The rows of patients with several births, deaths or sexes."""
    compared = ("birth_date", "death_date", "gender")
    differs = {name: rows[name].min() != rows[name].max() for name in compared}
    of_patients = rows.group_by("patient_id").aggregate(**differs)
    return rows.semi_join(of_patients.filter(ibis.or_(*(of_patients[name] for name in compared))), "patient_id")


def _compare(found: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Rows with a birth, death or sex that another row of the patient overrules, and the rows of two people."""
    ids = pc.unique(found["patient_id"])
    places = pc.index_in(found["patient_id"], value_set=ids).to_numpy()
    batches = found.combine_chunks().to_batches()
    rows, _others = EligibilityRows.of_batches(
        batches, lambda patients: pc.index_in(patients, value_set=ids).to_numpy(zero_copy_only=False)
    )
    is_torn = years_apart(rows.patients, rows.birth_days, len(ids))[places] > MAX_YEARS_APART
    is_overruled = overruled(rows, merge_eligibility(rows, len(ids)))
    return found.filter(pa.array(is_overruled & ~is_torn)), found.filter(pa.array(is_torn))


def _overlapping(rows: ir.Table) -> ir.Table:
    """Rows whose span begins before another of the patient, which began no later, has ended."""
    end = ibis.coalesce(rows.enrollment_end_date, ibis.date(_END_OF_TIME))
    spans = rows.filter(rows.enrollment_start_date.notnull()).mutate(span_end=end)
    earlier = ibis.window(
        group_by=hash_of_ids(spans, ["patient_id"]),
        order_by=[spans.enrollment_start_date, spans.span_end, *(spans[name] for name in ROW_ID)],
        rows=(None, -1),
    )
    reached = spans.mutate(reach=spans.span_end.max().over(earlier))
    return reached.filter(reached.enrollment_start_date <= reached.reach)


def _without(connection: Backend, one: ScreenedTable, leaving: ir.Table, ledger: Ledger) -> ScreenedTable:
    """The table without the rows that leave, which go to quarantine."""
    name = one.table.name
    torn = one.rows.semi_join(leaving, ROW_ID).select(
        *ROW_ID, "ledger_type", reason_code=ibis.literal("R_DEMOGRAPHICS")
    )
    for row in fetch_rows(connection, torn.group_by("source_file", "ledger_type").aggregate(n=_.count())):
        ledger.entry(row["source_file"], row["ledger_type"]).quarantined["R_DEMOGRAPHICS"] += row["n"]
    flagged, num_flagged = materialize(connection, f"flagged_and_torn_{name}", one.flagged.union(torn))
    rows = create_view(connection, f"settled_of_{name}", one.rows.anti_join(leaving, ROW_ID))
    return replace(one, rows=rows, flagged=flagged, num_flagged=num_flagged)


def _enter(connection: Backend, ledger: Ledger, fix: str, lines: Plan) -> None:
    """Count raw rows, of which each may have given several lines."""
    for row in fetch_rows(connection, build(_count_rows, lines)):
        ledger.entry(row["source_file"], "NONE").fixes[fix] += row["n"]


def _count_rows(lines: ir.Table) -> ir.Table:
    return lines.select(*ROW_ID).distinct().group_by("source_file").aggregate(n=_.count())


def _unmended(lines: ir.Table) -> ir.Table:
    return lines.mutate(is_mended=ibis.literal(False))


def _staying(rows: ir.Table, leaving: ir.Table) -> ir.Table:
    return rows.anti_join(leaving, ROW_ID)


def _mended(lines: ir.Table) -> ir.Table:
    return lines.filter(lines.is_mended)
