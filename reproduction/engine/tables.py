"""Tables of models over repeats, with intervals from one bootstrap of patients for all of them.

A replicate draws patients of the whole cohort once; every model and every repeat meets the same draw, so that what two
models share cancels in their difference. A value is the mean over the repeats.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from claim_transformers.training.bootstrap import LEVEL, MetricInterval
from claim_transformers.training.metrics import auprc, auroc, brier, calibration_error, weighted_mean
from reproduction.engine.steps import write_whole

FloatArray = NDArray[np.float64]

REPLICATES = 1000
BINARY = {"AUROC": auroc, "AUPRC": auprc, "Brier": brier, "calibration error": calibration_error}
RECALL_AT = (5, 10, 30)
NEW_RECALL_AT = 10
COLD_START, CEILING = "cold start", "ceiling"


@dataclass(frozen=True)
class ModelPredictions:
    """What one model predicted for the test patients of every repeat.

    Args:
        slug (`str`): Short name, as in the names of steps.
        name (`str`): Name for the table.
        group (`str`): `"cold start"`, `"no labels"`, `"frozen"`, `"fine-tuned"` or `"ceiling"`.
        repeats (`list[pa.Table]`): Rows of each repeat with `patient` and either `label` and `score`, or `ranks`: of
            each true label its place among all labels, from 1; `is_new` beside them says which of them are new.
        hyper (`dict`, *optional*): Hyper-parameters that were chosen.
        seconds (`float`, *optional*, defaults to `0.0`): Mean time of one fit.
        is_probability (`bool`, *optional*, defaults to `True`): Whether scores are risks, so that Brier score and
            calibration mean something.
    """

    slug: str
    name: str
    group: str
    repeats: Sequence[pa.Table]
    hyper: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    is_probability: bool = True


@dataclass(frozen=True)
class Row:
    """One model of a table.

    Args:
        model ([`ModelPredictions`]): The model.
        metrics (`dict[str, MetricInterval]`): Its metrics, means over the repeats.
        difference (`MetricInterval`, *optional*): Of the primary metric to the best cold-start model, paired.
        gap_closed (`MetricInterval`, *optional*): Share of the gap between that model and the ceiling that is closed.
    """

    model: ModelPredictions
    metrics: Mapping[str, MetricInterval]
    difference: MetricInterval | None = None
    gap_closed: MetricInterval | None = None


@dataclass(frozen=True)
class ResultTable:
    """Models side by side.

    Args:
        title (`str`): Heading.
        rows (`list[Row]`): Models in order.
        primary (`str`): The metric by which models are compared.
        reference (`str`, *optional*): Slug of the best cold-start model.
        patients (`int`): Patients of the cohort that are in a test split at least once.
        repeats (`int`): Repeats behind every value.
        notes (`list[str]`, *optional*): Sentences below the table.
        published (`dict[str, float]`, *optional*): The primary metric as the paper prints it, by slug.
    """

    title: str
    rows: Sequence[Row]
    primary: str
    reference: str | None
    patients: int
    repeats: int
    notes: Sequence[str] = ()
    published: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values, for JSON.

        Returns:
            `dict`: Every number that the table shows, unrounded, with the hyper-parameters that were chosen.
        """
        return {
            "title": self.title,
            "patients": self.patients,
            "repeats": self.repeats,
            "level": LEVEL,
            "primary": self.primary,
            "best_cold_start": self.reference,
            "notes": list(self.notes),
            "models": [
                {
                    "slug": row.model.slug,
                    "name": row.model.name,
                    "group": row.model.group,
                    "metrics": {name: interval.to_dict() for name, interval in row.metrics.items()},
                    "difference_to_best_cold_start": row.difference.to_dict() if row.difference else None,
                    "gap_closed": row.gap_closed.to_dict() if row.gap_closed else None,
                    "published": self.published.get(row.model.slug),
                    "hyper_parameters": dict(row.model.hyper),
                    "seconds_per_fit": round(row.model.seconds, 2),
                }
                for row in self.rows
            ],
        }

    def to_markdown(self) -> str:
        """The table as Markdown, with its notes.

        Returns:
            `str`: Text that ends with a line feed. The best cold-start model is bold.
        """
        header, body = self._cells()
        lines = [f"# {self.title}", "", _line(header), _line(["---"] * len(header))]
        for row, cells in zip(self.rows, body, strict=True):
            is_best = row.model.slug == self.reference
            lines.append(_line([f"**{cell}**" if cell and is_best else cell for cell in cells]))
        lines += [
            "",
            f"Means over {self.repeats} repeats of a 70/30 split, with {self.patients:,} patients in a test split at "
            f"least once; 95 % intervals from {REPLICATES:,} bootstrap replicates that draw patients, the same for "
            "all models and repeats. Bold: the best cold-start model by its test result, which favours it.",
        ]
        return "\n".join([*lines, *(f"\n{note}" for note in self.notes)]) + "\n"

    def to_csv(self) -> str:
        """The table as CSV: one line per model and metric.

        Returns:
            `str`: Columns `slug, name, group, metric, value, low, high`.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["slug", "name", "group", "metric", "value", "low", "high"])
        for row in self.rows:
            extra = {"difference_to_best_cold_start": row.difference, "gap_closed": row.gap_closed}
            for metric, interval in {**row.metrics, **extra}.items():
                if interval is not None:
                    numbers = [interval.value, interval.low, interval.high]
                    writer.writerow([row.model.slug, row.model.name, row.model.group, metric, *numbers])
        return text.getvalue()

    def save(self, folder: str | Path, name: str) -> None:
        """Write `name.md`, `name.json` and `name.csv`.

        Args:
            folder (`str` or `Path`): Where to.
            name (`str`): File name without ending.
        """
        write_whole(Path(folder) / f"{name}.md", self.to_markdown())
        write_whole(Path(folder) / f"{name}.json", json.dumps(self.to_dict(), indent=1) + "\n")
        write_whole(Path(folder) / f"{name}.csv", self.to_csv())

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        metrics = list(self.rows[0].metrics) if self.rows else []
        has_difference = any(row.difference for row in self.rows)
        has_gap = any(row.gap_closed for row in self.rows)
        header = ["", "model", *metrics]
        header += [f"{self.primary} minus best cold start"] if has_difference else []
        header += ["gap to true risk closed"] if has_gap else []
        header += [f"{self.primary} in the paper"] if self.published else []
        body, group = [], ""
        for row in self.rows:
            shown = "" if row.model.group == group else row.model.group
            group = row.model.group
            cells = [shown, row.model.name, *(str(row.metrics[metric]) for metric in metrics)]
            cells = [_without_reason(cell) for cell in cells]
            cells += [_text(row.difference, sign=True)] if has_difference else []
            cells += [_text(row.gap_closed, percent=True)] if has_gap else []
            published = self.published.get(row.model.slug)
            cells += [f"{published:.2f}" if published is not None else ""] if self.published else []
            body.append(cells)
        return header, body


def compare_models(
    title: str,
    models: Sequence[ModelPredictions],
    *,
    primary: str | None = None,
    notes: Sequence[str] = (),
    published: Mapping[str, float] | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> ResultTable:
    """Put models side by side.

    Args:
        title (`str`): Heading.
        models (`list[ModelPredictions]`): Models with the same repeats.
        primary (`str`, *optional*): Metric by which models are compared; the first one without it.
        notes (`list[str]`, *optional*): Sentences below the table.
        published (`dict[str, float]`, *optional*): The primary metric as the paper prints it, by slug.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.
        seed (`int`, *optional*, defaults to `0`): Seed of the draws.

    Returns:
        [`ResultTable`]: Metrics, differences to the best cold-start model and shares of the gap closed.

    Raises:
        ValueError: If there is no model, models were scored on other patients or labels, or the metric is unknown.
    """
    if not models:
        raise ValueError("expected at least one model to compare, found none")
    for model in models[1:]:
        _require_same_rows(models[0], model)
    patients = np.unique(np.concatenate([_patients(table) for table in models[0].repeats]))
    weights = draw_weights(int(patients.max()) + 1, patients, replicates, seed)
    drawn = [_bootstrap(model, weights) for model in models]
    first = next(iter(drawn[0])) if primary is None else primary
    if first not in drawn[0]:
        raise ValueError(f"expected a metric among {list(drawn[0])}, found {first!r}")
    cold = [i for i, model in enumerate(models) if model.group == COLD_START and _defined(drawn[i][first])]
    best = max(cold, key=lambda i: drawn[i][first].value) if cold else None
    top = next((i for i, model in enumerate(models) if model.group == CEILING), None)
    rows = []
    for i, model in enumerate(models):
        difference = gap = None
        if best is not None and model.group != COLD_START:
            difference = (drawn[i][first] - drawn[best][first]).interval(len(patients))
            if top is not None and i != top:
                gap = drawn[i][first].share_of_gap(drawn[best][first], drawn[top][first]).interval(len(patients))
        metrics = {name: values.interval(len(patients)) for name, values in drawn[i].items()}
        rows.append(Row(model, metrics, difference, gap))
    return ResultTable(
        title,
        rows,
        first,
        None if best is None else models[best].slug,
        len(patients),
        len(models[0].repeats),
        tuple(notes),
        dict(published or {}),
    )


@dataclass(frozen=True)
class Replicated:
    """A number on all rows and in every replicate of a bootstrap.

    Args:
        value (`float`): On all rows; NaN where undefined.
        replicates (`NDArray[float]`): In each replicate.
    """

    value: float
    replicates: FloatArray

    def __sub__(self, other: "Replicated") -> "Replicated":
        return Replicated(self.value - other.value, self.replicates - other.replicates)

    def share_of_gap(self, low: "Replicated", high: "Replicated") -> "Replicated":
        """Which share of the way from `low` to `high` is done; NaN where there is no way to go."""
        way = high.value - low.value
        ways = high.replicates - low.replicates
        shares = np.divide(self.replicates - low.replicates, ways, out=np.full(len(ways), np.nan), where=ways > 0)
        return Replicated((self.value - low.value) / way if way > 0 else float("nan"), shares)

    def interval(self, clusters: int) -> MetricInterval:
        """The percentile interval over the replicates in which the number is defined."""
        if np.isnan(self.value):
            return MetricInterval(None, None, None, clusters, 0, reason="undefined")
        defined = self.replicates[~np.isnan(self.replicates)]
        if not len(defined):
            return MetricInterval(self.value, None, None, clusters, 0)
        tail = (1.0 - LEVEL) / 2.0
        low, high = np.quantile(defined, [tail, 1.0 - tail])
        return MetricInterval(self.value, float(low), float(high), clusters, len(defined))


def recall_of_ranks(ranks: pa.ChunkedArray, k: int, counts: pa.ChunkedArray | None = None) -> FloatArray:
    """Share of the true labels of each row that are among the `k` likeliest; NaN for a row without a true label.

    Args:
        ranks (`pa.ChunkedArray` of lists): Of each true label its place among all labels, from 1.
        k (`int`): Labels that are looked at.
        counts (`pa.ChunkedArray` of lists of booleans, *optional*): Which of the true labels count; all without it.

    Returns:
        `NDArray[float]` of shape `(rows,)`.

    Examples:
        >>> ranks = pa.chunked_array([[[1, 7], [6], []]])
        >>> recall_of_ranks(ranks, 5).tolist()
        [0.5, 0.0, nan]
        >>> recall_of_ranks(ranks, 5, pa.chunked_array([[[True, False], [False], []]])).tolist()
        [1.0, nan, nan]
    """
    lengths = pc.fill_null(pc.list_value_length(ranks), 0).to_numpy().astype(np.int64)
    row = np.repeat(np.arange(len(lengths)), lengths)
    counted = np.ones(len(row), bool)
    if counts is not None:
        counted = pc.list_flatten(counts).to_numpy(zero_copy_only=False).astype(bool)
    hit = counted & (pc.list_flatten(ranks).to_numpy(zero_copy_only=False) <= k)
    hits, true = (np.bincount(row[chosen], minlength=len(lengths)).astype(np.float64) for chosen in (hit, counted))
    shares: FloatArray = np.divide(hits, true, out=np.full(len(lengths), np.nan), where=true > 0)
    return shares


# ---- Bootstrap ----


def draw_weights(size: int, patients: NDArray[np.int64], replicates: int, seed: int) -> FloatArray:
    """Draw patients with replacement.

    Args:
        size (`int`): One more than the largest patient number.
        patients (`NDArray[int]`): Numbers that are drawn from.
        replicates (`int`): How many times.
        seed (`int`): Seed of the draws.

    Returns:
        `NDArray[float]` of shape `(replicates, size)`: How often each patient was drawn.

    Examples:
        >>> weights = draw_weights(5, np.array([1, 4]), replicates=3, seed=0)
        >>> weights.sum(axis=1).tolist(), weights[:, 0].tolist()
        ([2.0, 2.0, 2.0], [0.0, 0.0, 0.0])
    """
    generator = np.random.Generator(np.random.Philox(key=seed))
    drawn = patients[generator.integers(len(patients), size=(replicates, len(patients)))]
    flat = (drawn + np.arange(replicates)[:, None] * size).ravel()
    return np.bincount(flat, minlength=replicates * size).reshape(replicates, size).astype(np.float64)


def _bootstrap(model: ModelPredictions, weights: FloatArray) -> dict[str, Replicated]:
    """Every metric of a model, mean over its repeats."""
    per_repeat = [_metrics(table, weights[:, _patients(table)], model.is_probability) for table in model.repeats]
    return {
        name: Replicated(
            float(np.mean([found[name].value for found in per_repeat])),
            np.mean([found[name].replicates for found in per_repeat], axis=0),
        )
        for name in per_repeat[0]
    }


def _metrics(table: pa.Table, weights: FloatArray, is_probability: bool) -> dict[str, Replicated]:
    if "ranks" in table.column_names:
        recalls = {f"recall@{k}": recall_of_ranks(table["ranks"], k) for k in RECALL_AT}
        if "is_new" in table.column_names:
            recalls[f"recall@{NEW_RECALL_AT} of new"] = recall_of_ranks(table["ranks"], NEW_RECALL_AT, table["is_new"])
        return {
            name: Replicated(float(weighted_mean(values)), np.asarray(weighted_mean(values, weights)))
            for name, values in recalls.items()
        }
    labels, scores = table["label"].to_numpy(), table["score"].to_numpy()
    found = {}
    for name, metric in BINARY.items():
        if name in ("Brier", "calibration error") and not is_probability:
            found[name] = Replicated(float("nan"), np.full(len(weights), np.nan))
        else:
            found[name] = Replicated(float(metric(labels, scores)), np.asarray(metric(labels, scores, weights)))
    return found


def _defined(value: Replicated) -> bool:
    return not np.isnan(value.value)


def _patients(table: pa.Table) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = table["patient"].to_numpy().astype(np.int64)
    return numbers


def _require_same_rows(first: ModelPredictions, other: ModelPredictions) -> None:
    if len(first.repeats) != len(other.repeats):
        raise ValueError(
            f"expected {len(first.repeats)} repeats of {other.slug!r} as of {first.slug!r}, found {len(other.repeats)}"
        )
    for number, (one, two) in enumerate(zip(first.repeats, other.repeats, strict=True)):
        columns = [name for name in ("patient", "label") if name in one.column_names]
        if any(not one[name].equals(two[name]) for name in columns):
            raise ValueError(f"expected {other.slug!r} on the rows of {first.slug!r} in repeat {number}, found others")


# ---- Text ----


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _without_reason(cell: str) -> str:
    return "not a probability" if cell.startswith("undefined") else cell


def _text(interval: MetricInterval | None, *, sign: bool = False, percent: bool = False) -> str:
    if interval is None or interval.value is None:
        return ""
    numbers = [interval.value, interval.low, interval.high]
    form = "{:.0%}" if percent else "{:+.3f}" if sign else "{:.3f}"
    value, low, high = ("" if number is None else form.format(number) for number in numbers)
    return f"{value} ({low} to {high})" if low else value
