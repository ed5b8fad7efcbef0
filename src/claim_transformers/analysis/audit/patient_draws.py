"""Many numbers under one bootstrap of patients: what the audits of a model share.

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

FloatArray = npt.NDArray[np.float64]
Statistic = Callable[[FloatArray], FloatArray]

REPLICATES = 1000


@dataclass(frozen=True)
class Draws:
    """Numbers on all rows and in every replicate.

    Args:
        value (`NDArray[float]` of shape `(K,)`): On all rows; NaN where undefined.
        replicates (`NDArray[float]` of shape `(R, K)`): In each replicate.
        patients (`int`): Patients that were drawn.

    Examples:
        >>> draws = Draws(np.array([0.5]), np.linspace(0.4, 0.6, 101)[:, None], patients=40)
        >>> str(draws.interval(0)), round(float(draws.standard_errors()[0]), 3)
        ('0.500 (0.405 to 0.595)', 0.059)
    """

    value: FloatArray
    replicates: FloatArray
    patients: int

    def interval(self, number: int) -> MetricInterval:
        """Return one number with its 95 % percentile interval.

        Args:
            number (`int`): Which of the `K`.

        Returns:
            [`MetricInterval`]: Undefined where the number is NaN on all rows.
        """
        return percentile_interval(float(self.value[number]), self.replicates[:, number], self.patients)

    def intervals(self) -> list[MetricInterval]:
        """Return every number with its 95 % percentile interval.

        Returns:
            `list[MetricInterval]`: What [`~Draws.interval`] gives for each number, quantiles taken together.
        """
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
        """Return the standard deviation of each number over the replicates.

        Returns:
            `NDArray[float]` of shape `(K,)`: NaN where fewer than two replicates are defined.
        """
        defined = ~np.isnan(self.replicates)
        count = defined.sum(axis=0)
        filled = np.where(defined, self.replicates, 0.0)
        mean = filled.sum(axis=0) / np.maximum(count, 1)
        squares = np.where(defined, (filled - mean) ** 2, 0.0).sum(axis=0)
        errors: FloatArray = np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)
        return errors

    def map(self, function: Callable[[FloatArray], FloatArray]) -> "Draws":
        """Return a function of the numbers, under the same draws.

        Args:
            function (`Callable`): From an array of shape `(R, K)` to one of shape `(R, L)`.

        Returns:
            [`Draws`]: The `L` new numbers.
        """
        return Draws(function(self.value[None])[0], function(self.replicates), self.patients)


def draw(
    statistic: Statistic,
    rows: int,
    patients: npt.ArrayLike | None = None,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Draws:
    """Compute numbers on all rows and on resampled patients.

    Args:
        statistic (`Callable`): From row weights of shape `(R, N)` to numbers of shape `(R, K)`.
        rows (`int`): Number of rows `N`.
        patients (array of shape `(N,)`, *optional*): Patient of each row; each row is a patient without it.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.
        seed (`int`, *optional*, defaults to `0`): Seed of the draws.

    Returns:
        [`Draws`]: The numbers and their replicates.

    Raises:
        ValueError: If there is no row, `patients` has another length, or there are fewer than two replicates.

    Examples:
        >>> values = np.array([[0.0], [1.0]] * 50)
        >>> draws = draw(lambda weights: weights @ values / weights.sum(axis=1, keepdims=True), rows=100)
        >>> draws.value.tolist(), draws.interval(0).low < 0.5 < draws.interval(0).high
        ([0.5], True)
    """
    if replicates < 2:
        raise ValueError(f"expected at least two replicates, found {replicates}")
    draws = ClusterDraws(rows, patients, replicates, seed)
    value = statistic(np.ones((1, rows)))[0]
    return Draws(value, np.concatenate([statistic(weights) for weights in draws.weights()]), draws.count)
