"""Blocks of patients without their claims, and what came of each of their stays."""

import datetime as dt
from dataclasses import dataclass

import numpy as np

from claim_transformers.simulation.engine.calendar import Calendar
from claim_transformers.simulation.medicare import PlantedBias, PlantedDrift
from claim_transformers.simulation.medicare.causes import IS_PLANNED
from claim_transformers.simulation.medicare.generate import draw_world
from claim_transformers.simulation.medicare.hazards import true_risk
from claim_transformers.simulation.medicare.stays import Stays, World, draw_stays

WINDOW = Calendar(dt.date(2008, 1, 1), dt.date(2012, 12, 31))


@dataclass
class LivedBlock:
    """A block without its claims."""

    world: World
    stays: Stays
    death_day: np.ndarray


@dataclass
class IndexStays:
    """Stays that ended alive at least 30 days before the window does, with what came of them."""

    block: np.ndarray
    row: np.ndarray
    patient: np.ndarray
    risk_any: np.ndarray
    risk_unplanned: np.ndarray
    is_readmitted: np.ndarray
    is_readmitted_unplanned: np.ndarray


def live(number, bias=None, drift=None, seed=11):
    world, streams = draw_world(WINDOW, seed, number, bias or PlantedBias(), drift or PlantedDrift(2012))
    return LivedBlock(world, *draw_stays(world, streams["risk"]))


def index_stays(blocks):
    columns = []
    for number, block in enumerate(blocks):
        stays = block.stays
        same = np.append(stays.patient[1:] == stays.patient[:-1], False)
        gap_days = np.where(same, np.append(stays.admission[1:], 0) - stays.discharge, 9999)
        planned = np.append(IS_PLANNED[stays.cause[1:]], False)
        unplanned_risk, any_risk = true_risk(stays.hazards)
        rows = np.flatnonzero(
            (stays.disposition > 0) & (stays.admission >= WINDOW.first) & (stays.discharge + 30 <= WINDOW.last)
        )
        back = gap_days[rows] <= 30
        parts = (np.full(len(rows), number), rows, stays.patient[rows], any_risk[rows], unplanned_risk[rows])
        columns.append((*parts, back, back & ~planned[rows]))
    return IndexStays(*(np.concatenate(part) for part in zip(*columns, strict=True)))
