import numpy as np
import pytest
from accelerate.data_loader import BatchSamplerShard
from hypothesis import given, settings
from hypothesis import strategies as st

from claim_transformers.training import LengthGroupedBatches


def visits_of_patients(rows):
    """Visits per patient as seen in claims: log-normal with a median of 8, at most 30."""
    return np.clip(np.random.default_rng(0).lognormal(np.log(8), 1.0, rows).astype(int), 2, 30) + 1


def test_padding_fills_at_most_one_slot_in_twenty():
    lengths = visits_of_patients(20_000)
    batches = list(LengthGroupedBatches(lengths, batch_size=64, seed=1))
    padded = sum(lengths[batch].max() * len(batch) for batch in batches)
    assert lengths.sum() / padded >= 0.95


def test_order_is_a_function_of_seed_and_epoch():
    lengths = visits_of_patients(1_000)
    one, other = LengthGroupedBatches(lengths, 16, seed=3), LengthGroupedBatches(lengths, 16, seed=3)
    first = list(one)
    one.set_epoch(1)
    second = list(one)
    other.epoch = 1
    assert list(other) == second
    assert first != second
    assert list(LengthGroupedBatches(lengths, 16, seed=4)) != first


def test_patients_meet_other_neighbours_in_another_epoch():
    lengths = visits_of_patients(2_000)
    batches = LengthGroupedBatches(lengths, 16)
    first = {frozenset(batch) for batch in batches}
    batches.set_epoch(1)
    assert not first & {frozenset(batch) for batch in batches}


def test_long_and_short_batches_alternate_at_random():
    lengths = visits_of_patients(6_400)
    means = np.array([lengths[batch].mean() for batch in LengthGroupedBatches(lengths, 64)])
    rises = (np.diff(means) > 0).mean()
    assert 0.3 < rises < 0.7


@pytest.mark.parametrize(("batch_size", "accumulation", "processes"), [(32, 1, 1), (8, 4, 1), (16, 1, 2), (4, 2, 4)])
@pytest.mark.parametrize("rows", [320, 331, 356])
def test_a_step_holds_the_same_rows_however_it_is_divided(batch_size, accumulation, processes, rows):
    lengths = visits_of_patients(rows)
    whole = LengthGroupedBatches(lengths, 32, seed=5)
    divided = LengthGroupedBatches(lengths, batch_size, seed=5, accumulation=accumulation, processes=processes)
    pieces = list(divided)
    steps, start = [], 0
    for count in divided._pieces_per_step():
        steps.append([row for piece in pieces[start : start + count] for row in piece])
        start += count
    assert steps == list(whole)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 200),
    batch_size=st.integers(1, 20),
    accumulation=st.integers(1, 4),
    processes=st.integers(1, 4),
)
def test_every_row_is_used_exactly_once_over_all_processes(rows, batch_size, accumulation, processes):
    if rows < processes:
        return
    batches = LengthGroupedBatches(
        np.arange(rows) % 7, batch_size, accumulation=accumulation, processes=processes, batches_per_block=3
    )
    shards = [BatchSamplerShard(batches, processes, process) for process in range(processes)]
    seen = [list(shard) for shard in shards]
    assert sorted(row for shard in seen for batch in shard for row in batch) == list(range(rows))
    assert {len(shard) for shard in seen} == {len(shards[0])}
    assert all(1 <= len(batch) <= batch_size + 1 for shard in seen for batch in shard)


def test_fewer_rows_than_processes_are_refused():
    with pytest.raises(ValueError, match="at least one row for each of 4 processes, found 3"):
        LengthGroupedBatches([1, 1, 1], 2, processes=4)
    with pytest.raises(ValueError, match="positive batch_size"):
        LengthGroupedBatches([1, 1, 1], 0)
