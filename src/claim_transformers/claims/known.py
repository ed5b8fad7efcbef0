"""What is known on a day: the one rule of this package for how much of a claim an index date may see.

* A claim is known from the day after its **end**: the discharge or the last day of service, whichever is later.
* Where unpaid claims are hidden and the day of payment is known, it is known from that day on, if that is later.
* A **stay** that has no end, because nobody was discharged yet, is known once it is paid, else never. What is no stay
  and has no end ended on its own day.
* A stay that has begun and is not known shows its **admission**: that it began, and no code of it. Another claim that
  is not known shows nothing.

A visit is known when every claim behind it is.
"""

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from claim_transformers.claims.packing import NULL_DAY, Integers
from claim_transformers.claims.visits import INPATIENT

if TYPE_CHECKING:
    import ibis.expr.types as ir

STAY_TYPES = (INPATIENT, "SNF", "HOSP", "HHA")
_NEVER = np.iinfo(np.int32).max

_Flags = TypeVar("_Flags", bound=Any)


def known_on(
    index_day: Any,
    begin_day: Any,
    end_day: Any,
    paid_day: Any,
    *,
    has_end: _Flags,
    has_paid: _Flags,
    is_stay: _Flags,
    hides_unpaid: bool,
) -> tuple[_Flags, _Flags]:
    """Which claims or visits are known whole at their index dates, and which stays show their admission alone.

    Columns of numpy and of an engine are asked alike, so nobody needs a second form of the rule. What `has_end` and
    `has_paid` deny may be null or any number.

    `begin_day` is the first day of the claim or the day of the visit; `end_day` and `paid_day` are the last ones of
    the claims behind it. Nothing of the index date is seen but a payment. `is_stay` tells the types of `STAY_TYPES`.
    """
    is_paid = has_paid & (paid_day <= index_day)
    is_seen = begin_day < index_day
    if hides_unpaid:
        is_seen = is_seen & (is_paid | ~has_paid)
    is_over = (has_end & (end_day < index_day)) | (~has_end & is_paid)
    return is_seen & is_over, is_seen & ~is_over & is_stay


def line_end_days(
    is_stay: NDArray[np.bool_],
    is_inpatient: NDArray[np.bool_],
    *,
    discharge: Integers,
    claim_end: Integers,
    line_start: Integers,
    line_end: Integers,
) -> Integers:
    """The last day of the claim of each line: of a stay without one, a day that never comes, else `NULL_DAY`.

    The last line of an inpatient claim may be billed after the discharge, which ends the stay.
    """
    ends = np.maximum(discharge, claim_end)
    has_no_end = is_stay & (ends == NULL_DAY)
    ends = np.where(is_inpatient, ends, np.maximum(ends, np.maximum(line_start, line_end)))
    ends[has_no_end] = _NEVER
    return ends


def line_end_date(claim_line: "ir.Table") -> "ir.DateValue":
    """The same as an expression: null for a stay without an end, the first day for another without one."""
    import ibis

    ends = ibis.greatest(claim_line.discharge_date, claim_line.claim_end_date)
    of_line = ibis.greatest(ends, claim_line.claim_line_start_date, claim_line.claim_line_end_date)
    return ibis.cases(
        (claim_line.claim_type.isin(STAY_TYPES) & ends.isnull(), ibis.null("date")),
        (claim_line.claim_type == INPATIENT, ends),
        else_=ibis.coalesce(of_line, claim_line.claim_start_date),
    )
