"""Numbers as tokens: edges come from training values alone and survive a file."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claim_transformers.claims.number_bins import _MIN_VALUES_PER_BIN, NumberBins

VALUES = np.random.default_rng(0).lognormal(6, 1, 5_000)


def test_training_values_fill_the_bins_evenly():
    tokens = NumberBins.fit({"PAID": VALUES}, num_bins=10).tokens("PAID", VALUES)
    counts = [entry["counts"] for entry in tokens.value_counts().to_pylist()]
    assert len(counts) == 10
    assert max(counts) - min(counts) <= 1


def test_the_bins_of_other_values_do_not_move_the_edges():
    bins = NumberBins.fit({"PAID": VALUES})
    before = dict(bins.edges)
    bins.tokens("PAID", VALUES * 1000)
    assert bins.edges == before


def test_a_value_on_an_edge_lies_above_it():
    bins = NumberBins({"X": (10.0, 20.0)})
    values = np.array([np.nextafter(10.0, 0), 10.0, np.nextafter(20.0, 0), 20.0, 20.1])
    assert bins.tokens("X", values).to_pylist() == ["X/0", "X/1", "X/1", "X/2", "X/2"]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.integers(1, 12))
def test_larger_numbers_never_have_smaller_bins(values, num_bins):
    bins = NumberBins.fit({"X": np.array(values)}, num_bins=num_bins)
    ordered = bins.tokens("X", np.sort(values)).to_pylist()
    places = [int(token.split("/")[1]) for token in ordered]
    assert places == sorted(places)
    assert set(ordered) <= set(bins.vocabulary)


def test_no_bin_stands_for_fewer_values_than_may_be_shown():
    few = NumberBins.fit({"X": np.arange(3.0 * _MIN_VALUES_PER_BIN)}, num_bins=10)
    assert len(few.edges["X"]) == 2
    assert NumberBins.fit({"X": np.arange(5.0)}).edges["X"] == ()


def test_unknown_numbers_have_no_token_and_a_variable_without_values_one_bin():
    bins = NumberBins.fit({"X": np.array([np.nan, np.inf])})
    assert bins.tokens("X", np.array([np.nan, 3.0])).to_pylist() == [None, "X/0"]


def test_a_file_gives_the_same_bins_back(tmp_path):
    bins = NumberBins.fit({"PAID": VALUES, "LOS": np.arange(100.0)})
    bins.save(tmp_path / "bins.json")
    assert NumberBins.load(tmp_path / "bins.json") == bins


@pytest.mark.parametrize(
    ("content", "message"),
    [({"version": 9, "edges": {}}, "version 1"), ({"version": 1, "edges": {"X": [2, 1]}}, "ascending edges")],
)
def test_a_file_of_another_kind_is_refused(tmp_path, content, message):
    (tmp_path / "bins.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        NumberBins.load(tmp_path / "bins.json")


def test_names_and_counts_are_checked():
    with pytest.raises(ValueError, match="num_bins >= 1"):
        NumberBins.fit({"X": VALUES}, num_bins=0)
    with pytest.raises(ValueError, match="without '/'"):
        NumberBins.fit({"A/B": VALUES})
    with pytest.raises(KeyError, match="expected one of the variables X"):
        NumberBins({"X": ()}).tokens("Y", VALUES)


@pytest.mark.parametrize(("values", "edges"), [(2 * _MIN_VALUES_PER_BIN - 1, 0), (2 * _MIN_VALUES_PER_BIN, 1)])
def test_two_bins_need_twice_the_values_of_one(values, edges):
    assert len(NumberBins.fit({"X": np.arange(float(values))}, num_bins=2).edges["X"]) == edges


def test_edges_are_quantiles_of_what_is_known_and_none_is_the_smallest_value():
    values = np.r_[np.zeros(60), np.arange(1.0, 41.0), np.nan, np.inf]
    assert NumberBins.fit({"X": values}, num_bins=4).edges["X"] == (15.25,)
    assert NumberBins.fit({"X": VALUES}, num_bins=4).edges["X"] == tuple(np.quantile(VALUES, [0.25, 0.5, 0.75]))
    assert NumberBins.fit({"X": VALUES}, num_bins=1).edges["X"] == ()
    assert NumberBins.fit({"X": VALUES}) == NumberBins.fit({"X": VALUES}, num_bins=10)


def test_every_token_that_can_come_out_is_in_the_vocabulary():
    bins = NumberBins({"B": (1.0,), "A": ()})
    assert bins.vocabulary == ("A/0", "B/0", "B/1")
    assert bins.tokens("A", np.array([-3.0, 3.0])).to_pylist() == ["A/0"] * 2


def test_equal_edges_of_a_file_are_refused():
    with pytest.raises(ValueError, match="ascending edges"):
        NumberBins.from_dict({"version": 1, "edges": {"X": [2, 2]}})
