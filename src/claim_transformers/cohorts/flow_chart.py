"""Flow chart of the selection of a cohort in SVG, as studies print it: who stayed, who left at each step, who is in.

Own drawing code: the chart is boxes, text and arrows with known sizes, so it needs no plotting library, and the file
opens in any browser and can be edited in any drawing program.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from claim_transformers.claims.small_cells import show
from claim_transformers.cohorts.attrition import ShownAttrition

_BOX_WIDTH, _SIDE_WIDTH, _GAP, _MARGIN = 330, 270, 34, 16
_LINE_HEIGHT, _PADDING, _FONT_SIZE = 17, 9, 13
# Of a sans-serif font of this size; a line may come out shorter than its box but never longer.
_CHARACTER_WIDTH = 6.7
# Okabe and Ito, 2008: colours that people with colour-vision deficiency tell apart.
_KEPT, _LEFT_OUT, _ENDS = "#0072B2", "#999999", ("#D55E00", "#009E73")


@dataclass(frozen=True)
class _Box:
    x: float
    y: float
    width: float
    lines: tuple[str, ...]
    colour: str

    @property
    def height(self) -> float:
        return 2 * _PADDING + _LINE_HEIGHT * len(self.lines)

    @property
    def middle(self) -> float:
        return self.x + self.width / 2

    def draw(self) -> str:
        x, top = self.x + _PADDING + 1, self.y + _PADDING
        texts = "".join(
            f'<text x="{x:g}" y="{top + _LINE_HEIGHT * (number + 0.75):g}" '
            f'font-weight="{"bold" if line.startswith("n = ") else "normal"}">{escape(line)}</text>'
            for number, line in enumerate(self.lines)
        )
        return (
            f'<rect x="{self.x:g}" y="{self.y:g}" width="{self.width:g}" height="{self.height:g}" rx="3" '
            f'fill="#ffffff" stroke="{self.colour}" stroke-width="1.5"/>{texts}'
        )


def draw_flow_chart(title: str, attrition: ShownAttrition) -> str:
    """Draw the steps of a selection from top to bottom, those left out on the right, the examples below."""
    if not attrition.steps:
        raise ValueError("expected at least one step to draw, found none")
    parts, y = [], float(_MARGIN + _LINE_HEIGHT + _PADDING)
    above: _Box | None = None
    for step in attrition.steps:
        side = None if above is None else _side_box(step, above.y + above.height)
        top = y if side is None else max(y, side.y + side.height + _PADDING)
        box = _Box(_MARGIN, top, _BOX_WIDTH, (*_wrap(str(step["step"]), _BOX_WIDTH), *_counts(step)), _KEPT)
        if above is not None:
            parts.append(_arrow(above.middle, above.y + above.height, above.middle, box.y))
            if side is not None:
                turn = side.y + side.height / 2
                parts += [_arrow(above.middle, turn, side.x, turn), side.draw()]
        parts.append(box.draw())
        above, y = box, box.y + box.height + _GAP
    last = _end_boxes(attrition, y)
    parts += [part for box in last for part in (_arrow(box.middle, y - _GAP, box.middle, y), box.draw())]
    return _document(title, parts, max([y - _GAP, *(box.y + box.height for box in last)]) + _MARGIN)


def _counts(step: Mapping[str, Any]) -> list[str]:
    lines = [f"n = {show(step['patients'])}"]
    if "cases" in step:
        lines.append(f"{show(step['cases'])} cases, {show(step['controls'])} controls")
    return lines


def _side_box(step: Mapping[str, Any], y: float) -> _Box | None:
    """Those whom a step left out, beside the arrow that leads to it."""
    if not step["removed"]:
        return None
    lines = [f"left out: {show(step['removed'])}"]
    for reason, count in step.get("reasons", {}).items():
        lines += _wrap(f"{show(count)} {reason}", _SIDE_WIDTH)
    return _Box(_MARGIN + _BOX_WIDTH + _GAP, y + _PADDING, _SIDE_WIDTH, tuple(lines), _LEFT_OUT)


def _end_boxes(attrition: ShownAttrition, y: float) -> list[_Box]:
    """Cases and controls side by side under the last step."""
    ends = attrition.ends
    width = (_BOX_WIDTH - _PADDING * (len(ends) - 1)) / max(len(ends), 1)
    return [
        _Box(
            _MARGIN + place * (width + _PADDING),
            y,
            width,
            (
                name,
                f"n = {show(attrition.totals[name])}",
                *(f"{split}: {show(count)}" for split, count in splits.items()),
            ),
            _ENDS[place % len(_ENDS)],
        )
        for place, (name, splits) in enumerate(ends.items())
    ]


def _wrap(text: str, width: float) -> list[str]:
    return textwrap.wrap(text, int((width - 2 * _PADDING) / _CHARACTER_WIDTH)) or [text]


def _arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    return (
        f'<line x1="{x:g}" y1="{y:g}" x2="{to_x:g}" y2="{to_y:g}" stroke="#444444" stroke-width="1.2" '
        f'marker-end="url(#head)"/>'
    )


def _document(title: str, parts: Sequence[str], height: float) -> str:
    width = 2 * _MARGIN + _BOX_WIDTH + _GAP + _SIDE_WIDTH
    head = (
        '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#444444"/></marker>'
    )
    heading = f'<text x="{_MARGIN}" y="{_MARGIN + _LINE_HEIGHT * 0.6:g}" font-weight="bold">{escape(title)}</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:g}" width="{width}" '
        f'height="{height:g}" role="img" font-family="Helvetica, Arial, sans-serif" font-size="{_FONT_SIZE}" '
        f'fill="#222222"><title>{escape(title)}</title><defs>{head}</defs>'
        f'<rect width="{width}" height="{height:g}" fill="#ffffff"/>{heading}{"".join(parts)}</svg>\n'
    )
