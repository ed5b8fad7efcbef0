"""The rows of next-visit prediction: what is known, what is asked, and nothing of the future."""

import itertools

import numpy as np
import pyarrow as pa
import pytest

from claim_transformers.training import recall_at_k
from reproduction.claim_pt.next_visit_task import (
    keep_visit_type,
    log_loss_of_rows,
    next_visit_rows,
    recall_of_rows,
    shuffle_visits,
)
from reproduction.tests.timelines_by_hand import make_timelines

CODES = ["A/0", "A/1", "A/2", "A/3", "B/CHRONIC", "B/OTHER", "N/0", "N/1", "N/2"]


def rows_by_loop(table, codes):
    """The same rows, visit by visit."""
    found = []
    for patient, record in enumerate(table["codes"].to_pylist()):
        for visit in range(1, len(record)):
            before = [[code in earlier for code in codes] for earlier in record[:visit]]
            found.append(
                (patient, visit, np.sum(before, axis=0), before[-1], [code in record[visit] for code in codes])
            )
    return found


def test_rows_are_those_of_a_loop_over_visits():
    table = pa.concat_tables([make_timelines(5, 0), make_timelines(1, 1, visits=1), make_timelines(4, 2, visits=3)])
    rows = next_visit_rows(table, CODES)
    for position, (patient, visit, counts, last, targets) in enumerate(rows_by_loop(table, CODES)):
        assert (rows.patient[position], rows.visit[position]) == (patient, visit)
        assert rows.counts[position].tolist() == list(counts)
        assert rows.last_visit[position].tolist() == last
        assert rows.targets[position].tolist() == targets
    assert len(rows) == position + 1


def test_what_is_known_does_not_depend_on_the_predicted_visit_or_its_day():
    table = make_timelines(3, 0)
    codes, days = table["codes"].to_pylist(), table["visit_day"].to_pylist()
    changed = [[*record[:-1], ["N/0", "N/1"]] for record in codes]
    later = [[*record[:-1], record[-1] + 5000] for record in days]
    other = pa.table({**{name: table[name] for name in table.column_names}, "codes": changed, "visit_day": later})
    before, after = next_visit_rows(table, CODES), next_visit_rows(other, CODES)
    for name in ("counts", "last_visit", "age_years"):
        assert np.array_equal(getattr(before, name), getattr(after, name))
    assert not np.array_equal(before.targets, after.targets)


def test_recall_of_all_codes_is_that_of_the_training_room():
    rows = next_visit_rows(make_timelines(20, 0), CODES)
    scores = np.random.default_rng(0).random(rows.targets.shape)
    assert np.nanmean(recall_of_rows(scores, rows, [3])[3]) == pytest.approx(recall_at_k(rows.targets, scores, k=3))


def test_new_onset_looks_for_new_codes_among_new_codes_only():
    rows = next_visit_rows(make_timelines(20, 0), CODES)
    wanted = rows.wanted("new onset")
    assert not (wanted & (rows.counts > 0)).any()
    assert wanted.sum() < rows.targets.sum()
    # Codes that the patient had before are struck out: however high they score, they take no place.
    repeated = (rows.counts > 0) * 100.0 + wanted
    recall = recall_of_rows(repeated, rows, [4], "new onset")[4]
    assert np.nanmin(recall) == 1.0
    assert np.isnan(recall).sum() == (~wanted.any(axis=1)).sum()


def test_shuffled_visits_keep_what_a_patient_has_and_lose_the_order():
    table = make_timelines(50, 0)
    shuffled = shuffle_visits(table, seed=1)
    before, after = (given["codes"].to_pylist() for given in (table, shuffled))
    assert [sorted(record) for record in before] == [sorted(record) for record in after]
    assert before != after
    assert shuffled["visit_day"].equals(table["visit_day"])
    follows = [
        [(int(b[0][2:]) - int(a[0][2:])) % 4 == 1 for record in given for a, b in itertools.pairwise(record)]
        for given in (before, after)
    ]
    assert np.mean(follows[0]) == 1.0
    assert np.mean(follows[1]) < 0.5


def test_visits_of_other_types_leave_with_their_days_and_codes():
    table = make_timelines(4, 0, visits=4)
    mixed = table.set_column(table.column_names.index("visit_type"), "visit_type", [[["IP", "RX", "RX", "IP"]] * 4])
    kept = keep_visit_type(mixed, "IP")
    for name in ("visit_day", "codes"):
        whole = mixed[name].to_pylist()
        assert kept[name].to_pylist() == [[record[0], record[3]] for record in whole]
    assert keep_visit_type(mixed, "OP")["codes"].to_pylist() == [[]] * 4


def test_log_loss_prefers_the_truth():
    rows = next_visit_rows(make_timelines(10, 0), CODES)
    truth = np.where(rows.targets, 5.0, -5.0)
    assert (
        log_loss_of_rows(truth, rows) < log_loss_of_rows(np.zeros_like(truth), rows) < log_loss_of_rows(-truth, rows)
    )


@pytest.mark.parametrize(
    ("table", "codes", "message"),
    [
        (make_timelines(2, 0), [], "found 0 candidates"),
        (make_timelines(2, 0, visits=1), CODES, "and 0 such patients"),
    ],
)
def test_nothing_to_predict_is_refused(table, codes, message):
    with pytest.raises(ValueError, match=message):
        next_visit_rows(table, codes)


def test_wrong_questions_and_scores_are_refused():
    rows = next_visit_rows(make_timelines(2, 0), CODES)
    with pytest.raises(ValueError, match="expected a question among 'all codes', 'new onset', found 'old'"):
        rows.wanted("old")
    with pytest.raises(ValueError, match="expected scores without NaN"):
        recall_of_rows(np.full(rows.targets.shape, np.nan), rows, [3])
