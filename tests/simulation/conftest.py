"""Populations that the tests of this room share; each is drawn once."""

import datetime as dt
from dataclasses import dataclass

import pytest
from simulation.written_files import GENERATORS, PATIENTS, SEED

from claim_transformers.simulation import SimulatedClaims, simulate_tables
from claim_transformers.simulation.engine.calendar import Calendar
from claim_transformers.simulation.engine.random_streams import generator_of
from claim_transformers.simulation.pediatric.disease import History, live
from claim_transformers.simulation.pediatric.population import PediatricPopulation, draw_population
from claim_transformers.simulation.pediatric.risk import TrueRisk, true_risks

WINDOW = Calendar(dt.date(2010, 1, 1), dt.date(2014, 12, 31))


@dataclass
class LivedBlock:
    """A block without its claims."""

    patients: PediatricPopulation
    history: History
    risks: TrueRisk


@pytest.fixture(scope="session")
def window() -> Calendar:
    return WINDOW


@pytest.fixture(scope="session")
def claims() -> SimulatedClaims:
    return simulate_tables(5000, seed=3)


@pytest.fixture(scope="session")
def lived() -> list[LivedBlock]:
    blocks = []
    for number in range(7):
        patients = draw_population(5000, WINDOW, number, generator_of(11, 0, number, "people"))
        history = live(patients, WINDOW, generator_of(11, 0, number, "disease"))
        risks = true_risks(patients, history, WINDOW, 8, generator_of(11, 0, number, "risk"))
        blocks.append(LivedBlock(patients, history, risks))
    return blocks


@pytest.fixture(scope="session")
def pediatric_folder(tmp_path_factory):
    return _write("pediatric", tmp_path_factory)


@pytest.fixture(scope="session")
def medicare_folder(tmp_path_factory):
    return _write("medicare", tmp_path_factory)


def _write(name, tmp_path_factory):
    """Folder of a small population and its summary; tests read it only."""
    out = tmp_path_factory.mktemp(name) / "claims"
    return out, GENERATORS[name].write(out, patients=PATIENTS, seed=SEED, **GENERATORS[name].window)
