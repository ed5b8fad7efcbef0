"""Populations that the tests of this sub-package share; each is drawn once."""

import pytest
from simulation.medicare.lived_blocks import index_stays, live

from claim_transformers.simulation.medicare import simulate_medicare_tables


@pytest.fixture(scope="session")
def lived():
    return [live(number) for number in range(6)]


@pytest.fixture(scope="session")
def indexed(lived):
    return index_stays(lived)


@pytest.fixture(scope="session")
def claims():
    return simulate_medicare_tables(2500, seed=3)
