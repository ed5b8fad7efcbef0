"""Bootstrap of patients for many numbers at once: what the audits of a model share.

[`claim_transformers.training.clustered_interval`] gives one metric its interval. An audit has hundreds of numbers on
the same rows; here they meet the same draws in one pass, so that their differences have intervals too.

Letters: `R` replicates, `N` rows, `K` numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# The draws of the metrics, so that the same seed draws the same patients in a table of metrics and in an audit.
from claim_transformers.training.bootstrap import LEVEL, ClusterDraws, MetricInterval, percentile_interval
from claim_transformers.training.metrics import FloatArray

_Statistic = Callable[[FloatArray], FloatArray]

REPLICATES = 1000


@dataclass(frozen=True)
class Draws:
    """Numbers on all rows and in every replicate."""

    value: FloatArray  # Shape `(K,)`. On all rows; NaN where undefined.
    replicates: FloatArray  # In each replicate, shape `(R, K)`.
    patients: int  # Patients that were drawn.

    def interval(self, number: int) -> MetricInterval:
        """Return one number with its 95 % percentile interval."""
        return percentile_interval(float(self.value[number]), self.replicates[:, number], self.patients)

    def intervals(self) -> list[MetricInterval]:
        """Return every number with its 95 % percentile interval."""
        # One quantile over all numbers that every replicate defines is many times faster than one for each; the others
        # have replicates of their own to leave out.
        complete = ~(np.isnan(self.replicates).any(axis=0) | np.isnan(self.value))
        tail, count = (1.0 - LEVEL) / 2.0, len(self.replicates)
        ends = iter(np.quantile(self.replicates[:, complete], [tail, 1.0 - tail], axis=0).T.tolist())
        return [
            self._of_ends(number, next(ends), count) if is_complete else self.interval(number)
            for number, is_complete in enumerate(complete)
        ]

    def _of_ends(self, number: int, ends: list[float], count: int) -> MetricInterval:
        low, high = ends
        return MetricInterval(float(self.value[number]), low, high, self.patients, count)

    def standard_errors(self) -> FloatArray:
        """Return the standard deviation of each number over the replicates."""
        defined = ~np.isnan(self.replicates)
        count = defined.sum(axis=0)
        # Moments by hand, because a replicate in which a number is undefined leaves that number only.
        filled = np.where(defined, self.replicates, 0.0)
        mean = filled.sum(axis=0) / np.maximum(count, 1)
        squares = np.where(defined, (filled - mean) ** 2, 0.0).sum(axis=0)
        errors: FloatArray = np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)
        return errors

    def map(self, function: Callable[[FloatArray], FloatArray]) -> "Draws":
        """Return a function of the numbers, under the same draws."""
        return Draws(function(self.value[None])[0], function(self.replicates), self.patients)


def draw(
    statistic: _Statistic,
    rows: int,
    patients: npt.ArrayLike | None = None,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Draws:
    """Compute `statistic` (weights `(R, N)` to numbers `(R, K)`) on all rows and on resampled patients."""
    if replicates < 2:
        raise ValueError(f"expected at least two replicates, found {replicates}")
    draws = ClusterDraws(rows, patients, replicates, seed)
    value = statistic(np.ones((1, rows)))[0]
    # Weights come in blocks of replicates, so that memory does not grow with their number times the rows.
    return Draws(value, np.concatenate([statistic(weights) for weights in draws.weights()]), draws.count)
