"""Twins: the same lives under ICD-9 and under ICD-10, and what differs between models of the two.

A replicate draws patients, and every model meets the same draw under both codings, so that what the codings share
cancels in their difference.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from claim_transformers.analysis.result_table import Cell, ResultTable
from claim_transformers.training.bootstrap import MetricInterval, clustered_interval
from claim_transformers.training.metrics import auroc
from reproduction.engine.tables import REPLICATES, ModelPredictions, Replicated, draw_weights, setting_table

CODINGS = ("ICD-9", "ICD-10")
_TEST_SHARE = 0.5


def twin_table(
    title: str,
    models: Mapping[str, Sequence[ModelPredictions]],
    notes: Sequence[str] = (),
    *,
    replicates: int = REPLICATES,
) -> ResultTable:
    """Put the AUROC of every model under both codings side by side, with the paired difference.

    Args:
        title (`str`): Heading.
        models (`Mapping[str, list[ModelPredictions]]`): Under each of `CODINGS`, the same models in the same order.
        notes (`list[str]`, *optional*): Sentences below the table.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.

    Returns:
        [`ResultTable`]: One row per model.

    Raises:
        ValueError: If the models or their test patients differ between the codings.
    """
    pairs = list(zip(*(models[coding] for coding in CODINGS), strict=True))
    patients = np.unique(np.concatenate([_column(table, "patient") for pair in pairs for table in pair[0].repeats]))
    weights = draw_weights(int(patients.max()) + 1, patients, replicates, seed=0)
    rows: list[dict[str, Cell]] = []
    for pair in pairs:
        _require_twins(*pair)
        before, after = (_mean_auroc(model, weights) for model in pair)
        difference = after - before
        found = [replicated.interval(len(patients)) for replicated in (before, after, difference)]
        rows.append({"model": pair[0].name, **dict(zip((*CODINGS, "difference"), found, strict=True))})
    splits = len(pairs[0][0].repeats)
    over = "one split" if splits == 1 else f"mean over {splits} splits"
    note = (
        f"AUROC, {over} by patient, {len(patients):,} patients in a test part at "
        f"least once; 95 % intervals from {replicates:,} bootstrap replicates that draw patients, the same under both "
        "codings. Every model learns and is tested under one coding."
    )
    return setting_table(title, rows, [note, *notes])


def switch_probe(vectors: Mapping[str, NDArray[np.floating[Any]]], *, seed: int = 0) -> MetricInterval:
    """Ask a linear probe which coding a patient vector is of: at chance if the model does not see the switch.

    Each patient enters once, under a coding drawn by lot; half of the patients teach the probe and half test it.

    Args:
        vectors (`Mapping[str, NDArray]` of shape `(patients, width)`):
            Vectors of the same patients at the same day under each of `CODINGS`.
        seed (`int`, *optional*, defaults to `0`): Seed of the lots.

    Returns:
        [`MetricInterval`]: AUROC of the probe on patients that it has not seen.

    Raises:
        ValueError: If the codings have different patients.

    Examples:
        >>> generator = np.random.default_rng(0)
        >>> same = generator.normal(size=(2000, 4))
        >>> switch_probe({"ICD-9": same, "ICD-10": same + 3}).value > 0.999
        True
        >>> chance = switch_probe({"ICD-9": same, "ICD-10": same})
        >>> chance.low < 0.5 < chance.high
        True
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    before, after = (vectors[coding] for coding in CODINGS)
    if before.shape != after.shape:
        raise ValueError(f"expected vectors of the same patients, found {before.shape} and {after.shape}")
    generator = np.random.default_rng(seed)
    is_after, is_test = (generator.random(len(before)) < share for share in (0.5, _TEST_SHARE))
    drawn = np.where(is_after[:, None], after, before)
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    probe.fit(drawn[~is_test], is_after[~is_test])
    return clustered_interval(auroc, is_after[is_test], probe.decision_function(drawn[is_test]))


def _mean_auroc(model: ModelPredictions, weights: NDArray[np.float64]) -> Replicated:
    found = []
    for table in model.repeats:
        labels, scores = _column(table, "label"), table["score"].to_numpy()
        drawn = weights[:, _column(table, "patient")]
        found.append((float(auroc(labels, scores)), np.asarray(auroc(labels, scores, drawn))))
    values, replicates = zip(*found, strict=True)
    return Replicated(float(np.mean(values)), np.mean(replicates, axis=0))


def _column(table: pa.Table, name: str) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = table[name].to_numpy().astype(np.int64)
    return numbers


def _require_twins(first: ModelPredictions, second: ModelPredictions) -> None:
    if first.slug != second.slug or len(first.repeats) != len(second.repeats):
        raise ValueError(f"expected {first.slug!r} under both codings, found {second.slug!r} or other repeats")
    for one, two in zip(first.repeats, second.repeats, strict=True):
        if not one["patient"].equals(two["patient"]):
            raise ValueError(f"expected {first.slug!r} on the same test patients under both codings, found others")
