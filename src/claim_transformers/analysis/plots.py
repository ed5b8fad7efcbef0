"""Pictures for reports: inline SVG, so that one HTML file holds everything and opens offline."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Scores = Mapping[str, NDArray[np.float64]]

# Okabe and Ito, 2008: colours that people with colour-vision deficiency tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")


def roc_plot(labels: NDArray[np.int64], scores: Scores) -> str:
    """Receiver operating characteristic of several models on the same patients.

    Args:
        labels (`NDArray[int]` of shape `(examples,)`): Outcomes, 0 or 1.
        scores (`dict[str, NDArray[float]]`): Predicted probabilities by name of the model.

    Returns:
        `str`: An SVG element.
    """
    from sklearn.metrics import roc_curve

    figure, axes = _figure()
    for colour, (name, score) in zip(COLOURS, scores.items(), strict=False):
        false_positive_rate, sensitivity, _ = roc_curve(labels, score)
        axes.plot(false_positive_rate, sensitivity, color=colour, label=name, linewidth=1.6)
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1, linestyle=":")
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", title="ROC, test split")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return _svg(figure)


def calibration_plot(labels: NDArray[np.int64], scores: Scores, bins: int = 8) -> str:
    """Observed against predicted risk in bins of equal size.

    Args:
        labels (`NDArray[int]` of shape `(examples,)`): Outcomes, 0 or 1.
        scores (`dict[str, NDArray[float]]`): Predicted probabilities by name of the model.
        bins (`int`): Quantile bins.

    Returns:
        `str`: An SVG element.
    """
    from sklearn.calibration import calibration_curve

    figure, axes = _figure()
    top = 0.0
    for colour, (name, score) in zip(COLOURS, scores.items(), strict=False):
        observed, predicted = calibration_curve(labels, score, n_bins=bins, strategy="quantile")
        axes.plot(predicted, observed, marker="o", markersize=4, color=colour, label=name, linewidth=1.2)
        top = max(top, float(observed.max(initial=0)), float(predicted.max(initial=0)))
    limit = min(1.0, top * 1.08 + 0.02)
    axes.plot([0, limit], [0, limit], color="#bbbbbb", linewidth=1, linestyle=":")
    axes.set(xlabel="predicted risk", ylabel="observed share", title="Calibration, test split")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    return _svg(figure)


def learning_plot(title: str, history: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> str:
    """Logged values of a training run against its steps.

    Args:
        title (`str`): Heading of the plot.
        history (`list[dict]`): Log entries of a `Trainer`, each with a `step`.
        keys (`list[str]`): Which logged values to draw; absent ones are left out.

    Returns:
        `str`: An SVG element.
    """
    figure, axes = _figure()
    for colour, key in zip(COLOURS, keys, strict=False):
        points = [(entry["step"], entry[key]) for entry in history if entry.get(key) is not None]
        if points:
            steps, values = zip(*points, strict=True)
            marker = "o" if key.startswith("eval") else None
            axes.plot(steps, values, color=colour, label=key.replace("_", " "), marker=marker, markersize=4)
    axes.set(xlabel="step", title=title)
    axes.legend(frameon=False, fontsize=8)
    return _svg(figure)


def embedding_plot(points: NDArray[np.float64], groups: Sequence[str], title: str) -> str:
    """A two-dimensional map of patients or codes, coloured by group.

    Args:
        points (`NDArray[float]` of shape `(points, 2)`): Positions, from `claim_transformers.analysis.embedding_map`.
        groups (`list[str]`): Group of each point; `"other"` is drawn grey and first.
        title (`str`): Heading of the plot.

    Returns:
        `str`: An SVG element.
    """
    figure, axes = _figure(width=5.6, height=4.4)
    names = sorted(set(groups) - {"other"})
    palette = {"other": "#d9d9d9", **dict(zip(names, COLOURS * (len(names) // len(COLOURS) + 1), strict=False))}
    member = np.array(groups)
    for name in ["other", *names]:
        chosen = member == name
        if chosen.any():
            axes.scatter(
                points[chosen, 0], points[chosen, 1], s=8, color=palette[name], label=name, linewidths=0, alpha=0.8
            )
    axes.set(xticks=[], yticks=[], title=title)
    axes.legend(frameon=False, fontsize=8, markerscale=2, loc="best")
    return _svg(figure)


def _figure(width: float = 4.6, height: float = 3.6) -> tuple["Figure", "Axes"]:
    """A figure that never touches a display or the process-wide state of pyplot."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: "Figure") -> str:
    from matplotlib import rc_context

    buffer = io.StringIO()
    # A fixed salt and no date: the same numbers give the same bytes.
    with rc_context({"svg.hashsalt": "claim-transformers", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
