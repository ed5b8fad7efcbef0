"""Numbers as tokens: amounts, days and county measures quantised by their distribution among training patients.

Lahlou et al. (2021, section 3.1.3) quantise floating point values "based on the statistical distributions of each such
variable" and group variables by name. Here a number becomes `NAME/k`: `k` of 0 to the number of edges says between
which quantiles of the training values it lies. Numbers of the same meaning share a name wherever they stand.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_FORMAT_VERSION = 1
DEFAULT_BINS = 10
# An edge is a value of the data, so it must not stand for fewer patients than a count may that is shown (CMS cell-size
# policy).
_MIN_VALUES_PER_BIN = 11

_Numbers = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class NumberBins:
    """Edges of the bins of each variable, learned from training values."""

    edges: Mapping[str, tuple[float, ...]]  # Ascending edges by name. A value on an edge lies above it.

    @classmethod
    def fit(cls, values: Mapping[str, _Numbers], *, num_bins: int = DEFAULT_BINS) -> "NumberBins":
        """Learn edges: the quantiles of the known values.

        Equal quantiles, such as those of many zeros, are one edge, so a variable can have fewer bins than asked for.
        """
        if num_bins < 1:
            raise ValueError(f"expected num_bins >= 1, found {num_bins}")
        edges = {}
        for name, column in values.items():
            if not name or "/" in name:
                raise ValueError("expected a name without '/' for each variable, found another")
            known = np.asarray(column, np.float64)
            known = known[np.isfinite(known)]
            most = max(1, min(num_bins, len(known) // _MIN_VALUES_PER_BIN))
            quantiles = np.quantile(known, np.arange(1, most) / most) if len(known) else np.empty(0)
            # Nothing lies below the smallest value, so an edge there would only make an empty bin.
            distinct = np.unique(quantiles[quantiles > known.min()]) if len(known) else quantiles
            edges[name] = tuple(float(edge) for edge in distinct)
        return cls(edges)

    def tokens(self, name: str, values: _Numbers) -> pa.Array:
        """Write values as tokens."""
        if name not in self.edges:
            raise KeyError(f"expected one of the variables {', '.join(sorted(self.edges))}, found {name!r}")
        numbers = np.asarray(values, np.float64)
        known = np.isfinite(numbers)
        places = np.searchsorted(self.edges[name], np.where(known, numbers, 0.0), side="right")
        words = pa.array([f"{name}/{place}" for place in range(len(self.edges[name]) + 1)], pa.string())
        return words.take(pa.array(places, mask=~known))

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Every token that can come out, sorted by name and bin."""
        return tuple(f"{name}/{place}" for name in sorted(self.edges) for place in range(len(self.edges[name]) + 1))

    def to_dict(self) -> dict[str, Any]:
        """The edges as plain values."""
        return {"version": _FORMAT_VERSION, "edges": {name: list(edges) for name, edges in self.edges.items()}}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "NumberBins":
        """Read what [`~NumberBins.to_dict`] wrote."""
        if content.get("version") != _FORMAT_VERSION:
            raise ValueError(f"expected number bins of version {_FORMAT_VERSION}, found another; fit them again")
        edges = {str(name): tuple(float(edge) for edge in column) for name, column in content["edges"].items()}
        if any(np.any(np.diff(column) <= 0) for column in edges.values()):
            raise ValueError("expected ascending edges in number bins, found others; fit them again")
        return cls(edges)

    def save(self, path: str | Path) -> None:
        """Write the edges as JSON."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=1, sort_keys=True) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "NumberBins":
        """Read a file that [`~NumberBins.save`] wrote."""
        return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
