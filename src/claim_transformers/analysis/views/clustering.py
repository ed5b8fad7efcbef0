"""Silhouette and purity of groups in an embedding, with intervals, so that a map is a measurement too.

Every group counts the same, so that a common disease does not decide. Distances are cosine distances. The scores of
the single points are scikit-learn's; an interval resamples the points and leaves their neighbours as they are (drawing
the neighbours too would thin small groups out and bias both scores), so it is the uncertainty over points of one
embedding, and two embeddings are compared on the same points.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from claim_transformers.training import MetricInterval, clustered_interval, paired_difference
from claim_transformers.training.metrics import FloatArray

NEIGHBOURS = 10


def point_silhouettes(groups: npt.ArrayLike, vectors: npt.ArrayLike) -> FloatArray:
    """Compute the silhouette of every point (Rousseeuw, 1987)."""
    from sklearn.metrics import silhouette_samples

    labels, points = _checked(groups, vectors)
    values: FloatArray = silhouette_samples(points, labels, metric="cosine")
    return values


def _point_purities(groups: npt.ArrayLike, vectors: npt.ArrayLike, *, k: int = NEIGHBOURS) -> FloatArray:
    """Compute for every point the share of its nearest neighbours that are of its own group."""
    from sklearn.neighbors import NearestNeighbors

    labels, points = _checked(groups, vectors)
    if not 1 <= k < len(labels):
        raise ValueError(f"expected a number of neighbours from 1 to {len(labels) - 1}, found {k}")
    # Without an argument, scikit-learn leaves every point out of its own neighbours.
    neighbours = NearestNeighbors(n_neighbors=k, metric="cosine").fit(points).kneighbors(return_distance=False)
    shares: FloatArray = (labels[neighbours] == labels[:, None]).mean(axis=1)
    return shares


def _chance_purity(groups: npt.ArrayLike) -> float:
    """Compute the expected purity of an embedding that knows nothing of the groups."""
    _, sizes = np.unique(np.asarray(groups), return_counts=True)
    return float(np.mean((sizes - 1) / max(sizes.sum() - 1, 1)))


def mean_of_groups(groups: npt.ArrayLike, values: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Any:
    """Average the groups' means, so that every group counts the same."""
    labels = np.asarray(groups)
    member = (labels[:, None] == np.unique(labels)).astype(np.float64)
    given = np.atleast_2d(np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64))
    mass = given @ member
    # A group that a replicate did not draw has no mean and does not count there.
    means = np.divide((given * np.asarray(values)) @ member, mass, out=np.zeros_like(mass), where=mass > 0)
    averages = means.sum(axis=1) / np.maximum((mass > 0).sum(axis=1), 1)
    return averages if weights is not None and np.ndim(weights) == 2 else float(averages[0])


def compare_embeddings(
    groups: npt.ArrayLike,
    embeddings: Mapping[str, npt.ArrayLike],
    *,
    k: int = NEIGHBOURS,
    replicates: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Score several embeddings of the same points, and the first against each other one, with 95 % intervals."""
    names, sizes = np.unique(np.asarray(groups), return_counts=True)
    points = {
        name: (point_silhouettes(groups, found), _point_purities(groups, found, k=k))
        for name, found in embeddings.items()
    }
    first = next(iter(embeddings))

    def score(interval: Callable[..., MetricInterval], *values: tuple[FloatArray, FloatArray]) -> dict[str, Any]:
        options = {"replicates": replicates, "seed": seed}
        both = (interval(mean_of_groups, groups, *pair, **options) for pair in zip(*values, strict=True))
        # Silhouette: 0 where groups overlap, 1 where they are points. Purity: neighbours that are of a point's group.
        return {name: found.to_dict() for name, found in zip(("silhouette", "purity"), both, strict=True)}

    return {
        "points": int(sizes.sum()),
        "groups": dict(zip(names.tolist(), sizes.tolist(), strict=True)),
        "neighbours": k,
        "chance_purity": _chance_purity(groups),
        "scores": {name: score(clustered_interval, values) for name, values in points.items()},
        "differences": {
            name: score(paired_difference, points[first], values) for name, values in points.items() if name != first
        },
    }


def _checked(groups: npt.ArrayLike, vectors: npt.ArrayLike) -> tuple[npt.NDArray[Any], FloatArray]:
    """Groups and vectors as arrays that fit together."""
    labels, points = np.asarray(groups), np.asarray(vectors, dtype=np.float64)
    if labels.ndim != 1 or points.ndim != 2 or len(labels) != len(points):
        raise ValueError(f"expected one vector per point, found shapes {labels.shape} and {points.shape}")
    if len(np.unique(labels)) < 2:
        raise ValueError(f"expected points of at least two groups, found {len(np.unique(labels))}")
    return labels, points
