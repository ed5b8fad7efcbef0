"""Small cells: no count of 1 to 10 is shown, and none can be computed from what is (CMS cell-size policy).

The policy (resdac.org, "CMS cell size suppression policy") covers admissions, discharges, patients and services alike:
no cell of 1 to 10 is displayed, nor a percentage or another formula that gives one. Zero may be shown. So every count
in a table, a picture, a page, a card or a message goes through [`show_counts`], with the sums that tie it to others.

Two marks stand in place of numbers: `FEW` for 1 to 10, and `HIDDEN` for a count that would give such a one away, and
that is therefore at least 11.

The guarantee: by what is shown, the marks and the sums together, no hidden small count is known, and what is shown
beside them narrows it no further than the marks of all others would. Most can still be anything from 1 to 10. Which
cells are hidden follows from the order in which they are given, never from which is larger: of two cells that would
both do, the choice would tell.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from itertools import accumulate
from typing import TypeVar

_Key = TypeVar("_Key", bound=Hashable)
Shown = int | str

MIN_SHOWN = 11
FEW, HIDDEN = f"<{MIN_SHOWN}", "hidden"
_Sums = Sequence[tuple[int, Sequence[int]]]
_Bounds = list[tuple[int, int]]
# A search that takes longer finds nothing, and the cell in question stays hidden.
_MOST_TRIES, _MOST_ROUNDS = 200, 60


def is_small(count: int) -> bool:
    """Whether a count is one of 1 to 10."""
    return 0 < count < MIN_SHOWN


def show_count(count: int, *, raw: bool = False) -> str:
    """A count that stands alone, as text."""
    return FEW if is_small(count) and not raw else f"{count:,}"


def show(cell: Shown) -> str:
    """A cell of [`show_counts`] as text."""
    return cell if isinstance(cell, str) else f"{cell:,}"


def show_part(part: int, whole: int, *, raw: bool = False) -> Shown:
    """A part of a whole that is known, hidden too where the rest is small."""
    counts = {"whole": whole, "part": part, "rest": whole - part}
    return show_counts(counts, [("whole", ["part", "rest"])], public=["whole"], raw=raw)["part"]


def show_part_of(part: int, whole: int) -> str:
    """A part and its whole as messages have them, such as `12 of 90`."""
    return f"{show(show_part(part, whole))} of {show_count(whole)}"


def hides_share(part: int, whole: int) -> bool:
    """Whether a share gives a count of 1 to 10 back: the part, the rest or the whole."""
    return any(map(is_small, (part, whole - part, whole)))


def show_share(part: int, whole: int, form: str = ".1%", *, raw: bool = False) -> str:
    """A share as text, where it may be shown."""
    if not raw and hides_share(part, whole):
        return HIDDEN
    return format(part / whole, form) if whole else "-"


def show_counts(
    counts: Mapping[_Key, int],
    sums: Sequence[tuple[_Key, Sequence[_Key]]] = (),
    *,
    public: Collection[_Key] = (),
    raw: bool = False,
) -> dict[_Key, Shown]:
    """What may be shown of counts that are tied by sums.

    `counts` begin with those that are wanted most. `sums` are what readers know to add up, a total and its parts: of a
    flow, the patients before a step are those after it and those removed; of a table, each margin. Counts of at least
    11 that are `public` are known from elsewhere, so that hiding them is of no use. `raw` leaves all as they are, for
    those who may see patients. Where even the marks would tell (ten groups of one, of ten patients), all cells that
    are tied together are `HIDDEN`, and the word means nothing but that.

    Raises:
        ValueError: If a count is negative, a total is not the sum of its parts, or what is public gives a count away.
    """
    names = list(counts)
    place = {name: number for number, name in enumerate(names)}
    tied = [(place[total], [place[part] for part in parts]) for total, parts in sums]
    values = [counts[name] for name in names]
    if min(values, default=0) < 0 or any(
        values[total] != sum(values[part] for part in parts) for total, parts in tied
    ):
        raise ValueError("expected counts from 0 and totals that are the sums of their parts, found others")
    shown: list[Shown] = list(values)
    if not raw:
        known = {place[name] for name in public if not is_small(counts[name])}
        for cells in _tied_together(len(values), tied):
            if any(is_small(values[cell]) for cell in cells):
                own = [(total, parts) for total, parts in tied if total in cells]
                for cell, mark in _Cells(values, own, cells, known).show().items():
                    shown[cell] = mark
    return dict(zip(names, shown, strict=True))


def _tied_together(size: int, sums: _Sums) -> list[list[int]]:
    """Cells in groups that no sum connects, each in order."""
    group = list(range(size))
    for total, parts in sums:
        joined = {group[cell] for cell in (total, *parts)}
        group = [min(joined) if number in joined else number for number in group]
    return [[cell for cell in range(size) if group[cell] == number] for number in sorted(set(group))]


def merge_bins(cells: Sequence[Sequence[int]]) -> list[int]:
    """Ends of bins, each made of neighbours, in which every cell is 0 or at least 11; none where no bin is.

    Examples:
        >>> merge_bins([(3, 20), (9, 15), (0, 30), (11, 4), (1, 12)])
        [2, 3, 5]
    """
    before = [[0, *accumulate(column)] for column in zip(*cells, strict=True)]

    def is_fine(begin: int, end: int) -> bool:
        return not any(is_small(column[end] - column[begin]) for column in before)

    ends: list[int] = []
    for end in range(1, len(cells) + 1):
        if is_fine(ends[-1] if ends else 0, end):
            ends.append(end)
    # What is left over joins the bins before it.
    while ends and ends[-1] < len(cells):
        ends.pop()
        if is_fine(ends[-1] if ends else 0, len(cells)):
            ends.append(len(cells))
    return ends


class _Cells:
    """Cells that are tied together, and what a reader knows of each: the lowest and the highest it can be."""

    def __init__(self, values: Sequence[int], sums: _Sums, cells: Sequence[int], public: Collection[int]) -> None:
        self.values, self.sums, self.cells, self.public = values, sums, cells, public
        self.small = [cell for cell in cells if is_small(values[cell])]
        self.most = 2 * sum(values[cell] for cell in cells) + 10 * MIN_SHOWN * len(cells)

    def show(self) -> dict[int, Shown]:
        """Begin with every cell hidden, and show each in turn that leaves the small ones what they were."""
        bounds: _Bounds = [(value, value) for value in self.values]
        for cell in self.cells:
            if cell in self.small:
                bounds[cell] = (1, MIN_SHOWN - 1)
            elif self.values[cell] and cell not in self.public:
                bounds[cell] = (MIN_SHOWN, self.most)
        asked = {(cell, end): self._end(bounds, cell, end) for cell in self.small for end in (1, MIN_SHOWN - 1)}
        if any(asked[cell, 1][cell] == asked[cell, MIN_SHOWN - 1][cell] for cell in self.small):
            return self._hide_all()
        for cell in self.cells:
            value = self.values[cell]
            if cell in self.small or bounds[cell] == (value, value):
                continue
            tried = [*bounds]
            tried[cell] = (value, value)
            found = {}
            for key, answer in asked.items():
                small = key[0]
                found[key] = answer if answer[cell] == value else self._solve(tried, small, answer[small])
                if found[key] is None:
                    break
            else:
                bounds, asked = tried, {key: answer for key, answer in found.items() if answer is not None}
        return {
            cell: self.values[cell] if low == high else FEW if cell in self.small else HIDDEN
            for cell, (low, high) in ((cell, bounds[cell]) for cell in self.cells)
        }

    def _end(self, bounds: _Bounds, cell: int, end: int) -> list[int]:
        """Counts that fit what is known, in which a cell is as near to an end of 1 to 10 as can be."""
        step = 1 if end == 1 else -1
        for value in range(end, self.values[cell], step):
            if (found := self._solve(bounds, cell, value)) is not None:
                return found
        return [*self.values]

    def _hide_all(self) -> dict[int, Shown]:
        """Hide zeros too, so that no mark says anything."""
        bounds: _Bounds = [(value, value) for value in self.values]
        hidden = [cell for cell in self.cells if cell not in self.public]
        for cell in hidden:
            bounds[cell] = (0, self.most)
        for cell in self.small:
            others = (self._solve(bounds, cell, value) for value in range(MIN_SHOWN + 1) if value != self.values[cell])
            if all(found is None for found in others):
                raise ValueError("expected public counts that leave small ones unknown, found some that give one away")
        return {cell: HIDDEN if cell in hidden else self.values[cell] for cell in self.cells}

    def _solve(self, bounds: _Bounds, cell: int, value: int) -> list[int] | None:
        """Counts that fit bounds and sums with one cell at a value, or `None` where a short search has none."""
        start = [*bounds]
        start[cell] = (value, value)
        stack = [start]
        for _ in range(_MOST_TRIES):
            if not stack:
                return None
            narrowed = self._narrow(stack.pop())
            if narrowed is None:
                continue
            open_cells = [each for each in self.cells if narrowed[each][0] < narrowed[each][1]]
            if not open_cells:
                found = [low for low, _ in narrowed]
                if all(found[total] == sum(found[part] for part in parts) for total, parts in self.sums):
                    return found
                continue
            chosen = min(open_cells, key=lambda each: narrowed[each][1] - narrowed[each][0])
            low, high = narrowed[chosen]
            near = min(max(self.values[chosen], low), high)
            # The last is tried first: as the counts are, or else an end.
            for guess in dict.fromkeys((high, low, near)):
                stack.append([*narrowed[:chosen], (guess, guess), *narrowed[chosen + 1 :]])
        return None

    def _narrow(self, bounds: _Bounds) -> _Bounds | None:
        """Draw the consequences of the sums until nothing moves; `None` where they contradict the bounds."""
        bounds = [*bounds]
        for _ in range(_MOST_ROUNDS):
            before = [*bounds]
            for total, parts in self.sums:
                low, high = (sum(bounds[part][end] for part in parts) for end in (0, 1))
                first, last = max(bounds[total][0], low), min(bounds[total][1], high)
                bounds[total] = (first, last)
                for part in parts:
                    own = bounds[part]
                    bounds[part] = (max(own[0], first - high + own[1]), min(own[1], last - low + own[0]))
                if first > last or any(bounds[part][0] > bounds[part][1] for part in parts):
                    return None
            if bounds == before:
                return bounds
        return bounds
