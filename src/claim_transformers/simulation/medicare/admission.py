"""One admission: its cause, its length, where the patient goes, and what that does to the time afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from claim_transformers.simulation.engine.calendar import Bool, Float, Int
from claim_transformers.simulation.medicare.causes import (
    CAUSE_NAMES,
    CHEMOTHERAPY,
    CHEMOTHERAPY_STAYS,
    IS_PLANNED,
    REHABILITATION,
    REHABILITATION_DAILY,
    STAY_CAUSES,
    WEAKENING,
    column,
    rate_table,
)
from claim_transformers.simulation.medicare.community import last_before
from claim_transformers.simulation.medicare.hazards import drug_condition_index
from claim_transformers.simulation.medicare.planted import DRIFT_EFFECTS, DRIFT_LOG_HAZARD, HIDDEN_LOG_HAZARD

if TYPE_CHECKING:
    from claim_transformers.simulation.medicare.stays import World

# Patient discharge status (NUBC; CMS Medicare Claims Processing Manual, chapter 25): died, home, nursing facility,
# home health, against advice, hospice at home, hospice in a facility.
DISPOSITIONS = ("20", "01", "03", "06", "07", "50", "51")
DIED, HOME, FACILITY, HOME_HEALTH, _AGAINST_ADVICE, HOSPICE, _HOSPICE_FACILITY = range(len(DISPOSITIONS))
# Level of the hazard after discharge, set once so that the rate of any readmission within 30 days is near the one
# reported for Medicare (Jencks, Williams and Coleman 2009: 19.6 %; CMS Chronic Conditions Chartbook 2012: 18 %).
_BOOST_LEVEL = 0.92
# Effects on the logarithm of the hazard after discharge. Directions: Jencks et al. 2009; van Walraven et al. 2010
# (LACE); Kansagara et al. 2011; Krumholz 2013. Sizes are a judgement.
_EARLIER_STAYS = 0.42
_LENGTH = 0.22
_UNRESOLVED = 0.55
_DRUG_LAPSE = 0.3
_RECENT_OFFICE = -0.18
_DEPRIVATION = 0.1
_AGE_DECADE = 0.06
_TO_FACILITY, _TO_HOME_HEALTH, _AGAINST = 0.12, 0.1, 0.55
_INSTABILITY = 0.3
_UNSEEN = 0.4
_UNRESOLVED_DAYS, _RECENT_OFFICE_DAYS = 60, 21
# A cause comes back: factor on the rate of the last cause.
_SAME_CAUSE = 3.0
_MIN_DAYS_FACILITY = 3
_INTERIM_DAYS, _INTERIM_FIRST = 25, 20
_TRANSFER_SHARE = {"ami": 0.11, "stroke": 0.05, "gi_bleed": 0.03}
_OTHER_TRANSFER_SHARE = 0.018
_HOSPICE_DAILY_DEATH = 0.045


@dataclass
class Admissions:
    """Stays of one round, one entry each; the fields that `Stays` and `Discharge` are made of."""

    cause: Int
    discharge: Int
    disposition: Int
    transfer: Int
    interim: Int
    came_by_emergency: Bool
    is_drug_due: Bool
    boost: Float
    planned: Float
    death: Float
    follow_up: Float
    fill_chance: Float


def admit(
    world: World,
    patient: Int,
    day: Int,
    is_planned: Bool,
    last_cause: Int,
    last_discharge: Int,
    memory: Float,
    generator: np.random.Generator,
) -> Admissions:
    """Draw one stay for each of some patients, and the hazards that follow it."""
    community, month = world.community, world.month(day)
    cause = _causes(world, patient, month, is_planned, last_cause, generator)
    grave = community.illness[patient, month]
    discharge = _lengths(cause, grave, day, generator)
    days = discharge - day
    disposition = _dispositions(world, patient, cause, grave, days, month, generator)
    share = np.array([_TRANSFER_SHARE.get(name, _OTHER_TRANSFER_SHARE) for name in CAUSE_NAMES], dtype=np.float32)
    moves = (generator.random(len(day), dtype=np.float32) < share[cause]) & ~IS_PLANNED[cause] & (days >= 2)
    after = 1 + (generator.random(len(day), dtype=np.float32) * np.minimum(days - 1, 2)).astype(np.int32)
    transfer = np.where(moves, day + after, -1).astype(np.int32)
    interim = np.where((days >= _INTERIM_DAYS) & ~moves, day + _INTERIM_FIRST - 1, -1).astype(np.int32)
    boost = _boost(world, patient, day, cause, discharge, disposition, last_discharge, memory, generator)
    planned, death, follow_up = _other_hazards(world, patient, cause, discharge, disposition, grave)
    is_drug_due = (drug_condition_index()[cause] >= 0) & world.patients.has_part_d[patient] & (disposition != DIED)
    fill_chance = np.where(is_drug_due, 0.2 + 0.75 * world.patients.adherence[patient], 1.0).astype(np.float32)
    return Admissions(
        cause=cause,
        discharge=discharge,
        disposition=disposition,
        transfer=transfer,
        interim=interim,
        came_by_emergency=generator.random(len(day), dtype=np.float32) < column("emergency")[cause],
        is_drug_due=is_drug_due,
        boost=boost,
        planned=planned,
        death=death,
        follow_up=follow_up,
        fill_chance=fill_chance,
    )


def _causes(
    world: World, patient: Int, month: Int, is_planned: Bool, last_cause: Int, generator: np.random.Generator
) -> Int:
    """Cause of each stay, by the rates of all causes of its kind for this patient in this month."""
    everyone, per_burden = rate_table()
    rates = (everyone + world.illness.burden[month, patient] @ per_burden) * world.community.cause_age[patient]
    drug = drug_condition_index() >= 0
    lapse = 1 - world.community.on_drugs[patient, month]
    rates *= 1 + np.float32(0.6) * lapse[:, None] * drug
    treated = world.community.chemotherapy[patient] * world.illness.in_treatment[month, patient]
    rates[:, CHEMOTHERAPY] = treated * CHEMOTHERAPY_STAYS
    weak = np.isin(last_cause, [CAUSE_NAMES.index(name) for name in WEAKENING])
    rates[:, REHABILITATION] = weak * np.float32(REHABILITATION_DAILY * 365.25)
    repeated = np.flatnonzero((last_cause >= 0) & ~IS_PLANNED[np.maximum(last_cause, 0)])
    rates[repeated, last_cause[repeated]] *= np.float32(_SAME_CAUSE)
    rates *= is_planned[:, None] == IS_PLANNED[None, :]
    # A cause is drawn by its share of the row: the number of steps at or below the threshold is its position. Rounding
    # can leave the threshold at the last step, hence the limit.
    steps = np.cumsum(rates, axis=1)
    threshold = generator.random(len(patient), dtype=np.float32) * steps[:, -1]
    cause: Int = np.minimum((steps <= threshold[:, None]).sum(axis=1), len(STAY_CAUSES) - 1).astype(np.int32)
    return cause


def _lengths(cause: Int, grave: Float, day: Int, generator: np.random.Generator) -> Int:
    """Day of discharge."""
    mean = column("days")[cause] * (np.float32(0.92) + np.float32(0.1) * grave)
    shape = generator.standard_gamma(1.9, len(cause), dtype=np.float32) / np.float32(1.9)
    days = np.clip(np.rint(mean * shape), 1, 90).astype(np.int32)
    last: Int = (day + days).astype(np.int32)
    return last


def _dispositions(
    world: World, patient: Int, cause: Int, grave: Float, days: Int, month: Int, generator: np.random.Generator
) -> Int:
    """Where the patient goes; nobody dies before coverage begins."""
    uniform = generator.random(len(cause), dtype=np.float32)
    age = world.community.age[patient]
    older = np.exp(0.4 * (np.clip(age, 50, 95) - 78) / 10)
    mortal = world.community.death[patient, month] > 0
    died = column("mortality")[cause] * older * (0.45 + 0.3 * grave) * mortal
    hospice = np.where(IS_PLANNED[cause], 0.0, 0.003 + 0.014 * grave**1.4) * older * mortal
    against = np.where(age < 65, 0.022, 0.006) * ~IS_PLANNED[cause]
    facility = column("facility")[cause] * older * (0.75 + 0.1 * grave) * (days >= _MIN_DAYS_FACILITY) * 1.45
    home_health = column("home_health")[cause] * np.sqrt(older)
    chances = np.stack([np.minimum(died, 0.6), facility, home_health, against, hospice * 0.6, hospice * 0.4], axis=1)
    chances[:, 1:] *= (1 - chances[:, :1]) * np.minimum(
        1, 0.95 / np.maximum(chances[:, 1:].sum(axis=1, keepdims=True), 1e-6)
    )
    kinds = np.array([DIED, FACILITY, HOME_HEALTH, _AGAINST_ADVICE, HOSPICE, _HOSPICE_FACILITY, HOME], dtype=np.int32)
    # What the six chances leave to one is the way home, the seventh kind.
    steps = np.cumsum(chances, axis=1)
    drawn: Int = kinds[(steps <= uniform[:, None]).sum(axis=1)]
    return drawn


def _boost(
    world: World,
    patient: Int,
    day: Int,
    cause: Int,
    discharge: Int,
    disposition: Int,
    last_discharge: Int,
    memory: Float,
    generator: np.random.Generator,
) -> Float:
    """What multiplies the hazard after this discharge: history that claims show, and the rest that they do not."""
    community, contacts, patients = world.community, world.contacts, world.patients
    month, month_out = world.month(day), world.month(discharge)
    urgent = last_before(contacts.emergency_keys, patient, day)
    office = last_before(contacts.office_keys, patient, day)
    # The order decides: an emergency visit that a doctor has seen to since counts for nothing.
    unresolved = (day - urgent <= _UNRESOLVED_DAYS) & (urgent > last_discharge) & (office <= urgent)
    recently_seen = (day - office <= _RECENT_OFFICE_DAYS) & (office > last_discharge)
    lapse = (1 - community.on_drugs[patient, month]) * (drug_condition_index()[cause] >= 0)
    history = (
        _EARLIER_STAYS * np.log1p(memory)
        + _UNRESOLVED * unresolved
        + _RECENT_OFFICE * recently_seen
        + _DRUG_LAPSE * lapse
        + _LENGTH * np.log(np.clip(discharge - day, 1, 30) / np.float32(4.0))
    )
    log_boost = (
        column("readmission")[cause]
        + _DEPRIVATION * patients.deprivation[patient]
        + _AGE_DECADE * (np.clip(community.age[patient], 30, 95) - 75) / 10
        + _TO_FACILITY * (disposition == FACILITY)
        + _TO_HOME_HEALTH * (disposition == HOME_HEALTH)
        + _AGAINST * (disposition == _AGAINST_ADVICE)
        + _INSTABILITY * community.instability[patient, month_out]
        + _UNSEEN * generator.standard_normal(len(patient), dtype=np.float32)
    )
    strength = world.drift.share(discharge)
    hidden = np.float32(HIDDEN_LOG_HAZARD * world.bias.hidden) * world.bias_members[patient]
    log_boost += _BOOST_LEVEL + history * (1 + DRIFT_EFFECTS * strength) + DRIFT_LOG_HAZARD * strength + hidden
    boost: Float = np.exp(log_boost) * np.where(disposition >= HOSPICE, np.float32(0.04), np.float32(1))
    return boost.astype(np.float32)


def _other_hazards(
    world: World, patient: Int, cause: Int, discharge: Int, disposition: Int, grave: Float
) -> tuple[Float, Float, Float]:
    """Daily hazards of a planned stay and of death after discharge, and the tendency to a follow-up visit."""
    community, month = world.community, world.month(discharge)
    in_hospice = disposition >= HOSPICE
    weak = np.isin(cause, [CAUSE_NAMES.index(name) for name in WEAKENING]) & (disposition != FACILITY)
    planned = community.planned[patient, month] + np.float32(REHABILITATION_DAILY) * weak
    ordinary = community.death[patient, month]
    death = ordinary * np.where(IS_PLANNED[cause], 1.5, 3.2 + 0.5 * np.minimum(grave, 3))
    death = np.where(in_hospice, np.maximum(death, _HOSPICE_DAILY_DEATH * (ordinary > 0)), death)
    tendency = np.exp(0.3 * world.patients.access[patient] + 0.25 * (disposition == HOME_HEALTH))
    tendency *= (
        np.where(disposition == FACILITY, 0.45, np.where(disposition == _AGAINST_ADVICE, 0.5, 1.0)) * ~in_hospice
    )
    return (planned * ~in_hospice).astype(np.float32), death.astype(np.float32), tendency.astype(np.float32)
