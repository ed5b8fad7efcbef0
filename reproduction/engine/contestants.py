"""Contestants of a table: a small search on the first repeat, then a fit with the chosen setting on all of them."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.training.best_epoch import choice_of
from reproduction.engine.steps import StepResult, Workspace
from reproduction.engine.tables import ModelPredictions
from reproduction.engine.tasks import BenchmarkCohort, Scores, Task, predictions_table

REPEATS = 5
MAX_SETTINGS = 4


class Contestant(Protocol):
    """A model of a table."""

    @property
    def slug(self) -> str:
        """Short name, for steps and files."""
        ...

    @property
    def name(self) -> str:
        """Name for tables."""
        ...

    @property
    def group(self) -> str:
        """Rows of a table that belong together."""
        ...

    @property
    def is_probability(self) -> bool:
        """Whether its scores are risks."""
        ...

    @property
    def grid(self) -> Sequence[Mapping[str, Any]]:
        """Settings that are tried, at most four."""
        ...

    def key(self) -> dict[str, Any]:
        """What decides about a fit beside task, setting and seed, digests of checkpoints included."""
        ...

    def takes(self, task: Task) -> bool:
        """Whether the model can be fitted on the task."""
        ...

    def fit(self, task: Task, hyper: Mapping[str, Any], seed: int) -> Scores:
        """Fit the model on the training split and score validation and test."""
        ...


def run_contestants(
    workspace: Workspace,
    cohort: BenchmarkCohort,
    contestants: Sequence[Contestant],
    *,
    repeats: int = REPEATS,
    title: str = "",
) -> list[ModelPredictions]:
    """Fit every model on every repeat, each fit as one step.

    The setting of a model is chosen on the validation part of repeat 0 by AUROC, by AUPRC where it is equal, and used
    for all repeats; nothing of a test split is looked at.

    Args:
        workspace ([`Workspace`]): Where steps are kept.
        cohort ([`BenchmarkCohort`]): The cohort.
        contestants (`list[Contestant]`): The models; those that do not take the cohort are left out.
        repeats (`int`, *optional*, defaults to `5`): Splits (5: Claim-PT, Results).
        title (`str`, *optional*): Title of the progress bar.

    Returns:
        `list[ModelPredictions]`: Test predictions of every model, ready for `compare_over_repeats`.

    Raises:
        ValueError: If a model has more settings than the others may have.
    """
    tasks = [cohort.task(repeat) for repeat in range(repeats)]
    taking = [contestant for contestant in contestants if contestant.takes(tasks[0])]
    for contestant in taking:
        if not 1 <= len(contestant.grid) <= MAX_SETTINGS:
            raise ValueError(
                f"expected 1 to {MAX_SETTINGS} settings of {contestant.name}, found {len(contestant.grid)}"
            )
    steps = sum(len(contestant.grid) + repeats - 1 for contestant in taking)
    with workspace.plan(title or cohort.name, steps):
        return [_run(workspace, tasks, contestant) for contestant in taking]


def _run(workspace: Workspace, tasks: Sequence[Task], contestant: Contestant) -> ModelPredictions:
    chosen, searched = choose_setting(workspace, tasks[0], contestant)
    results = [searched, *(fit_once(workspace, task, contestant, chosen) for task in tasks[1:])]
    return model_predictions(contestant, chosen, results)


def choose_setting(workspace: Workspace, task: Task, contestant: Contestant) -> tuple[Mapping[str, Any], StepResult]:
    """Fit every setting of a model on one task and take the best on its validation part; of equal ones the first.

    Args:
        workspace ([`Workspace`]): Where steps are kept.
        task ([`Task`]): Repeat 0 of a cohort.
        contestant (`Contestant`): The model.

    Returns:
        `tuple[dict, StepResult]`: The setting and its fit.
    """
    fits = [fit_once(workspace, task, contestant, hyper) for hyper in contestant.grid]
    quality = [tuple(_or_least(fit.value["validation"][name]) for name in ("first", "second")) for fit in fits]
    best = max(range(len(fits)), key=lambda number: (quality[number], -number))
    return contestant.grid[best], fits[best]


def fit_once(
    workspace: Workspace, task: Task, contestant: Contestant, hyper: Mapping[str, Any], *, size: int | None = None
) -> StepResult:
    """Fit a model once, or read the fit that is stored.

    Args:
        workspace ([`Workspace`]): Where steps are kept.
        task ([`Task`]): A cohort in one split.
        contestant (`Contestant`): The model.
        hyper (`dict`): The setting.
        size (`int`, *optional*): Patients to learn from, where the task has been limited to so many; for the name.

    Returns:
        [`StepResult`]: `validation` metrics and details as value, predictions of validation and test as table.
    """
    repeat = task.repeat.number
    parts = [task.cohort.name, contestant.slug, *([] if size is None else [f"size-{size}"]), f"repeat-{repeat}"]
    parameters = {"task": task.key(), "model": contestant.key(), "setting": dict(hyper), "seed": repeat}

    def fit() -> StepResult:
        scores = contestant.fit(task, hyper, repeat)
        quality = choice_of(task.labels("validation"), np.asarray(scores.validation))
        value = {
            "validation": {name: None if np.isnan(number) else number for name, number in quality.items()},
            "setting": dict(hyper),
            "details": _finite(scores.details),
        }
        tables = [
            predictions_table(task, split, np.asarray(values, np.float64))
            for split, values in (("validation", scores.validation), ("test", scores.test))
        ]
        return StepResult(value, pa.concat_tables(tables).unify_dictionaries())

    return workspace.step("/".join(parts), parameters, fit)


def model_predictions(
    contestant: Contestant, hyper: Mapping[str, Any], results: Sequence[StepResult]
) -> ModelPredictions:
    """Put the fits of a model's repeats together for a table.

    Args:
        contestant (`Contestant`): The model.
        hyper (`dict`): Its setting.
        results (`list[StepResult]`): Its fits in the order of the repeats.

    Returns:
        [`ModelPredictions`]: Test rows only.
    """
    tables = [result.table for result in results if result.table is not None]
    return ModelPredictions(
        contestant.slug,
        contestant.name,
        contestant.group,
        [table.filter(pc.equal(table["split"], "test")) for table in tables],
        dict(hyper),
        float(np.mean([result.seconds for result in results])),
        contestant.is_probability,
    )


def _or_least(value: float | None) -> float:
    return -np.inf if value is None else value


def _finite(content: Any) -> Any:
    """The same without NaN, which JSON does not know."""
    if isinstance(content, Mapping):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not np.isfinite(content) else content
