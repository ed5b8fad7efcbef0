"""Index dates: from when each patient is observed."""

from collections.abc import Iterator

import numpy as np

from claim_transformers.cohorts.event.definition import EventDefinition
from claim_transformers.cohorts.event.diagnoses import visits_with_category
from claim_transformers.cohorts.event.sampling import unit_hash
from claim_transformers.cohorts.timelines import UNKNOWN_DAY, Days, Flags, Timelines


def index_candidates(timelines: Timelines, definition: EventDefinition) -> Iterator[tuple[Days, Flags]]:
    """The index dates that a definition allows, one per patient at a time: days, and whether the patient has one."""
    if definition.index.rule == "next_encounter":
        yield _encounter_days(timelines, definition)
        return
    for day in definition.index_days:
        yield np.full(timelines.num_patients, day, np.int64), np.ones(timelines.num_patients, bool)


def _encounter_days(timelines: Timelines, definition: EventDefinition) -> tuple[Days, Flags]:
    first, last = definition.window_days
    in_span = (timelines.visit_day >= first) & (timelines.visit_day <= last)
    # The draw is a function of seed and patient, so it does not move when other patients come or go.
    rank = unit_hash(timelines.patients["patient_id"], f"index/{definition.sampling.seed}")
    if definition.predicts_diagnoses:
        has_category = visits_with_category(timelines)
        choice = in_span & has_category & timelines.visits_with([], definition.label.visit_types)
    else:
        # A case's index is its first outcome visit. A control's is drawn among all its visits in the window with
        # equal weight.
        outcome = outcome_visits(timelines, definition)
        is_case = timelines.count(outcome & in_span) > 0
        choice = in_span & np.where(is_case[timelines.patient_of_visit], outcome, True)
        rank = np.where(is_case, 0.0, rank)
    # Of n visits that can be chosen the one at floor(rank * n) is: `position` numbers them through all patients, and
    # `start` is the number of the first one of each patient.
    number = timelines.count(choice)
    pick = np.floor(rank * np.maximum(number, 1)).astype(np.int64)
    position = np.cumsum(choice) - 1
    start = np.concatenate([[0], np.cumsum(number)])[:-1]
    chosen = choice & (position == (start + pick)[timelines.patient_of_visit])
    days = np.full(timelines.num_patients, UNKNOWN_DAY, np.int64)
    days[timelines.patient_of_visit[chosen]] = timelines.visit_day[chosen]
    return days, number > 0


def outcome_visits(timelines: Timelines, definition: EventDefinition) -> Flags:
    """Which visits are an outcome, whenever they lie; any code counts where the label names no set."""
    label = definition.label
    entries = () if label.codes is None else definition.codes[label.codes]
    return timelines.visits_with(entries, label.visit_types, principal=label.principal)
