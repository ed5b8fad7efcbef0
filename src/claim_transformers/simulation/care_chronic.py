"""Care that lasts: chronic conditions with onset, flares, visits and monthly fills."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .block import Block
from .calendar import Bool, Float, Int
from .causes import EMERGENCY, STAY, Course
from .chronic_causes import COURSES
from .population import NEVER, RACES, Population, by_age
from .sampling import unit

FILL_CHANCE = 0.72
BLACK = RACES.index("black")
QUARTER_MONTHS = 3


@dataclass
class Span:
    """When each patient has a condition.

    Attributes:
        start, end: First month with it and first month without it again, `NEVER` for those who never get it.
    """

    start: Int
    end: Int


def draw_spans(patients: Population, generator: np.random.Generator) -> dict[str, Span]:
    """Onset and end of every course, earlier ones raising the risk of later ones.

    Args:
        patients (`Population`): Patients of one block.
        generator (`np.random.Generator`): Stream.

    Returns:
        `dict[str, Span]`: By name of course.
    """
    black = (patients.race == BLACK).astype(np.float32)
    has: dict[str, Float] = {
        "premature": patients.premature,
        "term": 1 - patients.premature,
        "black": black,
        "not_black": 1 - black,
        "hardship": patients.hardship,
        "abused": (patients.abuse_month < NEVER).astype(np.float32),
    }
    spans = {}
    for course in COURSES:
        factor = np.where(patients.male > 0, course.male_ratio, 1.0) * 2 / (1 + course.male_ratio)
        for name, ratio in course.after:
            factor = factor * (1 + (ratio - 1) * has[name])
        spans[course.name] = _draw_span(course, patients, factor.astype(np.float32), generator)
        has[course.name] = (spans[course.name].start < NEVER).astype(np.float32)
    return spans


def _draw_span(course: Course, patients: Population, factor: Float, generator: np.random.Generator) -> Span:
    """Onset by inverting the cumulative rate over age; the end by an exponential duration."""
    size = len(patients)
    cumulative = np.cumsum(by_age(course.onset)) / 12
    reached = generator.standard_exponential(size, dtype=np.float32) / np.maximum(factor, 1e-6)
    age = np.searchsorted(cumulative, reached)
    inborn = generator.random(size, dtype=np.float32) < course.at_birth * factor
    age = np.where(inborn, 0, age)
    start = np.where(age < len(cumulative), patients.birth_month + age, NEVER)
    months = generator.standard_exponential(size, dtype=np.float32) * 12 / max(course.remission, 1e-4)
    end = np.where(start < NEVER, start + 1 + np.minimum(months, 1e5).astype(np.int32), NEVER)
    return Span(start.astype(np.int32), end.astype(np.int32))


def add_courses(block: Block, spans: dict[str, Span]) -> dict[str, Bool]:
    """Visits, stays and fills of every chronic course.

    Args:
        block (`Block`): Receives visits and fills.
        spans (`dict[str, Span]`): Output of `draw_spans`.

    Returns:
        `dict[str, np.ndarray]`: Presence of each course by month and patient, for those who have it at any time.
    """
    months = np.arange(block.calendar.months, dtype=np.int32)[:, None]
    presence = {}
    for course in COURSES:
        span = spans[course.name]
        present = (span.start <= months) & (months < span.end)
        presence[course.name] = present
        month, patient = np.nonzero(present & block.patients.enrolled)
        if len(month):
            _add_course(block, course, month.astype(np.int32), patient.astype(np.int32))
    return presence


def _add_course(block: Block, course: Course, month: Int, patient: Int) -> None:
    """Visits and fills of one course in the months in which it is present and insured."""
    catalog, institution = block.catalog, block.institution
    cause = catalog.cause_of[course.name]
    quarter = (month // QUARTER_MONTHS + cause * 1000).astype(np.uint64)
    flaring = unit(block.patients.key[patient], quarter) < course.flare
    frailty = np.sqrt(block.patients.frailty[patient])
    rates = (
        course.visits * institution.visit_rate * (1 + flaring),
        course.emergency * institution.emergency_rate * (1 + 2.0 * flaring),
        course.stays * (1 + 2.0 * flaring),
    )
    for kind, rate in zip((int(catalog.kind[cause]), EMERGENCY, STAY), rates, strict=True):
        hit = np.flatnonzero(block.happen((-np.expm1(-rate / 12 * frailty)).astype(np.float32)))
        day = block.days_in(month[hit], patient[hit])
        if kind not in (EMERGENCY, STAY):
            day = block.on_weekdays(patient[hit], day)
        pool = np.where(flaring[hit], catalog.flare_pool[cause], catalog.primary_pool[cause]).astype(np.int32)
        block.add_visits(patient[hit], day, cause, kind, pool)
    for drug_class in course.regimen:
        treated = unit(block.patients.key[patient], cause * 1000 + 999) < course.treated
        hit = np.flatnonzero(treated & block.happen(np.full(len(month), FILL_CHANCE, dtype=np.float32)))
        block.add_fills(patient[hit], block.days_in(month[hit], patient[hit]), catalog.drugs.pool(drug_class), 30)


def burden_of(block: Block, presence: dict[str, Bool]) -> Float:
    """Multiplier of acute illness in every insured month: more conditions, more of everything else."""
    count = np.zeros(block.patients.enrolled.shape, dtype=np.float32)
    for present in presence.values():
        count += present
    history = block.history
    # Impulsive children are hurt more often; children with asthma are seen more often for airway infections.
    count += history.conditions[:, -1] + 1.5 * history.disorders[:, 0] + history.disorders[:, 2]
    extra: Float = 0.85 + 0.15 * np.minimum(count[block.month, block.patient], 4)
    return extra
