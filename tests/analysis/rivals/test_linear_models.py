"""Many labels at once give what one fit per label gives, and the penalty is chosen on validation alone."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from claim_transformers.analysis.rivals.linear_models import fit_linear, log_loss

RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(200, 6)) * (RANDOM.random((200, 6)) < 0.5)
LABELS = (INPUTS[:, :3] + 0.5 * RANDOM.normal(size=(200, 3)) > 0.2).astype(np.int64)


def splits(values, validation=50):
    return {"train": values[validation:], "validation": values[:validation]}


@pytest.mark.parametrize("form", [np.asarray, csr_matrix])
def test_many_labels_are_fitted_as_scikit_learn_fits_each(form):
    inputs = {name: form(part) for name, part in splits(INPUTS).items()}
    fit = fit_linear(inputs, splits(LABELS), [0.3])
    for label in range(3):
        single = LogisticRegression(C=0.3, tol=1e-8).fit(INPUTS[50:], LABELS[50:, label])
        assert np.allclose(fit.weights[:, label], single.coef_[0], atol=2e-3)
        expected = single.predict_proba(INPUTS[:50])[:, 1]
        assert np.allclose(fit.scores["validation"][:, label], expected, atol=1e-3)


def test_a_label_that_nobody_has_gets_a_small_share_and_changes_no_other():
    extended = np.hstack([LABELS, np.zeros((200, 1), np.int64), np.ones((200, 1), np.int64)])
    fit = fit_linear(splits(INPUTS), splits(extended), [1.0])
    assert np.allclose(fit.scores["validation"][:, 3], 0.5 / 151)
    assert np.allclose(fit.scores["validation"][:, 4], 150.5 / 151)
    assert np.allclose(fit.scores["train"][:, :3], fit_linear(splits(INPUTS), splits(LABELS), [1.0]).scores["train"])


@pytest.mark.parametrize("labels", [LABELS, LABELS[:, 0]])
def test_the_penalty_with_the_least_validation_loss_is_taken(labels):
    choices = [1e-6, 0.3, 1e4]
    fit = fit_linear(splits(INPUTS), splits(labels), choices)
    losses = [float(fit_linear(splits(INPUTS), splits(labels), [choice]).validation_loss) for choice in choices]
    assert fit.inverse_penalty == choices[int(np.argmin(losses))]
    assert fit.validation_loss == min(losses) == log_loss(splits(labels)["validation"], fit.scores["validation"])


def test_without_validation_rows_the_middle_penalty_is_taken():
    inputs, labels = splits(INPUTS, validation=0), splits(LABELS[:, 0], validation=0)
    fit = fit_linear(inputs, labels, [0.1, 1.0, 10.0])
    assert (fit.inverse_penalty, fit.validation_loss, len(fit.scores["validation"])) == (1.0, None, 0)


def test_no_penalty_and_one_class_are_refused():
    with pytest.raises(ValueError, match="expected at least one inverse penalty, found none"):
        fit_linear(splits(INPUTS), splits(LABELS), [])
    with pytest.raises(ValueError, match="expected two classes in the training split, found 1"):
        fit_linear(splits(INPUTS), splits(np.zeros((200, 3), np.int64)), [1.0])
