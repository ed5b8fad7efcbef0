"""Eligibility of the Tuva input layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from claim_transformers.claims.fields import clean_id, parse_date, parse_life_date
from claim_transformers.claims.quality import RowCheck, check_date, check_id, check_order
from claim_transformers.sources.formats.tuva.claims import DATES, LAYOUTS
from claim_transformers.sources.pipeline.contract import RawFile, StagedTable
from claim_transformers.sources.pipeline.demographics import check_life_date, fix_life_dates, fix_sex, map_sex

if TYPE_CHECKING:
    import ibis.expr.types as ir

# Systems write the end of time where a span is still open.
_OPEN_END = "9999-12-31"
_GENDERS = LAYOUTS["eligibility"].values["gender"]
_UNKNOWN_GENDERS = ("unknown", "u")


def stage_eligibility(rows: ir.Table, files: Sequence[RawFile]) -> StagedTable:
    """Say what the rows of `eligibility` mean."""
    return StagedTable(
        name="eligibility",
        target="eligibility",
        rows=rows,
        files=tuple(files),
        patient_column="person_id",
        row_key=("person_id", "enrollment_start_date", "enrollment_end_date"),
        to_canonical=_to_eligibility,
        checks=(
            check_id("person_id"),
            check_life_date("birth_date", DATES),
            check_life_date("death_date", DATES),
            check_date("enrollment_start_date", DATES),
            RowCheck(
                "R_DATE",
                f"enrollment_end_date is no real date in the format {DATES}",
                lambda rows: (
                    rows.enrollment_end_date.notnull()
                    & (rows.enrollment_end_date != _OPEN_END)
                    & parse_date(rows.enrollment_end_date, DATES).isnull()
                ),
            ),
            check_order("enrollment_start_date", "enrollment_end_date", DATES, reason_code="R_SPAN"),
        ),
        warnings=(
            fix_sex("gender", _GENDERS, _UNKNOWN_GENDERS),
            fix_life_dates(("birth_date", "death_date"), DATES),
            RowCheck(
                "F_OPEN_SPAN",
                "an enrolment until the end of time becomes one without an end",
                lambda rows: rows.enrollment_end_date == _OPEN_END,
            ),
        ),
    )


def _to_eligibility(rows: ir.Table) -> ir.Table:
    return rows.select(
        "source_file",
        "row_no",
        patient_id=clean_id(rows.person_id),
        source_member_id=clean_id(rows.member_id),
        payer=rows.payer,
        plan=rows.plan,
        gender=map_sex(rows.gender, _GENDERS),
        race=rows.race.strip().lower(),
        birth_date=parse_life_date(rows.birth_date, DATES),
        death_date=parse_life_date(rows.death_date, DATES),
        enrollment_start_date=parse_date(rows.enrollment_start_date, DATES),
        enrollment_end_date=parse_date(rows.enrollment_end_date, DATES),
        original_reason_entitlement_code=rows.original_reason_entitlement_code,
        dual_status_code=rows.dual_status_code,
        county_fips=rows.county_fips,
        medicare_status_code=rows.medicare_status_code,
        data_source=rows.data_source,
    )
