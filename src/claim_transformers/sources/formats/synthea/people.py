"""Patients of Synthea, and the time in which a payer insured them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.fields import YEARS, clean_id, parse_date, parse_number
from claim_transformers.claims.quality import RowCheck, check_id, check_span, fix_open_span
from claim_transformers.sources.formats.synthea import SOURCE
from claim_transformers.sources.pipeline.contract import RawFile, StagedTable
from claim_transformers.sources.pipeline.demographics import check_life_date, fix_life_dates, fix_sex, map_sex
from claim_transformers.sources.pipeline.visit_claims import VISIT_DATES

if TYPE_CHECKING:
    import ibis.expr.types as ir

LAYOUTS = SOURCE.read_layouts()
_PATIENTS, _TRANSITIONS = LAYOUTS["patients"], LAYOUTS["payer_transitions"]
_GENDERS = _PATIENTS.values["GENDER"]
_NO_PAYERS = tuple(_TRANSITIONS.values["PAYER"])
_START, _END, _NAME = "span_start", "span_end", "payer_name"


def stage_patients(rows: ir.Table, files: Sequence[RawFile], *, has_spans: bool) -> StagedTable:
    """Patients become eligibility without a span."""

    def to_canonical(rows: ir.Table) -> ir.Table:
        return rows.select(
            "source_file",
            "row_no",
            patient_id=rows.Id,
            gender=map_sex(rows.GENDER, _GENDERS),
            race=rows.RACE.lower(),
            birth_date=parse_date(rows.BIRTHDATE, VISIT_DATES),
            death_date=parse_date(rows.DEATHDATE, VISIT_DATES),
            county_fips=rows.FIPS,
        )

    return StagedTable(
        name="patients",
        target="eligibility",
        rows=rows,
        files=tuple(files),
        patient_column="Id",
        row_key=("Id",),
        to_canonical=to_canonical,
        kinds=_PATIENTS.kinds,
        checks=(
            check_id("Id"),
            check_life_date("BIRTHDATE", VISIT_DATES),
            check_life_date("DEATHDATE", VISIT_DATES),
        ),
        warnings=(fix_sex("GENDER", _GENDERS), fix_life_dates(("BIRTHDATE", "DEATHDATE"), VISIT_DATES)),
        has_spans=has_spans,
    )


def stage_transitions(rows: ir.Table, files: Sequence[RawFile], payers: ir.Table | None) -> StagedTable:
    """Payer transitions become spans; those to no payer are none."""
    first, last = (_day_of_year(rows[name], month_day) for name, month_day in _YEARS.items())
    rows = rows.mutate(
        **{_START: ibis.coalesce(rows.START_DATE, first), _END: ibis.coalesce(rows.END_DATE, last)},
    )
    if payers is not None:
        names = payers.group_by(of_payer=payers.Id).aggregate(NAME=payers.NAME.min())
        joined = rows.left_join(names, names.of_payer == rows.PAYER)
        rows = joined.select(*(rows[name] for name in rows.columns), **{_NAME: names.NAME})
    else:
        rows = rows.mutate(**{_NAME: ibis.null("string")})

    def to_canonical(rows: ir.Table) -> ir.Table:
        return rows.select(
            "source_file",
            "row_no",
            patient_id=rows.PATIENT,
            source_member_id=clean_id(rows.MEMBERID),
            payer=ibis.coalesce(rows[_NAME], rows.PAYER),
            enrollment_start_date=parse_date(rows[_START], VISIT_DATES),
            enrollment_end_date=parse_date(rows[_END], VISIT_DATES),
        )

    return StagedTable(
        name="payer_transitions",
        target="eligibility",
        rows=rows,
        files=tuple(files),
        patient_column="PATIENT",
        row_key=("PATIENT", "START_DATE", "START_YEAR", "PAYER"),
        to_canonical=to_canonical,
        kinds=_TRANSITIONS.kinds,
        checks=(
            RowCheck("D_NO_PAYER", "time without a payer is no enrolment", _has_no_payer),
            check_id("PATIENT"),
            *check_span(_START, _END, VISIT_DATES),
        ),
        warnings=(fix_open_span(_END, VISIT_DATES),),
    )


_YEARS = {"START_YEAR": "-01-01", "END_YEAR": "-12-31"}


def _day_of_year(text: ir.StringValue, month_day: str) -> ir.StringValue:
    """A day of a year; another word stays, so that it is no date."""
    year = parse_number(text, "int32", within=YEARS)
    return ibis.ifelse(text.notnull() & year.isnull(), text, year.cast("string") + month_day)


def _has_no_payer(rows: ir.Table) -> ir.BooleanValue:
    none = [name.lower() for name in _NO_PAYERS]
    return (rows.PAYER.lower().isin(none) | rows[_NAME].lower().isin(none)).fill_null(False)
