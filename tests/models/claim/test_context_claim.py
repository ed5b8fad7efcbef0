import itertools

import numpy as np
import pytest
import torch

from claim_transformers.models.claim.context_claim import (
    NUM_TIME_BUCKETS,
    NUM_TIME_MAGNITUDES,
    horizon_pairs,
    horizon_slots,
    next_visit_pairs,
    own_category_pairs,
    position_days,
    predicting_slots,
    time_buckets,
    visible_positions,
)

NUM_SLOTS = 6
CASES = [(num_visits, cut) for num_visits in range(NUM_SLOTS) for cut in range(num_visits + 1)]


def _days(num_visits):
    return torch.tensor([[0] + [7 * visit for visit in range(num_visits)] + [-1] * (NUM_SLOTS - 1 - num_visits)])


def _targets_by_hand(num_visits, cut, patient_only):
    """Predicting slot to predicted visit."""
    targets = {0: cut + 1} if cut + 1 <= num_visits else {}
    if not patient_only:
        targets |= {slot: slot + 1 for slot in range(max(cut, 1), num_visits)}
    return targets


@pytest.mark.parametrize(("num_visits", "cut"), CASES)
def test_visibility_is_the_rule_of_the_cut(num_visits, cut):
    days = _days(num_visits)
    slots = torch.arange(NUM_SLOTS)[None]
    visible = visible_positions(slots, days >= 0, torch.tensor([cut]))[0]
    for query, key in itertools.product(range(NUM_SLOTS), repeat=2):
        expected = (key <= num_visits and (key <= cut or key <= query)) or key == query
        assert visible[query, key] == expected


@pytest.mark.parametrize("patient_only", [False, True])
@pytest.mark.parametrize(("num_visits", "cut"), CASES)
def test_every_prediction_is_of_a_visit_it_does_not_see(num_visits, cut, patient_only):
    days, cuts = _days(num_visits), torch.tensor([cut])
    predicts = predicting_slots(days, cuts, patient_only)
    targets = _targets_by_hand(num_visits, cut, patient_only)
    assert predicts[0].nonzero().flatten().tolist() == sorted(targets)
    visible = visible_positions(torch.arange(NUM_SLOTS)[None], days >= 0, cuts)[0]
    assert not any(visible[slot, target] for slot, target in targets.items())


@pytest.mark.parametrize("patient_only", [False, True])
def test_pairs_name_the_labels_of_the_predicted_visit(patient_only):
    # One patient per case; visit v holds the codes 10 v and 10 v + 1, padding stands on the left.
    days = torch.cat([_days(num_visits) for num_visits, _ in CASES])
    cuts = torch.tensor([cut for _, cut in CASES])
    width = 2 * NUM_SLOTS
    slots = torch.full((len(CASES), width), -1)
    labels = torch.full((len(CASES), width), -100)
    for row, (num_visits, _) in enumerate(CASES):
        for position, slot in enumerate(range(1, num_visits + 1)):
            start = width - 2 * num_visits + 2 * position
            slots[row, start : start + 2] = slot
            labels[row, start : start + 2] = torch.tensor([10 * slot, 10 * slot + 1])
    predicts = predicting_slots(days, cuts, patient_only)
    rows, cols = next_visit_pairs(predicts, cuts, slots, labels)
    expected, row = [], 0
    for num_visits, cut in CASES:
        for _, target in sorted(_targets_by_hand(num_visits, cut, patient_only).items()):
            expected += [(row, 10 * target), (row, 10 * target + 1)]
            row += 1
    assert sorted(zip(rows.tolist(), cols.tolist(), strict=True)) == expected
    assert int(predicts.sum()) == row


def test_categories_are_paired_with_their_own_visit_and_unlabelled_visits_are_left_out():
    slots = torch.tensor([[-1, 0, 1, 1, 2], [0, 1, 2, 3, 3]])
    labels = torch.tensor([[-100, -100, 4, 5, -100], [3, -100, 6, 6, 7]])
    predicts, rows, cols = own_category_pairs(slots, labels, 4)
    assert predicts.int().tolist() == [[0, 1, 0, 0], [0, 0, 1, 1]]
    assert list(zip(rows.tolist(), cols.tolist(), strict=True)) == [(0, 4), (0, 5), (1, 6), (2, 6), (2, 7)]


def _bucket_by_hand(query_day, key_day, same_slot):
    if same_slot:
        return NUM_TIME_MAGNITUDES
    days = abs(key_day - query_day)
    magnitude = 0 if days == 0 else min(int(np.floor(np.log2(days))) + 1, NUM_TIME_MAGNITUDES - 1)
    return magnitude + (NUM_TIME_MAGNITUDES if key_day > query_day else 0)


def test_time_buckets_equal_the_logarithm_in_numpy():
    days = [0, 0, 1, 3, 4, 7, 8, 100, 365, 4095, 4096, 20_000]
    slots = list(range(1, len(days) + 1))
    buckets = time_buckets(torch.tensor([slots]), torch.tensor([days]))[0]
    for query, key in itertools.product(range(len(days)), repeat=2):
        assert buckets[query, key] == _bucket_by_hand(days[query], days[key], query == key)
    assert 0 <= int(buckets.min()) <= int(buckets.max()) < NUM_TIME_BUCKETS


def test_the_patient_stands_on_the_day_of_the_last_visit_it_sees():
    days = torch.tensor([[0, 0, 7, 90, -1]]).expand(4, -1)
    slots = torch.arange(5).expand(4, -1)
    assert position_days(slots, days, torch.arange(4))[:, 0].tolist() == [0, 0, 7, 90]


@pytest.mark.parametrize("patient_only", [False, True])
@pytest.mark.parametrize("horizon_days", [0, 7, 20, 1000])
def test_the_horizon_holds_unseen_visits_of_its_days(horizon_days, patient_only):
    # Patient position of case (n, cut) stands 3 days after the last visit that it sees; visit v holds code 10 + v.
    days = torch.cat([_days(num_visits) for num_visits, _ in CASES])
    cuts = torch.tensor([cut for _, cut in CASES])
    days[:, 0] = torch.tensor([max(7 * (cut - 1), 0) + 3 for _, cut in CASES])
    slots = torch.arange(NUM_SLOTS).expand(len(CASES), -1).where(days >= 0, -1)
    labels = torch.where(slots >= 1, 10 + slots, -100)
    known = days >= 0
    known[:, 2] = False
    predicts = horizon_slots(known, cuts, patient_only)
    rows, cols = horizon_pairs(predicts, cuts, days, slots, labels, horizon_days)
    found = sorted(zip(rows.tolist(), cols.tolist(), strict=True))

    expected, row = [], 0
    for (num_visits, cut), case_days in zip(CASES, days.tolist(), strict=True):
        for slot in range(num_visits + 1):
            stands = cut > 0 if slot == 0 else slot >= cut and not patient_only
            if slot == 2 or not stands:
                continue
            last_day = case_days[slot] + horizon_days
            expected += [(row, 10 + v) for v in range(max(slot, cut) + 1, num_visits + 1) if case_days[v] <= last_day]
            row += 1
    assert int(predicts.sum()) == row
    assert found == expected


def test_the_patient_stands_on_the_index_date_but_never_before_what_it_sees():
    days = torch.tensor([[20, 0, 14], [0, 0, 14], [5, 0, 14]])
    stands = position_days(torch.zeros(3, 1, dtype=torch.long), days, torch.tensor([2, 2, 2]))
    assert stands.flatten().tolist() == [20, 14, 14]
