"""Calibration that goes with a checkpoint: `calibration.json`, a map from probabilities to better ones.

It is fitted where the labels are (`fit_platt`, `fit_isotonic`, `PriorCorrection`), on a split that the model has not
learned from, and applied wherever the checkpoint scores.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from claim_transformers.claims.files import to_json, write_file

_CALIBRATION_FILE = "calibration.json"
_CLIP = 1e-6  # log odds of 0 and 1 are finite
_NUMBERS = {
    "platt": ("intercept", "slope"),
    "prior": ("training_share", "true_share"),
    "isotonic": ("knots", "values"),
}

_Floats = npt.NDArray[np.float64]


class _HasDict(Protocol):
    """A recalibration that can be written as plain values."""

    def to_dict(self) -> dict[str, Any]:
        """Return the method and its numbers."""


@dataclass(frozen=True)
class Calibration:
    """A map from probabilities to calibrated ones, as plain values.

    Args:
        content (`Mapping[str, Any]`): `method`, one of `"platt"`, `"prior"` and `"isotonic"`, and its numbers, as the
            recalibrations of the audit give them.

    Raises:
        ValueError: If the method is unknown, a number is missing, not finite or out of range, or a curve falls.

    Examples:
        >>> Calibration({"method": "prior", "training_share": 0.5, "true_share": 0.1})([0.5]).round(6).tolist()
        [0.1]
        >>> Calibration({"method": "magic"})
        Traceback (most recent call last):
            ...
        ValueError: expected a calibration of method isotonic, platt or prior, found another
    """

    content: Mapping[str, Any]

    def __post_init__(self) -> None:
        names = _NUMBERS.get(str(self.content.get("method")))
        if names is None:
            raise ValueError("expected a calibration of method isotonic, platt or prior, found another")
        missing = [name for name in names if name not in self.content]
        if missing:
            raise ValueError(f"expected {' and '.join(names)} of the calibration, found no {' and no '.join(missing)}")
        first, second = (np.asarray(self.content[name], np.float64) for name in names)
        is_fine = bool(np.isfinite(first).all() and np.isfinite(second).all()) and first.shape == second.shape
        if self.method == "prior":
            is_fine = is_fine and bool(0.0 < first < 1.0 and 0.0 < second < 1.0)
        if self.method == "isotonic":
            is_fine = is_fine and first.ndim == 1 and len(first) > 0 and bool((np.diff(first) > 0).all())
            is_fine = is_fine and bool((np.diff(second) >= 0).all() and 0.0 <= second[0] <= second[-1] <= 1.0)
        if not is_fine:
            raise ValueError("expected finite numbers in their range of the calibration, and no falling curve")

    @property
    def method(self) -> str:
        """`str`: The method."""
        return str(self.content["method"])

    def __call__(self, probabilities: npt.ArrayLike) -> _Floats:
        """Return the calibrated probabilities."""
        values = np.asarray(probabilities, np.float64)
        first, second = (np.asarray(self.content[name], np.float64) for name in _NUMBERS[self.method])
        if self.method == "isotonic":
            return np.interp(values, first, second)
        moved: _Floats
        if self.method == "platt":
            moved = first + second * _log_odds(values)
        else:
            moved = _log_odds(values) + _log_odds(second) - _log_odds(first)
        # exp of a negative number cannot overflow.
        smaller = np.exp(-np.abs(moved))
        return np.where(moved >= 0, 1.0, smaller) / (1.0 + smaller)


def save_calibration(checkpoint: str | Path, calibration: _HasDict) -> Path:
    """Write a recalibration beside the weights of a checkpoint, so that its scores are calibrated.

    Args:
        checkpoint (`str` or `Path`): Folder of a fine-tuned checkpoint.
        calibration ([`PlattScaling`], [`IsotonicCurve`] or [`PriorCorrection`]): What was fitted, on a split that the
            checkpoint has not learned from.

    Returns:
        `Path`: `calibration.json` in the folder.

    Raises:
        ValueError: If the folder is no checkpoint, or the calibration is none.

    Examples:
        >>> save_calibration("/nowhere", None)
        Traceback (most recent call last):
            ...
        ValueError: expected the folder of a checkpoint, found no config.json at /nowhere
    """
    folder = Path(checkpoint)
    if not (folder / "config.json").is_file():
        raise ValueError(f"expected the folder of a checkpoint, found no config.json at {folder}")
    content = Calibration(calibration.to_dict()).content
    write_file(folder / _CALIBRATION_FILE, to_json(dict(content)))
    return folder / _CALIBRATION_FILE


def read_calibration(checkpoint: str | Path) -> Calibration | None:
    """Read the calibration of a checkpoint; `None` where it has none."""
    path = Path(checkpoint) / _CALIBRATION_FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"expected JSON in {path}, found something else") from error
    if not isinstance(content, dict):
        raise ValueError(f"expected one JSON object in {path}, found something else")
    return Calibration(content)


def _log_odds(probabilities: _Floats) -> _Floats:
    clipped = np.clip(probabilities, _CLIP, 1.0 - _CLIP)
    odds: _Floats = np.log(clipped) - np.log1p(-clipped)
    return odds
