"""Small cells: by everything that is shown, and by what adds up to what, no count of 1 to 10 is known."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from claim_transformers.claims.small_cells import FEW, HIDDEN, is_small, show_count, show_counts, show_share

COUNTS = st.one_of(st.integers(0, 12), st.integers(0, 40), st.integers(0, 3000))


def ranges(counts, sums, shown, public=()):
    """The lowest and the highest that each small count can be, by an integer program over all that a reader knows."""
    names = list(counts)
    place = {name: number for number, name in enumerate(names)}
    tells = FEW in shown.values() or not any(mark == HIDDEN for mark in shown.values())
    low, high = np.zeros(len(names)), np.full(len(names), 1e6)
    for number, mark in enumerate(shown.values()):
        if mark == FEW:
            low[number], high[number] = 1, 10
        elif mark == HIDDEN:
            # Where no mark tells anything, the reader does not know that zeros are shown either.
            low[number] = 11 if tells else 0
        else:
            low[number] = high[number] = mark
    matrix = np.zeros((max(len(sums), 1), len(names)))
    for row, (total, parts) in enumerate(sums):
        matrix[row, place[total]] -= 1
        for part in parts:
            matrix[row, place[part]] += 1
    found = {}
    for name in [name for name in names if is_small(counts[name])]:
        ends = []
        for sign in (1, -1):
            goal = np.zeros(len(names))
            goal[place[name]] = sign
            solved = milp(
                goal,
                constraints=LinearConstraint(matrix, 0, 0),
                bounds=Bounds(low, high),
                integrality=np.ones(len(names)),
            )
            assert solved.success
            ends.append(round(solved.x[place[name]]))
        found[name] = tuple(ends)
    return found


@st.composite
def flows(draw):
    """A selection: steps with reasons, and cases and controls by split at its end."""
    ends = {(what, split): draw(COUNTS) for what in ("cases", "controls") for split in ("train", "test")}
    counts: dict[Any, int] = {}
    sums: list[tuple[Any, Any]] = []
    left = sum(ends.values())
    for step in range(draw(st.integers(1, 4))):
        reasons = {(step, place): draw(COUNTS) for place in range(draw(st.integers(1, 2)))}
        counts[f"left {step}"], counts[f"removed {step}"] = left, sum(reasons.values())
        counts |= reasons
        sums.append((f"removed {step}", list(reasons)))
        left += counts[f"removed {step}"]
        sums.append((f"left {step + 1}", [f"left {step}", f"removed {step}"]))
    counts[sums[-1][0]] = left
    cells: list[Any]
    for what in ("cases", "controls"):
        cells = [(what, split) for split in ("train", "test")]
        counts[what] = sum(ends[cell] for cell in cells)
        sums.append((what, cells))
    for split in ("train", "test"):
        cells = [(what, split) for what in ("cases", "controls")]
        counts[split] = sum(ends[cell] for cell in cells)
        sums.append((split, cells))
    sums += [("left 0", ["cases", "controls"]), ("left 0", ["train", "test"])]
    return counts | ends, sums, ()


@st.composite
def groups(draw):
    """Groups of an attribute by outcome, of which the margins of all rows are known where they are not small."""
    names = range(draw(st.integers(1, 4)))
    cells = {(group, side): draw(COUNTS) for group in names for side in ("with", "without")}
    counts: dict[Any, int] = {}
    sums: list[tuple[Any, Any]] = []
    for group in names:
        counts[group] = cells[group, "with"] + cells[group, "without"]
        sums.append((group, [(group, "with"), (group, "without")]))
    for side in ("with", "without"):
        counts[side] = sum(cells[group, side] for group in names)
        sums.append((side, [(group, side) for group in names]))
    counts["all"] = sum(cells.values())
    sums.append(("all", list(names)))
    return counts | cells, sums, ("all",)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.one_of(flows(), groups()))
def test_no_small_count_is_known_and_no_number_beside_it_narrows_it(table):
    counts, sums, public = table
    shown = show_counts(counts, sums, public=public)
    assert not any(is_small(mark) for mark in shown.values() if not isinstance(mark, str))
    assert all(shown[name] == 0 for name, count in counts.items() if not count) or FEW not in shown.values()
    found = ranges(counts, sums, shown)
    assert all(low < high for low, high in found.values())
    if FEW in shown.values():
        marks = {
            name: FEW if is_small(count) else HIDDEN if count and name not in public else count
            for name, count in counts.items()
        }
        assert found == ranges(counts, sums, marks)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 14), min_size=2, max_size=3))
def test_by_trying_every_table_each_small_part_has_two_values(parts):
    counts: dict[Any, int] = {"all": sum(parts), **dict(enumerate(parts))}
    shown = show_counts(counts, [("all", range(len(parts)))])
    tells = FEW in shown.values()
    allowed = {FEW: range(1, 11), HIDDEN: range(11 if tells else 0, 60)}
    choices = [allowed[mark] if isinstance(mark, str) else [mark] for mark in shown.values()]
    fitting = [cells for cells in itertools.product(*choices[1:]) if sum(cells) in choices[0]]
    for place, part in enumerate(parts):
        if is_small(part):
            assert len({cells[place] for cells in fitting}) > 1


def test_a_step_that_removes_few_hides_the_count_between_two_that_are_shown():
    flow = {"last": 900, "first": 1000, "between": 995, "few": 5, "many": 95}
    sums = [("first", ["between", "few"]), ("between", ["last", "many"])]
    assert show_counts(flow, sums) == {"last": 900, "first": 1000, "between": HIDDEN, "few": FEW, "many": HIDDEN}
    assert show_counts(flow, sums, raw=True) == flow


def test_nothing_is_hidden_where_nothing_is_small_and_zero_is_shown():
    counts = {"all": 33, "a": 22, "b": 11, "c": 0}
    assert show_counts(counts, [("all", "abc")]) == counts
    # What no sum ties to a small count stays.
    assert show_counts({"all": 33, "a": 22, "b": 11, "lone": 3}, [("all", "ab")])["all"] == 33


def test_marks_that_would_tell_are_one_word_for_all_cells():
    ten: dict[Any, int] = {"all": 10, **dict.fromkeys(range(10), 1)}
    assert set(show_counts(ten, [("all", range(10))]).values()) == {HIDDEN}
    pair = {"all": 20, "a": 10, "b": 10}
    assert show_counts(pair, [("all", "ab")], public=["all"]) == {"all": 20, "a": HIDDEN, "b": HIDDEN}


def test_the_choice_of_what_is_hidden_beside_a_small_count_does_not_go_by_size():
    for other, another in ((20, 300), (300, 20)):
        counts = {"all": 326, "other": other, "another": another, "few": 6}
        shown = show_counts(counts, [("all", ["other", "another", "few"])], public=["all"])
        assert shown == {"all": 326, "other": other, "another": HIDDEN, "few": FEW}


def test_public_counts_that_give_a_small_one_away_are_refused():
    with pytest.raises(ValueError, match="give one away"):
        show_counts({"all": 20, "most": 15, "few": 5}, [("all", ["most", "few"])], public=["all", "most"])


@pytest.mark.parametrize("counts", [{"all": 3, "a": 1, "b": 1}, {"all": 0, "a": -1, "b": 1}])
def test_sums_that_do_not_hold_are_refused(counts):
    with pytest.raises(ValueError, match="sums of their parts"):
        show_counts(counts, [("all", "ab")])


def test_a_count_in_a_sentence_and_a_share_follow_the_same_rule():
    assert [show_count(count) for count in (0, 1, 10, 11, 1234)] == ["0", FEW, FEW, "11", "1,234"]
    assert show_count(7, raw=True) == "7"
    assert [show_share(part, 100) for part in (0, 5, 50, 95, 100)] == ["0.0%", HIDDEN, "50.0%", HIDDEN, "100.0%"]
    assert (show_share(5, 100, raw=True), show_share(0, 7), show_share(0, 0)) == ("5.0%", HIDDEN, "-")
