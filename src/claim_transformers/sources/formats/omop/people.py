"""Who the persons of a CDM are, and when they were enrolled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.fields import parse_date, parse_number
from claim_transformers.claims.quality import RowCheck, check_id, check_span, fix_open_span
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.omop.tables import CdmTable
from claim_transformers.sources.pipeline.contract import StagedTable
from claim_transformers.sources.pipeline.demographics import check_life_date, fix_life_dates, fix_sex, map_sex
from claim_transformers.sources.pipeline.visit_claims import VISIT_DATES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import ibis.expr.types as ir


_PERIODS = ("payer_plan_period", "observation_period")
# No matching concept, unknown, ambiguous, other.
_UNKNOWN_SEX = ("0", "8551", "8570", "8521")
_BIRTH = ("year_of_birth", "month_of_birth", "day_of_birth")


def choose_enrollment(tables: Mapping[str, CdmTable], enrollment: str | None) -> str | None:
    """Name the table that tells of enrolment: the one asked for, else the first that has rows."""
    if enrollment is None:
        return next((name for name in _PERIODS if name in tables and tables[name].has_rows), None)
    if enrollment not in _PERIODS:
        raise ValueError(f"expected enrollment out of {', '.join(_PERIODS)}, found {enrollment!r}")
    if enrollment not in tables:
        raise ClaimDataError("E_NO_FILE", f"expected the table {enrollment}, which enrollment names, found none")
    return enrollment


def stage_persons(table: CdmTable, *, has_spans: bool) -> StagedTable:
    """Persons become eligibility without a span; where another table tells of enrolment they had none of their own."""
    genders = table.layout.values["gender_concept_id"]

    def to_canonical(rows: ir.Table) -> ir.Table:
        return rows.select(
            "source_file",
            "row_no",
            patient_id=rows.person_id,
            source_member_id=rows.person_source_value,
            gender=map_sex(rows.gender_concept_id, genders),
            race=rows.race_source_value.lower(),
            birth_date=parse_date(_birth_of(rows), VISIT_DATES),
        )

    return StagedTable(
        name="person",
        target="eligibility",
        rows=table.rows,
        files=table.files,
        patient_column="person_id",
        row_key=("person_id",),
        to_canonical=to_canonical,
        kinds=table.layout.kinds,
        checks=(
            check_id("person_id"),
            RowCheck("R_DATE", "the parts of the birth are no real date", _has_no_birth),
        ),
        warnings=(
            fix_sex("gender_concept_id", genders, _UNKNOWN_SEX),
            RowCheck(
                "W_BIRTH_YEAR",
                "a birth without month or day stands on the first day that it can be",
                lambda rows: (
                    rows.year_of_birth.notnull() & (rows.month_of_birth.isnull() | rows.day_of_birth.isnull())
                ),
            ),
        ),
        has_spans=has_spans,
    )


def stage_deaths(table: CdmTable, *, has_spans: bool) -> StagedTable:
    """Deaths become eligibility that says the death alone."""

    def to_canonical(rows: ir.Table) -> ir.Table:
        return rows.select(
            "source_file", "row_no", patient_id=rows.person_id, death_date=parse_date(rows.death_date, VISIT_DATES)
        )

    return StagedTable(
        name="death",
        target="eligibility",
        rows=table.rows,
        files=table.files,
        patient_column="person_id",
        row_key=("person_id", "death_date"),
        to_canonical=to_canonical,
        kinds=table.layout.kinds,
        checks=(check_id("person_id"), check_life_date("death_date", VISIT_DATES)),
        warnings=(fix_life_dates(("death_date",), VISIT_DATES),),
        has_spans=has_spans,
    )


def stage_periods(name: str, table: CdmTable) -> StagedTable:
    """Periods become spans of enrolment."""
    start, end = f"{name}_start_date", f"{name}_end_date"

    def to_canonical(rows: ir.Table) -> ir.Table:
        of_plan = (
            {"payer": rows.payer_source_value, "plan": rows.plan_source_value}
            if "plan_source_value" in rows.columns
            else {}
        )
        return rows.select(
            "source_file",
            "row_no",
            patient_id=rows.person_id,
            enrollment_start_date=parse_date(rows[start], VISIT_DATES),
            enrollment_end_date=parse_date(rows[end], VISIT_DATES),
            **of_plan,
        )

    return StagedTable(
        name=name,
        target="eligibility",
        rows=table.rows,
        files=table.files,
        patient_column="person_id",
        row_key=(f"{name}_id",),
        to_canonical=to_canonical,
        kinds=table.layout.kinds,
        checks=(check_id("person_id"), *check_span(start, end, VISIT_DATES)),
        warnings=(fix_open_span(end, VISIT_DATES),),
    )


def _birth_of(rows: ir.Table) -> ir.StringValue:
    """The birth as text; a month or a day that is not known is the first, so that no service lies before it."""
    year, month, day = (parse_number(rows[name], "int32") for name in _BIRTH)
    parts = (
        year.cast("string"),
        month.fill_null(1).cast("string").lpad(2, "0"),
        ibis.ifelse(rows.month_of_birth.isnull(), 1, day.fill_null(1)).cast("string").lpad(2, "0"),
    )
    return parts[0] + "-" + parts[1] + "-" + parts[2]


def _has_no_birth(rows: ir.Table) -> ir.BooleanValue:
    """Whether a part is no number, or the parts are no date; a year that is missing is only not known."""
    is_no_number = ibis.or_(*(rows[name].notnull() & parse_number(rows[name], "int32").isnull() for name in _BIRTH))
    return is_no_number | (rows.year_of_birth.notnull() & parse_date(_birth_of(rows), VISIT_DATES).isnull())
