"""Plot style: the one size, set of colours and form of SVG of all pictures.

Figures are made without pyplot, so they touch neither a display nor the state of the process, and the same numbers
give the same bytes.
"""

import functools
import html
import io
import itertools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_P = ParamSpec("_P")

# Okabe and Ito, 2008: colours that people with colour-vision deficiency tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
_LINES = ("-", "--", ":", "-.")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
INK, SOFT, FAINT = "#1c2430", "#5b6675", "#dfe4ea"

_STYLE: Any = {
    "svg.hashsalt": "claim-transformers", "svg.fonttype": "none",
    "font.family": "sans-serif", "font.size": 9.0, "text.color": INK,
    "axes.titlesize": 10.0, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.labelcolor": INK,
    "axes.edgecolor": SOFT, "axes.linewidth": 0.8, "axes.grid": True, "axes.axisbelow": True,
    "grid.color": FAINT, "grid.linewidth": 0.7,
    "xtick.color": SOFT, "ytick.color": SOFT, "xtick.labelcolor": INK, "ytick.labelcolor": INK,
    "legend.frameon": False, "legend.fontsize": 8.0, "legend.handlelength": 1.8,
}  # fmt: skip


def in_house_style(draw: Callable[_P, str]) -> Callable[_P, str]:
    """Draw a picture with the house's sizes, colours and fonts, leaving the settings of the process alone."""

    @functools.wraps(draw)
    def styled(*args: _P.args, **kwargs: _P.kwargs) -> str:
        from matplotlib import rc_context

        with rc_context(_STYLE):
            return draw(*args, **kwargs)

    return styled


def new_axes(
    columns: int = 1, *, width: float = 4.6, height: float = 3.6, share_y: bool = False
) -> tuple["Figure", list["Axes"]]:
    """Make a figure in the house style."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(1, columns, sharey=share_y, squeeze=False)
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, list(grid.flat)


def look_of(names: Iterable[str]) -> dict[str, tuple[str, str, str]]:
    """Give every name a colour, a line and a marker of its own, so that no two look alike without colour either."""
    looks = ((colour, line, marker) for line in _LINES for colour, marker in zip(_COLOURS, _MARKERS, strict=True))
    return dict(zip(names, itertools.cycle(looks), strict=False))


def as_svg(figure: "Figure", description: str) -> str:
    """Write a figure as an SVG element for a page, with a description for those who do not see it."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    element = text[text.index("<svg") :]
    label = html.escape(description, quote=True)
    return element.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
