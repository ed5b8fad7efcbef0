"""Eligibility of the Tuva input layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from claim_transformers.claims.fields import clean_id, parse_date
from claim_transformers.claims.quality import check_id, check_span, fix_open_span
from claim_transformers.sources.formats.tuva.claims import DATES, LAYOUTS
from claim_transformers.sources.pipeline.contract import RawFile, StagedTable
from claim_transformers.sources.pipeline.demographics import check_life_date, fix_life_dates, fix_sex, map_sex

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

_GENDERS = LAYOUTS["eligibility"].values["gender"]
_UNKNOWN_GENDERS = ("unknown", "u")


def stage_eligibility(connection: Backend, rows: ir.Table, files: Sequence[RawFile]) -> StagedTable:
    """Say what the rows of `eligibility` mean."""
    return StagedTable(
        name="eligibility",
        target="eligibility",
        rows=rows,
        files=tuple(files),
        patient_column="person_id",
        row_key=("person_id", "enrollment_start_date", "enrollment_end_date"),
        to_canonical=_to_eligibility,
        kinds=LAYOUTS["eligibility"].kinds,
        source_column="data_source",
        checks=(
            check_id("person_id"),
            check_life_date("birth_date", DATES),
            check_life_date("death_date", DATES),
            *check_span("enrollment_start_date", "enrollment_end_date", DATES),
        ),
        warnings=(
            fix_sex("gender", _GENDERS, _UNKNOWN_GENDERS),
            fix_life_dates(("birth_date", "death_date"), DATES),
            fix_open_span("enrollment_end_date", DATES),
        ),
    )


def _to_eligibility(rows: ir.Table) -> ir.Table:
    return rows.select(
        "source_file",
        "row_no",
        patient_id=rows.person_id,
        source_member_id=clean_id(rows.member_id),
        payer=rows.payer,
        plan=rows.plan,
        gender=map_sex(rows.gender, _GENDERS),
        race=rows.race.lower(),
        birth_date=parse_date(rows.birth_date, DATES),
        death_date=parse_date(rows.death_date, DATES),
        enrollment_start_date=parse_date(rows.enrollment_start_date, DATES),
        enrollment_end_date=parse_date(rows.enrollment_end_date, DATES),
        original_reason_entitlement_code=rows.original_reason_entitlement_code,
        dual_status_code=rows.dual_status_code,
        county_fips=rows.county_fips,
        medicare_status_code=rows.medicare_status_code,
        data_source=rows.data_source,
    )
