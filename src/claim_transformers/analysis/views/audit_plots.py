"""Plots of an audit: reliability before and after recalibration, gaps of subgroups, and drift over periods."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from claim_transformers.analysis.audit.drift import PeriodDrift
from claim_transformers.analysis.audit.patient_draws import draw
from claim_transformers.analysis.audit.risk_bins import group_bins, risk_bins
from claim_transformers.analysis.audit.stability import SLIGHT_INDEX
from claim_transformers.analysis.audit.subgroup_tables import shown_metrics
from claim_transformers.analysis.audit.subgroup_verdicts import Gap
from claim_transformers.analysis.audit.subgroups import SubgroupAudit
from claim_transformers.analysis.views.curve_plots import HasInterval, interval_plot
from claim_transformers.analysis.views.plot_style import SOFT, as_svg, in_house_style, look_of, new_axes
from claim_transformers.training import MetricInterval
from claim_transformers.training.metrics import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANEL = 3.4


@in_house_style
def reliability_plot(
    labels: npt.ArrayLike,
    probabilities: Mapping[str, npt.ArrayLike],
    patients: npt.ArrayLike | None = None,
    *,
    bins: int = 10,
    replicates: int = 500,
    seed: int = 0,
    raw_counts: bool = False,
) -> str:
    """Draw observed against predicted risk in bins of equal size, with intervals over resampled patients.

    Args:
        labels (array of shape `(N,)`): 0 or 1.
        probabilities (`dict[str, array]`): Probabilities by name, one panel each, such as before and after Platt
            scaling.
        patients (array of shape `(N,)`, *optional*): Patient of each row; each row is a patient without it.
        bins (`int`, *optional*, defaults to `10`): Bins of about equal size.
        replicates (`int`, *optional*, defaults to `500`): Bootstrap replicates.
        seed (`int`, *optional*, defaults to `0`): Seed of the draws.
        raw_counts (`bool`, *optional*, defaults to `False`): Keep bins in which 1 to 10 rows have an outcome, or have
            none, apart; they are joined to their neighbours otherwise.

    Raises:
        ValueError: If there is no prediction or shapes differ.
    """
    if not probabilities:
        raise ValueError("expected at least one prediction, found none")
    labels = np.asarray(labels, np.float64)
    figure, grid = new_axes(columns=len(probabilities), width=0.5 + _PANEL * len(probabilities), height=_PANEL + 0.2)
    curves = {
        name: _reliability(
            labels, values, patients, bins=bins, replicates=replicates, seed=seed, raw_counts=raw_counts
        )
        for name, values in probabilities.items()
    }
    ends = [
        end
        for predicted, observed in curves.values()
        for end in (*predicted, *(point.high or point.value or 0.0 for point in observed))
    ]
    limit = min(1.0, 1.05 * max(ends, default=1.0))
    for axes, (name, (predicted, observed)), (colour, _, marker) in zip(
        grid, curves.items(), look_of(curves).values(), strict=True
    ):
        axes.plot([0, limit], [0, limit], color=SOFT, linewidth=1, linestyle=":", zorder=1)
        _draw_points(axes, list(zip(predicted, observed, strict=True)), color=colour, marker=marker)
        axes.set(title=name, xlabel="predicted risk", xlim=(0, limit), ylim=(0, limit))
        axes.set_aspect("equal")
    grid[0].set_ylabel("observed share")
    return as_svg(figure, f"Observed against predicted risk with intervals: {', '.join(curves)}")


def _reliability(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    patients: npt.ArrayLike | None = None,
    *,
    bins: int = 10,
    replicates: int = 500,
    seed: int = 0,
    raw_counts: bool = False,
) -> tuple[list[float], list[MetricInterval]]:
    """Mean predicted risk and observed share of each bin of about equal size; equal probabilities share a bin."""
    labels, values = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
    if labels.shape != values.shape or not len(labels):
        raise ValueError(f"expected one label per probability, found shapes {labels.shape} and {values.shape}")
    if (fine := risk_bins(labels, values, raw_counts=raw_counts)) is None:
        return [], []
    member = group_bins(fine, bins)
    one_hot = np.zeros((len(values), member.max() + 1))
    one_hot[np.arange(len(values)), member] = 1.0

    def shares(weights: FloatArray) -> FloatArray:
        with np.errstate(invalid="ignore"):
            found: FloatArray = (weights @ (one_hot * labels[:, None])) / (weights @ one_hot)
        return found

    drawn = draw(shares, len(values), patients, replicates=replicates, seed=seed)
    predicted = (values @ one_hot) / one_hot.sum(axis=0)
    return predicted.tolist(), [drawn.interval(number) for number in range(one_hot.shape[1])]


def subgroup_plot(audit: SubgroupAudit, metrics: Sequence[str] = ("AUROC", "observed/expected", "recall")) -> str:
    """Draw how far every group is from a calibrated model as good in it as elsewhere, with intervals.

    Args:
        audit ([`SubgroupAudit`]): From [`audit_subgroups`].
        metrics (`list[str]`, *optional*): One panel each.

    Returns:
        `str`: An SVG element; groups that are too small, or not shown in [`subgroup_table`], are left out.

    Raises:
        ValueError: If no group was tested.
    """
    groups: dict[str, list[str]] = {}
    panels: dict[str, dict[str, HasInterval]] = {metric: {} for metric in metrics}
    for found, shown in zip(audit.subgroups, shown_metrics(audit), strict=True):
        if found.p is None or not shown.intersection(metrics):
            continue
        gaps: dict[str, Gap] = {gap.metric: gap for gap in found.gaps}
        # The same word may name groups of two attributes.
        name = found.group if all(found.group not in names for names in groups.values()) else f"{found.group} "
        groups.setdefault(found.attribute, []).append(name)
        for metric in shown.intersection(metrics):
            panels[metric][name] = gaps[metric].excess
    return interval_plot(panels, groups, xlabel="beyond a model as good as elsewhere")


def drift_figure(measured: Sequence[PeriodDrift]) -> str:
    """Draw the drift of all periods: inputs, domain classifier, and estimated against true AUROC.

    Args:
        measured (`list[PeriodDrift]`): From [`measure_drift`].

    Raises:
        ValueError: If there is no period.
    """
    panels: dict[str, dict[str, dict[str, HasInterval]]] = {
        "largest PSI of a field": {
            "largest": {
                found.period: MetricInterval(found.worst_field.index, None, None, clusters=0, replicates=0)
                for found in measured
            }
        },
        "domain AUROC": {"domain": {found.period: found.domain_auroc for found in measured}},
    }
    performance: dict[str, dict[str, HasInterval]] = {
        "estimated": {found.period: found.estimated for found in measured if found.estimated},
        "true": {found.period: found.true for found in measured if found.true},
    }
    known = {name: curve for name, curve in performance.items() if curve}
    if known:
        panels["AUROC of the model"] = known
    return _drift_plot(panels, lines={"largest PSI of a field": SLIGHT_INDEX, "domain AUROC": 0.5})


@in_house_style
def _drift_plot(
    panels: Mapping[str, Mapping[str, Mapping[str, HasInterval]]], *, lines: Mapping[str, float] | None = None
) -> str:
    """Panels by heading: each maps names of curves to values by period; `lines` marks a level in a panel."""
    if not panels or not all(any(curves.values()) for curves in panels.values()):
        raise ValueError(f"expected at least one panel and a value in each, found {len(panels)} panels")
    figure, grid = new_axes(columns=len(panels), width=0.7 + _PANEL * len(panels), height=3.2)
    for axes, (title, curves) in zip(grid, panels.items(), strict=True):
        periods = list(dict.fromkeys(period for curve in curves.values() for period in curve))
        for (name, curve), (colour, line, marker) in zip(curves.items(), look_of(curves).values(), strict=True):
            points = [(float(periods.index(period)), point) for period, point in curve.items()]
            _draw_points(axes, points, color=colour, marker=marker, linestyle=line, label=name)
        if lines and title in lines:
            axes.axhline(lines[title], color=SOFT, linewidth=1, linestyle=":", zorder=1)
        # Twelve labels fit below a panel.
        every = max(1, -(-len(periods) // 12))
        axes.set_xticks(range(0, len(periods), every), periods[::every], rotation=45 if len(periods) > 4 else 0)
        axes.set(title=title)
        if len(curves) > 1:
            axes.legend(loc="best")
    return as_svg(figure, f"Drift by period: {', '.join(panels)}")


def _draw_points(axes: "Axes", points: Sequence[tuple[float, HasInterval]], **look: Any) -> None:
    """A line through points, with a bar for each interval."""
    known = [(x, point.value) for x, point in points if point.value is not None]
    axes.plot([x for x, _ in known], [value for _, value in known], markersize=4, linewidth=1.6, **look)
    bars = [(x, point.low, point.high) for x, point in points if point.low is not None and point.high is not None]
    if bars:
        places, low, high = zip(*bars, strict=True)
        axes.vlines(places, low, high, color=look["color"], linewidth=1.4, alpha=0.6)
