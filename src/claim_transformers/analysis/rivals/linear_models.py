"""Logistic regression with a penalty, for one label or for many at once, behind the baselines and the probes.

One label is scikit-learn's. Many labels are fitted here, all in one run of scipy's L-BFGS: scikit-learn would fit one
model per label, and a cohort of next diagnoses has hundreds of labels on the same sparse counts; one matrix product
serves them all. The objective is that of scikit-learn, and a test compares the two.

Letters: `N` examples, `F` features, `K` labels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from claim_transformers.training.metrics import FloatArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Probabilities of a log loss stay away from 0 and 1 by this much.
CLIP = 1e-6
MAX_ITERATIONS = 2000


@dataclass(frozen=True)
class _LinearFit:
    """A fitted logistic regression and what it says of each split."""

    scores: Mapping[str, FloatArray]  # Probabilities per split, of shape `(N,)`, or `(N, K)` for many labels.
    inverse_penalty: float  # The `C` of scikit-learn that was taken.
    validation_loss: float | None  # Log loss on the validation split; `None` where it has no row.
    weights: FloatArray  # One weight per feature, and label, shape `(F,)` or `(F, K)`.


def fit_linear(
    inputs: Mapping[str, "csr_matrix | FloatArray"],
    labels: Mapping[str, NDArray[Any]],
    inverse_penalties: Sequence[float],
    *,
    seed: int = 0,
) -> _LinearFit:
    """Fit logistic regression, taking the penalty with the least log loss on the validation split."""
    if not inverse_penalties:
        raise ValueError("expected at least one inverse penalty, found none")
    classes = np.unique(labels["train"])
    if len(classes) != 2:
        raise ValueError(f"expected two classes in the training split, found {len(classes)}")
    fit_one = _fit_many_labels if labels["train"].ndim == 2 else _fit_one_label
    held_out = labels.get("validation", labels["train"][:0])
    fits: list[tuple[float, float | None, Any]] = []
    for inverse_penalty in inverse_penalties:
        model = fit_one(inputs["train"], labels["train"], inverse_penalty, seed)
        loss = log_loss(held_out, model.predict(inputs["validation"])) if len(held_out) else None
        fits.append((inverse_penalty, loss, model))
    losses = [loss for _, loss, _ in fits if loss is not None]
    best = int(np.argmin(losses)) if losses else len(fits) // 2
    inverse_penalty, loss, model = fits[best]
    # scikit-learn refuses a split without rows.
    scores = {
        split: model.predict(matrix) if matrix.shape[0] else np.zeros(labels[split].shape)
        for split, matrix in inputs.items()
    }
    return _LinearFit(scores, inverse_penalty, loss, model.weights)


def log_loss(labels: NDArray[Any], probabilities: FloatArray) -> float:
    """Compute the mean log loss, which is defined also where all labels are the same."""
    clipped = np.clip(probabilities, CLIP, 1 - CLIP)
    return float(-np.mean(np.where(labels == 1, np.log(clipped), np.log(1 - clipped))))


@dataclass(frozen=True)
class _Regression:
    weights: FloatArray
    predict: Callable[[Any], FloatArray]


def _fit_one_label(inputs: Any, labels: NDArray[Any], inverse_penalty: float, seed: int) -> _Regression:
    from scipy.sparse import issparse
    from sklearn.linear_model import LogisticRegression

    solver = "liblinear" if issparse(inputs) else "lbfgs"
    model = LogisticRegression(C=inverse_penalty, max_iter=MAX_ITERATIONS, solver=solver, random_state=seed)
    model.fit(inputs, labels)
    return _Regression(model.coef_[0], lambda matrix: model.predict_proba(matrix)[:, 1])


def _fit_many_labels(inputs: Any, labels: NDArray[Any], inverse_penalty: float, seed: int) -> _Regression:
    """Fit all labels at once; a label without both classes in training gets the share of its class, smoothed."""
    positives = labels.sum(axis=0)
    share = (positives + 0.5) / (len(labels) + 1.0)
    start = np.log(share / (1 - share))
    varied = (positives > 0) & (positives < len(labels))
    weights, bias = np.zeros((inputs.shape[1], labels.shape[1])), start.copy()
    targets = np.asarray(labels[:, varied], np.float64)
    weights[:, varied], bias[varied] = _minimise(inputs, targets, start[varied], inverse_penalty)
    return _Regression(weights, lambda matrix: _sigmoid(np.asarray(matrix @ weights) + bias))


def _minimise(inputs: Any, targets: FloatArray, start: FloatArray, C: float) -> tuple[FloatArray, FloatArray]:
    """Weights `(F, K)` and biases `(K,)`; the bias is not penalised."""
    from scipy.optimize import minimize

    features, outputs = inputs.shape[1], targets.shape[1]
    transposed = inputs.T.tocsr() if hasattr(inputs, "tocsr") else inputs.T

    def loss_and_gradient(parameters: FloatArray) -> tuple[float, FloatArray]:
        both = parameters.reshape(features + 1, outputs)
        weights = both[:features]
        logits = np.asarray(inputs @ weights) + both[features]
        loss = C * float((np.logaddexp(0.0, logits) - targets * logits).sum()) + 0.5 * float((weights**2).sum())
        residuals = C * (_sigmoid(logits) - targets)
        gradient = np.vstack([np.asarray(transposed @ residuals) + weights, residuals.sum(axis=0)])
        return loss, gradient.ravel()

    begin = np.vstack([np.zeros((features, outputs)), start]).ravel()
    # A relative tolerance of the summed loss: scores move by less than a thousandth after it.
    options = {"maxiter": MAX_ITERATIONS, "maxfun": 2 * MAX_ITERATIONS, "gtol": 1e-4, "ftol": 1e-7}
    found = minimize(loss_and_gradient, begin, jac=True, method="L-BFGS-B", options=options).x
    both = found.reshape(features + 1, outputs)
    return both[:features], both[features]


def _sigmoid(logits: FloatArray) -> FloatArray:
    from scipy.special import expit

    probabilities: FloatArray = expit(logits)
    return probabilities
