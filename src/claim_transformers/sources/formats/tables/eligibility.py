"""Eligibility of a mapping: spans, months of a year in one row, a row for each month, or people alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.fields import YEARS, clean_id, parse_date, parse_number
from claim_transformers.claims.quality import RowCheck, check_date, check_id, check_order, fix_open_span
from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.sources.formats.tables.claims import COMPACT, check_rules
from claim_transformers.sources.formats.tables.dates import compact_date
from claim_transformers.sources.formats.tables.expressions import is_in, kinds_of, mapped, text_of, warn_values
from claim_transformers.sources.formats.tables.mapping import TableMap, Where
from claim_transformers.sources.pipeline.contract import RawFile, StagedTable
from claim_transformers.sources.pipeline.demographics import check_life_date, fix_life_dates, fix_sex, map_sex
from claim_transformers.sources.pipeline.lines import unfold_lines

if TYPE_CHECKING:
    import ibis.expr.types as ir

_GENDERS = {"female": "female", "f": "female", "male": "male", "m": "male"}
_UNKNOWN_GENDERS = ("unknown", "u")
_START, _END = "enrollment_start_date", "enrollment_end_date"
_LIFE = ("birth_date", "death_date")
_YEAR = mapped("enrollment_year")
_MONTHS = 12


def map_eligibility(rows: ir.Table, table: TableMap) -> ir.Table:
    """Add what the mapping makes of each row, beside it."""
    texts = {name: text_of(rows, field) for name, field in table.fields.items()}
    if table.enrollment is not None and table.enrollment.month:
        texts[_START] = compact_date(rows[table.enrollment.month], table.enrollment.format)
    added: dict[str, ir.Value] = {mapped(name): text for name, text in texts.items()}
    if table.enrollment is not None and table.enrollment.year:
        added[_YEAR] = rows[table.enrollment.year].re_replace(r"[.]0+$", "")
    return rows.mutate(**added)


def stage_people(rows: ir.Table, files: Sequence[RawFile], table: TableMap) -> StagedTable:
    """Say what mapped rows of eligibility mean."""
    patient = mapped("patient_id")
    spans = [mapped(name) for name in (_START, _END) if mapped(name) in rows.columns]
    key = [patient, *spans, *([_YEAR] if _YEAR in rows.columns else [])]
    kinds = {name: kind for name, kind in kinds_of(table).items() if name in rows.columns}
    return StagedTable(
        name=table.name,
        target="eligibility",
        rows=rows,
        files=tuple(files),
        patient_column=patient,
        row_key=tuple(key),
        to_canonical=lambda rows: _to_eligibility(rows, table),
        kinds=kinds,
        source_column=mapped("data_source") if "data_source" in table.fields else None,
        checks=(*check_rules(table, "D_"), *_checks(table, spans), *check_rules(table, "R_")),
        warnings=(*_warnings(table), *check_rules(table, "W_")),
        has_spans=table.has_spans,
    )


def _checks(table: TableMap, spans: Sequence[str]) -> tuple[RowCheck, ...]:
    checks = [check_id(mapped("patient_id"))]
    checks += [check_life_date(mapped(name), COMPACT) for name in _LIFE if name in table.fields]
    checks += [check_date(name, COMPACT, required=place == 0) for place, name in enumerate(spans)]
    if len(spans) == 2:
        checks.append(check_order(spans[0], spans[1], COMPACT, reason_code="R_SPAN"))
    if table.enrollment is not None and table.enrollment.year:
        checks.append(
            RowCheck(
                "R_DATE",
                "no year of enrolment",
                lambda rows: parse_number(rows[_YEAR], "int32", within=YEARS).isnull(),
            )
        )
    return tuple(checks)


def _warnings(table: TableMap) -> tuple[RowCheck, ...]:
    found: list[RowCheck] = [*warn_values(table.fields)]
    if "gender" in table.fields:
        found.append(_fix_gender(table))
    if life := [mapped(name) for name in _LIFE if name in table.fields]:
        found.append(fix_life_dates(life, COMPACT))
    if _END in table.fields:
        found.append(fix_open_span(mapped(_END), COMPACT))
    return tuple(found)


def _fix_gender(table: TableMap) -> RowCheck:
    """`F_SEX_NULL`: a sex that is neither listed nor one of the usual words."""
    field = table.fields["gender"]
    if not field.values or not field.columns:
        return fix_sex(mapped("gender"), _GENDERS, _UNKNOWN_GENDERS)
    return fix_sex(field.columns[0], field.values, ())


def _to_eligibility(rows: ir.Table, table: TableMap) -> ir.Table:
    columns: dict[str, ir.Value] = {}
    for name in SCHEMAS["eligibility"].names:
        if mapped(name) not in rows.columns:
            continue
        text = rows[mapped(name)]
        if name == "gender":
            columns[name] = map_sex(text, _GENDERS)
        elif name.endswith("_date"):
            columns[name] = parse_date(text, COMPACT)
        elif name == "source_member_id":
            columns[name] = clean_id(text)
        else:
            columns[name] = text.lower() if name == "race" else text
    if table.enrollment is None:
        return rows.select("source_file", "row_no", **columns)
    if table.enrollment.month:
        start = columns[_START]
        columns[_END] = _last_of_month(start.year(), start.month())
        return rows.select("source_file", "row_no", **columns)
    return _unfold_months(rows.select("source_file", "row_no", *_months_of(rows, table), **columns))


def _months_of(rows: ir.Table, table: TableMap) -> list[ir.Value]:
    """The first day of each month of the row in which the patient is enrolled, as `month_1` and so on."""
    assert table.enrollment is not None
    year = parse_number(rows[_YEAR], "int32", within=YEARS)
    days = []
    for number, column in enumerate(table.enrollment.months, start=1):
        is_enrolled = is_in(rows, Where(column, table.enrollment.values))
        first = ibis.date(year, ibis.literal(number, "int32"), ibis.literal(1, "int32"))
        days.append(ibis.ifelse(is_enrolled, first, ibis.null("date")).name(f"month_{number}"))
    return days


def _unfold_months(rows: ir.Table) -> ir.Table:
    """One line for each month; spans that touch are joined when timelines are made."""
    names = [f"month_{number}" for number in range(1, _MONTHS + 1)]
    lines = unfold_lines(rows, [{"begins": rows[name]} for name in names], lambda entry: entry.begins.notnull())
    first = lines.line.begins
    spans = lines.mutate(**{_START: first, _END: _last_of_month(first.year(), first.month())})
    return spans.drop("line", *names)


def _last_of_month(year: ir.IntegerValue, month: ir.IntegerValue) -> ir.DateValue:
    following = ibis.date(year + month // _MONTHS, month % _MONTHS + 1, ibis.literal(1, "int32"))
    return (following.cast("timestamp") - ibis.interval(days=1)).date()
