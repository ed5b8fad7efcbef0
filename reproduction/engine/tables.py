"""Tables of models over repeats, with intervals from one bootstrap of patients for all of them.

A replicate draws patients of the whole cohort once; every model and every repeat meets the same draw, so that what two
models share cancels in their difference. A value is the mean over the repeats.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from claim_transformers.analysis.result_table import Cell, ResultTable, plain_rows
from claim_transformers.training.bootstrap import LEVEL, MetricInterval
from claim_transformers.training.metrics import auprc, auroc, brier, calibration_error, weighted_mean

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
class RepeatComparison:
    """Models side by side, each a mean over the same repeats.

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

    def to_table(self) -> ResultTable:
        """The table of the models; the best cold-start model is bold, and CSV has one line per model and metric."""
        difference, gap = f"{self.primary} minus best cold start", "gap to true risk closed"
        published = f"{self.primary} in the paper"
        draws = (
            f"Means over {self.repeats} repeats of a 70/30 split, with {self.patients:,} patients in a test split at "
            f"least once; 95 % intervals from {REPLICATES:,} bootstrap replicates that draw patients, the same for "
            "all models and repeats. Bold: the best cold-start model by its test result, which favours it."
        )
        rows: list[dict[str, Cell]] = []
        group = ""
        for row in self.rows:
            cells: dict[str, Cell] = {"": "" if row.model.group == group else row.model.group, "model": row.model.name}
            group = row.model.group
            for name, found in row.metrics.items():
                cells[name] = "not a probability" if found.value is None else found
            cells |= {difference: _if_defined(row.difference), gap: _if_defined(row.gap_closed)}
            rows.append(cells | {published: self.published.get(row.model.slug)})
        unknown = {
            difference: not any(row.difference for row in self.rows),
            gap: not any(row.gap_closed for row in self.rows),
            published: not self.published,
        }
        return ResultTable(
            self.title,
            [{name: cell for name, cell in row.items() if not unknown.get(name)} for row in rows],
            (draws, *self.notes),
            formats={difference: "+.3f", gap: ".0%", published: ".2f"},
            bold=[number for number, row in enumerate(self.rows) if row.model.slug == self.reference],
            csv_rows=[line for row in self.rows for line in _lines(row)],
            content=self._content(),
        )

    def _content(self) -> dict[str, Any]:
        """Every number that the table shows, unrounded, with the hyper-parameters that were chosen."""
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


def _if_defined(interval: MetricInterval | None) -> MetricInterval | None:
    return None if interval is None or interval.value is None else interval


def _lines(row: Row) -> list[dict[str, Cell]]:
    """A model as lines of the CSV, one per metric."""
    extra = {"difference_to_best_cold_start": row.difference, "gap_closed": row.gap_closed}
    model = {"slug": row.model.slug, "name": row.model.name, "group": row.model.group}
    return [
        {**model, "metric": metric, "value": found.value, "low": found.low, "high": found.high}
        for metric, found in {**row.metrics, **extra}.items()
        if found is not None
    ]


def setting_table(
    title: str, rows: Sequence[Mapping[str, Cell]], notes: Sequence[str] = (), picture: str | None = None
) -> ResultTable:
    r"""A table whose rows are settings; its CSV names the ends of an interval `NAME low` and `NAME high`.

    Examples:
        >>> setting_table("Sizes", [{"patients": 100, "gain": MetricInterval(0.1, 0.05, 0.15, 9, 9)}]).to_csv()
        'patients,gain,gain low,gain high\n100,0.1,0.05,0.15\n'
    """
    wide = {column for row in rows for column, cell in row.items() if isinstance(cell, MetricInterval)}
    csv_rows: list[dict[str, Cell]] = []
    for row in rows:
        line: dict[str, Cell] = {}
        for column in dict.fromkeys(column for row in rows for column in row):
            cell = row.get(column)
            if isinstance(cell, MetricInterval):
                line |= {column: cell.value, f"{column} low": cell.low, f"{column} high": cell.high}
            else:
                line |= {column: cell} | dict.fromkeys([f"{column} low", f"{column} high"] if column in wide else [])
        csv_rows.append(line)
    content = {"title": title, "rows": plain_rows(rows), "notes": list(notes)}
    return ResultTable(title, rows, notes, picture=picture, csv_rows=csv_rows, content=content)


def compare_over_repeats(
    title: str,
    models: Sequence[ModelPredictions],
    *,
    primary: str | None = None,
    notes: Sequence[str] = (),
    published: Mapping[str, float] | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> RepeatComparison:
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
        [`RepeatComparison`]: Metrics, differences to the best cold-start model and shares of the gap closed.

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
    return RepeatComparison(
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
