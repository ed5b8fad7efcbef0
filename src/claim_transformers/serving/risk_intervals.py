"""How sure a calibrated risk is: what became of validation patients with a like risk, kept beside the checkpoint.

The interval of a single patient's risk is not known to anybody. What can be said honestly is how often the outcome
followed among patients whom the model gave a risk like this one, with the interval of that share (Wilson, 1927).
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from claim_transformers.claims.files import to_json, write_file
from claim_transformers.claims.small_cells import MIN_SHOWN
from claim_transformers.training.scoring.calibration import file_beside, read_calibration

_FILE = "risk_intervals.json"
_GROUPS = 10
_DIGITS = 3
_REACH = 1.96  # Standard errors on either side of a 95 % interval.

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RiskInterval:
    """Where the outcome lies among patients of a like risk: bounds of a 95 % interval, shares."""

    low: float
    high: float


@dataclass(frozen=True)
class _RiskIntervals:
    """Groups of validation patients by risk."""

    edges: tuple[float, ...]  # Inner edges of the groups, ascending.
    intervals: tuple[RiskInterval, ...]  # One more than edges.

    def of_risk(self, risk: float) -> RiskInterval:
        """The interval of the group that a calibrated risk falls into."""
        return self.intervals[int(np.searchsorted(self.edges, risk, side="right"))]


def save_risk_intervals(checkpoint: str | Path, labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> Path:
    """Write beside a checkpoint how often the outcome followed in groups of like risk, ten of them or fewer.

    Neighbours are joined until each group has 11 patients with the outcome and 11 without, so that the file gives no
    small count away.

    Args:
        checkpoint (`str` or `Path`): Folder of a fine-tuned checkpoint, with its calibration if it has one.
        labels (array of shape `(N,)`): 0 or 1, one stay or patient each, of a split that neither the model nor the
            calibration has learned from.
        probabilities (array of shape `(N,)`): Their risks as the checkpoint scores them, calibrated.

    Returns:
        `Path`: `risk_intervals.json` in the folder.

    Raises:
        ValueError: If the folder is no checkpoint, shapes differ, a value is out of range, or there are fewer than 11
            rows of either outcome.

    Source:
        Wilson (1927), Probable inference, the law of succession, and statistical inference.

    Examples:
        >>> save_risk_intervals("/nowhere", [0, 1], [0.1, 0.2])
        Traceback (most recent call last):
        ValueError: expected the folder of a checkpoint, found no config.json at /nowhere
    """
    folder = Path(checkpoint)
    if not (folder / "config.json").is_file():
        raise ValueError(f"expected the folder of a checkpoint, found no config.json at {folder}")
    outcome, risks = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
    if outcome.shape != risks.shape or outcome.ndim != 1:
        raise ValueError(f"expected one label per probability, found shapes {outcome.shape} and {risks.shape}")
    if not np.isin(outcome, (0, 1)).all() or not ((risks >= 0) & (risks <= 1)).all():
        raise ValueError("expected labels 0 and 1 and probabilities from 0 to 1, found others")
    edges, intervals = _groups(outcome, risks)
    content = {"calibration": _calibration_digest(folder), "edges": edges, "intervals": intervals}
    write_file(folder / _FILE, to_json(content))
    return folder / _FILE


def read_risk_intervals(checkpoint: str | Path) -> _RiskIntervals | None:
    """Read the intervals of a checkpoint, if it has any; those of another calibration are an error."""
    path = file_beside(checkpoint, _FILE)
    if path is None:
        return None
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        edges = tuple(map(float, content["edges"]))
        intervals = tuple(RiskInterval(float(low), float(high)) for low, high in content["intervals"])
        digest = content["calibration"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"expected intervals of risks in {path.name}, found something else") from error
    bounds = [bound for one in intervals for bound in (one.low, one.high)]
    is_fine = len(intervals) == len(edges) + 1 and all(0 <= bound <= 1 for bound in bounds)
    if not is_fine or list(edges) != sorted(edges) or any(one.low > one.high for one in intervals):
        raise ValueError(f"expected intervals of risks in {path.name}, found others")
    if digest != _calibration_digest(checkpoint):
        raise ValueError(f"expected {path.name} of this calibration, found that of another: save_risk_intervals anew")
    return _RiskIntervals(edges, intervals)


def _groups(outcome: _Floats, risks: _Floats) -> tuple[list[float], list[tuple[float, float]]]:
    """Inner edges at quantiles, and the Wilson interval of each group."""
    # Rounded: a quantile may be the risk of one patient.
    quantiles = np.quantile(risks, np.linspace(0, 1, _GROUPS + 1)[1:-1]).round(_DIGITS) if len(risks) else risks
    quantiles = np.unique(quantiles)
    group = np.searchsorted(quantiles, risks, side="right")
    cases = np.bincount(group, outcome, len(quantiles) + 1)
    others = np.bincount(group, 1 - outcome, len(quantiles) + 1)
    edges: list[float] = []
    joined: list[tuple[float, float]] = []
    pending = np.zeros(2)
    for number, counts in enumerate(zip(cases, others, strict=True)):
        pending = pending + counts
        if (pending >= MIN_SHOWN).all():
            joined.append((float(pending[0]), float(pending[1])))
            edges += [float(quantiles[number])] if number < len(quantiles) else []
            pending = np.zeros(2)
    if not joined:
        raise ValueError(f"expected at least {MIN_SHOWN} rows with the outcome and as many without, found fewer")
    if len(edges) == len(joined):
        # What is left over at the end is too small for a group of its own.
        edges.pop()
    last = joined.pop()
    joined.append((last[0] + float(pending[0]), last[1] + float(pending[1])))
    return edges, [_wilson(*counts) for counts in joined]


def _wilson(cases: float, others: float) -> tuple[float, float]:
    """Bounds of the 95 % interval of a share."""
    number, square = cases + others, _REACH**2
    share = cases / number
    centre = share + square / (2 * number)
    spread = _REACH * np.sqrt(share * (1 - share) / number + square / (4 * number**2))
    return float((centre - spread) / (1 + square / number)), float((centre + spread) / (1 + square / number))


def _calibration_digest(checkpoint: str | Path) -> str | None:
    calibration = read_calibration(checkpoint)
    if calibration is None:
        return None
    return hashlib.sha256(json.dumps(dict(calibration.content), sort_keys=True).encode()).hexdigest()
