"""The files of one block of Medicare patients: medical and pharmacy claims, eligibility, the true risk of stays."""

from typing import Any

import numpy as np
import pyarrow as pa

from claim_transformers.claims.ages import birthday, whole_years
from claim_transformers.claims.schema import CLAIM_TYPES
from claim_transformers.simulation.engine.calendar import NEVER, Bool, Float, Int
from claim_transformers.simulation.engine.columns import (
    constant_column,
    day_column,
    money_column,
    text_column,
    text_of_bytes,
)
from claim_transformers.simulation.engine.fills import Fills, fills_table
from claim_transformers.simulation.engine.identifiers import claim_names, patient_names
from claim_transformers.simulation.medicare.admission import DIED
from claim_transformers.simulation.medicare.care_stays import ADMIT_TYPES, ALL_DISPOSITIONS, GROUPS
from claim_transformers.simulation.medicare.codebook import MedicareCodebook
from claim_transformers.simulation.medicare.coding import DIAGNOSES
from claim_transformers.simulation.medicare.conditions import BURN_IN_MONTHS, ESRD
from claim_transformers.simulation.medicare.counties import counties
from claim_transformers.simulation.medicare.hazards import HORIZON_DAYS, true_risk
from claim_transformers.simulation.medicare.population import DUAL_CODES, RACES, medicare_status
from claim_transformers.simulation.medicare.schemas import (
    MEDICARE_ELIGIBILITY_SCHEMA,
    MEDICARE_MEDICAL_SCHEMA,
    STAY_RISK_SCHEMA,
)
from claim_transformers.simulation.medicare.sheets import (
    BILL_TYPES,
    PLACES,
    PROCEDURES,
    REVENUE_CODES,
    TYPE_OF,
    Lines,
    Sheet,
)
from claim_transformers.simulation.medicare.stays import Stays, World

OUTCOMES = ("readmission_any", "readmission_unplanned")
_PAYER = "medicare"
_PLANS = ("parts a and b", "parts a, b and d")
_DATA_SOURCE = "simulated-medicare"
_STATUS_CODES = (10, 11, 20, 21, 31)
# What Medicare pays of the allowed amount where the patient owes coinsurance (42 CFR 410.152).
_PAID_SHARE = 0.8
_CHARGE_RATIO = 2.6


def covered(world: World, death_day: Int, patient: Int, day: Int) -> Bool:
    """Whether each day lies in the window, in life and in a month of coverage."""
    inside = (day >= world.calendar.first) & (day <= world.calendar.last) & (day <= death_day[patient])
    month = np.maximum(world.month(day) - BURN_IN_MONTHS, 0)
    enrolled: Bool = world.patients.enrolled[month, patient] & inside
    return enrolled


# Spread of an amount around its median, and how far its mean lies above the median.
_SPREAD = 0.4
MEAN_OVER_MEDIAN = float(np.exp(_SPREAD**2 / 2))


def fill_dollars(ingredient: Int, fills: Fills) -> Float:
    """Median amount of each fill. Prices differ by ingredient, not by class: generics are cheap, a few are not."""
    dollars: Float = np.exp(1.9 + 3.2 * ((ingredient * 37) % 101 / 101.0) ** 2) * fills.days_supply / 30
    return dollars


def _cents(dollars: Float, generator: np.random.Generator) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Amounts spread around their median."""
    spread = np.exp(np.float32(_SPREAD) * generator.standard_normal(len(dollars), dtype=np.float32))
    cents: np.ndarray[Any, np.dtype[np.int64]] = (dollars * spread * 100).astype(np.int64)
    return cents


def _paid_days(end: Int, generator: np.random.Generator) -> Int:
    """Day of payment: two weeks at the earliest (CMS, payment floor of 13 days), some months for a few."""
    lag = 14 + generator.standard_exponential(len(end), dtype=np.float32) * 11
    late = generator.random(len(end), dtype=np.float32) < 0.03
    return (end + np.minimum(lag + late * 75, 365)).astype(np.int32)


def medical_table(
    world: World, codes: MedicareCodebook, sheet: Sheet, lines: Lines, diagnoses: Int, generator: np.random.Generator
) -> pa.Table:
    """Claim lines in order of patient, day, type and line."""
    claim = lines.claim
    number = (np.arange(len(claim)) - np.searchsorted(claim, claim) + 1).astype(np.int32)
    key = world.patients.key[sheet.patient]
    allowed = _cents(lines.dollars, generator)
    shared = np.isin(sheet.claim_type, [TYPE_OF[name] for name in ("CAR", "OP", "DME")])[claim]
    paid = np.where(shared, (allowed * _PAID_SHARE).astype(np.int64), allowed)
    second = codes.is_icd10(sheet.end).astype(np.int32)
    has_stay = sheet.admission >= 0
    words, procedure_words = codes.words(sheet.end)
    source = len(claim)
    columns = [
        text_column(sheet.patient[claim], patient_names(world.patients.key)),
        text_of_bytes(claim_names(key, sheet.start, 301)[claim]),
        pa.array(number),
        text_column(sheet.claim_type[claim], CLAIM_TYPES),
        day_column(sheet.start[claim]),
        day_column(sheet.end[claim]),
        day_column(lines.day),
        day_column(lines.day),
        day_column(sheet.admission[claim], ~has_stay[claim]),
        day_column(sheet.discharge[claim], (sheet.discharge < 0)[claim]),
        text_column(sheet.disposition[claim], ALL_DISPOSITIONS),
        text_column(sheet.admit_type[claim], ADMIT_TYPES),
        text_column(sheet.place[claim], PLACES),
        text_column(sheet.bill[claim], BILL_TYPES),
        text_column(sheet.group[claim], GROUPS),
        text_column(lines.revenue, REVENUE_CODES),
        text_column(lines.service, codes.services.vocabulary),
        pa.array(np.round(lines.units)),
        text_column(second[claim], ["icd-9-cm", "icd-10-cm"]),
        *[text_column(diagnoses[claim, slot], words) for slot in range(DIAGNOSES)],
        *_procedure_columns(procedure_words, sheet, second, claim),
        day_column(_paid_days(sheet.end, generator)[claim]),
        money_column(paid),
        money_column(allowed),
        money_column((allowed * _CHARGE_RATIO).astype(np.int64)),
        constant_column(_DATA_SOURCE, source),
    ]
    return pa.Table.from_arrays(columns, schema=MEDICARE_MEDICAL_SCHEMA)


def _procedure_columns(words: pa.Array, sheet: Sheet, second: Int, claim: Int) -> list[pa.Array]:
    """Type, codes and dates of procedures; all lines of a claim carry them."""
    present = sheet.procedures >= 0
    kind = np.where(present[:, 0], second, -1).astype(np.int32)
    days = [np.minimum(sheet.start + slot, sheet.end).astype(np.int32) for slot in range(PROCEDURES)]
    return [
        text_column(kind[claim], ["icd-9-pcs", "icd-10-pcs"]),
        *[text_column(sheet.procedures[claim, slot], words) for slot in range(PROCEDURES)],
        *[day_column(days[slot][claim], ~present[claim, slot]) for slot in range(PROCEDURES)],
    ]


def pharmacy_table(
    world: World, codes: MedicareCodebook, fills: Fills, ingredient: Int, product: Int, generator: np.random.Generator
) -> pa.Table:
    """Pharmacy claims in order of patient and day."""
    return fills_table(
        fills,
        world.patients.key,
        ingredient,
        text_column(product, codes.product_vocabulary),
        _cents(fill_dollars(ingredient, fills).astype(np.float32), generator),
        generator,
        salt=401,
        data_source=_DATA_SOURCE,
    )


def eligibility_table(world: World, death_day: Int) -> pa.Table:
    """Spans of coverage in order of patient and time, one per calendar year at most, and a new one on turning 65."""
    patients, calendar = world.patients, world.calendar
    months = np.arange(calendar.months, dtype=np.int32)
    first_days = calendar.first_day(months)
    alive = first_days[:, None] <= death_day[None, :]
    enrolled = patients.enrolled & alive
    turns = calendar.month_of_day(birthday(patients.birth_day, 65).astype(np.int32))
    begins = (calendar.month_of_year(months) == 0)[:, None] | (months[:, None] == turns[None, :])
    before = np.concatenate([np.zeros((1, len(patients)), dtype=np.bool_), enrolled[:-1]])
    after = np.concatenate([enrolled[1:], np.zeros((1, len(patients)), dtype=np.bool_)])
    opens = enrolled & (begins | ~before)
    closes = enrolled & (~after | np.concatenate([begins[1:], np.ones((1, len(patients)), dtype=np.bool_)]))
    patient, first = (part.astype(np.int32) for part in np.nonzero(opens.T))
    last = np.nonzero(closes.T)[1].astype(np.int32)
    start, death = calendar.first_day(first), death_day[patient]
    known = (death < NEVER) & (death <= calendar.last)
    end = np.minimum(calendar.last_day(last), death).astype(np.int32)
    age = whole_years(patients.birth_day[patient], calendar.last_day(first))
    has_esrd = world.illness.onset_month[patient, ESRD] <= first
    status = medicare_status(patients.entitlement[patient], age.astype(np.int32), has_esrd)
    names = patient_names(patients.key)
    columns = [
        text_column(patient, names),
        text_column(patient, names),
        constant_column(_PAYER, len(patient)),
        text_column(patients.male[patient].astype(np.int32), ["female", "male"]),
        text_column(patients.race[patient], RACES),
        day_column(patients.birth_day[patient]),
        day_column(np.where(known, death, 0), ~known),
        day_column(start),
        day_column(end),
        text_column(patients.has_part_d[patient].astype(np.int32), _PLANS),
        text_column(patients.entitlement[patient], ["0", "1", "2", "3"]),
        text_column(patients.dual[patient], DUAL_CODES),
        text_column(np.searchsorted(_STATUS_CODES, status).astype(np.int32), [str(code) for code in _STATUS_CODES]),
        text_column(patients.county[patient], counties().fips),
        constant_column(_DATA_SOURCE, len(patient)),
    ]
    return pa.Table.from_arrays(columns, schema=MEDICARE_ELIGIBILITY_SCHEMA)


def risk_table(world: World, stays: Stays, death_day: Int) -> pa.Table:
    """True risks of stays that ended alive, inside the window and in a month of coverage."""
    written = (stays.disposition != DIED) & covered(world, death_day, stays.patient, stays.admission)
    written &= covered(world, death_day, stays.patient, stays.discharge)
    rows = np.repeat(np.flatnonzero(written), len(OUTCOMES))
    outcome = np.tile(np.arange(len(OUTCOMES), dtype=np.int32), len(rows) // len(OUTCOMES))
    unplanned, either = true_risk(stays.hazards)
    risk = np.where(outcome == 0, either[rows], unplanned[rows])
    columns = [
        text_column(stays.patient[rows], patient_names(world.patients.key)),
        day_column(stays.admission[rows]),
        day_column(stays.discharge[rows]),
        text_column(outcome, OUTCOMES),
        pa.array(np.full(len(rows), HORIZON_DAYS, dtype=np.int16)),
        pa.array(risk.astype(np.float32)),
    ]
    return pa.Table.from_arrays(columns, schema=STAY_RISK_SCHEMA)
