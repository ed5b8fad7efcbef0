"""Plots with intervals: what grows or falls with a size, and models side by side.

Every value is a point with the ends of its interval: a [`MetricInterval`], or anything with `value`, `low` and `high`.
An end that is `None` is not drawn.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from claim_transformers.analysis.views.plot_style import FAINT, INK, SOFT, as_svg, in_house_style, look_of, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANEL_WIDTH, _PANEL_HEIGHT = 3.3, 3.0
_LABEL_WIDTH, _ROW_HEIGHT = 1.8, 0.24


class HasInterval(Protocol):
    """A value and the ends of its interval."""

    @property
    def value(self) -> float | None:
        """The value; `None` where it is undefined."""

    @property
    def low(self) -> float | None:
        """Lower end of the interval."""

    @property
    def high(self) -> float | None:
        """Upper end of the interval."""


_Curve = Mapping[float, HasInterval]
_Panels = Mapping[str, Mapping[str, _Curve]]


@in_house_style
def curve_plot(
    panels: _Panels,
    *,
    xlabel: str,
    ylabel: str,
    scale: Literal["log", "even"] = "log",
    zero_line: bool = False,
    share_y: bool = True,
) -> str:
    """Draw values with interval bands against a size, one panel beside the other.

    For Figure 6 of Claim-PT: the panels are populations, the curves are with and without pretraining (or their
    difference, with `zero_line`), the sizes are training patients. For the authors' extra plots: one curve of losses
    per panel against the number of heads or layers, with the scale `"even"`.

    Args:
        panels (`dict[str, dict[str, dict[float, HasInterval]]]`): Title of the panel to name of the curve to size to
            value. The same name looks the same in every panel.
        xlabel (`str`): What the sizes are.
        ylabel (`str`): What the values are.
        scale (`str`, *optional*, defaults to `"log"`): `"log"` draws a band on a logarithmic axis; `"even"` sets the
            sizes side by side at equal distance and draws each interval as a bar.
        zero_line (`bool`, *optional*, defaults to `False`): Whether a line marks 0, where nothing is gained.
        share_y (`bool`, *optional*, defaults to `True`): Whether all panels have one vertical axis.

    Raises:
        ValueError: If there is no panel or a panel has no value.
    """
    sizes = {title: sorted({x for curve in curves.values() for x in curve}) for title, curves in panels.items()}
    if not panels or not all(sizes.values()):
        raise ValueError(f"expected at least one panel and a value in each, found {len(panels)} panels")
    looks = look_of(dict.fromkeys(name for curves in panels.values() for name in curves))
    figure, grid = new_axes(
        columns=len(panels), width=0.7 + _PANEL_WIDTH * len(panels), height=_PANEL_HEIGHT, share_y=share_y
    )
    for axes, (title, curves) in zip(grid, panels.items(), strict=True):
        places = {x: x if scale == "log" else float(place) for place, x in enumerate(sizes[title])}
        for name, curve in curves.items():
            _draw_curve(axes, name, curve, places, looks[name], band=scale == "log")
        if scale == "log":
            axes.set_xscale("log")
        axes.minorticks_off()
        axes.set_xticks(list(places.values()), [f"{x:,g}" if x < 1e5 else f"{x:,.0f}" for x in places])
        axes.set(title=title, xlabel=xlabel)
        if zero_line:
            axes.axhline(0.0, color=SOFT, linewidth=1, linestyle=":", zorder=1)
    grid[0].set_ylabel(ylabel)
    if len(looks) > 1:
        handles, names = grid[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 4))
    return as_svg(figure, f"{ylabel} against {xlabel} for {', '.join(panels)}")


@in_house_style
def interval_plot(
    panels: Mapping[str, Mapping[str, HasInterval]],
    groups: Mapping[str, Sequence[str]],
    *,
    xlabel: str = "AUROC",
    reference: str | None = None,
    digits: int = 3,
) -> str:
    """Draw models as a table of dots and intervals: rows are models in groups, panels are cohorts or metrics.

    Args:
        panels (`dict[str, dict[str, HasInterval]]`): Title of the panel to model to value. A model that a panel lacks
            leaves its row empty there.
        groups (`dict[str, list[str]]`): Name of the group to its models, from top to bottom, such as `"Cold start"`.
        xlabel (`str`, *optional*, defaults to `"AUROC"`): What the values are.
        reference (`str`, *optional*): Model whose value is marked by a line through all rows.
        digits (`int`, *optional*, defaults to `3`): Digits of the printed values.

    Raises:
        ValueError: If no model of the groups is in a panel.
    """
    rows = [model for models in groups.values() for model in models]
    if not any(model in found for found in panels.values() for model in rows):
        raise ValueError(f"expected values of the {len(rows)} models in the groups, found none")
    looks, places, end = look_of(groups), _row_places(groups), len(rows) + 1.4 * len(groups)
    figure, grid = new_axes(
        columns=len(panels), width=_LABEL_WIDTH + _PANEL_WIDTH * len(panels), height=0.9 + _ROW_HEIGHT * end
    )
    for axes, (title, found) in zip(grid, panels.items(), strict=True):
        for group, models in groups.items():
            for model in models:
                if model in found:
                    _draw_row(axes, found[model], places[model], looks[group], digits)
        marked = found[reference].value if reference is not None and reference in found else None
        if marked is not None:
            axes.axvline(marked, color=SOFT, linewidth=1, linestyle=":", zorder=1)
        axes.set_ylim(end - 0.6, -0.8)
        axes.set_yticks([places[model] for model in rows], rows if axes is grid[0] else [""] * len(rows))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(visible=False, axis="y")
        axes.set(title=title, xlabel=xlabel)
    for group, models in groups.items():
        where: dict[str, Any] = {"transform": grid[0].get_yaxis_transform(), "ha": "right", "va": "center"}
        heading = places[models[0]] - 1 if models else 0.0
        grid[0].text(-0.02, heading, group, fontsize=8.5, fontweight="bold", color=looks[group][0], **where)
    return as_svg(figure, f"{xlabel} with intervals of {len(rows)} models for {', '.join(panels)}")


def _row_places(groups: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """The line of each model; the heading of a group has a line of its own above its models."""
    places: dict[str, float] = {}
    line = 0.0
    for models in groups.values():
        places |= {model: line + 1 + number for number, model in enumerate(models)}
        line += len(models) + 1.4
    return places


def _draw_curve(
    axes: "Axes", name: str, curve: _Curve, places: Mapping[float, float], look: tuple[str, str, str], *, band: bool
) -> None:
    """One line with its band, or with a bar at each point."""
    colour, line, marker = look
    points = [(places[x], curve[x]) for x in sorted(curve)]
    values = [(x, point.value) for x, point in points if point.value is not None]
    look_of_line: dict[str, Any] = {"color": colour, "linestyle": line, "marker": marker, "label": name}
    axes.plot([x for x, _ in values], [value for _, value in values], markersize=4.5, linewidth=1.6, **look_of_line)
    ends = [(x, point.low, point.high) for x, point in points if point.low is not None and point.high is not None]
    if not ends:
        return
    where, low, high = zip(*ends, strict=True)
    if band:
        axes.fill_between(where, low, high, color=colour, alpha=0.16, linewidth=0)
    else:
        axes.vlines(where, low, high, color=colour, linewidth=1.4, alpha=0.7)


def _draw_row(axes: "Axes", found: HasInterval, place: float, look: tuple[str, str, str], digits: int) -> None:
    """One model: a guide, its interval, its dot, and its value in print at the right."""
    colour, _, marker = look
    axes.axhline(place, color=FAINT, linewidth=0.7, zorder=0)
    if found.value is None:
        return
    if found.low is not None and found.high is not None:
        axes.hlines(place, found.low, found.high, color=colour, linewidth=2.2, alpha=0.55, zorder=2)
    axes.plot([found.value], [place], color=colour, marker=marker, markersize=6, zorder=3)
    where: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "ha": "left", "va": "center"}
    axes.text(1.01, place, f"{found.value:.{digits}f}", fontsize=7.5, color=INK, **where)
