"""From the lives of one block of patients to its claims."""

from dataclasses import dataclass

import numpy as np

from claim_transformers.simulation.engine.calendar import Bool, Int
from claim_transformers.simulation.engine.fills import Fills
from claim_transformers.simulation.engine.icd10 import forget
from claim_transformers.simulation.medicare.care_after import after_claims, hospice_claims
from claim_transformers.simulation.medicare.care_community import (
    chemotherapy_claims,
    dialysis_claims,
    emergency_claims,
    equipment_claims,
    office_claims,
)
from claim_transformers.simulation.medicare.care_stays import (
    bounds_of,
    days_since_discharge,
    follow_up_claims,
    stay_claims,
)
from claim_transformers.simulation.medicare.codebook import MedicareCodebook
from claim_transformers.simulation.medicare.coding import write_diagnoses
from claim_transformers.simulation.medicare.community import Events
from claim_transformers.simulation.medicare.fills import draw_fills
from claim_transformers.simulation.medicare.hazards import HORIZON_DAYS
from claim_transformers.simulation.medicare.sheets import TYPE_OF, Lines, Sheet, join_sheets
from claim_transformers.simulation.medicare.stays import Stays, World
from claim_transformers.simulation.medicare.tables import covered

# Claims that a planted bias never drops: without a stay there would be nothing to predict, and what follows a stay is
# billed with it.
_ALWAYS_RECORDED = ("IP", "SNF", "HHA", "HOSP")


@dataclass
class _Care:
    """Claims and fills of one block, recorded ones only."""

    sheet: Sheet  # Claims in order of patient, first day and type.
    lines: Lines
    diagnoses: Int  # Codes, shape `(claims, DIAGNOSES)`.
    fills: Fills  # Fills in order of patient and day.


def write_care(
    world: World,
    codes: MedicareCodebook,
    stays: Stays,
    death_day: Int,
    generator: np.random.Generator,
    recording: np.random.Generator,
) -> _Care:
    """Write all claims and fills of a block."""
    visits, urgent, is_observation = _visits_outside(world, stays, death_day)
    bounds = bounds_of(stays, death_day)
    sheets = [
        *stay_claims(world, codes, stays, generator),
        follow_up_claims(codes, stays, bounds, generator),
        *after_claims(codes, stays, bounds, generator),
        *hospice_claims(world, codes, stays, death_day, generator),
        *office_claims(codes, visits, generator),
        *emergency_claims(codes, urgent, is_observation, generator),
        *dialysis_claims(world, codes, generator),
        *chemotherapy_claims(world, codes, generator),
        *equipment_claims(world, codes, stays, generator),
    ]
    for sheet in sheets:
        # Bills by the month, and a second day of observation, end with the patient's life.
        sheet.end = np.maximum(np.minimum(sheet.end, death_day[sheet.patient]), sheet.start).astype(np.int32)
    keep = [
        covered(world, death_day, sheet.patient, sheet.start) & (sheet.end <= world.calendar.last) for sheet in sheets
    ]
    fills = draw_fills(world, codes, stays, _together(visits, urgent), generator)
    filled = covered(world, death_day, fills.patient, fills.day)
    if world.bias.unrecorded:
        for sheet, kept in zip(sheets, keep, strict=True):
            lost = _is_lost(world, sheet.patient, recording)
            kept &= ~(lost & ~np.isin(sheet.claim_type, [TYPE_OF[name] for name in _ALWAYS_RECORDED]))
        filled &= ~_is_lost(world, fills.patient, recording)
    sheet, lines = join_sheets(sheets, keep)
    lines.day = np.minimum(lines.day, sheet.end[lines.claim])
    diagnoses = write_diagnoses(world, codes, sheet, generator)
    if world.bias.unrecorded:
        lost = np.stack([_is_lost(world, sheet.patient, recording) for _ in range(diagnoses.shape[1])], axis=1)
        lost[:, 0] = False
        diagnoses = forget(diagnoses, lost)
    kept_fills = Fills(*(getattr(fills, name)[filled] for name in Fills.__annotations__))
    return _Care(sheet, lines, diagnoses, kept_fills)


def _visits_outside(world: World, stays: Stays, death_day: Int) -> tuple[Events, Events, Bool]:
    """Office and emergency visits that take place: none in hospital or after death."""
    contacts = world.contacts
    office, urgent = contacts.office, contacts.emergency
    since = days_since_discharge(stays, office.patient, office.day)
    seen = np.flatnonzero((since > HORIZON_DAYS) & (office.day <= death_day[office.patient]))
    since = days_since_discharge(stays, urgent.patient, urgent.day)
    came = np.flatnonzero((since > 0) & (urgent.day <= death_day[urgent.patient]))
    return _some(office, seen), _some(urgent, came), contacts.is_observation[came]


def _some(events: Events, index: Int) -> Events:
    return Events(events.patient[index], events.day[index], events.reason[index])


def _together(first: Events, second: Events) -> Events:
    return Events(
        *(np.concatenate([getattr(part, name) for part in (first, second)]) for name in Events.__annotations__)
    )


def _is_lost(world: World, patient: Int, recording: np.random.Generator) -> Bool:
    """Whether each entry of the subgroup goes unrecorded."""
    drawn = recording.random(len(patient), dtype=np.float32) < world.bias.unrecorded
    lost: Bool = drawn & world.bias_members[patient]
    return lost
