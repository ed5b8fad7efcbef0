"""Logistic regression finds a planted cause, and does not see the test split."""

import numpy as np
import pyarrow as pa
import pytest
from analysis.cohort_by_hand import make_splits

from claim_transformers.analysis import fit_logistic_regression
from claim_transformers.codes import CategoryRules
from claim_transformers.training import auroc, recall_at_k

RULES = CategoryRules(prefixes={"ICD9CM/493": "CCS/128", "NDC/001730602": "DRUG/FLUTICASONE"})


@pytest.mark.parametrize("features", ["sparse", "dense"])
def test_a_planted_cause_is_found(features):
    splits = make_splits()
    result = fit_logistic_regression(splits, features=features, rules=RULES)
    labels = splits["test"]["label"].to_numpy()
    ceiling = auroc(labels, [float("NDC/00173060202" in visits[0]) for visits in splits["test"]["codes"].to_pylist()])
    assert auroc(labels, result.scores["test"]) > ceiling - 0.03
    assert result.weights[0][0] in {"NDC/00173060202", "DRUG/FLUTICASONE"}


def test_labels_of_the_test_split_change_no_score():
    splits = make_splits()
    flipped = dict(splits)
    labels = pa.array(1 - splits["test"]["label"].to_numpy())
    flipped["test"] = splits["test"].set_column(splits["test"].column_names.index("label"), "label", labels)
    first, second = (fit_logistic_regression(given).scores["test"] for given in (splits, flipped))
    assert np.array_equal(first, second)


def test_one_class_in_training_is_refused():
    splits = make_splits()
    constant = pa.array(np.zeros(splits["train"].num_rows, np.int8))
    splits["train"] = splits["train"].set_column(splits["train"].column_names.index("label"), "label", constant)
    with pytest.raises(ValueError, match="expected two classes in the training split, found 1"):
        fit_logistic_regression(splits)


def test_dense_features_need_rules():
    with pytest.raises(ValueError, match="expected rules, found none"):
        fit_logistic_regression(make_splits(), features="dense")


def test_a_given_penalty_is_used_without_a_search():
    splits = make_splits()
    results = [fit_logistic_regression(splits, inverse_penalty=C) for C in (0.001, 1.0)]
    assert [result.inverse_penalty for result in results] == [0.001, 1.0]
    assert results[0].validation_loss > results[1].validation_loss


@pytest.mark.parametrize("features", ["sparse", "dense"])
def test_a_list_of_labels_is_predicted_label_by_label(features):
    splits = {}
    for name, table in make_splits().items():
        marked = np.array(["NDC/00173060202" in visits[0] for visits in table["codes"].to_pylist()])
        both = pa.array(np.stack([marked, ~marked], axis=1).astype(np.int64).tolist())
        splits[name] = table.set_column(table.column_names.index("label"), "label", both)
    result = fit_logistic_regression(splits, features=features, rules=RULES, inverse_penalty=1.0)
    labels = np.array(splits["test"]["label"].to_pylist())
    assert result.scores["test"].shape == labels.shape
    assert recall_at_k(labels, result.scores["test"], k=1) == 1.0
    assert result.weights[0][0] in {"NDC/00173060202", "DRUG/FLUTICASONE"}
