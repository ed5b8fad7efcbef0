"""Claims of stays: the hospital's bills, transfers and interim bills among them, and the bills of its doctors."""

from dataclasses import dataclass

import numpy as np

from claim_transformers.simulation.engine.calendar import NEVER, Bool, Int
from claim_transformers.simulation.engine.menus import Menu
from claim_transformers.simulation.medicare.admission import DISPOSITIONS
from claim_transformers.simulation.medicare.causes import IS_PLANNED, STAY_CAUSES
from claim_transformers.simulation.medicare.codebook import MedicareCodebook
from claim_transformers.simulation.medicare.community import event_keys
from claim_transformers.simulation.medicare.sheets import BILL, PROCEDURES, Sheet, draw_services, new_sheet, some
from claim_transformers.simulation.medicare.stays import Stays, World

# Two more patient discharge statuses, of bills that do not end a stay: transferred, still a patient.
ALL_DISPOSITIONS = (*DISPOSITIONS, "02", "30")
TRANSFERRED, STILL_PATIENT = len(DISPOSITIONS), len(DISPOSITIONS) + 1
ADMIT_TYPES = ("1", "3")
GROUPS = tuple(sorted({group for cause in STAY_CAUSES for group in cause.drg.split()}))
_GROUP_OF = np.array([[GROUPS.index(group) for group in cause.drg.split()] for cause in STAY_CAUSES], dtype=np.int32)
_PROCEDURE_SHARES = (1.0, 0.4, 0.2)


@dataclass
class Bounds:
    """What ends the time after each stay."""

    next_admission: Int  # Day of the next stay, `NEVER` for none.
    death: Int  # Day of death, `NEVER` for none.

    def last_day(self) -> Int:
        """Last day on which care outside hospital can take place."""
        return np.minimum(self.next_admission, self.death)


def bounds_of(stays: Stays, death_day: Int) -> Bounds:
    """Next admission and death for every stay."""
    following = np.full(len(stays), NEVER, dtype=np.int32)
    is_same = stays.patient[1:] == stays.patient[:-1]
    following[:-1] = np.where(is_same, stays.admission[1:], NEVER)
    return Bounds(following, death_day[stays.patient])


def days_since_discharge(stays: Stays, patient: Int, day: Int) -> Int:
    """Days since the latest admission ended, negative or zero inside a stay, many where there was none."""
    keys = event_keys(stays.patient, stays.admission)
    position = np.searchsorted(keys, event_keys(patient, day), side="right") - 1
    at = np.maximum(position, 0)
    is_own = (position >= 0) & (stays.patient[at] == patient)
    found: Int = np.where(is_own, day - stays.discharge[at], 1 << 18)
    return found


def stay_claims(world: World, codes: MedicareCodebook, stays: Stays, generator: np.random.Generator) -> list[Sheet]:
    """Hospital bills and their doctors' bills."""
    first = np.flatnonzero((stays.transfer > 0) | (stays.interim > 0))
    index = np.concatenate([np.arange(len(stays)), first]).astype(np.int32)
    is_first = np.arange(len(index)) >= len(stays)
    moved = stays.transfer[index] > 0
    billed = stays.interim[index] > 0
    start = np.where(is_first, stays.admission[index], np.where(moved, stays.transfer[index], stays.admission[index]))
    start = np.where(billed & ~is_first, stays.interim[index] + 1, start)
    first_end = np.where(moved, stays.transfer[index], stays.interim[index])
    end = np.where(is_first, first_end, stays.discharge[index])
    pools = codes.diagnoses.pool_ids([cause.pool for cause in STAY_CAUSES])
    cause = stays.cause[index]
    sheet = new_sheet("IP", stays.patient[index], start, end, pools[cause], mention=1.2, most=8, place="")
    sheet.admission = np.where(moved & ~is_first, start, stays.admission[index]).astype(np.int32)
    # An interim bill has no discharge: the patient is still there.
    sheet.discharge = np.where(billed & is_first, -1, end).astype(np.int32)
    last = np.where(moved, TRANSFERRED, STILL_PATIENT)
    sheet.disposition = np.where(is_first, last, stays.disposition[index]).astype(np.int32)
    sheet.bill = np.where(billed, np.where(is_first, BILL["112"], BILL["114"]), BILL["111"]).astype(np.int32)
    sheet.admit_type = np.where(stays.came_by_emergency[index], 0, np.where(IS_PLANNED[cause], 1, 0)).astype(np.int32)
    grade = _severity(world, sheet, generator)
    sheet.group = _GROUP_OF[cause, grade]
    _write_procedures(codes, sheet, cause, generator)
    _hospital_lines(sheet, cause, stays.came_by_emergency[index] & (is_first | ~(moved | billed)), grade, generator)
    return [sheet, *_doctor_claims(codes, stays, sheet, generator)]


def _severity(world: World, sheet: Sheet, generator: np.random.Generator) -> Int:
    """Major complication, complication or none: 0, 1 or 2; more often major the more the patient suffers from."""
    grave = world.community.illness[sheet.patient, world.month(sheet.start)]
    uniform = generator.random(len(sheet), dtype=np.float32)
    major = np.clip(0.12 + 0.13 * grave, 0, 0.6)
    return np.where(uniform < major, 0, np.where(uniform < major + 0.33, 1, 2)).astype(np.int32)


def _write_procedures(codes: MedicareCodebook, sheet: Sheet, cause: Int, generator: np.random.Generator) -> None:
    """Up to three procedures; the first one decides whether the stay counts as planned."""
    menu = Menu([item.procedures for item in STAY_CAUSES], codes.procedures.pools)
    for slot, share in enumerate(_PROCEDURE_SHARES):
        uniform = generator.random(len(sheet), dtype=np.float32) / np.float32(share)
        pool = menu.choose(cause, np.minimum(uniform, 1.5))
        if slot:
            # Behind an operation stand lesser procedures, never a second operation of its kind.
            general = np.full(len(sheet), codes.procedures.pool("general"), dtype=np.int32)
            pool = np.where((pool >= 0) & (sheet.procedures[:, slot - 1] >= 0), general, -1)
        done = np.flatnonzero(pool >= 0)
        # The version of a claim's codes goes by the day of discharge.
        uniform = generator.random(len(done), dtype=np.float32)
        drawn = codes.procedures.draw(pool[done].astype(np.int32), uniform, sheet.end[done])
        sheet.procedures[done, slot] = drawn
    for slot in range(1, PROCEDURES):
        again = (sheet.procedures[:, :slot] == sheet.procedures[:, slot, None]).any(axis=1)
        sheet.procedures[again, slot] = -1


def _hospital_lines(sheet: Sheet, cause: Int, came: Bool, grade: Int, generator: np.random.Generator) -> None:
    """Revenue centers: the room with most of the payment, then drugs, laboratory and what else was used."""
    days = (sheet.end - sheet.start).astype(np.float32)
    mean = np.array([item.days for item in STAY_CAUSES], dtype=np.float32)[cause]
    surgical = IS_PLANNED[cause] | np.isin(cause, _OPERATED)
    payment = 2600 + 900 * mean + 5200 * surgical + 2300 * (2 - grade) + 60 * days
    rows = np.arange(len(sheet), dtype=np.int32)
    sheet.add_lines(rows, sheet.start, payment * 0.62, revenue="0120", units=np.maximum(days, 1))
    sheet.add_lines(rows, sheet.start, payment * 0.14, revenue="0250")
    sheet.add_lines(rows, sheet.start, payment * 0.1, revenue="0300")
    used = (
        (came, "0450", 0.05), (surgical, "0360", 0.2), (0.12 + 0.2 * (grade == 0), "0200", 0.15), (0.45, "0320", 0.04),
        (np.minimum(0.05 * days, 0.8), "0420", 0.03), (0.06, "0390", 0.02),
    )  # fmt: skip
    for share, revenue, part in used:
        chosen = some(len(sheet), np.asarray(share, dtype=np.float32), generator)
        sheet.add_lines(chosen, sheet.start[chosen], payment[chosen] * np.float32(part), revenue=revenue)


_OPERATED = [number for number, cause in enumerate(STAY_CAUSES) if cause.name in ("hip_fracture", "ami")]


def _doctor_claims(codes: MedicareCodebook, stays: Stays, bills: Sheet, generator: np.random.Generator) -> list[Sheet]:
    """Carrier claims of attending doctors, consultants, surgeons, the emergency doctor and the ambulance."""
    rows = np.arange(len(stays), dtype=np.int32)
    first, last = stays.admission, stays.discharge
    days = (last - first).astype(np.float32)
    pool = bills.pool[: len(stays)]
    attending = new_sheet("CAR", stays.patient, first, last, pool, mention=0.4, most=4, place="21")
    attending.add_lines(rows, first, 165.0, service=draw_services(codes, "admit_doctor", first, generator))
    stayed = rows[days >= 2]
    attending.add_lines(
        stayed, first[stayed] + 1, 75.0 * (days[stayed] - 1), units=days[stayed] - 1,
        service=draw_services(codes, "daily_doctor", first[stayed], generator),
    )  # fmt: skip
    attending.add_lines(rows, last, 92.0, service=draw_services(codes, "discharge_doctor", last, generator))
    sheets = [attending]
    operated = IS_PLANNED[stays.cause] | np.isin(stays.cause, _OPERATED)
    plans = (
        (some(len(stays), 0.6, generator), "consultant", 95.0, "21"),
        (rows[operated], "surgeon", 1050.0, "21"),
        (rows[stays.came_by_emergency], "visit_emergency", 140.0, "23"),
    )
    for chosen, service, dollars, place in plans:
        day = first[chosen]
        sheet = new_sheet("CAR", stays.patient[chosen], day, day, pool[chosen], mention=0.25, most=3, place=place)
        drawn = draw_services(codes, service, day, generator)
        sheet.add_lines(np.arange(len(chosen), dtype=np.int32), day, dollars, service=drawn)
        sheets.append(sheet)
    called = rows[stays.came_by_emergency]
    called = called[some(len(called), 0.3, generator)]
    day = first[called]
    sheet = new_sheet("CAR", stays.patient[called], day, day, pool[called], mention=0.1, most=2, place="23")
    ride = draw_services(codes, "ambulance", day, generator)
    sheet.add_lines(np.arange(len(called), dtype=np.int32), day, 330.0, service=ride)
    return [*sheets, sheet]


def follow_up_claims(codes: MedicareCodebook, stays: Stays, bounds: Bounds, generator: np.random.Generator) -> Sheet:
    """The first visit after a stay, where nothing came before it."""
    seen = np.flatnonzero((stays.follow_up > 0) & (stays.follow_up < bounds.last_day()))
    day = stays.follow_up[seen]
    lasting = [cause.drug_condition or "minor" for cause in STAY_CAUSES]
    pool = codes.diagnoses.pool_ids(lasting)[stays.cause[seen]]
    sheet = new_sheet("CAR", stays.patient[seen], day, day, pool, mention=0.6, most=4, place="11")
    service = draw_services(codes, "follow_up", day, generator)
    sheet.add_lines(np.arange(len(seen), dtype=np.int32), day, 110.0, service=service)
    return sheet
