"""Demographics and enrolment: who the people of the deliveries are, and since when they are entitled.

CCLF8 says of each person when Part A and Part B began, and nothing of an end: it lists those of the month. So a person
is enrolled from the first of both beginnings until the end of the last month whose delivery lists them, until the
death, or to the end of the data where no file says its day. A file of spans, which somebody made from assignment
reports, takes the place of that.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.fields import parse_date
from claim_transformers.claims.quality import check_date, check_id, check_span, fix_dates, fix_open_span
from claim_transformers.sources.formats.cclf.fields import (
    DATES,
    PATIENT,
    delivery_order,
    kinds_of,
)
from claim_transformers.sources.pipeline.contract import StagedTable, Versions
from claim_transformers.sources.pipeline.demographics import check_life_date, fix_life_dates, fix_sex, map_sex

if TYPE_CHECKING:
    from collections.abc import Sequence

    import ibis.expr.types as ir

    from claim_transformers.sources.pipeline.contract import RawFile
    from claim_transformers.sources.pipeline.layout_files import FileLayout

_BIRTH, _DEATH, _ENTITLED = "BENE_DOB", "BENE_DEATH_DT", "BENE_ENTLMT_BUYIN_IND"
_BEGINNINGS = ("BENE_PART_A_ENRLMT_BGN_DT", "BENE_PART_B_ENRLMT_BGN_DT")
_NOT_ENTITLED = "0"
_COUNTY = r"^\d{5}$"
_NO_COUNTY = ("000", "999")


def stage_demographics(
    rows: ir.Table, files: Sequence[RawFile], layout: FileLayout, *, has_enrollment: bool
) -> StagedTable:
    """Say what the rows of CCLF8 mean; beside a file of enrolment they tell of none."""
    return StagedTable(
        name=layout.name,
        target="eligibility",
        rows=rows,
        files=tuple(files),
        patient_column=PATIENT,
        row_key=(PATIENT,),
        # The day says until when the person is listed.
        kinds=kinds_of(layout, with_day=True),
        to_canonical=partial(_to_eligibility, layout=layout, has_enrollment=has_enrollment),
        checks=(
            check_id(PATIENT),
            *(check_life_date(name, DATES) for name in (_BIRTH, _DEATH)),
            *(check_date(name, DATES, required=False) for name in _BEGINNINGS),
            *layout.checks(("R_",)),
        ),
        # A later month knows a person better.
        versions=Versions((PATIENT,), delivery_order),
        warnings=(
            fix_sex("BENE_SEX_CD", layout.values["BENE_SEX_CD"]),
            fix_life_dates((_BIRTH, _DEATH), DATES),
            fix_dates(_BEGINNINGS, DATES),
            *layout.checks(("W_",)),
        ),
    )


def _last_of_month(rows: ir.Table) -> ir.DateValue:
    """The last day of the month of a delivery, null where the file does not say its day."""
    day = parse_date("20" + delivery_order(rows), "YYYYMMDD")
    return (day.truncate("M").cast("timestamp") + ibis.interval(months=1) - ibis.interval(days=1)).date()


def _to_eligibility(rows: ir.Table, layout: FileLayout, has_enrollment: bool) -> ir.Table:
    races = layout.values["BENE_RACE_CD"]
    beginnings = [parse_date(rows[name], DATES) for name in _BEGINNINGS]
    start = ibis.least(*(ibis.coalesce(*pair) for pair in (beginnings, beginnings[::-1])))
    death, last = parse_date(rows[_DEATH], DATES), _last_of_month(rows)
    end = ibis.coalesce(ibis.least(ibis.coalesce(death, last), ibis.coalesce(last, death)), last)
    is_entitled = (rows[_ENTITLED] != _NOT_ENTITLED).fill_null(True)
    # An entitlement that begins after the delivery is none yet.
    has_span = ibis.literal(not has_enrollment) & is_entitled & (start <= end).fill_null(start.notnull())
    nothing = ibis.null("date")
    county = rows.BENE_FIPS_STATE_CD + rows.BENE_FIPS_CNTY_CD
    is_county = county.re_search(_COUNTY) & rows.BENE_FIPS_CNTY_CD.notin(_NO_COUNTY)
    return rows.select(
        "source_file",
        "row_no",
        patient_id=rows[PATIENT],
        payer=ibis.literal("medicare"),
        gender=map_sex(rows.BENE_SEX_CD, layout.values["BENE_SEX_CD"]),
        race=rows.BENE_RACE_CD.cases(*races.items(), else_=ibis.literal("unknown")),
        birth_date=parse_date(rows[_BIRTH], DATES),
        death_date=death,
        enrollment_start_date=ibis.ifelse(has_span, start, nothing),
        enrollment_end_date=ibis.ifelse(has_span, end, nothing),
        original_reason_entitlement_code=rows.BENE_ORGNL_ENTLMT_RSN_CD,
        dual_status_code=rows.BENE_DUAL_STUS_CD.upper(),
        medicare_status_code=rows.BENE_MDCR_STUS_CD.upper(),
        county_fips=ibis.ifelse(is_county, county, ibis.null("string")),
    )


def stage_enrollment(rows: ir.Table, files: Sequence[RawFile], layout: FileLayout) -> StagedTable:
    """Say what the rows of a file of enrolment mean."""
    start, end = "ENROLLMENT_START_DATE", "ENROLLMENT_END_DATE"

    def to_canonical(rows: ir.Table) -> ir.Table:
        return rows.select(
            "source_file",
            "row_no",
            patient_id=rows[PATIENT],
            payer=ibis.literal("medicare"),
            enrollment_start_date=parse_date(rows[start], DATES),
            enrollment_end_date=parse_date(rows[end], DATES),
        )

    return StagedTable(
        name=layout.name,
        target="eligibility",
        rows=rows,
        files=tuple(files),
        patient_column=PATIENT,
        row_key=(PATIENT, start, end),
        kinds=kinds_of(layout),
        to_canonical=to_canonical,
        checks=(check_id(PATIENT), *check_span(start, end, DATES)),
        warnings=(fix_open_span(end, DATES),),
    )
