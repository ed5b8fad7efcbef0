"""Care that lasts: chronic conditions with onset, flares, visits and monthly fills."""

from dataclasses import dataclass

import numpy as np

from claim_transformers.simulation.engine.calendar import NEVER, Bool, Float, Int
from claim_transformers.simulation.engine.sampling import unit
from claim_transformers.simulation.pediatric import atopy, mood
from claim_transformers.simulation.pediatric.block import Block
from claim_transformers.simulation.pediatric.causes import COURSES, EMERGENCY, STAY, Course
from claim_transformers.simulation.pediatric.population import RACES, PediatricPopulation, by_age

FILL_CHANCE = 0.72
_BLACK = RACES.index("black")
_QUARTER_MONTHS = 3


@dataclass
class Span:
    """When each patient has a condition."""

    # `start`, `end`: first month with it and first month without it again, `NEVER` for those who never get it.
    start: Int
    end: Int


def draw_spans(patients: PediatricPopulation, generator: np.random.Generator) -> dict[str, Span]:
    """Onset and end of every course, earlier ones raising the risk of later ones."""
    black = (patients.race == _BLACK).astype(np.float32)
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


def _draw_span(course: Course, patients: PediatricPopulation, factor: Float, generator: np.random.Generator) -> Span:
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


def add_courses(block: Block, spans: dict[str, Span]) -> Bool:
    """Visits, stays and fills of every chronic course."""
    months = np.arange(block.calendar.months, dtype=np.int32)[:, None]
    enrolled = block.patients.enrolled
    presence = np.zeros((*enrolled.shape, len(COURSES)), dtype=np.bool_)
    for position, course in enumerate(COURSES):
        span = spans[course.name]
        affected = np.flatnonzero((span.start < block.calendar.months) & (span.end > 0))
        present = (span.start[affected] <= months) & (months < span.end[affected])
        presence[:, affected, position] = present
        month, column = np.nonzero(present & enrolled[:, affected])
        if len(month):
            _add_course(block, course, month.astype(np.int32), affected[column].astype(np.int32))
    return presence


def _add_course(block: Block, course: Course, month: Int, patient: Int) -> None:
    """Visits and fills of one course in the months in which it is present and insured."""
    codes, institution = block.codes, block.institution
    cause = codes.cause_of[course.name]
    quarter = (month // _QUARTER_MONTHS + cause * 1000).astype(np.uint64)
    flaring = unit(block.patients.key[patient], quarter) < course.flare
    frailty = np.sqrt(block.patients.frailty[patient])
    rates = (
        course.visits * institution.visit_rate * (1 + flaring),
        course.emergency * institution.emergency_rate * (1 + 2.0 * flaring),
        course.stays * (1 + 2.0 * flaring),
    )
    for kind, rate in zip((int(codes.kind[cause]), EMERGENCY, STAY), rates, strict=True):
        hit = np.flatnonzero(block.happen((-np.expm1(-rate / 12 * frailty)).astype(np.float32)))
        day = block.days_in(month[hit], patient[hit])
        if kind not in (EMERGENCY, STAY):
            day = block.on_weekdays(patient[hit], day)
        pool = np.where(flaring[hit], codes.flare_pool[cause], codes.primary_pool[cause]).astype(np.int32)
        block.add_visits(patient[hit], day, cause, kind, pool)
    for drug_class in course.regimen:
        treated = unit(block.patients.key[patient], cause * 1000 + 999) < course.treated
        hit = np.flatnonzero(treated & block.happen(np.full(len(month), FILL_CHANCE, dtype=np.float32)))
        block.add_fills(patient[hit], block.days_in(month[hit], patient[hit]), codes.drugs.pool(drug_class), 30)


def burden_of(block: Block, presence: Bool) -> Float:
    """Multiplier of acute illness in every insured month: more conditions, more of everything else."""
    count = presence[block.month, block.patient].sum(axis=1, dtype=np.float32)
    conditions, disorders = block.history.conditions, block.history.disorders
    # Children with asthma are seen more often for airway infections; impulsive children are hurt more often.
    count += conditions[block.month, atopy.ASTHMA, block.patient]
    count += (
        1.5 * disorders[block.month, mood.ADHD, block.patient] + disorders[block.month, mood.CONDUCT, block.patient]
    )
    burden: Float = 0.85 + 0.15 * np.minimum(count, 4)
    return burden
