import numpy as np
import pytest
from scipy import stats

from claim_transformers.training.keyed_random import Stream, _splitmix64, row_digests, row_keys, uniform_at


def keyed_uniform(seed, epoch, row, position=0, *, stream):
    return uniform_at(row_keys(seed, epoch, row, stream=stream), position)


def test_outputs_are_those_of_the_reference_implementation():
    gamma = 0x9E3779B97F4A7C15
    states = np.array([(1234567 + n * gamma) % 2**64 for n in range(1, 6)], dtype=np.uint64)
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert _splitmix64(states).tolist() == published


@pytest.mark.parametrize("axis", ["row", "position", "epoch", "seed", "stream"])
def test_draws_are_uniform_along_every_axis(axis):
    numbers = np.arange(20_000)
    if axis == "seed":
        draws = np.concatenate([keyed_uniform(seed, 3, 5, stream=Stream.CUT_KIND) for seed in range(5_000)])
    elif axis == "stream":
        rows = np.arange(5_000)
        draws = np.concatenate([keyed_uniform(7, 3, rows, stream=stream) for stream in Stream])
    else:
        arguments = {"epoch": 0, "row": 0, "position": 0} | {axis: numbers}
        draws = keyed_uniform(1, **arguments, stream=Stream.TOKEN_MASK)
    assert ((draws >= 0) & (draws < 1)).all()
    assert stats.kstest(draws, "uniform").pvalue > 0.001


def test_neighbouring_keys_are_independent():
    rows = np.arange(50_000)
    first = keyed_uniform(0, 0, rows, stream=Stream.CUT_KIND)
    for other in (
        keyed_uniform(0, 1, rows, stream=Stream.CUT_KIND),
        keyed_uniform(1, 0, rows, stream=Stream.CUT_KIND),
        keyed_uniform(0, 0, rows + 1, stream=Stream.CUT_KIND),
        keyed_uniform(0, 0, rows, 1, stream=Stream.CUT_KIND),
        keyed_uniform(0, 0, rows, stream=Stream.CUT_PLACE),
    ):
        counts = np.histogram2d(first, other, bins=16, range=[[0, 1], [0, 1]])[0]
        assert stats.chisquare(counts.ravel()).pvalue > 0.001


def test_a_draw_does_not_depend_on_its_neighbours():
    rows = np.array([4, 9, 2, 2**62])
    together = keyed_uniform(3, np.array([0, 0, 1, 5]), rows, stream=Stream.CUT_KIND)
    alone = [
        keyed_uniform(3, epoch, row, stream=Stream.CUT_KIND)[0] for epoch, row in zip([0, 0, 1, 5], rows, strict=True)
    ]
    assert together.tolist() == alone


def test_digests_see_order_and_length_but_no_neighbours():
    values, lengths = np.array([1, 2, 2, 1, 1, 2]), np.array([2, 2, 0, 2])
    first, swapped, empty, again = row_digests(values, lengths).tolist()
    assert first == again
    assert len({first, swapped, empty}) == 3
    assert min(first, swapped, empty) >= 0


def test_digests_of_many_rows_are_distinct():
    values = np.arange(200_000)
    assert len(np.unique(row_digests(values, np.full(100_000, 2)))) == 100_000


def test_lengths_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="expected lengths that sum to 3"):
        row_digests(np.arange(3), np.array([1, 1]))
