"""Pretraining runs side by side: the authors' extra plots (heads, layers) and the ablations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from claim_transformers.analysis.result_table import Cell, ResultTable
from claim_transformers.training.bootstrap import MetricInterval
from claim_transformers.training.metrics import weighted_mean
from reproduction.claim_pt.neural_models import FineTuned
from reproduction.claim_pt.populations import PediatricPopulations
from reproduction.claim_pt.pretrained_features import LinearProbe
from reproduction.claim_pt.pretraining import PretrainedModel, Variant, pretrain
from reproduction.claim_pt.profiles import Pretraining
from reproduction.engine.contestants import run_contestants
from reproduction.engine.profiles import fill
from reproduction.engine.tables import (
    REPLICATES,
    Replicated,
    compare_over_repeats,
    draw_weights,
    recall_of_ranks,
    setting_table,
)
from reproduction.engine.tasks import BenchmarkCohort

RECALL_AT = 10


@dataclass(frozen=True)
class Ablations:
    """Variants of a pretraining run that are compared with a reference.

    Args:
        reference ([`Variant`]): What the others are compared with.
        variants (`list[Variant]`): The others.
    """

    reference: Variant
    variants: Sequence[Variant]


def load_ablations(path: str | Path) -> Ablations:
    """Read a list of ablations.

    Args:
        path (`str` or `Path`): YAML file with `reference` and `variants`; each has the fields of [`Variant`].

    Returns:
        [`Ablations`]: Its content.

    Raises:
        ValueError: If a key is unknown or missing, or two variants share a slug.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "ablations.yaml")
        >>> variant = {"slug": "nvp-only", "name": "NVP only", "model": {"cp_weight": 0}}
        >>> _ = path.write_text(yaml.safe_dump({"reference": {"slug": "all", "name": "All"}, "variants": [variant]}))
        >>> load_ablations(path).variants[0].model
        {'cp_weight': 0}
    """
    path = Path(path)
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or set(content) != {"reference", "variants"}:
        raise ValueError(f"{path.name}: expected 'reference' and 'variants', found something else")
    reference = fill(Variant, content["reference"], f"{path.name}: reference")
    variants = [fill(Variant, entry, f"{path.name}: variants[{i}]") for i, entry in enumerate(content["variants"])]
    slugs = [reference.slug, *(variant.slug for variant in variants)]
    if len(set(slugs)) != len(slugs):
        raise ValueError(f"{path.name}: expected every slug once, found {len(slugs) - len(set(slugs))} again")
    return Ablations(reference, variants)


# ---- Heads and layers ----


def sweep(
    populations: PediatricPopulations, plan: Pretraining, field: str, numbers: Sequence[int], *, what: str
) -> dict[int, PretrainedModel]:
    """Pretrain the same model with other numbers of one thing.

    Args:
        populations ([`PediatricPopulations`]): The people.
        plan ([`Pretraining`]): Configuration and length.
        field (`str`): Field of `ClaimConfig`, such as `num_attention_heads`.
        numbers (`list[int]`): Its values.
        what (`str`): One word for steps, such as `"heads"`.

    Returns:
        `dict[int, PretrainedModel]`: By number.
    """
    with populations.workspace.plan(f"pretraining: {what}", len(numbers)):
        return {
            number: pretrain(populations, plan, Variant(f"{what}-{number}", f"{number} {what}", {field: number}))
            for number in numbers
        }


def next_visit_quality(models: Mapping[Any, PretrainedModel]) -> dict[Any, dict[str, Replicated]]:
    """Loss per code and recall of the hidden last visit, with replicates that draw the same validation patients.

    Args:
        models (`dict[Any, PretrainedModel]`): Models that were judged on the same patients.

    Returns:
        `dict[Any, dict[str, Replicated]]`: `loss` (per hidden code) and `recall` of each model.

    Raises:
        ValueError: If the models were judged on other patients.
    """
    tables = {name: model.next_visit() for name, model in models.items()}
    patients = next(iter(tables.values()))["patient"].to_numpy()
    for table in tables.values():
        if not np.array_equal(table["patient"].to_numpy(), patients):
            raise ValueError("expected models that were judged on the same patients, found others")
    weights = draw_weights(int(patients.max()) + 1, patients, REPLICATES, seed=0)[:, patients]
    return {name: _quality(table, weights) for name, table in tables.items()}


def _quality(table: pa.Table, weights: np.ndarray) -> dict[str, Replicated]:
    codes = pc.list_value_length(table["ranks"]).to_numpy().astype(np.float64)
    losses, recalls = table["loss"].to_numpy().astype(np.float64), recall_of_ranks(table["ranks"], RECALL_AT)
    return {
        "loss": Replicated(float(losses.sum() / codes.sum()), (weights @ losses) / (weights @ codes)),
        "recall": Replicated(float(weighted_mean(recalls)), np.asarray(weighted_mean(recalls, weights))),
    }


def sweep_table(title: str, swept: Mapping[str, Mapping[int, PretrainedModel]], notes: Sequence[str]) -> ResultTable:
    """Put the runs of several sweeps in one table with a picture of their losses.

    Args:
        title (`str`): Heading.
        swept (`dict[str, dict[int, PretrainedModel]]`): Models by number, by what was varied.
        notes (`list[str]`): Sentences below the table.

    Returns:
        [`ResultTable`]: One row per model.
    """
    from claim_transformers.analysis.views.curve_plots import curve_plot

    rows: list[dict[str, Cell]] = []
    panels: dict[str, dict[str, dict[float, MetricInterval]]] = {}
    for what, models in swept.items():
        quality = next_visit_quality(models)
        for number, found in quality.items():
            clusters = models[number].next_visit().num_rows
            loss, recall = (found[name].interval(clusters) for name in ("loss", "recall"))
            rows.append({"varied": what, "number": number, "loss per code": loss, f"recall@{RECALL_AT}": recall})
            panels.setdefault(what, {}).setdefault("loss", {})[float(number)] = loss
    picture = curve_plot(panels, xlabel="number", ylabel="next-visit loss per code", scale="even")
    return setting_table(title, rows, notes, picture)


# ---- Ablations ----


def ablation_table(
    populations: PediatricPopulations,
    plan: Pretraining,
    ablations: Ablations,
    cohorts: Sequence[BenchmarkCohort],
    *,
    repeats: int,
    fine_tune_epochs: int = 0,
    notes: Sequence[str] = (),
) -> ResultTable:
    """Pretrain every variant and measure what it knows of the cohorts.

    Args:
        populations ([`PediatricPopulations`]): The people.
        plan ([`Pretraining`]): Configuration and length of the reference.
        ablations ([`Ablations`]): What differs.
        cohorts (`list[BenchmarkCohort]`): Cohorts that every model is judged on.
        repeats (`int`): Splits of each.
        fine_tune_epochs (`int`, *optional*, defaults to `0`): Epochs of a fine-tuning on the last of the cohorts; none
            without it.
        notes (`list[str]`, *optional*): Sentences below the table.

    Returns:
        [`ResultTable`]: One row per variant, with paired differences to the reference.
    """
    everyone = [ablations.reference, *ablations.variants]
    with populations.workspace.plan("pretraining: ablations", len(everyone)):
        models = {variant.slug: pretrain(populations, plan, variant) for variant in everyone}
    rows: dict[str, dict[str, Cell]] = {variant.slug: {"variant": variant.name} for variant in everyone}
    for slug, recall in _comparable_recalls(models, ablations.reference.slug).items():
        rows[slug][f"next visit, recall@{RECALL_AT}"] = recall
    for cohort in cohorts:
        probes = {slug: LinearProbe(str(model.folder), "start") for slug, model in models.items()}
        _add_columns(rows, populations, cohort, probes, "frozen", repeats, ablations.reference.slug)
    if fine_tune_epochs and cohorts:
        setting = ({"learning_rate": 3e-4, "dropout": 0.1},)
        tuned = {slug: FineTuned(str(model.folder), fine_tune_epochs, setting) for slug, model in models.items()}
        _add_columns(rows, populations, cohorts[-1], tuned, "fine-tuned", repeats, ablations.reference.slug)
    return setting_table("Ablations of pretraining", list(rows.values()), notes)


def _comparable_recalls(models: Mapping[str, PretrainedModel], reference: str) -> dict[str, MetricInterval]:
    """Recalls of the models that rank the same codes as the reference; others hide another number of targets."""
    same = {}
    wanted = pc.list_value_length(models[reference].next_visit()["ranks"])
    for slug, model in models.items():
        table = model.next_visit()
        if pc.list_value_length(table["ranks"]).equals(wanted):
            same[slug] = model
    quality = next_visit_quality(same)
    return {slug: found["recall"].interval(len(wanted)) for slug, found in quality.items()}


def _add_columns(
    rows: Mapping[str, dict[str, Cell]],
    populations: PediatricPopulations,
    cohort: BenchmarkCohort,
    contestants: Mapping[str, LinearProbe | FineTuned],
    how: str,
    repeats: int,
    reference: str,
) -> None:
    """AUROC of every variant on a cohort, and its paired difference to the reference."""
    from dataclasses import replace

    found = {
        slug: run_contestants(
            populations.workspace, cohort, [contestant], repeats=repeats, title=f"{cohort.name}: {slug}, {how}"
        )[0]
        for slug, contestant in contestants.items()
    }
    # The reference plays the part of the cold start, to which differences are taken.
    models = [
        replace(model, slug=slug, group="cold start" if slug == reference else "variant")
        for slug, model in found.items()
    ]
    for row in compare_over_repeats(cohort.name, models).rows:
        column = f"{cohort.name}, {how}"
        rows[row.model.slug][f"{column}: AUROC"] = row.metrics["AUROC"]
        rows[row.model.slug][f"{column}: difference"] = row.difference
