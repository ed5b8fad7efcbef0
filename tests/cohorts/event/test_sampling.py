"""The draw: seeded, stable, and the same in parts as in one."""

import numpy as np
import pyarrow as pa
import pytest

from claim_transformers.cohorts.event.definition import Sampling
from claim_transformers.cohorts.event.sampling import draw_rows, unit_hash

IDS = pa.array([f"p{number}" for number in range(400)])
LABEL = (np.arange(400) % 5 == 0).astype(np.int8)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(cases=20),
        Sampling(cases=20, controls_per_case=2.5),
        Sampling(controls_per_case=1.5),
        Sampling(cases=900, controls_per_case=3),
        Sampling(patients=50),
    ],
)
def test_drawing_from_parts_and_again_from_the_drawn_is_drawing_once(sampling):
    once = draw_rows(IDS, LABEL, sampling)
    parts = np.array_split(np.arange(400), 7)
    kept = np.concatenate(
        [part[draw_rows(IDS.take(pa.array(part)), LABEL[part], sampling, is_part=True)] for part in parts]
    )
    assert len(kept) >= len(once)
    again = kept[draw_rows(IDS.take(pa.array(kept)), LABEL[kept], sampling)]
    assert again.tolist() == once.tolist()


def test_a_draw_has_the_sizes_asked_for_and_takes_what_there_is():
    assert [int(LABEL[draw_rows(IDS, LABEL, Sampling(cases=20, controls_per_case=2))].sum())] == [20]
    assert len(draw_rows(IDS, LABEL, Sampling(cases=20, controls_per_case=2))) == 60
    assert len(draw_rows(IDS, LABEL, Sampling(cases=900, controls_per_case=90))) == 400


def test_another_seed_draws_others_and_more_cases_keep_those_drawn_before():
    first, second = (draw_rows(IDS, LABEL, Sampling(cases=30, controls_per_case=2, seed=seed)) for seed in (0, 1))
    assert 0 < len(set(first) & set(second)) < 60
    assert set(first) < set(draw_rows(IDS, LABEL, Sampling(cases=40, controls_per_case=2)))


def test_hashes_are_uniform_and_independent_of_one_another():
    many = pa.array([f"p{number}" for number in range(20_000)])
    first, second = unit_hash(many, "index/0"), unit_hash(many, "sample/0")
    assert abs(first.mean() - 0.5) < 0.01
    assert abs(np.quantile(first, 0.1) - 0.1) < 0.01
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03


def test_fewer_cases_than_asked_for_have_as_many_controls_as_they_need_and_a_part_may_need_more():
    few = Sampling(cases=100, controls_per_case=2)
    assert LABEL.sum() == 80
    assert len(draw_rows(IDS, LABEL, few)) == 80 + 160
    assert len(draw_rows(IDS, LABEL, few, is_part=True)) == 80 + 200
