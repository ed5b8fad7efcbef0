"""Claims of care after a stay and before death: nursing facilities, home health, hospice."""

import numpy as np

from claim_transformers.simulation.engine.calendar import NEVER, Bool, Int
from claim_transformers.simulation.medicare.admission import DIED, FACILITY, HOME, HOME_HEALTH, HOSPICE
from claim_transformers.simulation.medicare.care_stays import STILL_PATIENT, TRANSFERRED, Bounds
from claim_transformers.simulation.medicare.causes import STAY_CAUSES
from claim_transformers.simulation.medicare.codebook import MedicareCodebook
from claim_transformers.simulation.medicare.sheets import BILL, Sheet, draw_services, new_sheet, some
from claim_transformers.simulation.medicare.stays import Stays, World

# Mean and longest days in a nursing facility (42 CFR 409.61: 100 days in a benefit period), and of one bill.
_FACILITY_DAYS, _FACILITY_MOST, _BILL_DAYS = 24.0, 100, 30
# A home health episode (42 CFR 484.205, before 2020).
_EPISODE_DAYS = 60
_HOME_HEALTH_AFTER_FACILITY = 0.35
# Share of those who die at home in hospice care, and the median of its days (MedPAC, Report to the Congress 2013: 44
# %, 18).
_HOSPICE_SHARE, _HOSPICE_DAYS, _HOSPICE_SPREAD = 0.36, 18.0, 1.2


def after_claims(codes: MedicareCodebook, stays: Stays, bounds: Bounds, generator: np.random.Generator) -> list[Sheet]:
    """Claims of nursing facilities and home health agencies."""
    sent = np.flatnonzero(stays.disposition == FACILITY)
    days = generator.standard_gamma(1.4, len(sent)) / 1.4 * _FACILITY_DAYS
    planned = stays.discharge[sent] + np.clip(days, 3, _FACILITY_MOST).astype(np.int32)
    end = np.minimum(planned, bounds.last_day()[sent])
    back = bounds.next_admission[sent] <= end
    sheets = _facility(codes, stays, sent, end, back, bounds.death[sent] <= end, generator)
    home = np.flatnonzero(stays.disposition == HOME_HEALTH)
    left = np.flatnonzero((end == planned) & (generator.random(len(sent)) < _HOME_HEALTH_AFTER_FACILITY))
    stay = np.concatenate([home, sent[left]])
    start = np.concatenate([stays.discharge[home], end[left]]) + generator.integers(1, 4, len(stay), dtype=np.int32)
    return [*sheets, *_home_health(codes, stays, stay, start, bounds.last_day()[stay], generator)]


def _facility(
    codes: MedicareCodebook, stays: Stays, sent: Int, end: Int, back: Bool, died: Bool, generator: np.random.Generator
) -> list[Sheet]:
    """Bills of one month each, from the day of discharge to the end."""
    pool = codes.diagnoses.pool("aftercare")
    sheets = []
    begin = stays.discharge[sent]
    for part in range(-(-_FACILITY_MOST // _BILL_DAYS)):
        start = begin + part * _BILL_DAYS
        here = np.flatnonzero((start < end) if part else np.ones(len(sent), dtype=np.bool_))
        start, stop = start[here], np.minimum(start[here] + _BILL_DAYS - 1, end[here])
        is_last = stop == end[here]
        sheet = new_sheet("SNF", stays.patient[sent[here]], start, stop, pool, mention=0.8, most=8)
        sheet.admission = begin[here].astype(np.int32)
        sheet.discharge = np.where(is_last, stop, -1).astype(np.int32)
        ended = np.where(died[here], DIED, np.where(back[here], TRANSFERRED, HOME))
        sheet.disposition = np.where(is_last, ended, STILL_PATIENT).astype(np.int32)
        opening, closing = (BILL["211"], BILL["214"]) if not part else (BILL["214"], BILL["213"])
        whole = np.where(is_last, opening, BILL["212"] if not part else closing)
        sheet.bill = whole.astype(np.int32)
        rows = np.arange(len(here), dtype=np.int32)
        days = (stop - start + 1).astype(np.float32)
        group = draw_services(codes, "nursing_group", start, generator)
        sheet.add_lines(rows, start, 390.0 * days, revenue="0022", service=group, units=days)
        sheet.add_lines(rows, start, 20.0 * days, revenue="0120", units=days)
        treated = some(len(rows), 0.75, generator)
        sheet.add_lines(treated, start[treated], 15.0 * days[treated], revenue="0420", units=days[treated])
        sheets.append(sheet)
    return sheets


def _home_health(
    codes: MedicareCodebook, stays: Stays, stay: Int, start: Int, last_day: Int, generator: np.random.Generator
) -> list[Sheet]:
    """One episode of 60 days, cut by death or the next stay."""
    kept = np.flatnonzero(start < last_day)
    stay, start = stay[kept], start[kept]
    length = generator.integers(15, _EPISODE_DAYS, len(kept), dtype=np.int32)
    end = np.minimum(start + length, last_day[kept])
    pools = codes.diagnoses.pool_ids([cause.drug_condition or "aftercare" for cause in STAY_CAUSES])
    sheet = new_sheet(
        "HHA", stays.patient[stay], start, end, pools[stays.cause[stay]], mention=0.7, most=6, bill="329"
    )
    rows = np.arange(len(kept), dtype=np.int32)
    group = draw_services(codes, "home_health_group", start, generator)
    sheet.add_lines(rows, start, 2300.0, revenue="0023", service=group)
    for number, (revenue, service, share) in enumerate(
        (
            ("0551", "nursing_visit", 1.0),
            ("0551", "nursing_visit", 0.7),
            ("0420", "therapy_visit", 0.6),
            ("0571", "aide_visit", 0.3),
        )
    ):
        visited = some(len(rows), share, generator)
        day = np.minimum(start[visited] + number * 9, end[visited])
        drawn = draw_services(codes, service, day, generator)
        sheet.add_lines(visited, day, 0.0, revenue=revenue, service=drawn, units=3.0)
    return [sheet]


def hospice_claims(
    world: World, codes: MedicareCodebook, stays: Stays, death_day: Int, generator: np.random.Generator
) -> list[Sheet]:
    """Hospice care from a discharge to it, or from some time before a death at home, to death."""
    size = len(death_day)
    latest = np.full(size, int(world.calendar.first) - 400, dtype=np.int32)
    latest[stays.patient] = stays.discharge
    final = np.full(size, HOME, dtype=np.int32)
    final[stays.patient] = stays.disposition
    begin_home = death_day - (_HOSPICE_DAYS * np.exp(_HOSPICE_SPREAD * generator.standard_normal(size))).astype(
        np.int32
    )
    begin_home = np.maximum(begin_home, latest + 1)
    at_home = (final < HOSPICE) & (final != DIED) & (generator.random(size) < _HOSPICE_SHARE) & (death_day < NEVER)
    begin = np.where(final >= HOSPICE, latest, begin_home)
    end = np.minimum(death_day, world.calendar.last)
    patient = np.flatnonzero(((final >= HOSPICE) | at_home) & (begin <= end)).astype(np.int32)
    sheets = []
    pool = codes.diagnoses.pool("hospice")
    while len(patient):
        start = begin[patient]
        stop = np.minimum(start + _BILL_DAYS - 1, end[patient])
        is_last = stop >= end[patient]
        sheet = new_sheet("HOSP", patient, start, stop, pool, mention=0.25, most=3)
        sheet.bill = np.where(is_last, BILL["811"], BILL["812"]).astype(np.int32)
        died = is_last & (death_day[patient] == stop)
        sheet.disposition = np.where(died, DIED, STILL_PATIENT).astype(np.int32)
        rows = np.arange(len(patient), dtype=np.int32)
        days = (stop - start + 1).astype(np.float32)
        place = draw_services(codes, "hospice_place", start, generator)
        sheet.add_lines(rows, start, 148.0 * days, revenue="0651", service=place, units=days)
        visit = draw_services(codes, "hospice_visit", start, generator)
        sheet.add_lines(rows, start, 0.0, revenue="0551", service=visit, units=4.0)
        sheets.append(sheet)
        begin[patient] = stop + 1
        patient = patient[~is_last]
    return sheets
