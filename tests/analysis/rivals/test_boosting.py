"""Boosted trees find what a linear model cannot, and see nothing of the test split."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from analysis.cohort_by_hand import make_examples, make_splits

from claim_transformers.analysis import fit_gradient_boosting, fit_logistic_regression
from claim_transformers.analysis.rivals.boosting import BoostingParameters
from claim_transformers.codes import CategoryRules
from claim_transformers.training import auroc

RULES = CategoryRules(prefixes={"ICD9CM/493": "CCS/128"}, prefix_lengths={"NDC": ("NDC9", 9), "HCPCS": ("HCPCS", 3)})
FAST = BoostingParameters(learning_rate=0.2, max_iter=60, min_samples_leaf=10, max_features=1.0)


def with_exclusive_or(rows: int, seed: int) -> pa.Table:
    """Patients whose outcome follows from exactly one of two codes, which no weighted sum of counts tells."""
    random = np.random.default_rng(seed)
    first, second = random.random((2, rows)) < 0.5
    table = make_examples(rows, seed)
    codes = [
        [["HCPCS/99213", *(["ICD9CM/311"] if a else []), *(["ICD9CM/34590"] if b else [])]] * len(days)
        for a, b, days in zip(first, second, table["visit_day"].to_pylist(), strict=True)
    ]
    table = table.set_column(table.column_names.index("codes"), "codes", pa.array(codes))
    labels = pa.array((first ^ second).astype(np.int8))
    return table.set_column(table.column_names.index("label"), "label", labels)


def test_an_exclusive_or_is_found_by_trees_and_not_by_a_linear_model():
    splits = {"train": with_exclusive_or(400, 0), "validation": with_exclusive_or(100, 1)}
    splits["test"] = with_exclusive_or(200, 2)
    labels = splits["test"]["label"].to_numpy()
    trees = fit_gradient_boosting(splits, rules=RULES, parameters=FAST)
    linear = fit_logistic_regression(splits)
    assert auroc(labels, trees.scores["test"]) > 0.95
    assert auroc(labels, linear.scores["test"]) < 0.75


def test_labels_of_the_test_split_change_no_score_and_the_seed_gives_the_same_scores():
    splits = make_splits()
    flipped = dict(splits)
    labels = pa.array(1 - splits["test"]["label"].to_numpy())
    flipped["test"] = splits["test"].set_column(splits["test"].column_names.index("label"), "label", labels)
    first, second = (fit_gradient_boosting(given, rules=RULES, parameters=FAST) for given in (splits, flipped))
    assert np.array_equal(first.scores["test"], second.scores["test"])


def test_the_number_of_trees_is_the_best_on_validation():
    splits = make_splits()
    best = fit_gradient_boosting(splits, rules=RULES, parameters=FAST)
    trees = best.parameters["trees"]
    assert 1 <= trees < FAST.max_iter
    for other in (max(1, trees - 1), trees + 1):
        fixed = dataclasses.replace(FAST, max_iter=other)
        assert fit_gradient_boosting(splits, rules=RULES, parameters=fixed).validation_loss >= best.validation_loss


def test_only_the_most_common_codes_become_columns():
    wide, narrow = (fit_gradient_boosting(make_splits(), rules=RULES, parameters=FAST, most_codes=n) for n in (3, 1))
    assert wide.num_features == narrow.num_features + 2


def test_without_validation_rows_all_trees_are_used():
    splits = make_splits()
    splits["validation"] = splits["validation"].slice(0, 0)
    result = fit_gradient_boosting(splits, rules=RULES, parameters=FAST)
    assert (result.parameters["trees"], result.validation_loss) == (FAST.max_iter, None)


def test_a_list_of_labels_and_one_class_are_refused():
    splits = make_splits()
    constant = splits["train"].drop_columns(["label"])
    rows = constant.num_rows
    with pytest.raises(ValueError, match="expected one label per example, found a list"):
        fit_gradient_boosting({"train": constant.append_column("label", pa.array([[0, 1]] * rows))}, rules=RULES)
    with pytest.raises(ValueError, match="expected two classes in the training split, found 1"):
        fit_gradient_boosting({"train": constant.append_column("label", pa.array([0] * rows))}, rules=RULES)
