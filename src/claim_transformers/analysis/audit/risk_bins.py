"""Bins of rows by what a model predicts, on which all pictures and tables of a report stand.

Two tables on bins of their own would tell of few people by their difference. So rows are put in bins once, as fine as
small cells allow, and whatever is shown is a sum of them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from claim_transformers.claims.small_cells import MIN_SHOWN, merge_bins

Bins = NDArray[np.int64]


def risk_bins(labels: NDArray[Any], scores: NDArray[np.float64], *, raw_counts: bool) -> Bins | None:
    """The bin of each row by its score: as fine as scores differ, or as small cells allow; `None` where none is.

    Where a bin begins and ends may not follow from the outcomes in it: eleven rows that are one because none of them
    has the outcome would show a risk of zero. So bins are of about equal size before they are joined, that in which as
    few rows as may be shown have the rarer outcome on average.
    """
    place: Bins = np.unique(scores, return_inverse=True)[1]
    if raw_counts:
        return place
    is_outcome = np.isin(labels, (0, 1)).all()
    rarer = min((labels == label).sum() for label in (0, 1)) if is_outcome else len(labels)
    return _join_bins(labels, group_bins(place, max(1, int(rarer) // MIN_SHOWN)))


def _join_bins(labels: NDArray[Any], bins: Bins) -> Bins | None:
    """Bins of rows, numbered in order, joined until none has 1 to 10 rows of an outcome; `None` where none is left.

    Where the outcome is a number, it is the rows of a bin that count.
    """
    parts = [labels == 0, labels == 1] if np.isin(labels, (0, 1)).all() else [np.ones(len(labels), bool)]
    ends = merge_bins(np.stack([np.bincount(bins, part) for part in parts], axis=1).astype(int).tolist())
    return np.searchsorted(ends, bins, side="right") if ends else None


def group_bins(bins: Bins, groups: int) -> Bins:
    """Join bins to about `groups` groups of equal size; the group of each row, numbered in order."""
    rows = np.bincount(bins)
    middle = np.cumsum(rows) - rows / 2
    member: Bins = np.unique((middle * groups / len(bins)).astype(np.int64), return_inverse=True)[1][bins]
    return member
