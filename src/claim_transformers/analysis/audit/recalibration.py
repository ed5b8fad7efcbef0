"""Recalibration: risks that mean what they say, fitted on validation and applied to test.

* [`fit_platt`]: a straight line on log odds (Platt, 1999). Two numbers, so it needs little validation data.
* [`fit_isotonic`]: any non-decreasing curve (Zadrozny and Elkan, 2002). It needs a thousand cases or so.
* [`PriorCorrection`]: for training on classes sampled apart, as the Medicare claim encoder was (three negatives per
  positive, section 4.1). It needs no data, only the two shares (Elkan, 2001, theorem 2; King and Zeng, 2001).

All three keep the order of the scores (isotonic makes ties), so AUROC hardly changes. scikit-learn fits the first two.
"""

import numpy as np
import numpy.typing as npt

from claim_transformers.analysis.audit.calibration_measures import logit
from claim_transformers.analysis.rivals.linear_models import CLIP
from claim_transformers.training import Calibration
from claim_transformers.training.metrics import FloatArray


class PriorCorrection(Calibration):
    """The odds, multiplied by how much rarer the outcome is where the model is used than where it learned.

    Args:
        training_share (`float`): Share of the outcome among the training rows, such as 0.25 for three to one.
        true_share (`float`): Its share where the model is used, such as that of an unsampled validation split.

    Raises:
        ValueError: If a share is not between 0 and 1.

    Examples:
        >>> PriorCorrection(training_share=0.5, true_share=0.1)([0.5]).round(6).tolist()
        [0.1]
        >>> PriorCorrection(training_share=0.5, true_share=0.0)
        Traceback (most recent call last):
        ValueError: expected shares between 0 and 1, found 0.5 and 0.0
    """

    def __init__(self, training_share: float, true_share: float) -> None:
        if not (0.0 < training_share < 1.0 and 0.0 < true_share < 1.0):
            raise ValueError(f"expected shares between 0 and 1, found {training_share} and {true_share}")
        super().__init__({"method": "prior", "training_share": training_share, "true_share": true_share})


def fit_platt(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> Calibration:
    """Fit Platt scaling on a validation split.

    Args:
        labels (array of shape `(N,)`): 0 or 1.
        probabilities (array of shape `(N,)`): Probabilities of 1 by the model, which has not learned from these rows.

    Returns:
        [`Calibration`]: The line, `logit(new) = intercept + slope * logit(old)`.

    Raises:
        ValueError: If there is one class only, shapes differ, or a probability is not in [0, 1].

    Examples:
        >>> line = fit_platt([0, 0, 0, 1, 0, 1, 1, 1], [0.1] * 4 + [0.9] * 4)
        >>> line([0.1, 0.9]).round(3).tolist()
        [0.25, 0.75]
    """
    from sklearn.linear_model import LogisticRegression

    labels, odds = _checked(labels, logit(probabilities))
    model = LogisticRegression(C=np.inf, max_iter=1000, tol=1e-8).fit(odds[:, None], labels)
    return Calibration({"method": "platt", "intercept": float(model.intercept_[0]), "slope": float(model.coef_[0, 0])})


def fit_isotonic(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> Calibration:
    """Fit isotonic regression on a validation split.

    Args:
        labels (array of shape `(N,)`): 0 or 1.
        probabilities (array of shape `(N,)`): Probabilities of 1 by the model, which has not learned from these rows.

    Returns:
        [`Calibration`]: The curve, straight between knots and level outside; it never says 0 or 1 outright, because a
            few validation rows cannot know that.

    Raises:
        ValueError: If there is one class only, shapes differ, or a probability is not in [0, 1].

    Examples:
        >>> curve = fit_isotonic([0, 1, 0, 1, 1, 1], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
        >>> curve([0.25, 0.6]).round(3).tolist()
        [0.5, 1.0]
    """
    from sklearn.isotonic import IsotonicRegression

    # The logit is asked for its check alone; the curve does not depend on the scale.
    labels, _ = _checked(labels, logit(probabilities))
    model = IsotonicRegression(y_min=CLIP, y_max=1.0 - CLIP, out_of_bounds="clip")
    model.fit(np.asarray(probabilities, np.float64), labels)
    return Calibration(
        {"method": "isotonic", "knots": model.X_thresholds_.tolist(), "values": model.y_thresholds_.tolist()}
    )


def _checked(labels: npt.ArrayLike, odds: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Labels of both classes beside their log odds, or an error."""
    labels = np.asarray(labels, np.float64)
    if labels.shape != odds.shape or labels.ndim != 1:
        raise ValueError(f"expected one label per probability, found shapes {labels.shape} and {odds.shape}")
    classes = np.unique(labels)
    if not np.array_equal(classes, [0.0, 1.0]):
        raise ValueError(f"expected labels 0 and 1 in the validation split, found {len(classes)} distinct values")
    return labels, odds
