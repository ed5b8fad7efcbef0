"""Scores of groups in an embedding: what they are by definition, and what they do not depend on."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from claim_transformers.analysis.views.clustering import (
    _chance_purity,
    _point_purities,
    compare_embeddings,
    mean_of_groups,
    point_silhouettes,
)


def clouds(sizes, distance, seed=0):
    random = np.random.default_rng(seed)
    groups = np.repeat([f"group {i}" for i in range(len(sizes))], sizes)
    centres = distance * np.eye(8)[: len(sizes)]
    return groups, np.repeat(centres, sizes, axis=0) + random.normal(size=(sum(sizes), 8))


def test_equal_groups_have_the_mean_silhouette_of_scikit_learn():
    groups, vectors = clouds([20, 20, 20], distance=3.0)
    expected = silhouette_score(vectors, groups, metric="cosine")
    assert mean_of_groups(groups, point_silhouettes(groups, vectors)) == pytest.approx(expected)


def test_purity_counts_the_nearest_neighbours_by_their_definition():
    groups, vectors = clouds([12, 8], distance=1.0)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for point, found in enumerate(_point_purities(groups, vectors, k=5)):
        order = [other for other in np.argsort(-unit @ unit[point]) if other != point][:5]
        assert found == np.mean(groups[order] == groups[point])


def test_a_random_embedding_scores_chance_and_clouds_apart_score_one():
    groups, vectors = clouds([300, 60, 40], distance=0.0)
    assert mean_of_groups(groups, _point_purities(groups, vectors)) == pytest.approx(_chance_purity(groups), abs=0.04)
    groups, vectors = clouds([300, 60, 40], distance=40.0)
    assert mean_of_groups(groups, _point_purities(groups, vectors)) == 1.0
    assert mean_of_groups(groups, point_silhouettes(groups, vectors)) > 0.9


def test_a_rare_group_counts_as_much_as_a_common_one():
    values = np.array([1.0] * 90 + [0.0] * 10)
    groups = ["common"] * 90 + ["rare"] * 10
    assert mean_of_groups(groups, values) == 0.5
    weights = np.stack([np.ones(100), np.r_[np.ones(90), np.zeros(10)]])
    assert mean_of_groups(groups, values, weights).tolist() == [0.5, 1.0]


def test_scores_and_differences_have_intervals_around_them():
    groups, vectors = clouds([30, 30], distance=3.0)
    _, noise = clouds([30, 30], distance=0.0, seed=1)
    found = compare_embeddings(groups, {"model": vectors, "same": 2.0 * vectors, "noise": noise}, replicates=200)
    for scores in found["scores"].values():
        for interval in scores.values():
            assert interval["low"] <= interval["value"] <= interval["high"]
    assert found["differences"]["same"]["purity"]["high"] == pytest.approx(0.0, abs=1e-12)
    assert found["differences"]["noise"]["silhouette"]["low"] > 0.1
    assert compare_embeddings(groups, {"model": vectors, "noise": noise}, replicates=200) == compare_embeddings(
        groups, {"model": vectors, "noise": noise}, replicates=200
    )


def test_points_that_cannot_be_scored_are_refused():
    with pytest.raises(ValueError, match=r"expected one vector per point, found shapes \(2,\) and \(3, 1\)"):
        point_silhouettes(["a", "b"], [[1.0], [2.0], [3.0]])
    with pytest.raises(ValueError, match="expected points of at least two groups, found 1"):
        _point_purities(["a", "a"], [[1.0], [2.0]], k=1)
    with pytest.raises(ValueError, match="expected a number of neighbours from 1 to 1, found 10"):
        _point_purities(["a", "b"], [[1.0], [2.0]])
