"""Patient and Coverage: who the patients are, and when they were enrolled.

A Coverage with a period is a span. Medicare's Part A and Part B are each; months in which a plan of Part C takes the
place of both are none, because CMS does not see its claims. Without a period the months of `buyin` and `hmo_ind` that
CMS writes as extensions are spans; without those nobody knows, and `has_spans` says so.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from claim_transformers.claims.engine import free_name
from claim_transformers.claims.fields import parse_date
from claim_transformers.claims.inputs import read_yaml
from claim_transformers.claims.planning import describe_table, to_sql
from claim_transformers.claims.quality import RowCheck, check_date, check_id, check_order
from claim_transformers.sources.formats.fhir_eob.claims import DATES, LAYOUTS
from claim_transformers.sources.formats.fhir_eob.mapping import FOLDER
from claim_transformers.sources.formats.fhir_eob.paths import Elements, Path, first_of, quote_text, to_structure
from claim_transformers.sources.pipeline.contract import RawFile, StagedTable
from claim_transformers.sources.pipeline.demographics import check_life_date, fix_life_dates, fix_sex, map_sex

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

_LAYOUT = LAYOUTS["people"]
_PATIENT, _COVERAGE = "Patient", "Coverage"
_OF_COVERAGE = (
    *("status", "part", "coverage", "member", "period_start", "period_end", "year", "medicare_status"),
    "entitlement_reason",
)
_OF_PATIENT = ("gender", "race", "birth", "death")
_MONTHS = range(1, 13)
_UNKNOWN_SEX = ("unknown", "other", "0")
_END_OF_TIME = "DATE '9999-12-31'"


@cache
def read_enrollment() -> dict[str, Any]:
    """Read the mapping of Patient and Coverage."""
    content: dict[str, Any] = read_yaml(FOLDER / "enrollment.yaml")
    return content


def people_rows_sql(resources: str) -> str:
    """Write the statement that turns Patient and Coverage (`kind`, `person` as JSON, other columns kept) into rows."""
    content = read_enrollment()
    elements: Elements = {}

    def sql_of(entry: str | Sequence[str]) -> str:
        paths = [Path(text, content["prefixes"]) for text in ([entry] if isinstance(entry, str) else entry)]
        for path in paths:
            path.add_to(elements)
        return first_of(path.to_sql("r") for path in paths)

    of_patient = {name: sql_of(entry) for name, entry in content["patient"].items()}
    of_coverage = {name: sql_of(entry) for name, entry in content["coverage"].items()}
    of_month = {f"{stem}_{n}": sql_of(text.format(n)) for stem, text in content["months"].items() for n in _MONTHS}
    reference = of_coverage.pop("patient")
    columns = {
        "patient": f"CASE kind WHEN '{_PATIENT}' THEN {of_patient.pop('patient')} ELSE "
        f"CASE WHEN NOT starts_with({reference}, '#') THEN regexp_replace({reference}, '^.*/', '') END END",
        **{name: _if(_PATIENT, _day(name, of_patient[name])) for name in _OF_PATIENT},
        **{name: _if(_COVERAGE, _day(name, of_coverage[name])) for name in _OF_COVERAGE},
        **{name: _if(_COVERAGE, sql) for name, sql in of_month.items()},
    }
    listed = ", ".join(f"nullif({sql}, '') AS {name}" for name, sql in columns.items())
    structure = quote_text(json.dumps(to_structure(elements)))
    return (
        f"SELECT * EXCLUDE (r, person), {listed} FROM "
        f"(SELECT *, json_transform(person, {structure}) AS r FROM {resources})"
    )


def _if(kind: str, sql: str) -> str:
    return f"CASE WHEN kind = '{kind}' THEN {sql} END"


def _day(name: str, sql: str) -> str:
    if name in ("birth", "death", "period_start", "period_end"):
        return f"left({sql}, 10)"
    return f"left({sql}, 4)" if name == "year" else sql


def _listed(values: Sequence[str]) -> str:
    return ", ".join(quote_text(str(value)) for value in values)


def _spans_sql(rows: str) -> str:
    """SQL that adds `spans` to rows: of each Coverage what it says of enrolment, less what a plan of Part C hides."""
    content = read_enrollment()
    medical = (
        f"kind = '{_COVERAGE}' AND coalesce(part NOT IN ({_listed([*content['managed'], *content['not_medical']])}), "
        f"true) AND coalesce(coverage NOT IN ({_listed(content['not_medical'])}), true)"
    )
    entitled, hidden = (_listed(_LAYOUT.enrollment[name]) for name in ("entitled", "not_observed"))
    months = ", ".join(
        f"CASE WHEN upper(buyin_{n}) IN ({entitled}) THEN struct_pack(s := {_first(n)}, e := {_last(n)}) END"
        for n in _MONTHS
    )
    away = ", ".join(
        f"CASE WHEN upper(hmo_{n}) IN ({hidden}) THEN struct_pack(s := {_first(n)}, e := {_last(n)}) END"
        for n in _MONTHS
    )
    return f"""
WITH dated AS (
    SELECT *, try_cast(period_start AS DATE) AS starts, try_cast(period_end AS DATE) AS ends,
        try_cast(year AS INTEGER) AS year_number FROM {rows}
), hiding AS (
    SELECT patient AS hidden_patient, list_sort(flatten(list(hides))) AS hidden FROM (
        SELECT patient, list_filter(CASE
            WHEN starts IS NOT NULL THEN [struct_pack(s := starts, e := coalesce(ends, {_END_OF_TIME}))]
            WHEN year_number BETWEEN 1900 AND 2099 THEN [{away}] ELSE [] END, lambda x: x IS NOT NULL) AS hides
        FROM dated WHERE part IN ({_listed(content["managed"])})
            AND coalesce(status, '') NOT IN ('draft', 'entered-in-error')
    ) GROUP BY patient
), told AS (
    SELECT dated.*, coalesce(hidden, []) AS hidden, part IN ({_listed(content["medicare"])}) AS is_medicare,
        list_filter(CASE
            WHEN NOT ({medical}) THEN []
            WHEN starts IS NOT NULL THEN [struct_pack(s := starts, e := coalesce(ends, {_END_OF_TIME}))]
            WHEN year_number BETWEEN 1900 AND 2099 THEN [{months}] ELSE [] END, lambda x: x IS NOT NULL) AS wholes
    FROM dated LEFT JOIN hiding ON dated.patient = hiding.hidden_patient
)
SELECT * EXCLUDE (starts, ends, year_number, hidden, wholes, is_medicare), CASE
    WHEN NOT coalesce(is_medicare, false) OR len(hidden) = 0 THEN wholes
    ELSE flatten(list_transform(wholes, lambda w: {_less_hidden("w")})) END AS spans
FROM told"""


def _first(month: int) -> str:
    return f"make_date(year_number, {month}, 1)"


def _last(month: int) -> str:
    return f"last_day(make_date(year_number, {month}, 1))"


def _less_hidden(whole: str) -> str:
    """SQL of what is left of a span between those that are hidden, which are in order and may overlap."""
    within = f"list_filter(hidden, lambda h: h.e >= {whole}.s AND h.s <= {whole}.e)"
    reach = f"list_max(list_transform({within}[1:i], lambda g: g.e))"
    begins = f"list_concat([{whole}.s], list_transform({within}, lambda h, i: {reach}))"
    ends = f"list_concat(list_transform({within}, lambda h: h.s), [{whole}.e])"
    pairs = (
        f"list_transform({ends}, lambda e, i: struct_pack("
        f"s := CASE WHEN i = 1 THEN {begins}[i] WHEN {begins}[i] = {_END_OF_TIME} THEN NULL "
        f"ELSE CAST({begins}[i] + 1 AS DATE) END, "
        f"e := CASE WHEN i = len({within}) + 1 THEN e ELSE CAST(e - 1 AS DATE) END))"
    )
    return f"list_filter({pairs}, lambda p: p.s <= p.e)"


def stage_people(connection: Backend, rows: ir.Table, files: Sequence[RawFile], *, has_spans: bool) -> StagedTable:
    """Say what the rows of Patient and Coverage mean."""
    return StagedTable(
        name="people",
        target="eligibility",
        rows=rows,
        files=tuple(files),
        patient_column="patient",
        row_key=("patient", "kind", "part", "coverage", "period_start", "period_end", "year"),
        to_canonical=_to_eligibility,
        kinds={name: kind for name, kind in _LAYOUT.kinds.items() if name in rows.columns},
        derive=lambda rows: _with_spans(connection, rows),
        checks=(
            *_LAYOUT.checks(("D_",)),
            check_id("patient"),
            check_life_date("birth", DATES),
            check_life_date("death", DATES),
            check_date("period_start", DATES, required=False),
            check_date("period_end", DATES, required=False),
            check_order("period_start", "period_end", DATES, reason_code="R_SPAN"),
        ),
        warnings=(
            fix_sex("gender", _LAYOUT.values["gender"], _UNKNOWN_SEX),
            fix_life_dates(("birth", "death"), DATES),
            RowCheck(
                "W_HMO_MONTHS",
                "months in a plan whose claims CMS does not see are no enrolment",
                lambda rows: rows.part.isin(read_enrollment()["managed"]),
            ),
        ),
        has_spans=has_spans,
    )


def knows_spans_sql(rows: str) -> str:
    """SQL of whether any row says when somebody was enrolled."""
    buyin = " OR ".join(f"buyin_{n} IS NOT NULL" for n in _MONTHS)
    return f"SELECT count(*) > 0 FROM {rows} WHERE period_start IS NOT NULL OR {buyin}"


def _with_spans(connection: Backend, rows: ir.Table) -> ir.Table:
    name = free_name(connection, "people_with_spans")
    connection.raw_sql(f'CREATE OR REPLACE VIEW "{name}" AS {_spans_sql(f"({to_sql(connection, rows)})")}')
    return describe_table(connection, name, rows.op())


def _to_eligibility(rows: ir.Table) -> ir.Table:
    """A line for each span, and one without for a row that has none."""
    import ibis

    nobody = ibis.array([ibis.null(rows.spans.type().value_type)])
    rows = rows.mutate(spans_or_none=ibis.ifelse(rows.spans.length() > 0, rows.spans, nobody))
    lines = rows.mutate(span=rows.spans_or_none.unnest(), first=rows.spans_or_none[0])
    is_open = lines.span.e == ibis.date("9999-12-31")
    race = dict(_LAYOUT.values["race"])
    month = lines.span.s.month()
    duals = [(month == n, lines[f"dual_{n}"]) for n in _MONTHS]
    is_known_dual = lines.year.notnull() & lines.span.s.notnull()
    dual = ibis.ifelse(is_known_dual, ibis.cases(*duals, else_=ibis.null("string")), ibis.null("string"))
    return lines.select(
        "source_file",
        "row_no",
        is_first_line=lines.span.s.identical_to(lines.first.s) & lines.span.e.identical_to(lines.first.e),
        patient_id=lines.patient,
        source_member_id=lines.member,
        payer=ibis.ifelse(lines.part.startswith("Part "), "medicare", ibis.null("string")),
        plan=lines.part,
        gender=map_sex(lines.gender, _LAYOUT.values["gender"]),
        race=lines.race.cases(*race.items(), else_=ibis.null("string")),
        birth_date=parse_date(lines.birth, DATES),
        death_date=parse_date(lines.death, DATES),
        enrollment_start_date=lines.span.s,
        enrollment_end_date=ibis.ifelse(is_open, ibis.null("date"), lines.span.e),
        original_reason_entitlement_code=lines.entitlement_reason,
        dual_status_code=ibis.ifelse(dual == "**", ibis.null("string"), dual),
        medicare_status_code=lines.medicare_status,
    )
