"""Calibration that goes with a checkpoint: `calibration.json`, a map from probabilities to better ones.

Fine-tuning fits it on the validation split and writes it beside the weights it is of; it is applied wherever the
checkpoint scores. What the audit fits can be written in its place.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from huggingface_hub import is_offline_mode
from safetensors import safe_open
from transformers.utils.hub import cached_file

from claim_transformers.claims.files import file_sha256, to_json, write_file
from claim_transformers.claims.small_cells import is_small
from claim_transformers.models.claim.names_claim import resolve_checkpoint

_logger = logging.getLogger(__name__)

CALIBRATION_FILE = "calibration.json"
_CLIP = 1e-6  # log odds of 0 and 1 are finite
NUMBERS = {
    "platt": ("intercept", "slope"),
    "prior": ("training_share", "true_share"),
    "isotonic": ("knots", "values"),
}

_WEIGHTS, _WEIGHTS_KEY = "*.safetensors", "weights"
_STEPS, _LONGEST_STEP = 50, 2.0

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """A map from probabilities to calibrated ones, as plain values.

    Args:
        content (`Mapping[str, Any]`): `method`, one of `"platt"`, `"prior"` and `"isotonic"`, and its numbers, as the
            `to_dict` gives them.

    Raises:
        ValueError: If the method is unknown, a number is missing, not finite or out of range, or a curve falls.

    Examples:
        >>> Calibration({"method": "prior", "training_share": 0.5, "true_share": 0.1})([0.5]).round(6).tolist()
        [0.1]
        >>> Calibration({"method": "magic"})
        Traceback (most recent call last):
        ValueError: expected a calibration of method isotonic, platt or prior, found another
    """

    content: Mapping[str, Any]

    def __post_init__(self) -> None:
        names = NUMBERS.get(str(self.content.get("method")))
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

    def to_dict(self) -> dict[str, Any]:
        """Return the method and its numbers."""
        return dict(self.content)

    def __call__(self, probabilities: npt.ArrayLike) -> _Floats:
        """Return the calibrated probabilities."""
        values = np.asarray(probabilities, np.float64)
        first, second = (np.asarray(self.content[name], np.float64) for name in NUMBERS[self.method])
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


def fit_calibration(labels: npt.ArrayLike, probabilities: npt.ArrayLike, shift: float = 0.0) -> Calibration | None:
    """Fit Platt scaling with the targets of Platt (1999), which are finite on any split that has both classes.

    `shift` is by how many log odds the model exceeds these probabilities of a split that it has not learned from.
    There is no line, but a warning, where 1 to 10 rows, or none, have the outcome, or have not, or where the risks do
    not rise with it.
    """
    truth = np.asarray(labels, np.float64)
    positives = int(np.count_nonzero(truth == 1))
    numbers = positives, len(truth) - positives
    if not all(numbers) or any(map(is_small, numbers)):
        _logger.warning("too few rows with or without the outcome: NO CALIBRATION, scores are the model's own")
        return None
    targets = np.where(truth == 1, (numbers[0] + 1) / (numbers[0] + 2), 1 / (numbers[1] + 2))
    odds = _log_odds(np.asarray(probabilities, np.float64))
    center, spread = float(odds.mean()), float(odds.std()) or 1.0
    columns = np.stack([np.ones(len(odds)), (odds - center) / spread], axis=1)
    line = np.zeros(2)
    for _ in range(_STEPS):
        risks = 1.0 / (1.0 + np.exp(-(columns @ line)))
        # A little on the diagonal, for scores that are all equal.
        curvature = (columns * (risks * (1.0 - risks))[:, None]).T @ columns + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, columns.T @ (targets - risks))
        # A long step from a poor start can overshoot.
        line = line + np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
        if np.abs(step).max() < 1e-9:
            break
    slope = float(line[1]) / spread
    if slope <= 0.0:
        _logger.warning("the risks do not rise with the outcome: NO CALIBRATION, scores are the model's own")
        return None
    intercept = float(line[0]) - slope * (center + shift)
    return Calibration({"method": "platt", "intercept": intercept, "slope": slope})


def save_calibration(checkpoint: str | Path, calibration: Calibration) -> Path:
    """Write a calibration beside the weights of a checkpoint, so that its scores are calibrated.

    Args:
        checkpoint (`str` or `Path`): Folder of a fine-tuned checkpoint. Other weights are not scored with it.
        calibration ([`Calibration`]): What was fitted, on a split that the checkpoint has not learned from.

    Returns:
        `Path`: `calibration.json` in the folder.

    Raises:
        ValueError: If the folder is no checkpoint, or the calibration is none.

    Examples:
        >>> save_calibration("/nowhere", None)
        Traceback (most recent call last):
        ValueError: expected the folder of a checkpoint, found no config.json at /nowhere
    """
    folder = Path(checkpoint)
    if not (folder / "config.json").is_file():
        raise ValueError(f"expected the folder of a checkpoint, found no config.json at {folder}")
    content = Calibration(calibration.to_dict()).to_dict()
    write_file(folder / CALIBRATION_FILE, to_json({**content, _WEIGHTS_KEY: _weights_digest(folder)}))
    return folder / CALIBRATION_FILE


def read_calibration(checkpoint: str | Path) -> Calibration | None:
    """Read the calibration of a checkpoint, a folder or a name; `None` where it has none. Load its weights first."""
    path = file_beside(checkpoint, CALIBRATION_FILE)
    if path is None:
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"expected JSON in {path}, found something else") from error
    if not isinstance(content, dict):
        raise ValueError(f"expected one JSON object in {path}, found something else")
    if content.pop(_WEIGHTS_KEY, None) != _weights_digest(path.parent):
        raise ValueError(
            f"expected the calibration of these weights in {path}, found that of others: fit it again, or remove it"
        )
    return Calibration(content)


def calibration_of(model: torch.nn.Module) -> Calibration | None:
    """Read the calibration of the checkpoint that a model was loaded from; `None` once it has learned more."""
    name = str(getattr(model, "name_or_path", ""))
    try:
        path = file_beside(name, CALIBRATION_FILE) if name else None
    except OSError:
        _logger.warning("no checkpoint was found under the name of the model: scores are the model's own")
        return None
    return read_calibration(path.parent) if path is not None and _has_weights_of(model, path.parent) else None


def file_beside(checkpoint: str | Path, file: str) -> Path | None:
    """A file beside the weights, in a folder or in the cache of the Hub; `None` where there is none."""
    folder = Path(resolve_checkpoint(checkpoint))
    if folder.is_dir() or folder.is_absolute():
        return folder / file if (folder / file).is_file() else None
    # What is not in the cache of a machine without a network is not there; a network that fails is an error.
    found = cached_file(
        str(checkpoint),
        file,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=not is_offline_mode(),
    )
    return None if found is None else Path(found)


def _has_weights_of(model: torch.nn.Module, folder: Path) -> bool:
    """Whether a model has the weights that lie in a folder, in its own precision."""
    weights, paths = model.state_dict(), sorted(folder.glob(_WEIGHTS))
    for path in paths:
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118  # no mapping
                mine = weights.get(name)
                if mine is None or not torch.equal(mine.cpu(), file.get_tensor(name).to(mine.dtype)):
                    return False
    return bool(paths)


def copy_calibration(run: str | Path, checkpoint: str | Path) -> None:
    """Copy the calibration of a run into a folder with the same weights, and not into one with others."""
    path = Path(run) / CALIBRATION_FILE
    if not path.is_file():
        return
    content = json.loads(path.read_text(encoding="utf-8"))
    if content.get(_WEIGHTS_KEY) == _weights_digest(Path(checkpoint)):
        write_file(Path(checkpoint) / CALIBRATION_FILE, path.read_text(encoding="utf-8"))


def _weights_digest(folder: Path) -> str:
    digests = "".join(file_sha256(path) for path in sorted(folder.glob(_WEIGHTS)))
    return hashlib.sha256(digests.encode()).hexdigest()


def _log_odds(probabilities: _Floats) -> _Floats:
    clipped = np.clip(probabilities, _CLIP, 1.0 - _CLIP)
    odds: _Floats = np.log(clipped) - np.log1p(-clipped)
    return odds
