"""ROC, calibration and learning curves of one run: inline SVG, so that one HTML file holds everything."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from claim_transformers.analysis.audit.risk_bins import group_bins, risk_bins
from claim_transformers.analysis.views.plot_style import SOFT, as_svg, in_house_style, look_of, new_axes

_Scores = Mapping[str, NDArray[np.float64]]


@in_house_style
def roc_plot(labels: NDArray[np.int64], scores: _Scores, *, raw_counts: bool = False) -> str:
    """Receiver operating characteristic of models on the same patients, in steps of 11 or more unless `raw_counts`."""
    from sklearn.metrics import roc_auc_score

    figure, (axes,) = new_axes()
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=":")
    for name, (colour, line, _) in look_of(scores).items():
        bins = risk_bins(labels, scores[name], raw_counts=raw_counts)
        if bins is None:
            continue
        # From the highest scores on.
        reached = [np.r_[0, np.cumsum(np.bincount(bins, labels == label)[::-1])] for label in (0, 1)]
        false_positive_rate, sensitivity = (count / max(count[-1], 1) for count in reached)
        if len(sensitivity) == 2 and not raw_counts:
            # One bin is no curve, but the area stands.
            false_positive_rate = sensitivity = []
        label = f"{name} ({roc_auc_score(labels, scores[name]):.3f})"
        axes.plot(false_positive_rate, sensitivity, color=colour, linestyle=line, label=label, linewidth=1.6)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", title="ROC, test split (area)")
    axes.set_aspect("equal")
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="lower right")
    return as_svg(figure, f"ROC curves of {', '.join(scores)}")


@in_house_style
def calibration_plot(labels: NDArray[np.int64], scores: _Scores, bins: int = 8, *, raw_counts: bool = False) -> str:
    """Observed against predicted risk in bins of equal size; each outcome has none or 11 unless `raw_counts`."""
    figure, (axes,) = new_axes()
    top = 0.0
    for name, (colour, line, marker) in look_of(scores).items():
        fine = risk_bins(labels, scores[name], raw_counts=raw_counts)
        if fine is None:
            continue
        member = group_bins(fine, bins)
        observed, predicted = (np.bincount(member, values) / np.bincount(member) for values in (labels, scores[name]))
        look: dict[str, Any] = {"color": colour, "linestyle": line, "marker": marker, "markersize": 4}
        axes.plot(predicted, observed, label=name, linewidth=1.2, **look)
        top = max(top, float(observed.max(initial=0)), float(predicted.max(initial=0)))
    is_outcome = bool(np.isin(labels, (0, 1)).all())
    limit = min(1.0, top * 1.08 + 0.02) if is_outcome else top * 1.08 + 0.02
    axes.plot([0, limit], [0, limit], color=SOFT, linewidth=1, linestyle=":", zorder=1)
    what = ("predicted risk", "observed share") if is_outcome else ("mean predicted", "mean observed")
    axes.set(xlabel=what[0], ylabel=what[1], title="Calibration, test split")
    axes.set_aspect("equal")
    if top:
        axes.legend(loc="upper left")
    return as_svg(figure, f"Observed against predicted risk of {', '.join(scores)}")


@in_house_style
def learning_plot(title: str, history: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> str:
    """Logged values of a training run against its steps."""
    figure, (axes,) = new_axes()
    for key, (colour, _, _) in look_of(keys).items():
        points = [(entry["step"], entry[key]) for entry in history if entry.get(key) is not None]
        if points:
            steps, values = zip(*points, strict=True)
            marker = "o" if key.startswith("eval") else None
            axes.plot(steps, values, color=colour, label=key.replace("_", " "), marker=marker, markersize=4)
    axes.set(xlabel="step", title=title)
    axes.legend()
    return as_svg(figure, f"{title}: logged values against steps")


@in_house_style
def embedding_plot(points: NDArray[np.float64], groups: Sequence[str], title: str, *, note: str = "") -> str:
    """A two-dimensional map of patients or codes, coloured by group."""
    figure, (axes,) = new_axes(width=5.2, height=4.6)
    names = sorted(set(groups) - {"other"})
    looks = {"other": ("#d9d9d9", "-", "o"), **look_of(names)}
    member = np.array(groups)
    for name, (colour, _, marker) in looks.items():
        chosen = member == name
        if chosen.any():
            label = f"{name} ({int(chosen.sum()):,})"
            style: dict[str, Any] = {"s": 13 if len(points) > 300 else 26, "marker": marker, "color": colour}
            axes.scatter(*points[chosen].T, label=label, linewidths=0.3, edgecolors="white", alpha=0.85, **style)
    axes.set(xticks=[], yticks=[], title=title)
    axes.spines[:].set_visible(False)
    if note:
        axes.set_xlabel(note, fontsize=7.5, color=SOFT)
    figure.legend(loc="outside lower center", ncols=3, handletextpad=0.2, markerscale=1.4)
    return as_svg(figure, f"{title}: a map of {len(points)} points in {len(names)} groups. {note}".strip())
