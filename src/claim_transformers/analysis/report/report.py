"""HTML report of a run: who was in, how the models learned, how well they predict. It opens offline."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from claim_transformers.analysis.views.comparison import Comparison, compare_models
from claim_transformers.analysis.views.embedding_map import EmbeddingMap, map_patients
from claim_transformers.analysis.views.plots import calibration_plot, embedding_plot, learning_plot, roc_plot
from claim_transformers.claims.files import to_json, write_file
from claim_transformers.claims.inputs import check_inputs
from claim_transformers.claims.ledger import show_entry
from claim_transformers.claims.small_cells import HIDDEN, show
from claim_transformers.cohorts.attrition import ShownAttrition, read_attrition
from claim_transformers.training.predictions import PREDICTIONS
from claim_transformers.version import __version__

_TEMPLATE = Path(__file__).parent / "report_template.html"
# The name that run_baselines.py gives to what the simulator knows.
_TRUE_RISK = "True risk"
_PRETRAINING_CURVES = ("nvp_loss", "cp_loss", "eval_nvp_loss", "eval_cp_loss")
_FINE_TUNING_CURVES = ("loss", "eval_loss", "eval_auroc")


def write_report(
    run: str | Path, *, title: str = "Claims to risk", reference: str | None = None, raw_counts: bool = False
) -> Comparison:
    """Writes `report.html` and `results.json` into the folder of a run.

    Args:
        run (`str` or `Path`): A folder with `cohort/`, `models/<name>/` (each with predictions), and, where they
            exist, `claims/` and `pretrained/`, as `examples/demo.sh` lays it out.
        title (`str`): Heading.
        reference (`str`): Model that the others are compared with; see `compare_models`.
        raw_counts (`bool`): Whether counts of 1 to 10 are shown, what gives them away, and a map with a point for
            each patient: for simulated claims, and where patients may be seen.

    Returns:
        `Comparison`: The table of models.

    Raises:
        FileNotFoundError: If the cohort or every prediction is missing.
        ClaimDataError: `E_INPUT` if the run holds a broken link or what is no file, `E_WRITE` if the disk is full or
            cannot be written; then the old report stands.
    """
    from jinja2 import Environment

    run = check_inputs(run)
    folders = _model_folders(run)
    splits = _cohort_splits(run / "cohort")
    rows = json.loads((run / "cohort" / "attrition.json").read_text(encoding="utf-8"))
    attrition = read_attrition(rows, _ends(splits), raw_counts=raw_counts)
    comparison = replace(compare_models(folders, reference=reference), raw_counts=raw_counts)
    if not raw_counts:
        # What the splits may show depends on the whole selection.
        shown = {"examples": attrition.splits, "positives": attrition.ends["cases"]}
        comparison = replace(comparison, counts={what: found.get("test", HIDDEN) for what, found in shown.items()})
    definition = json.loads((run / "cohort" / "cohort.json").read_text(encoding="utf-8"))
    embedding = _embedding(run) if raw_counts else None
    learning = _learning_plots(run, folders)
    template = Environment(autoescape=True).from_string(_TEMPLATE.read_text(encoding="utf-8"))
    page = template.render(
        title=title,
        version=__version__,
        cohort=definition,
        attrition=attrition.steps,
        splits=[(name, attrition.splits.get(name, HIDDEN)) for name in splits],
        show=show,
        test_examples=comparison.shown_counts["examples"],
        test_cases=comparison.shown_counts["positives"],
        sampled_share=_sampled_share(definition, attrition),
        metrics=list(next(iter(comparison.metrics.values()))),
        rows=_table_rows(comparison),
        reference=comparison.reference,
        has_true_risk=_TRUE_RISK in comparison.scores,
        roc=roc_plot(comparison.labels, comparison.scores, raw_counts=raw_counts),
        calibration=calibration_plot(comparison.labels, comparison.scores, raw_counts=raw_counts),
        learning=learning,
        embedding=embedding and embedding_plot(embedding.points, embedding.groups, "Patients before fine-tuning"),
        silhouette=embedding.silhouette if embedding else None,
        ledger=_ledger(run / "claims" / "quality_report.json", raw_counts=raw_counts),
        provenance=_provenance(run, definition),
    )
    write_file(run / "report.html", page)
    write_file(run / "results.json", to_json(comparison.to_dict(), nan_to_null=True))
    return comparison


def _model_folders(run: Path) -> list[Path]:
    folders = sorted(path.parent for path in (run / "models").glob(f"*/{PREDICTIONS}"))
    if not folders:
        raise FileNotFoundError(f"expected predictions in {run.name}/models/<name>/{PREDICTIONS}, found none")
    return folders


def _cohort_splits(folder: Path) -> dict[str, pa.Table]:
    from datasets import load_from_disk

    return {name: split.with_format("arrow")[:] for name, split in load_from_disk(str(folder)).items()}


def _embedding(run: Path) -> EmbeddingMap | None:
    """A map of validation patients, whom pretraining has not seen."""
    files = sorted((run / "claims" / "patients").glob("validation-*.parquet"))
    if not files or not (run / "pretrained" / "config.json").is_file():
        return None
    from claim_transformers.models.claim import ClaimModel, ClaimTokenizer

    name = str(run / "pretrained")
    patients = pa.concat_tables(pq.read_table(file) for file in files)
    return map_patients(ClaimModel.from_pretrained(name), ClaimTokenizer.from_pretrained(name), patients)


def _learning_plots(run: Path, folders: list[Path]) -> list[str]:
    plots = []
    for folder, heading, keys in [
        (run / "pretrained", "Pretraining", _PRETRAINING_CURVES),
        *((folder, f"Training of {folder.name}", _FINE_TUNING_CURVES) for folder in folders),
    ]:
        history = folder / "training_log.jsonl"
        if history.is_file():
            entries = [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines()]
            plots.append(learning_plot(heading, entries, keys))
    return plots


def _table_rows(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "cells": [comparison.show(interval) for interval in found.values()],
            "difference": comparison.show(comparison.differences[name]) if name in comparison.differences else "",
            "is_reference": name == comparison.reference,
        }
        for name, found in comparison.metrics.items()
    ]


def _ends(splits: Mapping[str, pa.Table]) -> dict[str, dict[str, int]]:
    """Cases and controls in each split."""
    labels = {name: table["label"].to_numpy() for name, table in splits.items()}
    return {
        what: {name: int((found == label).sum()) for name, found in labels.items()}
        for what, label in {"cases": 1, "controls": 0}.items()
    }


def _sampled_share(definition: Mapping[str, Any], attrition: ShownAttrition) -> list[float] | None:
    """Shares of eligible cases and controls that were kept, unless they give a count back that the table hides."""
    counts = [step.get(what, 0) for step in attrition.steps[-2:] for what in ("cases", "controls")]
    return None if any(isinstance(count, str) for count in counts) else definition.get("sampled_share")


def _ledger(path: Path, *, raw_counts: bool) -> list[dict[str, Any]]:
    """Rows of the conservation ledger of the quality report, one per file and claim type."""
    if not path.is_file():
        return []
    content = json.loads(path.read_text(encoding="utf-8"))
    return [
        {"file": row["source_file"], "claim_type": row["claim_type"], "numbers": show_entry(row, raw=raw_counts)}
        for row in content["files"]
    ]


def _provenance(run: Path, definition: Mapping[str, Any]) -> str:
    """Say whether the claims are simulated, as the cohort or the folder of claims has it; unknown is unknown."""
    facts = definition.get("claims")
    manifest = run / "claims" / "manifest.json"
    if facts is None and manifest.is_file():
        facts = json.loads(manifest.read_text(encoding="utf-8"))
    facts = facts or {}
    if simulation := facts.get("simulation"):
        made = f"version {simulation['version']}, seed {simulation['seed']}"
        return f"Claims are simulated ({made}); they describe nobody."
    source = f" of the source {facts['source']}" if facts.get("source") else ""
    return f"Whether these claims{source} are real or simulated is not recorded; treat them as real."
