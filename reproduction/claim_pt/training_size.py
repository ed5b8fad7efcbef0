"""Figure 6 of Claim-PT: what pretraining gains against the number of patients to learn from, per institution."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from claim_transformers.training.bootstrap import MetricInterval
from reproduction.engine.contestants import Contestant, choose_setting, fit_once, model_predictions
from reproduction.engine.steps import Workspace
from reproduction.engine.tables import COLD_START, ModelPredictions, RepeatComparison, compare_over_repeats
from reproduction.engine.tasks import BenchmarkCohort


@dataclass(frozen=True)
class SizePoint:
    """Models at one training size.

    Args:
        patients (`int`): Patients to learn from, validation included.
        comparison ([`RepeatComparison`]): The models side by side.
        gain (`MetricInterval`): What pretraining adds: the pretrained model minus the other one, on the same draws.
    """

    patients: int
    comparison: RepeatComparison
    gain: MetricInterval | None


def run_sizes(
    workspace: Workspace,
    cohort: BenchmarkCohort,
    contestants: Sequence[Contestant],
    settings: Mapping[str, Mapping[str, Any]],
    sizes: Sequence[int],
    *,
    repeats: int,
    pair: tuple[str, str] = ("transe", "claim-pt-fine-tune"),
) -> list[SizePoint]:
    """Fit models on more and more patients of a cohort.

    Args:
        workspace ([`Workspace`]): Where steps are kept.
        cohort ([`BenchmarkCohort`]): The cohort.
        contestants (`list[Contestant]`): The models.
        settings (`dict[str, dict]`): Setting of each model by slug, for all sizes, as [`settings_of`] chooses them.
        sizes (`list[int]`): Patients to learn from; sizes that the cohort does not have are left out, all of them are
            added.
        repeats (`int`): Splits.
        pair (`tuple[str, str]`, *optional*): Slugs of the model without and with pretraining.

    Returns:
        `list[SizePoint]`: One per size, smallest first.
    """
    tasks = [cohort.task(repeat) for repeat in range(repeats)]
    # Both parts must be large enough, and the hash gives each repeat other sizes.
    most = min(task.splits["train"].num_rows for task in tasks)
    spare = min(task.splits["validation"].num_rows for task in tasks)
    fitting = [size for size in sorted(sizes) if round(size * 0.8) < most and round(size * 0.2) <= spare]
    points = []
    with workspace.plan(f"{cohort.name}: sizes", (len(fitting) + 1) * repeats * len(contestants)):
        for size in [*fitting, None]:
            models: list[ModelPredictions] = []
            for contestant in contestants:
                setting = settings[contestant.slug]
                limited = [cohort.task(repeat, train_patients=size) for repeat in range(repeats)]
                fits = [fit_once(workspace, task, contestant, setting, size=size) for task in limited]
                models.append(model_predictions(contestant, setting, fits))
            learned = [task.splits["train"].num_rows + task.splits["validation"].num_rows for task in tasks]
            patients = round(sum(learned) / len(learned)) if size is None else size
            comparison = compare_over_repeats(f"{cohort.name}, {patients} patients", models)
            points.append(SizePoint(patients, comparison, _gain(models, pair)))
    return points


def _gain(models: Sequence[ModelPredictions], pair: tuple[str, str]) -> MetricInterval | None:
    """The second model minus the first, which plays the part of the cold start to which differences are taken."""
    by_slug = {model.slug: model for model in models}
    without, with_pretraining = replace(by_slug[pair[0]], group=COLD_START), by_slug[pair[1]]
    return compare_over_repeats("gain", [without, with_pretraining]).rows[1].difference


def settings_of(
    workspace: Workspace, cohort: BenchmarkCohort, contestants: Sequence[Contestant]
) -> dict[str, Mapping[str, Any]]:
    """Choose the setting of each model on repeat 0 of a cohort, as the table of that cohort does.

    Args:
        workspace ([`Workspace`]): Where steps are kept; fits of the table are found there.
        cohort ([`BenchmarkCohort`]): The cohort.
        contestants (`list[Contestant]`): The models.

    Returns:
        `dict[str, dict]`: Setting by slug.
    """
    task = cohort.task(0)
    with workspace.plan(f"{cohort.name}: settings", sum(len(contestant.grid) for contestant in contestants)):
        return {contestant.slug: choose_setting(workspace, task, contestant)[0] for contestant in contestants}
