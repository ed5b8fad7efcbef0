"""Dates of canonical rows, judged beside the date of service: none moves a visit or a stay far from its claim.

A row counts from its date of service, the start of a claim or the day of a fill, which the checks of its source judge
(`R_DATE`, `R_FUTURE`). Every other date is held against it here, in the same way for every source:

* An **end** of a claim and a **discharge** after the extract, or more than a year after the claim begins, are unknown;
  so is a discharge before it begins.
* An **admission** after the claim ends or after the extract, or more than a year before it begins, is unknown; the
  start of the claim stands in.
* A **line** outside its claim takes the dates of the claim. A **procedure** outside it, but for the three days before
  an admission whose services are billed with the stay (42 CFR 412.2(c)(5)), takes the date of the claim.
* A **payment** before the service, after the extract or more than five years after the service is unknown.
* A **birth** and a **death** after the extract are unknown.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import ibis

if TYPE_CHECKING:
    import ibis.expr.types as ir

DATE_CODES = _F_FAR_DATE, _F_LINE_DATE, _W_OPEN_STAY = "F_FAR_DATE", "F_LINE_DATE", "W_OPEN_STAY"
MAX_CLAIM_DAYS = 366
MAX_DAYS_TO_PAYMENT = 5 * 366
DAYS_BEFORE_STAY = 3
_INPATIENT = "IP"
_LINE = ("claim_line_start_date", "claim_line_end_date")


def settle_dates(
    columns: Mapping[str, ir.Value], table: str, extract_date: dt.date | None = None
) -> tuple[dict[str, ir.Value], dict[str, ir.BooleanValue]]:
    """Judge the dates of a canonical table: the columns that may change, and by code which rows to count."""
    is_late = partial(_is_after, last=None if extract_date is None else ibis.date(extract_date))
    if table == "eligibility":
        return _drop({name: (columns[name], is_late(columns[name])) for name in ("birth_date", "death_date")})
    service = columns["dispensing_date" if table == "rx_claim" else "claim_start_date"]
    paid = columns["paid_date"]
    far = {"paid_date": (paid, (paid < service) | is_late(paid) | (_days(paid, service) > MAX_DAYS_TO_PAYMENT))}
    if table == "rx_claim":
        return _drop(far)

    def is_far(day: ir.DateValue) -> ir.BooleanValue:
        return is_late(day) | (_days(day, service) > MAX_CLAIM_DAYS)

    end, discharge, admission = (columns[name] for name in ("claim_end_date", "discharge_date", "admission_date"))
    far |= {
        "claim_end_date": (end, is_far(end)),
        "discharge_date": (discharge, (discharge < service) | is_far(discharge)),
    }
    end, discharge = (_unless(is_out, day) for day, is_out in (far["claim_end_date"], far["discharge_date"]))
    is_early = _days(admission, service) < -MAX_CLAIM_DAYS
    is_behind = admission > ibis.coalesce(discharge, end)
    far["admission_date"] = admission, is_early | is_behind | is_far(admission)
    settled, counted = _drop(far)
    last = ibis.coalesce(end, discharge)
    is_outside = {name: (columns[name] < service) | (columns[name] > last) | is_far(columns[name]) for name in _LINE}
    for name, stands_in in zip(_LINE, (service, end), strict=True):
        settled[name] = ibis.ifelse(is_outside[name].fill_null(False), stands_in, columns[name])
    first = ibis.least(service, ibis.coalesce(settled["admission_date"], service))
    last = ibis.greatest(last, ibis.coalesce(discharge, last))

    def is_elsewhere(procedure: ir.StructValue) -> ir.BooleanValue:
        day = procedure["date"]
        return ((_days(day, first) < -DAYS_BEFORE_STAY) | (day > last) | is_far(day)).fill_null(False)

    procedures = columns["procedures"]
    settled["procedures"] = procedures.map(
        lambda entry: ibis.struct(
            {"system": entry["system"], "code": entry["code"], "date": _unless(is_elsewhere(entry), entry["date"])}
        )
    )
    counted[_F_LINE_DATE] = _any(*is_outside.values(), procedures.filter(is_elsewhere).length() > 0)
    counted[_W_OPEN_STAY] = (columns["claim_type"] == _INPATIENT) & discharge.isnull()
    return settled, counted


def _days(day: ir.DateValue, since: ir.DateValue) -> ir.IntegerValue:
    return day.delta(since, unit="day")


def _is_after(day: ir.DateValue, last: ir.DateValue | None) -> ir.BooleanValue:
    return ibis.literal(False) if last is None else day > last


def _unless(is_out: ir.BooleanValue, day: ir.DateValue) -> ir.DateValue:
    return ibis.ifelse(is_out.fill_null(False), ibis.null("date"), day)


def _any(*conditions: ir.BooleanValue) -> ir.BooleanValue:
    return ibis.or_(*(condition.fill_null(False) for condition in conditions))


def _drop(
    far: Mapping[str, tuple[ir.DateValue, ir.BooleanValue]],
) -> tuple[dict[str, ir.Value], dict[str, ir.BooleanValue]]:
    """Dates that are null where they are out, and which rows have such a date."""
    settled: dict[str, ir.Value] = {name: _unless(is_out, day) for name, (day, is_out) in far.items()}
    return settled, {_F_FAR_DATE: _any(*(is_out for _, is_out in far.values()))}
