"""Visits as claims, for formats whose rows name a visit and have no claims: type and dates of the claim of each row.

A row carries the claim that it is of in four columns, days as text `YYYY-MM-DD` as raw rows have them. One that names
no visit, or one that is not there, is a claim of its own: it has a number and a type, and no dates but its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.fields import DateFormat, parse_date

if TYPE_CHECKING:
    import ibis.expr.types as ir

CLAIM_PARTS = CLAIM, CLAIM_TYPE, CLAIM_START, CLAIM_END = "claim", "claim_type", "claim_start", "claim_end"
STAY, OTHER_TYPE, DRUG_TYPE = "IP", "OP", "RX"
VISIT_DATES: DateFormat = "YYYY-MM-DD"
# A date is a timestamp in some exports; its day is what is written, without a conversion.
_TIMESTAMP = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?Z?$"
# Lines of each raw table have numbers of their own, so that no two lines of a claim share one.
_LINES_PER_TABLE = 100_000_000


def day_of(text: ir.StringValue) -> ir.StringValue:
    """Cut a timestamp to its day; other text stays.

    Examples:
        >>> days = ibis.memtable({"day": ["2016-03-01T23:59:00Z", "2016-03-01", "soon"]})
        >>> days.select(day=day_of(days.day)).to_pyarrow()["day"].to_pylist()
        ['2016-03-01', '2016-03-01', 'soon']
    """
    return ibis.ifelse(text.re_search(_TIMESTAMP), text.substr(0, 10), text)


def own_claim(claim: ir.StringValue, claim_type: str) -> dict[str, ir.Value]:
    """Columns of rows that are a claim of their own."""
    nothing = ibis.null("string")
    return {CLAIM: claim, CLAIM_TYPE: ibis.literal(claim_type), CLAIM_START: nothing, CLAIM_END: nothing}


def number_lines(rows: ir.Table, table: int, order: list[ir.Value]) -> ir.IntegerValue:
    """Number the rows of each claim, behind those of the tables before; ties stand as in their file."""
    number = ibis.row_number().over(group_by=rows[CLAIM], order_by=[*order, rows.row_no])
    return (table * _LINES_PER_TABLE + 1 + number).cast("int32")


def claim_columns(rows: ir.Table, patient: str, day: ir.StringValue) -> dict[str, ir.Value]:
    """Say which claim a row of a day belongs to, and when that was.

    The lines of a stay have its dates. Other claims may last for months, so that a line within one begins on its day.
    """
    is_found, is_stay = rows[CLAIM_START].notnull(), rows[CLAIM_TYPE] == STAY
    last = ibis.coalesce(rows[CLAIM_END], day)
    is_within = day.between(rows[CLAIM_START], last)
    begin = parse_date(ibis.ifelse(is_found & (is_stay | ~is_within), rows[CLAIM_START], day), VISIT_DATES)
    end = parse_date(ibis.cases((~is_found, day), (is_stay, rows[CLAIM_END]), else_=last), VISIT_DATES)
    nothing = ibis.null("date")
    return {
        "patient_id": rows[patient],
        "claim_id": rows[CLAIM],
        "claim_type": rows[CLAIM_TYPE],
        "claim_start_date": begin,
        "claim_end_date": end,
        "admission_date": ibis.ifelse(is_stay, begin, nothing),
        "discharge_date": ibis.ifelse(is_stay, end, nothing),
    }
