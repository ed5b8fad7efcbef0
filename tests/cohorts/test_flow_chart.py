"""The flow chart: every count is in it, it is valid XML that needs nothing else, and nothing overlaps."""

from xml.etree import ElementTree

import pytest

from claim_transformers.cohorts import AttritionStep
from claim_transformers.cohorts.attrition import show_attrition
from claim_transformers.cohorts.flow_chart import draw_flow_chart

SVG = "{http://www.w3.org/2000/svg}"
STEPS = [
    AttritionStep("patients with a visit", 1234, 0),
    AttritionStep("age < 21 & insured for a very long time around the index date, as the plan knows it", 900, 334),
    AttritionStep("outcome known", 860, 40, {"censored: left": 33, "censored: died": 7}, 60, 800),
    AttritionStep("sampled", 90, 770, {"cases not drawn": 30, "controls not drawn": 740}, 30, 60),
]
ENDS = {"cases": {"train": 20, "test": 10}, "controls": {"train": 41, "test": 19}}


def texts(chart):
    return [element.text for element in ElementTree.fromstring(chart).iter(f"{SVG}text")]


def boxes(chart):
    found = []
    for element in ElementTree.fromstring(chart).iter(f"{SVG}rect"):
        if element.get("rx"):
            x, y, width, height = (float(element.get(name)) for name in ("x", "y", "width", "height"))
            found.append((x, y, x + width, y + height))
    return found


def test_every_count_of_the_selection_is_drawn():
    lines = texts(draw_flow_chart("Asthma", show_attrition(STEPS, ENDS, raw_counts=True)))
    for line in ("n = 1,234", "n = 900", "left out: 334", "left out: 40", "33 censored: left", "7 censored: died",
                 "60 cases, 800 controls", "left out: 770", "740 controls not drawn", "n = 30", "n = 60",
                 "train: 20", "test: 10", "train: 41", "test: 19"):  # fmt: skip
        assert line in lines, line


def test_a_step_that_removes_nobody_has_no_side_box():
    chart = draw_flow_chart(
        "t", show_attrition([AttritionStep("a", 9, 0), AttritionStep("b", 9, 0)], {"examples": {"train": 9}})
    )
    assert not [line for line in texts(chart) if line.startswith("left out")]


def test_no_two_boxes_overlap_and_all_lie_inside_the_picture():
    chart = draw_flow_chart("Asthma", show_attrition(STEPS, ENDS))
    root = ElementTree.fromstring(chart)
    found = boxes(chart)
    assert len(found) == len(STEPS) + 3 + len(ENDS)
    for place, (left, top, right, bottom) in enumerate(found):
        assert 0 <= left < right <= float(root.get("width"))
        assert 0 <= top < bottom <= float(root.get("height"))
        for other in found[place + 1 :]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top


def test_the_picture_is_safe_and_opens_offline():
    chart = draw_flow_chart("<script>alert(1)</script>", show_attrition(STEPS, ENDS))
    ElementTree.fromstring(chart)
    assert "<script" not in chart
    assert "age &lt; 21 &amp; insured" in chart
    assert "href" not in chart
    assert chart.replace("http://www.w3.org/2000/svg", "").count("http") == 0
    assert chart == draw_flow_chart("<script>alert(1)</script>", show_attrition(STEPS, ENDS))


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="at least one step"):
        draw_flow_chart("t", show_attrition([], {}))
