"""The files of one block: medical claims, pharmacy claims, eligibility and the true risk."""

import numpy as np
import pyarrow as pa

from claim_transformers.simulation.engine.calendar import NEVER, Calendar, Int
from claim_transformers.simulation.engine.columns import (
    constant_column,
    day_column,
    money_column,
    text_column,
    text_of_bytes,
)
from claim_transformers.simulation.engine.fills import Fills, fills_table
from claim_transformers.simulation.engine.identifiers import claim_names, patient_names
from claim_transformers.simulation.engine.schemas import ELIGIBILITY_SCHEMA
from claim_transformers.simulation.pediatric.block import Block
from claim_transformers.simulation.pediatric.causes import BEHAVIOURAL, DENTAL, EMERGENCY, OFFICE, PREVENTIVE, STAY
from claim_transformers.simulation.pediatric.codebook import PediatricCodebook
from claim_transformers.simulation.pediatric.coding import Claims
from claim_transformers.simulation.pediatric.population import RACES, PediatricPopulation
from claim_transformers.simulation.pediatric.risk import OUTCOMES, TrueRisk
from claim_transformers.simulation.pediatric.schemas import DIAGNOSIS_COLUMNS, MEDICAL_SCHEMA, RISK_SCHEMA

_PLACES = {OFFICE: "11", EMERGENCY: "23", STAY: "21", PREVENTIVE: "11", BEHAVIOURAL: "53", DENTAL: "11"}
_DISPOSITIONS = ("01", "06", "02", "20")
# Median allowed amount of a line in dollars, by kind of visit; Medicaid fees, rounded, a judgement.
_LINE_DOLLARS = np.array([42.0, 115.0, 720.0, 55.0, 68.0, 38.0], dtype=np.float32)
_PAYER = "medicaid"


def _cents(
    block: Block, dollars: np.ndarray[tuple[int], np.dtype[np.float32]]
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Amounts spread around their median."""
    noise = block.generator.random(len(dollars), dtype=np.float32)
    # The logit of a uniform number over 2.5 is close to a normal with a standard deviation of 0.7.
    spread = np.exp(np.log((noise + 1e-4) / (1.0001 - noise)) / 2.5)
    return (dollars * spread * 100).astype(np.int64) + 100


def medical_table(block: Block, claims: Claims) -> pa.Table:
    """Claim lines in order of patient, day and line."""
    codes, visits = block.codes, claims.visits
    billed = claims.services >= 0
    counts = billed.sum(axis=1)
    claim = np.repeat(np.arange(len(visits), dtype=np.int32), counts)
    number = np.arange(len(claim), dtype=np.int32) - np.repeat(np.cumsum(counts) - counts, counts).astype(np.int32) + 1
    stay = visits.kind == STAY
    line_stay = stay[claim]
    start, end = visits.day[claim], claims.end[claim]
    # Lines of a stay are spread over its days; the last one is the discharge.
    line_day = np.where(line_stay, np.minimum(start + number - 1, end), start).astype(np.int32)
    line_day = np.where(line_stay & (number == counts[claim]), end, line_day).astype(np.int32)
    names = patient_names(block.patients.key)
    identifiers = claim_names(block.patients.key[visits.patient], visits.day, 101)
    allowed = _cents(block, _LINE_DOLLARS[visits.kind][claim])
    paid_day = (end + 12 + block.generator.integers(0, 40, len(visits), dtype=np.int32)[claim]).astype(np.int32)
    places, place_of = np.unique([_PLACES[kind] for kind in range(len(_PLACES))], return_inverse=True)
    group = np.where(stay & (codes.group[visits.cause] > 0), codes.group[visits.cause], -1)
    group = np.where(visits.pool == codes.diagnoses.pool("prematurity"), _preterm_group(block, claims, group), group)
    disposition = np.where(stay, np.searchsorted([0.96, 0.985], block.generator.random(len(visits))), -1)
    disposition = np.where(stay & (claims.end == block.patients.death_day[visits.patient]), 3, disposition)
    # Without a claim in ICD-10 its codes are not even read.
    in_icd10 = bool(claims.is_icd10.any())
    words = pa.array((codes.icd10_diagnoses if in_icd10 else codes.diagnoses).vocabulary, pa.string())
    columns = [
        text_column(visits.patient[claim], names),
        text_of_bytes(identifiers[claim]),
        pa.array(number),
        text_column(line_stay.astype(np.int32), ["OP", "IP"]),
        day_column(start),
        day_column(end),
        day_column(line_day),
        day_column(line_day),
        day_column(start, ~line_stay),
        day_column(end, ~line_stay),
        text_column(disposition[claim].astype(np.int32), _DISPOSITIONS),
        text_column(place_of[visits.kind][claim].astype(np.int32), places.tolist()),
        text_column(group[claim].astype(np.int32), codes.groups),
        text_column(claims.services[billed], codes.services.vocabulary),
        text_column(claims.is_icd10[claim].astype(np.int32), ["icd-9-cm", "icd-10-cm"]),
        *[text_column(claims.diagnoses[claim, slot], words) for slot in range(len(DIAGNOSIS_COLUMNS))],
        *_procedure_columns(claims, claim, codes),
        constant_column(None, len(claim)),
        day_column(paid_day),
        money_column(allowed),
        money_column(allowed),
        money_column(allowed * 2 + 500),
        constant_column(f"simulated-{block.institution.name}", len(claim)),
    ]
    return pa.Table.from_arrays(columns, schema=MEDICAL_SCHEMA)


def _preterm_group(block: Block, claims: Claims, group: Int) -> Int:
    """MS-DRG of preterm infants, by length of stay."""
    groups = block.codes.groups
    longer = claims.end - claims.visits.day > 10
    chosen = np.where(longer, groups.index("791"), groups.index("794"))
    return np.where(group >= 0, chosen, group)


def _procedure_columns(claims: Claims, claim: Int, codes: PediatricCodebook) -> list[pa.Array]:
    """Type, codes and dates of procedures; all lines of a claim carry them."""
    done = claims.procedures[claim]
    present = done >= 0
    day = claims.visits.day[claim]
    second = np.minimum(day + 1, claims.end[claim]).astype(np.int32)
    kind = np.where(present[:, 0], claims.is_icd10[claim], -1).astype(np.int32)
    words = (codes.icd10_procedures if claims.is_icd10.any() else codes.procedures).vocabulary
    return [
        text_column(kind, ["icd-9-pcs", "icd-10-pcs"]),
        text_column(done[:, 0], words),
        text_column(done[:, 1], words),
        day_column(day, ~present[:, 0]),
        day_column(second, ~present[:, 1]),
    ]


def pharmacy_table(block: Block, fills: Fills, ingredient: Int, product: Int) -> pa.Table:
    """Pharmacy claims in order of patient and day."""
    # Prices differ by ingredient, not by class: generics are cheap, a few are not.
    dollars = np.exp(1.9 + 3.0 * ((ingredient * 37) % 101 / 101.0) ** 2).astype(np.float32)
    return fills_table(
        fills,
        block.patients.key,
        ingredient,
        text_column(product, block.codes.products.vocabulary),
        _cents(block, dollars),
        block.generator,
        salt=211,
        data_source=f"simulated-{block.institution.name}",
    )


def eligibility_table(patients: PediatricPopulation, calendar: Calendar, institution: str) -> pa.Table:
    """Spans of coverage, one row each, in order of patient and time."""
    edge = np.zeros((1, len(patients)), dtype=np.int8)
    change = np.diff(np.concatenate([edge, patients.enrolled.astype(np.int8), edge]), axis=0).T
    patient, first = np.nonzero(change > 0)
    last = np.nonzero(change < 0)[1] - 1
    patient = patient.astype(np.int32)
    start = np.maximum(calendar.first_day(first.astype(np.int32)), patients.birth_day[patient])
    death = patients.death_day[patient]
    end = np.minimum(calendar.last_day(last.astype(np.int32)), death)
    names = patient_names(patients.key)
    columns = [
        text_column(patient, names),
        text_column(patient, names),
        constant_column(_PAYER, len(patient)),
        text_column(patients.male[patient].astype(np.int32), ["female", "male"]),
        text_column(patients.race[patient], RACES),
        day_column(patients.birth_day[patient]),
        day_column(np.where(death < NEVER, death, 0), death >= NEVER),
        day_column(start.astype(np.int32)),
        day_column(end.astype(np.int32)),
        constant_column(f"simulated-{institution}", len(patient)),
    ]
    return pa.Table.from_arrays(columns, schema=ELIGIBILITY_SCHEMA)


def risk_table(risks: TrueRisk, patients: PediatricPopulation, calendar: Calendar) -> pa.Table:
    """True risks in the order in which they were computed, in `RISK_SCHEMA`."""
    columns = [
        text_column(risks.patient, patient_names(patients.key)),
        day_column(calendar.first_day(risks.month)),
        text_column(risks.outcome.astype(np.int32), OUTCOMES),
        pa.array(risks.horizon_days),
        pa.array(risks.risk),
    ]
    return pa.Table.from_arrays(columns, schema=RISK_SCHEMA)
