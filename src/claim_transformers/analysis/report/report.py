"""HTML report of a run: who was in, how well models predict, for whom they are wrong, and why. It opens offline."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa

from claim_transformers.analysis.audit.model_audit import ModelAudit, audit_model
from claim_transformers.analysis.report.page_parts import PageTable, page_picture, page_table
from claim_transformers.analysis.report.population_reasons import population_reasons
from claim_transformers.analysis.report.run_folder import (
    checkpoint_facts,
    embedding_of,
    ends_of,
    is_checkpoint,
    ledger_rows,
    main_model,
    model_folders,
    provenance,
    sampled_share,
    training_logs,
)
from claim_transformers.analysis.result_table import ResultTable
from claim_transformers.analysis.views.audit_plots import drift_figure, subgroup_plot
from claim_transformers.analysis.views.comparison import Comparison, compare_models
from claim_transformers.analysis.views.plots import calibration_plot, embedding_plot, learning_plot, roc_plot
from claim_transformers.claims.files import to_json, write_file
from claim_transformers.claims.inputs import check_inputs
from claim_transformers.claims.small_cells import HIDDEN, show
from claim_transformers.cohorts.attrition import read_attrition
from claim_transformers.training import MetricInterval
from claim_transformers.training.predictions import METRICS
from claim_transformers.training.sequences import read_splits
from claim_transformers.version import __version__

_TEMPLATE = Path(__file__).parent / "report_template.html"
# The name that run_baselines.py gives to what the simulator knows.
_TRUE_RISK = "True risk"
_PRETRAINING_CURVES = ("nvp_loss", "cp_loss", "eval_nvp_loss", "eval_cp_loss")
_FINE_TUNING_CURVES = ("loss", "eval_loss", "eval_auroc")
# What a page has no room for stands in the tables of the command `audit`.
_NOT_ON_PAGE = {
    "bands": (),
    "thresholds": (),
    "calibration": (),
    "subgroups": ("rows", "false positive rate", "Youden index", "false negative rate", "p Holm"),
    "drift": ("fields that moved", "codes backed off", "estimated minus true", "p domain", "p change"),
}
_CAPTIONS = {
    "bands": "Observed and predicted by band of prediction, and the lift",
    "thresholds": "What flagging more or fewer of the highest predictions costs and finds",
    "calibration": "Calibration of {model}",
    "subgroups": "{model} by subgroup",
    "drift": "Index dates of each year against the validation split",
}


def write_report(
    run: str | Path,
    *,
    title: str = "Claims to risk",
    reference: str | None = None,
    model: str | None = None,
    reasons: int = 200,
    replicates: int = 1000,
    raw_counts: bool = False,
) -> Comparison:
    """Write `report.html` and `results.json` into the folder of a run.

    Args:
        run (`str` or `Path`): A folder with `cohort/`, `models/<name>/` (each with predictions), and, where they
            exist, `claims/` and `pretrained/`, as `examples/demo.sh` lays it out. Events, readmissions, and outcomes
            that are numbers, such as costs, each have their figures.
        title (`str`): Heading.
        reference (`str`): Model that the others are compared with; see `compare_models`.
        model (`str`): Folder below `models/` that is looked at closely: threshold, lift, calibration, subgroups,
            drift and reasons. The best checkpoint on validation when `None`.
        reasons (`int`): Patients of the test split whose predictions are explained and averaged; 0 for none.
        replicates (`int`): Bootstrap replicates of the closer look.
        raw_counts (`bool`): Whether counts of 1 to 10 are shown, what gives them away, and a map with a point for
            each patient: for simulated claims, and where patients may be seen.

    Raises:
        FileNotFoundError: If the cohort or every prediction is missing.
        ValueError: If there is no model of that name, or predictions are not of the cohort.
        ClaimDataError: `E_INPUT` if the run holds a broken link or what is no file, `E_WRITE` if the disk is full or
            cannot be written; then the old report stands.
    """
    run = check_inputs(run)
    folders = model_folders(run)
    splits = read_splits(run / "cohort")
    rows = json.loads((run / "cohort" / "attrition.json").read_text(encoding="utf-8"))
    attrition = read_attrition(rows, ends_of(splits), raw_counts=raw_counts)
    comparison = replace(compare_models(folders, reference=reference), raw_counts=raw_counts)
    if not raw_counts:
        # What the splits may show depends on the whole selection.
        shown = {"examples": attrition.splits, "positives": attrition.ends.get("cases", {})}
        comparison = replace(comparison, counts={what: found.get("test", HIDDEN) for what, found in shown.items()})
    definition = json.loads((run / "cohort" / "cohort.json").read_text(encoding="utf-8"))
    chosen = main_model(folders, model)
    audit = audit_model(chosen, run / "cohort", raw_counts=raw_counts, replicates=replicates)
    page = _Page(comparison, audit, chosen, splits["test"], raw_counts)
    content = {
        "title": title,
        "version": __version__,
        "cohort": definition,
        "attrition": attrition.steps,
        "unit": "patients" if "index" in definition else "stays",
        "splits": [(name, attrition.splits.get(name, HIDDEN)) for name in splits],
        "sampled_share": sampled_share(definition, attrition),
        "ledger": ledger_rows(run / "claims" / "quality_report.json", raw_counts=raw_counts),
        "provenance": provenance(run, definition),
        "checkpoint": checkpoint_facts(chosen),
        **page.figures(),
        **page.tables(reasons),
        **page.pictures(run, folders),
    }
    write_file(run / "report.html", _render(content))
    write_file(run / "results.json", to_json(comparison.to_dict(), nan_to_null=True))
    return comparison


def _render(content: Mapping[str, Any]) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    page: str = environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(show=show, **content)
    return page


@dataclass(frozen=True)
class _Page:
    """What the page says of the models, and of the one that is looked at closely."""

    comparison: Comparison
    audit: ModelAudit
    chosen: Path
    test: pa.Table
    raw_counts: bool

    @property
    def name(self) -> str:
        """The model that is looked at closely, as the tables call it."""
        return str(json.loads((self.chosen / METRICS).read_text(encoding="utf-8"))["name"])

    def figures(self) -> dict[str, Any]:
        """Numbers of the first lines, and the table of models."""
        comparison = self.comparison
        shown = comparison.shown_counts
        return {
            "is_number": comparison.is_number,
            "test_examples": show(shown["examples"]),
            "test_cases": show(shown["positives"]),
            "models": page_table(self._models(), "Models on the test split", notes=False),
            "main": self.name,
            "headline": comparison.headline,
            "main_headline": comparison.show(comparison.metrics[self.name][comparison.headline]),
            "has_true_risk": _TRUE_RISK in comparison.scores,
            "missing": {"everything": "", "subgroups": "", "drift": "", **self.audit.missing},
            "chosen": self._chosen_threshold(),
        }

    def _models(self) -> ResultTable:
        """One row per model; the reference is marked as a chosen row is."""
        comparison, rows = self.comparison, []
        for name, found in comparison.metrics.items():
            cells = {metric: comparison.show(interval) for metric, interval in found.items()}
            against = f"{comparison.headline} minus {comparison.reference}"
            own = comparison.differences.get(name)
            difference = "(the reference)" if own is None else comparison.show(own)
            is_main = name == self.name
            rows.append({"model": name, **cells, against: difference, "chosen": "yes" if is_main else ""})
        return ResultTable("Models", rows)

    def _chosen_threshold(self) -> dict[str, str] | None:
        """The threshold that validation patients chose, in whole numbers for a sentence."""
        table = self.audit.tables.get("thresholds")
        row = next((row for row in table.rows if row.get("chosen") == "yes"), None) if table else None
        if row is None:
            return None
        found = {"alerts": f"{row['alerts per 1,000']:.0f}", "threshold": f"{row['threshold']:.3f}"}
        for name in ("PPV", "sensitivity"):
            cell = row[name]
            assert isinstance(cell, MetricInterval)  # as alert_table makes it
            found[name] = f"{100 * (cell.value or 0.0):.0f}"
        return found

    def tables(self, reasons: int) -> dict[str, Any]:
        """Tables of the model that is looked at closely, those that there are."""
        found: dict[str, PageTable | None] = {}
        for name, without in _NOT_ON_PAGE.items():
            table = self.audit.tables.get(name)
            caption = _CAPTIONS[name].format(model=self.name)
            found[name] = page_table(table, caption, without=without) if table and table.rows else None
        found["reasons"] = None
        if reasons and is_checkpoint(self.chosen):
            table = population_reasons(self.chosen, self.test, patients=reasons)
            found["reasons"] = (
                page_table(table, f"What moves the predictions of {self.name} most") if table.rows else None
            )
        return found

    def pictures(self, run: Path, folders: Sequence[Path]) -> dict[str, Any]:
        """All pictures, each with names of its own."""
        numbers, comparison = count(), self.comparison

        def picture(svg: str) -> str:
            return page_picture(svg, next(numbers))

        labels, scores, raw = comparison.labels, comparison.scores, self.raw_counts
        embedding = embedding_of(run) if raw else None
        groups, measured = self.audit.subgroups, self.audit.drift
        # A plot of groups that are all too small would be empty.
        has_gaps = bool(groups and self.audit.tables["gaps"].rows and groups.tests)
        kinds = {True: _PRETRAINING_CURVES, False: _FINE_TUNING_CURVES}
        return {
            "roc": None if comparison.is_number else picture(roc_plot(labels, scores, raw_counts=raw)),
            "calibration_picture": picture(calibration_plot(labels, scores, raw_counts=raw)),
            "subgroup_picture": picture(subgroup_plot(groups)) if groups and has_gaps else None,
            "drift_picture": picture(drift_figure(measured)) if len(measured) > 1 else None,
            "learning": [
                picture(learning_plot(heading, entries, kinds[is_pretraining]))
                for heading, is_pretraining, entries in training_logs(run, folders)
            ],
            "embedding": embedding
            and picture(embedding_plot(embedding.points, embedding.groups, "Patients before fine-tuning")),
            "silhouette": embedding.silhouette if embedding else None,
        }
