"""Other lives from a day on: what had happened stays, and what follows is as likely as it was."""

import numpy as np
import pytest

from claim_transformers.simulation.engine.random_streams import generator_of
from claim_transformers.simulation.medicare.expected_cost import expected_costs
from claim_transformers.simulation.medicare.stays import continue_stays

DAY, YEAR = 15_340, 365  # 2012-01-01


@pytest.fixture(scope="module")
def others(lived):
    return [
        continue_stays(block.world, block.stays, block.death_day, DAY, generator_of(5, 9, number, "again"))
        for number, block in enumerate(lived)
    ]


def test_what_had_begun_by_the_day_is_the_same_in_every_life(lived, others):
    for block, (stays, death_day) in zip(lived, others, strict=True):
        for name in ("patient", "cause", "admission", "discharge", "follow_up"):
            before = [getattr(each, name)[each.admission < DAY] for each in (block.stays, stays)]
            np.testing.assert_array_equal(*before)
        gone = block.death_day < DAY
        np.testing.assert_array_equal(death_day[gone], block.death_day[gone])
        assert (death_day[~gone] >= DAY).all()
        assert not np.array_equal(stays.admission[stays.admission >= DAY], block.stays.admission)


def test_stays_and_deaths_of_the_next_year_are_as_frequent_as_they_were_whenever_the_last_stay_was(lived, others):
    columns = []
    for block, (stays, death_day) in zip(lived, others, strict=True):
        size = len(block.death_day)
        last = np.zeros(size)
        past = block.stays.admission < DAY
        np.maximum.at(last, block.stays.patient[past], block.stays.discharge[past])
        counts = []
        for each, deaths in ((block.stays, block.death_day), (stays, death_day)):
            inside = (each.admission >= DAY) & (each.admission < DAY + YEAR)
            counts += [np.bincount(each.patient[inside], minlength=size), (deaths >= DAY) & (deaths < DAY + YEAR)]
        columns.append(np.stack([DAY - last, block.death_day >= DAY, *counts]))
    since, alive, was, died, again, dies = np.concatenate(columns, axis=1)
    # In hospital or just discharged, within the half year of raised hazards, long ago, never.
    strata = [(-999, 30), (31, 180), (181, 2000), (2001, 99_999)]
    for low, high in strata:
        chosen = (alive > 0) & (since >= low) & (since <= high)
        for one, other in ((was, again), (died, dies)):
            difference = one[chosen] - other[chosen]
            assert abs(difference.mean()) < 3.5 * difference.std() / np.sqrt(chosen.sum())


def test_an_expected_cost_is_of_those_alive_and_near_what_a_year_costs():
    costs = expected_costs(400, 3, "2009-01-01", end="2009-12-31", replicates=1)
    assert 250 < costs.num_rows < 400
    assert costs["horizon_days"].unique().to_pylist() == [365]
    assert 2_000 < np.mean(costs["allowed_amount"].to_numpy()) < 20_000
    with pytest.raises(ValueError, match="expected a date and a horizon inside the window"):
        expected_costs(10, 3, "2009-02-01", end="2009-12-31")
