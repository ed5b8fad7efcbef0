"""The life of each patient as a chain of stays, from one end of a hazard to the next, all patients at once.

After a discharge three ends compete: an unplanned stay, a planned one, and death. The time to the first of them is
drawn by inverting their cumulative hazard: day by day for 30 days, in periods of 30 days up to half a year, and by
month from then on. One round of the loop draws the next end of every patient who is still alive, so there are as many
rounds as the most stays of any patient.
"""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from claim_transformers.simulation.engine.calendar import NEVER, Bool, Calendar, Float, Int
from claim_transformers.simulation.medicare.admission import Admissions, admit
from claim_transformers.simulation.medicare.causes import IS_PLANNED
from claim_transformers.simulation.medicare.community import Contacts, event_keys
from claim_transformers.simulation.medicare.conditions import BURN_IN_MONTHS, Illness
from claim_transformers.simulation.medicare.hazards import (
    ELEVATED_DAYS,
    FADING_DAYS,
    FOLLOW_UP_EFFECT,
    HORIZON_DAYS,
    NOT_FILLED_EFFECT,
    PERIOD_DAYS,
    PERIODS,
    REFERENCE_HAZARD,
    SHARE_OF_BURDEN,
    Community,
    Discharge,
    day_profiles,
    follow_up_chance,
)
from claim_transformers.simulation.medicare.planted import PlantedBias, PlantedDrift
from claim_transformers.simulation.medicare.population import MedicarePopulation

_UNPLANNED, _PLANNED, _DEATH = range(3)
# A hospital cannot be left and entered more often than this; the loop would end long before.
_MAX_ROUNDS = 400
# Days in which what earlier stays leave behind falls to a third.
_MEMORY_DAYS = 75.0


@dataclass
class Stays:
    """Stays of one block in order of patient and time, one entry each."""

    # `patient`, `cause`, `admission`, `discharge`: who, why, from when to when (days since 1970-01-01).
    patient: Int
    cause: Int
    admission: Int
    discharge: Int
    disposition: Int  # Index into `admission.DISPOSITIONS`.
    transfer: Int  # Day on which another hospital took over, `-1` for none.
    interim: Int  # Last day of the interim bill, `-1` for none.
    came_by_emergency: Bool  # Through the emergency department.
    follow_up: Int  # Day of the first visit after discharge, `-1` for none within 30 days.
    is_filled: Bool  # The drug prescribed at discharge was filled.
    is_drug_due: Bool  # A drug was prescribed that the patient's coverage pays.
    hazards: Discharge  # From which the time after each is drawn, and from which its true risk follows.

    def __len__(self) -> int:
        return len(self.patient)


def _join(parts: list[Stays]) -> Stays:
    """Stays of all rounds in order of patient and time."""

    def together(records: list[Any], order: Any) -> dict[str, Any]:
        names = [item.name for item in fields(records[0]) if item.name != "hazards"]
        return {name: np.concatenate([getattr(record, name) for record in records])[order] for name in names}

    key = np.concatenate([event_keys(part.patient, part.admission) for part in parts])
    order = np.argsort(key, kind="stable")
    hazards = Discharge(**together([part.hazards for part in parts], order))
    return Stays(hazards=hazards, **together(parts, order))


@dataclass
class _Waiting:
    """Patients between two ends, one entry each."""

    patient: Int
    since: Int
    is_after_stay: Bool
    unplanned_factor: Float
    discharge: Discharge
    follow_up: Int
    is_filled: Bool
    last_cause: Int
    memory: Float


@dataclass
class World:
    """What the chain of stays is drawn from."""

    # `patients`, `illness`, `community`, `contacts`, `calendar`, `bias`, `drift`: of one block.
    patients: MedicarePopulation
    illness: Illness
    community: Community
    contacts: Contacts
    calendar: Calendar
    bias: PlantedBias
    drift: PlantedDrift
    bias_members: Bool = field(init=False)  # Patients of the subgroup that a bias is planted against.
    _first: int = field(init=False, repr=False)
    _month_of: Int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.bias_members = self.bias.members(self.patients)
        first = int(self.calendar.first_day(np.array(-BURN_IN_MONTHS)))
        days = np.arange(first, self.calendar.last + 1, dtype=np.int32)
        self._first = first
        self._month_of = (self.calendar.month_of_day(days) + BURN_IN_MONTHS).astype(np.int32)

    def month(self, day: Int) -> Int:
        """Column of the monthly tables, the last one for days after the window."""
        found: Int = self._month_of[np.clip(day - self._first, 0, len(self._month_of) - 1)]
        return found


def draw_stays(world: World, generator: np.random.Generator) -> tuple[Stays, Int]:
    """Draw the stays and the deaths of one block."""
    death_day = np.full(len(world.patients), NEVER, dtype=np.int32)
    return _join(_draw_chain(world, _everyone(world), death_day, generator)), death_day


def continue_stays(
    world: World, stays: Stays, death_day: Int, first_day: int, generator: np.random.Generator
) -> tuple[Stays, Int]:
    """Draw other stays and deaths from a day on, given everything that had begun by then."""
    had_begun = np.flatnonzero(stays.admission < first_day)
    names = [item.name for item in fields(Stays) if item.name != "hazards"]
    hazards = Discharge(*(getattr(stays.hazards, item.name)[had_begun] for item in fields(Discharge)))
    past = Stays(hazards=hazards, **{name: getattr(stays, name)[had_begun] for name in names})
    waiting, dies_inside = _waiting_on(world, past, first_day)
    is_settled = (death_day < first_day) | dies_inside
    deaths = np.where(is_settled, death_day, np.int32(NEVER)).astype(np.int32)
    waiting = _take(waiting, np.flatnonzero(~is_settled))
    return _join([past, *_draw_chain(world, waiting, deaths, generator, first_day)]), deaths


def _waiting_on(world: World, past: Stays, first_day: int) -> tuple[_Waiting, Bool]:
    """Where each patient is in the chain on a day, and who will not leave the hospital alive."""
    waiting, size = _everyone(world), len(world.patients)
    waiting.since[:] = first_day - 1
    last = np.full(size, -1)
    last[past.patient] = np.arange(len(past))
    came, stay = np.flatnonzero(last >= 0), last[last >= 0]
    is_planned = IS_PLANNED[past.cause]
    repeats = np.bincount(past.patient, weights=~is_planned, minlength=size)
    # Days outside hospital up to each stay, from which what is left of earlier ones fades.
    gap_days = past.admission - np.append(0, past.discharge[:-1])
    gap_days[np.append(True, past.patient[1:] != past.patient[:-1])[: len(past)]] = 0
    outside = np.cumsum(gap_days)
    left = np.exp(-(outside[last[past.patient]] - outside) / _MEMORY_DAYS) * np.where(is_planned, 0.35, 1.0)
    memory = np.bincount(past.patient, weights=left, minlength=size).astype(np.float32)
    waiting.unplanned_factor = np.minimum(1.05**repeats, 2.0).astype(np.float32)
    discharge = past.discharge[stay]
    waiting.discharge = Discharge(*(getattr(waiting.discharge, item.name).copy() for item in fields(Discharge)))
    for item in fields(Discharge):
        getattr(waiting.discharge, item.name)[came] = getattr(past.hazards, item.name)[stay]
    # Hazards are raised for half a year; who was at home for longer has no memory of the days since.
    is_recent = discharge + ELEVATED_DAYS >= first_day - 1
    faded_days = np.where(is_recent, 0, first_day - 1 - discharge)
    waiting.since[came] = np.where(is_recent, discharge, first_day - 1)
    waiting.is_after_stay[came] = is_recent
    waiting.follow_up[came] = np.where(past.follow_up[stay] > 0, past.follow_up[stay] - discharge, -1)
    waiting.is_filled[came], waiting.last_cause[came] = past.is_filled[stay], past.cause[stay]
    waiting.memory = memory
    waiting.memory[came] *= np.exp(-faded_days / _MEMORY_DAYS).astype(np.float32)
    dies_inside = np.zeros(size, dtype=np.bool_)
    dies_inside[came] = past.disposition[stay] == 0
    return waiting, dies_inside


def _end_after(world: World, waiting: _Waiting, first_day: int, generator: np.random.Generator) -> tuple[Int, Int]:
    """The next end given that there was none before a day: drawn again until it is so."""
    day, end = _next_end(world, waiting, generator)
    for _ in range(_MAX_ROUNDS):
        early = np.flatnonzero(day < first_day)
        if not len(early):
            break
        day[early], end[early] = _next_end(world, _take(waiting, early), generator)
    return np.maximum(day, first_day).astype(np.int32), end


def _draw_chain(
    world: World, waiting: _Waiting, death_day: Int, generator: np.random.Generator, first_day: int | None = None
) -> list[Stays]:
    """Stays of every round, from where the patients wait; deaths are written in place."""
    parts: list[Stays] = []
    for number in range(_MAX_ROUNDS):
        if not len(waiting.patient):
            break
        if number or first_day is None:
            day, end = _next_end(world, waiting, generator)
        else:
            day, end = _end_after(world, waiting, first_day, generator)
        inside = day <= world.calendar.last
        died = inside & (end == _DEATH)
        death_day[waiting.patient[died]] = day[died]
        chosen = np.flatnonzero(inside & (end != _DEATH))
        if not len(chosen):
            break
        stays, waiting = _one_round(world, _take(waiting, chosen), day[chosen], end[chosen] == _PLANNED, generator)
        deceased = stays.disposition == 0
        death_day[stays.patient[deceased]] = stays.discharge[deceased]
        parts.append(stays)
    return parts


def _everyone(world: World) -> _Waiting:
    """All patients at the start, none of whom has been in hospital yet."""
    size = len(world.patients)
    zero, one = np.zeros(size, dtype=np.float32), np.ones(size, dtype=np.float32)
    start = int(world.calendar.first_day(np.array(-BURN_IN_MONTHS)))
    return _Waiting(
        patient=np.arange(size, dtype=np.int32),
        since=np.full(size, start - 1, dtype=np.int32),
        is_after_stay=np.zeros(size, dtype=np.bool_),
        unplanned_factor=one,
        discharge=Discharge(zero, zero, zero, zero, zero, one),
        follow_up=np.full(size, -1, dtype=np.int32),
        is_filled=np.ones(size, dtype=np.bool_),
        last_cause=np.full(size, -1, dtype=np.int32),
        memory=zero,
    )


def _take(waiting: _Waiting, index: Int) -> _Waiting:
    columns = {item.name: getattr(waiting, item.name) for item in fields(_Waiting)}
    discharge = columns.pop("discharge")
    cut = Discharge(*(getattr(discharge, item.name)[index] for item in fields(Discharge)))
    return _Waiting(discharge=cut, **{name: column[index] for name, column in columns.items()})


def _next_end(world: World, waiting: _Waiting, generator: np.random.Generator) -> tuple[Int, Int]:
    """Day and kind of the next end; a day after the window where there is none in it."""
    count = len(waiting.patient)
    reach = generator.standard_exponential(count, dtype=np.float32)
    which = generator.random(count, dtype=np.float32)
    place = generator.random(count, dtype=np.float32)
    day = np.full(count, NEVER, dtype=np.int32)
    end = np.zeros(count, dtype=np.int32)
    later = np.arange(count)
    soon = np.flatnonzero(waiting.is_after_stay)
    if len(soon):
        hazards = _elevated(world, _take(waiting, soon))
        cumulative = np.cumsum(hazards.sum(axis=0), axis=1)
        # Inversion: the end falls into the first piece whose cumulative hazard passes an exponential number. Counting
        # the pieces before it is that position, and is the number of pieces where none passes.
        piece = (cumulative <= reach[soon, None]).sum(axis=1)
        hit = piece < cumulative.shape[1]
        at, piece_hit = soon[hit], piece[hit]
        in_period = piece_hit >= HORIZON_DAYS
        # The first 30 pieces are days, counted from 1; the others are periods, inside which each day is as likely.
        offset = np.where(
            in_period,
            HORIZON_DAYS + 1 + (piece_hit - HORIZON_DAYS) * PERIOD_DAYS + (place[at] * PERIOD_DAYS).astype(np.int32),
            piece_hit + 1,
        )
        day[at] = waiting.since[at] + offset
        end[at] = _kind(hazards[:, hit, piece_hit], which[at])
        # What the hazard of these pieces has used up is gone: an exponential number has no memory, so the rest reaches
        # on into the months. For patients whose end is found it is not read again.
        reach[soon] -= cumulative[:, -1]
        later = np.flatnonzero(day == NEVER)
    _later_end(world, waiting, later, reach, which, day, end)
    return day, end


def _kind(hazards: Float, uniform: Float) -> Int:
    """Which of three ends it is, by their hazards, shape `(3, entries)`."""
    steps = np.cumsum(hazards, axis=0)
    threshold = uniform * steps[2]
    kind: Int = ((threshold >= steps[0]).astype(np.int32) + (threshold >= steps[1])).astype(np.int32)
    return kind


def _elevated(world: World, waiting: _Waiting) -> Float:
    """Hazards of the three ends in each piece of the time after discharge, shape `(3, patients, pieces)`."""
    early, planned_profile, death_profile, _ = day_profiles()
    discharge = waiting.discharge
    count, pieces = len(waiting.patient), HORIZON_DAYS + PERIODS
    hazards = np.empty((3, count, pieces), dtype=np.float32)
    days = np.arange(1, HORIZON_DAYS + 1)
    seen = (waiting.follow_up[:, None] > 0) & (days[None, :] > waiting.follow_up[:, None])
    care = np.where(waiting.is_filled, np.float32(1), np.float32(NOT_FILLED_EFFECT))
    boost = discharge.boost * care
    followed = np.where(seen, np.float32(FOLLOW_UP_EFFECT), np.float32(1))
    hazards[_UNPLANNED, :, :HORIZON_DAYS] = (discharge.unplanned * boost)[:, None] * early * followed
    hazards[_PLANNED, :, :HORIZON_DAYS] = discharge.planned[:, None] * planned_profile
    hazards[_DEATH, :, :HORIZON_DAYS] = discharge.death[:, None] * death_profile
    soon = discharge.unplanned * boost * followed[:, -1]
    community, patient = world.community, waiting.patient
    for period in range(PERIODS):
        middle = HORIZON_DAYS + PERIOD_DAYS * period + PERIOD_DAYS // 2
        month = world.month(waiting.since + middle)
        fading = np.float32(np.exp(-(middle - HORIZON_DAYS) / FADING_DAYS))
        column = HORIZON_DAYS + period
        ordinary = community.unplanned[patient, month] * waiting.unplanned_factor
        hazards[_UNPLANNED, :, column] = ordinary + np.maximum(soon - ordinary, 0) * fading
        hazards[_PLANNED, :, column] = community.planned[patient, month]
        mortality = community.death[patient, month]
        hazards[_DEATH, :, column] = mortality + np.maximum(discharge.death - mortality, 0) * fading
    # So far per day; a piece of the second kind holds a whole period.
    hazards[:, :, HORIZON_DAYS:] *= PERIOD_DAYS
    return hazards


def _later_end(world: World, waiting: _Waiting, later: Int, reach: Float, which: Float, day: Int, end: Int) -> None:
    """Ends by month, for those whose discharge is half a year back or who have not been in hospital; in place."""
    community, calendar = world.community, world.calendar
    patient = waiting.patient[later]
    # Months are cut by the day from which they count, so a first month weighs only its remaining days.
    first = waiting.since[later] + 1 + np.where(waiting.is_after_stay[later], ELEVATED_DAYS, 0)
    months = np.arange(-BURN_IN_MONTHS, calendar.months, dtype=np.int32)
    start, stop = calendar.first_day(months), calendar.last_day(months)
    length = np.clip(stop[None, :] - np.maximum(start[None, :], first[:, None]) + 1, 0, None).astype(np.float32)
    unplanned = community.unplanned[patient] * waiting.unplanned_factor[later, None]
    planned, death = community.planned[patient], community.death[patient]
    total = (unplanned + planned + death) * length
    cumulative = np.cumsum(total, axis=1)
    month = (cumulative <= reach[later, None]).sum(axis=1)
    row = np.flatnonzero(month < len(months))
    column = month[row]
    before = cumulative[row, column] - total[row, column]
    share = (reach[later[row]] - before) / np.maximum(total[row, column], np.float32(1e-20))
    days = np.minimum((share * length[row, column]).astype(np.int32), length[row, column].astype(np.int32) - 1)
    at = later[row]
    day[at] = np.maximum(start[column], first[row]) + np.maximum(days, 0)
    rates = np.stack([unplanned[row, column], planned[row, column], death[row, column]])
    end[at] = _kind(rates, which[at])


def _one_round(
    world: World, waiting: _Waiting, day: Int, is_planned: Bool, generator: np.random.Generator
) -> tuple[Stays, _Waiting]:
    """The next stay of each of these patients, and what awaits them after it."""
    gap_days = day - waiting.since
    memory = waiting.memory * np.exp(-gap_days / np.float32(_MEMORY_DAYS)).astype(np.float32)
    last_cause = np.where(waiting.is_after_stay & (gap_days <= 60), waiting.last_cause, -1)
    last_discharge = np.where(waiting.is_after_stay, waiting.since, np.int32(-(1 << 20)))
    found: Admissions = admit(world, waiting.patient, day, is_planned, last_cause, last_discharge, memory, generator)
    factor = np.minimum(waiting.unplanned_factor * np.where(is_planned, 1.0, 1.05), 2.0).astype(np.float32)
    month = world.month(found.discharge)
    ordinary = world.community.unplanned[waiting.patient, month] * factor
    discharge = Discharge(
        unplanned=(REFERENCE_HAZARD * (ordinary / REFERENCE_HAZARD) ** SHARE_OF_BURDEN).astype(np.float32),
        boost=found.boost,
        planned=found.planned,
        death=found.death,
        follow_up=found.follow_up,
        fill_chance=found.fill_chance,
    )
    visit = generator.random((len(day), HORIZON_DAYS), dtype=np.float32) < follow_up_chance(discharge)
    follow_up = np.where(visit.any(axis=1), visit.argmax(axis=1) + 1, -1).astype(np.int32)
    is_filled = generator.random(len(day), dtype=np.float32) < found.fill_chance
    lives = found.disposition > 0
    stays = Stays(
        patient=waiting.patient,
        cause=found.cause,
        admission=day,
        discharge=found.discharge,
        disposition=found.disposition,
        transfer=found.transfer,
        interim=found.interim,
        came_by_emergency=found.came_by_emergency,
        follow_up=np.where(follow_up > 0, found.discharge + follow_up, -1).astype(np.int32),
        is_filled=is_filled,
        is_drug_due=found.is_drug_due,
        hazards=discharge,
    )
    after = _Waiting(
        patient=waiting.patient,
        since=found.discharge,
        is_after_stay=np.ones(len(day), dtype=np.bool_),
        unplanned_factor=factor,
        discharge=discharge,
        follow_up=follow_up,
        is_filled=is_filled,
        last_cause=found.cause,
        memory=memory + np.where(is_planned, 0.35, 1.0).astype(np.float32),
    )
    return stays, _take(after, np.flatnonzero(lives))
