"""Labels that are amounts: what the claims of the horizon cost, and what becomes of those who left before its end."""

import numpy as np
from numpy.typing import NDArray

from claim_transformers.cohorts.event.definition import AmountRule, LabelRule
from claim_transformers.cohorts.timelines import UNKNOWN_DAY, Days, Flags, Timelines

_DAYS_PER_MONTH = 365.25 / 12


def label_amounts(
    timelines: Timelines, rule: AmountRule, label: LabelRule, index_day: Days
) -> tuple[NDArray[np.float64], Flags, Flags, Days]:
    """The amount of each patient in US dollars, whether it is known, whether death hid it, and visits without one.

    A visit counts by its day, with all that its claims cost, while the patient is enrolled. What is below 0 after
    reversals counts as 0. NaN stands where visits are there and none has an amount; a visit without one beside others
    adds nothing and is counted.
    """
    last_day = index_day + label.horizon_days - 1
    insured_until = timelines.enrolled_until(index_day)
    died = (timelines.death_day != UNKNOWN_DAY) & (timelines.death_day <= last_day)
    seen_until = np.minimum(np.where(died, np.minimum(timelines.death_day, last_day), last_day), insured_until)
    observed_days = np.maximum(seen_until - index_day + 1, 0)
    dollars = timelines.amounts(f"{rule.amount}_amount")
    in_view = timelines.in_window(index_day, np.minimum(last_day, insured_until) + 1)
    in_view &= timelines.visits_with((), rule.types)
    is_priced = in_view & ~np.isnan(dollars)
    owners = timelines.patient_of_visit[is_priced]
    spent = np.bincount(owners, weights=dollars[is_priced], minlength=timelines.num_patients).astype(np.float64)
    without = timelines.count(in_view & ~is_priced)
    # Nothing is spent after a death that is no end of enrolment.
    to_the_end = died & (label.death == "negative") & (insured_until >= timelines.death_day)
    is_whole = (observed_days >= label.horizon_days) | to_the_end
    known = is_whole
    if rule.partial_enrollment == "annualize":
        known = is_whole | (observed_days >= rule.minimum_months * _DAYS_PER_MONTH)
        spent *= np.where(is_whole, 1.0, label.horizon_days / np.maximum(observed_days, 1))
    spent = np.clip(spent, 0.0, rule.cap).astype(np.float64)
    spent[(without > 0) & (timelines.count(is_priced) == 0)] = np.nan
    if rule.per == "member_month":
        spent /= label.horizon_days / _DAYS_PER_MONTH
    return spent, known, died & ~known, without
