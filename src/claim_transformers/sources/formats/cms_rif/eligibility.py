"""Yearly beneficiary files of CMS RIF: the months of a year become spans of enrolment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis

from claim_transformers.claims.engine import store_rows
from claim_transformers.claims.fields import YEARS, parse_date, parse_number
from claim_transformers.claims.planning import build, build_wide
from claim_transformers.claims.quality import RowCheck, check_id
from claim_transformers.sources.formats.cms_rif.fields import DATES, add_days, day_of, use_columns
from claim_transformers.sources.pipeline.contract import RawFile, StagedTable, are_few
from claim_transformers.sources.pipeline.demographics import check_life_date, fix_life_dates, fix_sex, map_sex
from claim_transformers.sources.pipeline.layout_files import FileLayout

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

_OF_MONTH = ("is_covered", "medicare_status_code", "dual_status_code", "county_fips")
_FIPS = r"^\d{5}$"


def stage_rif_beneficiaries(
    connection: Backend,
    rows: ir.Table,
    files: Sequence[RawFile],
    layout: FileLayout,
    *,
    scratch: Path,
    counties: ir.Table | None = None,
) -> StagedTable:
    """Say what the rows of a beneficiary file mean."""
    (patient,), (year,), (birth,) = (layout.find(field) for field in ("patient_id", "enrollment.year", "birth_date"))
    death = [day_of(name) for name in layout.find("death_date")]
    return StagedTable(
        name=layout.name,
        target="eligibility",
        rows=rows,
        files=tuple(files),
        patient_column=patient,
        row_key=(patient, year),
        kinds=layout.kinds,
        derive=lambda rows: store_rows(
            connection,
            f"derived_{layout.name}",
            (build_wide if counties is None else build)(_derive_rif_months, rows, layout, counties),
            scratch,
            are_few=are_few(rows, files),
        ),
        to_canonical=lambda rows: _to_eligibility(rows, layout),
        checks=(
            *layout.checks(("D_",)),
            check_id(patient),
            *(check_life_date(name, DATES) for name in (day_of(birth), *death)),
            RowCheck(
                "R_DATE", f"{year} is no year", lambda rows: ~rows[year].re_search(r"^(19|20)\d{2}$").fill_null(False)
            ),
            *layout.checks(("R_",)),
        ),
        warnings=(fix_life_dates((day_of(birth), *death), DATES), *_warnings(layout)),
    )


def _warnings(layout: FileLayout) -> tuple[RowCheck, ...]:
    sex = tuple(fix_sex(name, layout.values[name]) for name in layout.find("gender")[:1])
    hmo = layout.find("enrollment.hmo")
    if not hmo:
        return sex
    hidden = RowCheck(
        "W_HMO_MONTHS",
        "months in an HMO whose claims CMS does not see are no enrolment",
        lambda rows: ibis.or_(*(_is_one(rows[name], _hidden(layout)) for name in hmo)),
    )
    return (*sex, hidden)


def _is_one(flag: ir.StringValue, values: Sequence[str]) -> ir.BooleanValue:
    return flag.lower().isin([value.lower() for value in values]).fill_null(False)


def _hidden(layout: FileLayout) -> tuple[str, ...]:
    return layout.enrollment.get("not_observed", ())


def _states(rows: ir.Table, layout: FileLayout) -> list[dict[str, ir.Value]]:
    """What is true of each month: `is_covered`, and what a span can change in."""
    entitlement, hmo = layout.find("enrollment.entitlement"), layout.find("enrollment.hmo")
    status, dual = layout.find("medicare_status_code.month"), layout.find("dual_status_code")
    county = layout.find("county_fips.month")
    of_year = [rows[name] for name in layout.find("medicare_status_code.year")]
    nothing = ibis.null("string")
    states: list[dict[str, ir.Value]] = []
    for month, name in enumerate(entitlement):
        is_covered = _is_one(rows[name], layout.enrollment["entitled"])
        if hmo:
            is_covered &= ~_is_one(rows[hmo[month]], _hidden(layout))
        fips = rows[county[month]] if county else nothing
        states.append(
            {
                "is_covered": is_covered,
                "medicare_status_code": ibis.coalesce(rows[status[month]] if status else nothing, *of_year, nothing),
                # CCW: two digits; some senders leave out the zero.
                "dual_status_code": rows[dual[month]].lpad(2, "0") if dual else nothing,
                "county_fips": ibis.ifelse(fips.re_search(_FIPS), fips, nothing),
            }
        )
    return states


def _spans(states: Sequence[dict[str, ir.Value]]) -> list[dict[str, ir.Value]]:
    """One entry for each month: a span from it to the last month of the same state, if the span begins there."""
    fields = _OF_MONTH[1:]
    last = len(states) - 1
    ends: list[ir.Value] = [ibis.literal(last + 1, "int32")] * len(states)
    goes_on: list[ir.BooleanValue] = [ibis.literal(False)] * len(states)
    for month in range(last - 1, -1, -1):
        here, following = states[month], states[month + 1]
        same = [here[name].identical_to(following[name]) for name in fields]
        goes_on[month] = ibis.and_(here["is_covered"], following["is_covered"], *same)
        ends[month] = ibis.ifelse(goes_on[month], ends[month + 1], ibis.literal(month + 1, "int32"))
    spans = []
    for month, state in enumerate(states):
        begins = state["is_covered"] & ~goes_on[month - 1] if month else state["is_covered"]
        spans.append(
            {
                "first_month": ibis.ifelse(begins, ibis.literal(month + 1, "int32"), ibis.null("int32")),
                "last_month": ibis.ifelse(begins, ends[month], ibis.null("int32")),
                **{name: state[name] for name in fields},
            }
        )
    return spans


def _derive_rif_months(rows: ir.Table, layout: FileLayout, counties: ir.Table | None = None) -> ir.Table:
    """Add days, and of each month whether it is covered, the statuses and the county: `is_covered_0` to `..._11`."""
    rows = _with_county(add_days(use_columns(rows, layout), layout), layout, counties)
    states = _states(rows, layout)
    named = {f"{name}_{month}": value for month, state in enumerate(states) for name, value in state.items()}
    return rows.mutate(**named)


def _to_eligibility(rows: ir.Table, layout: FileLayout) -> ir.Table:
    months = range(len(layout.find("enrollment.entitlement")))
    states = [{name: rows[f"{name}_{month}"] for name in _OF_MONTH} for month in months]
    lines = _unfold_spans(rows, _spans(states))
    year = parse_number(lines[layout.find("enrollment.year")[0]], "int32", within=YEARS)
    first_of_next = ibis.date(year + lines.span.last_month // 12, lines.span.last_month % 12 + 1, ibis.literal(1))
    columns: dict[str, Any] = {
        "patient_id": lines[layout.find("patient_id")[0]],
        "payer": ibis.literal("medicare"),
        "gender": _gender(lines, layout),
        "race": _race(lines, layout),
        **{
            field: parse_date(lines[day_of(name)], DATES)
            for field in ("birth_date", "death_date")
            for name in layout.find(field)
        },
        "enrollment_start_date": ibis.date(year, lines.span.first_month, ibis.literal(1)),
        "enrollment_end_date": (first_of_next.cast("timestamp") - ibis.interval(days=1)).date(),
        **{field: lines[name] for field in ("original_reason_entitlement_code",) for name in layout.find(field)},
        "dual_status_code": lines.span.dual_status_code,
        "medicare_status_code": lines.span.medicare_status_code,
        "county_fips": ibis.coalesce(lines.span.county_fips, lines.ssa_county_fips),
    }
    return lines.select("source_file", "row_no", "is_first_line", **columns)


def _unfold_spans(rows: ir.Table, spans: Sequence[dict[str, ir.Value]]) -> ir.Table:
    entries = [ibis.struct(span) for span in spans]
    filled = ibis.array(entries).filter(lambda span: span.first_month.notnull())
    rows = rows.mutate(spans=ibis.ifelse(filled.length() > 0, filled, ibis.array(entries[:1])))
    unfolded = rows.mutate(span=rows.spans.unnest(), first_span=rows.spans[0])
    is_first = unfolded.span.first_month.identical_to(unfolded.first_span.first_month)
    return unfolded.mutate(is_first_line=is_first).drop("spans", "first_span")


def _gender(rows: ir.Table, layout: FileLayout) -> ir.StringValue:
    raw = layout.find("gender")
    return map_sex(rows[raw[0]], layout.values[raw[0]]) if raw else ibis.null("string")


def _race(rows: ir.Table, layout: FileLayout) -> ir.StringValue:
    raw = layout.find("race")
    if not raw:
        return ibis.null("string")
    known = {flag.lower(): race for flag, race in layout.values[raw[0]].items()}
    return rows[raw[0]].lower().cases(*known.items(), else_="unknown")


def _with_county(rows: ir.Table, layout: FileLayout, counties: ir.Table | None) -> ir.Table:
    """Add the FIPS county of the state and county codes of the Social Security Administration, null if not known."""
    state, county = layout.find("county_fips.ssa_state"), layout.find("county_fips.ssa_county")
    if counties is None or not state or not county:
        return rows.mutate(ssa_county_fips=ibis.null("string"))
    code = rows[county[0]]
    # Some senders write the state into the county, so that it has five digits.
    code = ibis.ifelse(code.length() == 5, code, rows[state[0]].lpad(2, "0") + code.lpad(3, "0"))
    rows = rows.mutate(ssa_code=code)
    joined = rows.left_join(counties, rows.ssa_code == counties.ssacounty)
    return joined.mutate(ssa_county_fips=joined.fipscounty).drop("ssacounty", "fipscounty", "ssa_code")
