"""Claims for care outside hospital: offices, laboratories, hospital outpatient departments, equipment."""

import numpy as np

from claim_transformers.simulation.engine.calendar import Bool, Int
from claim_transformers.simulation.engine.sampling import unit
from claim_transformers.simulation.medicare.codebook import MedicareCodebook
from claim_transformers.simulation.medicare.community import MINOR, Events
from claim_transformers.simulation.medicare.conditions import BURN_IN_MONTHS, CONDITION_NAMES, CONDITIONS, ESRD
from claim_transformers.simulation.medicare.sheets import Sheet, draw_services, new_sheet, some
from claim_transformers.simulation.medicare.stays import Stays, World

_LABORATORY_SHARE, _IMAGING_SHARE, _CLINIC_SHARE = 0.24, 0.07, 0.06
_DIALYSIS_SESSIONS = 13.0
_COPD, _DIABETES = CONDITION_NAMES.index("copd"), CONDITION_NAMES.index("diabetes")
_STROKE, _PARKINSON = CONDITION_NAMES.index("stroke"), CONDITION_NAMES.index("parkinson")


def _reason_pools(codes: MedicareCodebook) -> Int:
    """Pool of diagnoses of every reason for a visit."""
    return codes.diagnoses.pool_ids([*(condition.name for condition in CONDITIONS), "minor"])


def office_claims(codes: MedicareCodebook, visits: Events, generator: np.random.Generator) -> list[Sheet]:
    """Carrier claims of office visits, with laboratory, imaging and clinic visits that come of them."""
    pool = _reason_pools(codes)[visits.reason]
    office = new_sheet("CAR", visits.patient, visits.day, visits.day, pool, mention=0.45, place="11")
    everyone = np.arange(len(visits), dtype=np.int32)
    for name, rows in (
        ("office", everyone[visits.reason != MINOR]),
        ("office_minor", everyone[visits.reason == MINOR]),
    ):
        office.add_lines(rows, visits.day[rows], 74.0, service=draw_services(codes, name, visits.day[rows], generator))
    tested = some(len(visits), 0.3, generator)
    day = visits.day[tested]
    office.add_lines(tested, day, 16.0, service=draw_services(codes, "office_test", day, generator))
    sheets = [office]
    sent = some(len(visits), _LABORATORY_SHARE, generator)
    day = visits.day[sent] + generator.integers(0, 4, len(sent), dtype=np.int32)
    laboratory = new_sheet("CAR", visits.patient[sent], day, day, pool[sent], mention=0.15, most=2, place="81")
    rows = np.arange(len(sent), dtype=np.int32)
    for share in (1.0, 0.7, 0.3):
        chosen = rows[some(len(rows), share, generator)] if share < 1 else rows
        service = draw_services(codes, "laboratory", day[chosen], generator)
        laboratory.add_lines(chosen, day[chosen], 11.0, service=service)
    sheets.append(laboratory)
    for name, share, revenue, dollars in (
        ("imaging", _IMAGING_SHARE, "0320", 165.0),
        ("clinic", _CLINIC_SHARE, "0510", 240.0),
    ):
        sent = some(len(visits), share, generator)
        day = visits.day[sent] + generator.integers(0, 15, len(sent), dtype=np.int32)
        sheet = new_sheet("OP", visits.patient[sent], day, day, pool[sent], mention=0.35, most=5, bill="131")
        rows = np.arange(len(sent), dtype=np.int32)
        sheet.add_lines(rows, day, dollars, revenue=revenue, service=draw_services(codes, name, day, generator))
        more = some(len(rows), 0.35, generator)
        service = draw_services(codes, "laboratory", day[more], generator)
        sheet.add_lines(more, day[more], 14.0, revenue="0300", service=service)
        sheets.append(sheet)
    return sheets


def emergency_claims(
    codes: MedicareCodebook, visits: Events, is_observation: Bool, generator: np.random.Generator
) -> list[Sheet]:
    """Outpatient and carrier claims of emergency visits and observation stays."""
    count = len(visits)
    general = np.full(count, codes.diagnoses.pool("ambulatory_emergency"), dtype=np.int32)
    own = (visits.reason != MINOR) & (generator.random(count, dtype=np.float32) < 0.3)
    pool = np.where(own, _reason_pools(codes)[visits.reason], general).astype(np.int32)
    end = visits.day + is_observation * generator.integers(1, 3, count, dtype=np.int32)
    hospital = new_sheet("OP", visits.patient, visits.day, end, pool, mention=0.5, most=6, bill="131")
    rows = np.arange(count, dtype=np.int32)
    service = draw_services(codes, "visit_emergency", visits.day, generator)
    hospital.add_lines(rows, visits.day, 260.0, revenue="0450", service=service)
    for share, revenue in ((0.75, "0300"), (0.5, "0320"), (0.4, "0730")):
        tested = some(count, share, generator)
        test = draw_services(codes, "emergency_test", visits.day[tested], generator)
        hospital.add_lines(tested, visits.day[tested], 62.0, revenue=revenue, service=test)
    kept = np.flatnonzero(is_observation).astype(np.int32)
    hours = generator.integers(8, 44, len(kept)).astype(np.float32)
    service = draw_services(codes, "observation", visits.day[kept], generator)
    hospital.add_lines(kept, visits.day[kept], 720.0, revenue="0762", service=service, units=hours)
    doctor = new_sheet("CAR", visits.patient, visits.day, visits.day, pool, mention=0.25, most=3, place="23")
    doctor.add_lines(rows, visits.day, 105.0, service=draw_services(codes, "visit_emergency", visits.day, generator))
    watched = draw_services(codes, "observation_doctor", end[kept], generator)
    doctor.add_lines(kept, visits.day[kept], 110.0, service=watched)
    return [hospital, doctor]


def dialysis_claims(world: World, codes: MedicareCodebook, generator: np.random.Generator) -> list[Sheet]:
    """Monthly claims of dialysis facilities and their doctors."""
    month, patient = np.nonzero(world.illness.burden[BURN_IN_MONTHS:, :, ESRD] > 0)
    # A transplant is not followed up: every patient with end-stage disease but a few is on dialysis here.
    on = unit(world.patients.key[patient], 71) < 0.85
    month, patient = month[on].astype(np.int32), patient[on].astype(np.int32)
    start, end = world.calendar.first_day(month), world.calendar.last_day(month)
    pool = codes.diagnoses.pool("esrd")
    facility = new_sheet("OP", patient, start, end, pool, mention=0.4, most=4, bill="721")
    rows = np.arange(len(patient), dtype=np.int32)
    facility.add_lines(
        rows, start, 2900.0, revenue="0821", service=draw_services(codes, "dialysis", start, generator),
        units=_DIALYSIS_SESSIONS,
    )  # fmt: skip
    facility.add_lines(
        rows, start, 350.0, revenue="0636", service=draw_services(codes, "dialysis_drug", start, generator)
    )
    doctor = new_sheet("CAR", patient, start, end, pool, mention=0.2, most=3, place="65")
    doctor.add_lines(rows, start, 250.0, service=draw_services(codes, "dialysis_doctor", start, generator))
    return [facility, doctor]


def chemotherapy_claims(world: World, codes: MedicareCodebook, generator: np.random.Generator) -> list[Sheet]:
    """Outpatient claims of cancer treatment."""
    month, patient = np.nonzero(world.illness.in_treatment[BURN_IN_MONTHS:] > 0)
    takes = unit(world.patients.key[patient], 72) < 0.4
    month, patient = month[takes].astype(np.int32), patient[takes].astype(np.int32)
    kept = some(len(month), 0.7, generator)
    month, patient = month[kept], patient[kept]
    day = world.calendar.first_day(month) + generator.integers(0, 26, len(month), dtype=np.int32)
    # The order in which hospitals write it: the encounter first, the cancer as a condition of the patient.
    sheet = new_sheet(
        "OP", patient, day, day, codes.diagnoses.pool("planned_chemotherapy"), mention=0.8, most=4, bill="131"
    )
    rows = np.arange(len(patient), dtype=np.int32)
    sheet.add_lines(rows, day, 310.0, revenue="0335", service=draw_services(codes, "chemotherapy", day, generator))
    sheet.add_lines(
        rows, day, 1150.0, revenue="0636", service=draw_services(codes, "chemotherapy_drug", day, generator)
    )
    return [sheet]


def equipment_claims(
    world: World, codes: MedicareCodebook, stays: Stays, generator: np.random.Generator
) -> list[Sheet]:
    """Claims for durable equipment: oxygen, glucose strips, wheelchairs, walkers after a stay, and the rest."""
    burden, key = world.illness.burden[BURN_IN_MONTHS:], world.patients.key
    sheets = []
    plans = (
        ("oxygen", "copd", burden[:, :, _COPD] > 1.25, 0.5, 0.85, 172.0),
        ("glucose_supply", "diabetes", burden[:, :, _DIABETES] > 0, 0.5, 0.22, 62.0),
        ("wheelchair", "stroke", burden[:, :, _STROKE] > 1.0, 0.2, 0.5, 48.0),
        ("wheelchair", "parkinson", burden[:, :, _PARKINSON] > 1.0, 0.25, 0.5, 48.0),
        ("equipment", "minor", burden[:, :, _DIABETES] >= 0, 0.18, 0.08, 85.0),
    )
    for number, (service, pool, present, users, monthly, dollars) in enumerate(plans):
        uses = unit(key, 80 + number) < users
        month, patient = np.nonzero(present & uses)
        kept = some(len(month), monthly, generator)
        month, patient = month[kept].astype(np.int32), patient[kept].astype(np.int32)
        day = world.calendar.first_day(month) + (unit(key[patient], 90 + number) * 26).astype(np.int32)
        sheet = new_sheet("DME", patient, day, day, codes.diagnoses.pool(pool), mention=0.1, most=2, place="12")
        rows = np.arange(len(patient), dtype=np.int32)
        sheet.add_lines(rows, day, dollars, service=draw_services(codes, service, day, generator))
        if service == "oxygen":
            more = some(len(rows), 0.6, generator)
            portable = draw_services(codes, "oxygen_portable", day[more], generator)
            sheet.add_lines(more, day[more], 28.0, service=portable)
        sheets.append(sheet)
    given = some(len(stays), 0.09, generator)
    day = stays.discharge[given]
    sheet = new_sheet(
        "DME", stays.patient[given], day, day, codes.diagnoses.pool("aftercare"), mention=0.2, most=2, place="12"
    )
    walker = draw_services(codes, "walker", day, generator)
    sheet.add_lines(np.arange(len(given), dtype=np.int32), day, 78.0, service=walker)
    return [*sheets, sheet]
