"""Pictures are well-formed SVG, say what they show, and are the same bytes for the same numbers."""

from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
import pytest

from claim_transformers.analysis import curve_plot, interval_plot
from claim_transformers.analysis.views.plot_style import _COLOURS, look_of
from claim_transformers.analysis.views.plots import calibration_plot, embedding_plot, learning_plot, roc_plot
from claim_transformers.training import MetricInterval

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 2, 200)
SCORES = {f"Model {i} <&>": np.clip(0.4 * LABELS + 0.6 * RANDOM.random(200), 0, 1) for i in range(3)}


@dataclass
class Point:
    value: float | None
    low: float | None = None
    high: float | None = None


def around(value: float) -> MetricInterval:
    return MetricInterval(value, value - 0.02, value + 0.02, 100, 100)


CURVES = {
    "Same institution": {
        "with pretraining": {100: around(0.71), 1000: around(0.75)},
        "without": {100: around(0.61), 1000: around(0.7)},
    },
    "Intensive care": {"with pretraining": {50: around(0.6), 500: Point(0.62), 5000: Point(None)}},
}
DRAWINGS = {
    "roc": lambda: roc_plot(LABELS, SCORES),
    "calibration": lambda: calibration_plot(LABELS, SCORES),
    "learning": lambda: learning_plot("Training", [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}], ["loss"]),
    "embedding": lambda: embedding_plot(RANDOM.normal(size=(3, 2)) * 0 + np.eye(3)[:, :2], ["a", "b", "other"], "Map"),
    "bands": lambda: curve_plot(CURVES, xlabel="training patients", ylabel="AUROC"),
    "bars": lambda: curve_plot(CURVES, xlabel="heads", ylabel="loss", scale="even", zero_line=True, share_y=False),
    "table": lambda: interval_plot(
        {"Suicide": {"LR Sparse": around(0.7)}, "Asthma": {"LR Sparse": around(0.8), "Dipole": Point(None)}},
        {"Cold start": ["LR Sparse", "Dipole"], "Ceiling": ["True risk"]},
        reference="LR Sparse",
    ),
}


def texts(svg: str) -> set[str]:
    return {
        "".join(found.itertext()).strip() for found in ElementTree.fromstring(svg).iter() if found.tag.endswith("text")
    }


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_picture_is_well_formed_described_and_reproducible(name):
    first, second = DRAWINGS[name](), DRAWINGS[name]()
    assert first == second
    root = ElementTree.fromstring(first)
    assert root.get("role") == "img"
    assert root.get("aria-label")


def test_the_settings_of_matplotlib_are_left_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    for draw in DRAWINGS.values():
        draw()
    assert dict(matplotlib.rcParams) == before


def test_curves_show_their_panels_sizes_and_names():
    found = texts(DRAWINGS["bands"]())
    assert {"Same institution", "Intensive care", "100", "1,000", "with pretraining", "without", "AUROC"} <= found


def test_the_table_of_models_shows_groups_models_and_values():
    found = texts(DRAWINGS["table"]())
    assert {
        "Cold start",
        "Ceiling",
        "LR Sparse",
        "Dipole",
        "True risk",
        "0.700",
        "0.800",
        "Suicide",
        "Asthma",
    } <= found


def test_the_area_of_a_perfect_model_is_printed():
    assert "perfect (1.000)" in texts(roc_plot(LABELS, {"perfect": LABELS.astype(float)}))


def test_more_models_than_colours_differ_by_their_line():
    looks = look_of([f"model {i}" for i in range(20)])
    assert len({(colour, line) for colour, line, _ in looks.values()}) == 20
    assert looks["model 0"][0] == looks[f"model {len(_COLOURS)}"][0]
    assert look_of(["b", "a"])["b"] == look_of(["b"])["b"]


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="expected at least one panel and a value in each, found 0 panels"):
        curve_plot({}, xlabel="x", ylabel="y")
    with pytest.raises(ValueError, match="expected values of the 1 models in the groups, found none"):
        interval_plot({"Suicide": {}}, {"Cold start": ["LR"]})


def test_curves_have_steps_of_at_least_11_of_each_outcome_unless_asked(monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        "matplotlib.axes.Axes.plot", lambda self, x, y, **look: drawn.update({look.get("label"): (x, y)})
    )
    monkeypatch.setattr("matplotlib.axes.Axes.legend", lambda self, **_: None)
    labels, scores = np.tile([1, 0, 0, 0], 30), np.arange(120) / 120
    for is_raw in (False, True):
        roc_plot(labels, {"a": scores}, raw_counts=is_raw)
        sensitivity = next(np.asarray(y) for name, (_, y) in drawn.items() if name and name.startswith("a ("))
        steps = np.diff(sensitivity) * 30
        assert (min(step for step in steps if step) < 11) == is_raw
        assert len(sensitivity) == (121 if is_raw else 3)
        calibration_plot(labels, {"a": scores}, raw_counts=is_raw)
        assert len(drawn["a"][1]) == (8 if is_raw else 2)
    few = np.r_[np.ones(6, int), np.zeros(114, int)]
    drawn.clear()
    roc_plot(few, {"a": scores})
    calibration_plot(few, {"a": scores})
    assert set(drawn) == {None}
