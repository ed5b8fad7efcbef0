"""Hospital stays: claims that belong to one admission are one stay, before anything is counted or labelled.

The rule, for the inpatient claims of one patient in the order of admission:

* **Overlapping or nested** claims are one stay; the later discharge wins.
* **Same day**: a claim that begins on the day the one before ended is a transfer, not a readmission. HCUP joins such
  records too (AHRQ, *HCUP Supplemental Variables for Revisit Analyses*, same-day events).
* **Interim bills**: after a claim whose patient is still there (discharge disposition 30, NUBC patient discharge
  status; CMS Medicare Claims Processing Manual, chapter 25) the next claim goes on the day after.

So a claim begins a new stay if it begins later than every earlier claim allows: its discharge plus `max_gap_days`, or
plus `interim_gap_days` if the patient was still there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.known import line_end_date

if TYPE_CHECKING:
    import ibis.expr.types as ir

_STILL_PATIENT = "30"


def join_stays(
    claim_lines: ir.Table, *, max_gap_days: int = 0, interim_gap_days: int = 1, claim_types: Sequence[str] = ("IP",)
) -> ir.Table:
    """Join the claims of each patient to stays; a claim is its number and the data source that gave it.

    The expression uses windows and sorts lists of structs, no ordered aggregation, so it runs on DuckDB, Spark and
    warehouses alike, and the order of the rows does not matter.
    """
    if max_gap_days < 0 or interim_gap_days < max_gap_days:
        raise ValueError(
            "expected max_gap_days >= 0 and interim_gap_days >= max_gap_days, "
            f"found {max_gap_days} and {interim_gap_days}"
        )
    if not claim_types:
        raise ValueError("expected at least one claim type, found none")
    claims = _claims_of(claim_lines, claim_types)
    gap = ibis.ifelse(claims.is_interim, interim_gap_days, max_gap_days)
    claims = claims.mutate(open_until=claims.end_day + gap)
    order = [claims.start_day, claims.end_day, claims.claim_id, claims.data_source]
    earlier = ibis.window(group_by=claims.patient_id, order_by=order, preceding=(None, 1))
    latest = claims.open_until.max().over(earlier)
    claims = claims.mutate(begins=(latest.isnull() | (claims.start_day > latest)).cast("int32"))
    order = [claims.start_day, claims.end_day, claims.claim_id, claims.data_source]
    up_to_here = ibis.cumulative_window(group_by=claims.patient_id, order_by=order)
    claims = claims.mutate(stay_id=claims.begins.sum().over(up_to_here).cast("int32"))
    return _stays_of(claims)


def interim_bills(claim_lines: ir.Table, claim_types: Sequence[str]) -> ir.Table:
    """Claims after which the patient is still there, by their last day, since 1970-01-01, as visits have it."""
    lines = claim_lines.filter(
        claim_lines.claim_type.isin(list(claim_types)), claim_lines.discharge_disposition_code == _STILL_PATIENT
    )
    days = line_end_date(lines).delta(ibis.date(1970, 1, 1), unit="day")
    lines = lines.select("patient_id", "data_source", "claim_id", visit_type=lines.claim_type.cast("string"), day=days)
    claims = lines.group_by("patient_id", "data_source", "claim_id", "visit_type").aggregate(end_day=lines.day.max())
    return claims.select("patient_id", "visit_type", "end_day").drop_null().distinct()


def _claims_of(claim_lines: ir.Table, claim_types: Sequence[str]) -> ir.Table:
    """One row per claim, days since 1970-01-01: lines of a claim share its dates, but nothing relies on it."""
    lines = claim_lines.filter(claim_lines.claim_type.isin(list(claim_types)))
    start = ibis.coalesce(lines.admission_date, lines.claim_start_date)
    end = ibis.coalesce(lines.discharge_date, lines.claim_end_date, start)
    epoch = ibis.date(1970, 1, 1)
    lines = lines.select(
        "patient_id",
        "data_source",
        "claim_id",
        "discharge_disposition_code",
        start_day=start.delta(epoch, unit="day"),
        end_day=end.delta(epoch, unit="day"),
        has_discharge=lines.discharge_date.notnull(),
    )
    claims = lines.group_by("patient_id", "data_source", "claim_id").aggregate(
        start_day=lines.start_day.min(),
        end_day=lines.end_day.max(),
        disposition=lines.discharge_disposition_code.max(),
        has_discharge=lines.has_discharge.any(),
    )
    return claims.mutate(is_interim=(claims.disposition == _STILL_PATIENT).fill_null(False))


def _stays_of(claims: ir.Table) -> ir.Table:
    claim = ibis.struct(
        {
            "end_day": claims.end_day,
            "start_day": claims.start_day,
            "claim_id": claims.claim_id,
            "data_source": claims.data_source,
            "disposition": claims.disposition,
            "is_open": ~claims.has_discharge | claims.is_interim,
        }
    )
    stays = claims.group_by("patient_id", "stay_id").aggregate(
        first_day=claims.start_day.min(),
        last_day=claims.end_day.max(),
        num_claims=claims.count().cast("int32"),
        claims=claim.collect(),
    )
    ordered = stays.mutate(claims=stays.claims.sort())
    last = ordered.claims[ordered.num_claims - 1]
    # The sum of a date and an interval is a timestamp to DuckDB but a date to Ibis, which would leave out the cast.
    epoch = ibis.timestamp(1970, 1, 1, 0, 0, 0)
    return ordered.select(
        "patient_id",
        "stay_id",
        admission_date=(epoch + ordered.first_day.as_interval("D")).date(),
        discharge_date=(epoch + ordered.last_day.as_interval("D")).date(),
        discharge_disposition_code=last.disposition,
        is_open=last.is_open,
        num_claims=ordered.num_claims,
        claims=ordered.claims.map(
            lambda entry: ibis.struct({"data_source": entry.data_source, "claim_id": entry.claim_id})
        ).sort(),
    )
