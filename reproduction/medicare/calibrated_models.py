"""A count model with what an audit needs: risks recalibrated on validation, and the G-mean threshold of validation."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from claim_transformers.analysis.audit.recalibration import fit_platt
from claim_transformers.analysis.audit.threshold import gmean_threshold
from claim_transformers.analysis.rivals.features import read_labels
from claim_transformers.training import Calibration
from reproduction.medicare import count_models
from reproduction.medicare.count_models import CountModel

Kind = Literal["lr", "gb"]


@dataclass(frozen=True)
class CalibratedModel:
    """A count model whose risks mean what they say on validation.

    Args:
        model (`CountModel`): The model.
        line ([`Calibration`]): Fitted on validation.
        threshold (`float`): Of the recalibrated risks, with the largest geometric mean of recall and specificity.
    """

    model: CountModel
    line: Calibration
    threshold: float

    def predict(self, examples: pa.Table) -> NDArray[np.float64]:
        """Say the risk of each example."""
        return self.line(self.model.predict(examples))


def fit_calibrated(
    kind: Kind, train: pa.Table, validation: pa.Table, *, seed: int = 0, drop: Collection[str] = ()
) -> CalibratedModel:
    """Fit a count model, recalibrate it and choose its threshold.

    Args:
        kind (`str`): `"lr"` or `"gb"`.
        train (`pa.Table`): Training examples.
        validation (`pa.Table`): Validation examples, on which settings, line and threshold are chosen.
        seed (`int`, *optional*, defaults to 0): Seed.
        drop (`Collection[str]`, *optional*): Inputs to leave out, see `fit_count_model`.

    Returns:
        [`CalibratedModel`]: The model.

    Raises:
        ValueError: If the validation examples have one class.
    """
    model = count_models.fit_count_model(kind, train, validation, seed=seed, drop=drop)
    labels, said = read_labels(validation), model.predict(validation)
    line = fit_platt(labels, said)
    return CalibratedModel(model, line, float(gmean_threshold(labels, line(said))))
