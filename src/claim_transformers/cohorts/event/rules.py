"""Selection rules: the questions that a step of a cohort can ask, each one vector operation over all patients.

Every rule sees what an example sees (`claims.known`): the codes of visits that had ended and, where unpaid visits are
hidden, were paid by the index date; `visits` counts the admission of an open stay too. Only `enrolled` and `alive`
include the index date.
"""

from collections.abc import Callable

import numpy as np

from claim_transformers.claims.ages import whole_years
from claim_transformers.cohorts.event.definition import Criterion, EventDefinition
from claim_transformers.cohorts.timelines import UNKNOWN_DAY, Days, Flags, Timelines


def satisfies(timelines: Timelines, definition: EventDefinition, criterion: Criterion, index_day: Days) -> Flags:
    """Which patients pass one step of the selection, shape `(patients,)`; `ValueError` if its rule is unknown."""
    if criterion.rule not in _RULES:
        raise ValueError(f"{criterion.step!r}: expected one of the rules {sorted(_RULES)}, found {criterion.rule!r}")
    passed = _RULES[criterion.rule](timelines, definition, criterion, index_day)
    return ~passed if criterion.exclude else passed


def _alive(timelines: Timelines, definition: EventDefinition, criterion: Criterion, index_day: Days) -> Flags:
    born = (timelines.birth_day == UNKNOWN_DAY) | (timelines.birth_day <= index_day)
    living: Flags = born & ((timelines.death_day == UNKNOWN_DAY) | (timelines.death_day >= index_day))
    return living


def _enrolled(timelines: Timelines, definition: EventDefinition, criterion: Criterion, index_day: Days) -> Flags:
    return timelines.covered(index_day - (criterion.look_back_days or 0), index_day)


def _age(timelines: Timelines, definition: EventDefinition, criterion: Criterion, index_day: Days) -> Flags:
    age_years = whole_years(timelines.birth_day, index_day)
    low = -np.inf if criterion.minimum is None else criterion.minimum
    high = np.inf if criterion.maximum is None else criterion.maximum
    fits: Flags = (timelines.birth_day != UNKNOWN_DAY) & (age_years >= low) & (age_years <= high)
    return fits


def _codes(timelines: Timelines, definition: EventDefinition, criterion: Criterion, index_day: Days) -> Flags:
    entries = definition.codes[criterion.codes or ""]
    whole, _ = timelines.known_before(index_day)
    marked = timelines.visits_with(entries, criterion.visit_types, principal=criterion.principal) & whole
    return _count_visits(timelines, marked, criterion, index_day) >= 1


def _visits(timelines: Timelines, definition: EventDefinition, criterion: Criterion, index_day: Days) -> Flags:
    whole, admissions = timelines.known_before(index_day)
    marked = timelines.visits_with([], criterion.visit_types) & (whole | admissions)
    return _count_visits(timelines, marked, criterion, index_day) >= (criterion.minimum or 1)


def _count_visits(timelines: Timelines, marked: Flags, criterion: Criterion, index_day: Days) -> Days:
    if criterion.look_back_days is not None:
        marked = marked & timelines.in_window(index_day - criterion.look_back_days, index_day)
    return timelines.count(marked)


_RULES: dict[str, Callable[[Timelines, EventDefinition, Criterion, Days], Flags]] = {
    "alive": _alive,
    "enrolled": _enrolled,
    "age": _age,
    "codes": _codes,
    "visits": _visits,
}
