"""The simple models find what they can find, and choose without the test split."""

import numpy as np
import pytest
import torch

from reproduction.claim_pt.next_visit_baselines import fit_simple_models
from reproduction.claim_pt.next_visit_regression import (
    RIDGE,
    fit_code_regressions,
    fit_sparse_logistic,
    regression_features,
)
from reproduction.claim_pt.next_visit_task import next_visit_rows, recall_of_rows
from reproduction.tests.timelines_by_hand import make_timelines

CODES = ["A/0", "A/1", "A/2", "A/3", "B/CHRONIC", "B/OTHER", "N/0", "N/1", "N/2"]


@pytest.fixture(scope="module")
def splits():
    return [next_visit_rows(make_timelines(patients, seed), CODES) for seed, patients in enumerate((150, 40, 40))]


def mean_recall(scores, rows, k, question="all codes"):
    return float(np.nanmean(recall_of_rows(scores, rows, [k], question)[k]))


def test_a_cycle_is_found_by_co_occurrence_and_regression_but_not_by_popularity(splits):
    popularity, repeat, together, regression = fit_simple_models(*splits, penalties=(0.05,))
    cycle = splits[2].targets[:, :4]
    found = {model.name: cycle[np.arange(len(cycle)), model.test[:, :4].argmax(axis=1)].mean() for model in
             (popularity, repeat, together, regression)}  # fmt: skip
    assert found["co-occurrence"] > 0.99
    assert found["logistic regression"] > 0.99
    assert found["popularity"] < 0.5
    assert found["repeat last visit"] == 0.0
    assert all(model.is_simple for model in (popularity, repeat, together, regression))


def test_repetition_puts_the_last_visit_first_and_the_popular_next(splits):
    _, repeat, *_ = fit_simple_models(*splits, penalties=(0.05,))
    rows = splits[2]
    ranks = np.argsort(np.argsort(-repeat.test, axis=1, kind="stable"), axis=1)
    assert (ranks[rows.last_visit].reshape(-1) < rows.last_visit.sum(axis=1).repeat(rows.last_visit.sum(axis=1))).all()


def test_a_code_that_comes_once_is_not_expected_again(splits):
    regression = fit_simple_models(*splits, penalties=(0.05,))[-1]
    had = splits[2].counts[:, 4] > 0
    assert regression.test[had, 4].max() < regression.test[~had, 4].max() - 1


def test_the_test_split_chooses_nothing(splits):
    train, validation, test = splits
    other = next_visit_rows(make_timelines(7, 9), CODES)
    first, second = (fit_simple_models(train, validation, given) for given in (test, other))
    assert [model.chosen for model in first] == [model.chosen for model in second]
    assert all(np.array_equal(a.validation, b.validation) for a, b in zip(first, second, strict=True))


def test_the_sparse_regression_is_that_of_scikit_learn(splits):
    from sklearn.linear_model import LogisticRegression

    rows = splits[0]
    features = regression_features(rows)
    inputs = features[:, features.std(axis=0) > 0][:, :14] / 2
    wanted = rows.targets[:, [0, 4, 6]]
    penalty = 8.0
    weights, bias = fit_sparse_logistic(
        torch.from_numpy(inputs), torch.from_numpy(wanted).float(), penalty, max_steps=5000, tolerance=1e-7
    )
    total = penalty + RIDGE
    for column in range(wanted.shape[1]):
        reference = LogisticRegression(
            C=1 / total, l1_ratio=penalty / total, solver="saga", max_iter=5000, tol=1e-6
        ).fit(inputs, wanted[:, column])
        assert weights[:, column].numpy() == pytest.approx(reference.coef_[0], abs=0.02)
        assert float(bias[column]) == pytest.approx(reference.intercept_[0], abs=0.02)
    assert (weights == 0).any()
    assert (weights != 0).any()


def test_more_penalty_leaves_fewer_weights(splits):
    inputs = torch.from_numpy(regression_features(splits[0]))
    wanted = torch.from_numpy(splits[0].targets).float()
    used = [int((fit_sparse_logistic(inputs, wanted, penalty)[0] != 0).sum()) for penalty in (5.0, 50.0, 1e5)]
    assert used[0] > used[1] > used[2] == 0


def test_other_candidates_and_empty_searches_are_refused(splits):
    train, validation, test = splits
    with pytest.raises(ValueError, match="expected the same candidates in all splits"):
        fit_simple_models(train, validation, next_visit_rows(make_timelines(3, 0), CODES[:4]))
    with pytest.raises(ValueError, match="expected penalties and histories"):
        fit_code_regressions(train, validation, test, penalties=())
