"""Audit of one model of a run, from its predictions and the cohort: threshold, lift, subgroups, calibration, drift."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from claim_transformers.analysis.audit.calibration_measures import calibration_table
from claim_transformers.analysis.audit.drift import DriftSample, measure_drift
from claim_transformers.analysis.audit.drift_tables import drift_table, field_table
from claim_transformers.analysis.audit.number_groups import number_group_table
from claim_transformers.analysis.audit.patient_draws import REPLICATES
from claim_transformers.analysis.audit.ranking_tables import alert_table, cut_value, decile_table, nearest_cut
from claim_transformers.analysis.audit.recalibration import fit_platt
from claim_transformers.analysis.audit.risk_bins import risk_bins
from claim_transformers.analysis.audit.split_predictions import SplitPredictions, read_predictions
from claim_transformers.analysis.audit.subgroup_attributes import audit_attributes
from claim_transformers.analysis.audit.subgroup_tables import gap_table, subgroup_table
from claim_transformers.analysis.audit.subgroups import SubgroupAudit, audit_subgroups
from claim_transformers.analysis.audit.threshold import gmean_threshold
from claim_transformers.analysis.result_table import ResultTable
from claim_transformers.analysis.rivals.features import ages_in_years
from claim_transformers.claims.small_cells import is_small
from claim_transformers.training.scoring.calibration import Calibration, read_calibration
from claim_transformers.training.sequences import read_splits

if TYPE_CHECKING:
    from claim_transformers.analysis.audit.drift import PeriodDrift

_TEST, _VALIDATION = "test", "validation"
# A period of fewer rows, or patients, says nothing of drift.
_FEWEST_OF_PERIOD = 100
# Two numbers are fitted; from fewer rows of an outcome they are worse than none.
_FEWEST_TO_FIT = 20
# Of a few patients even the marks would tell; `show_counts` refuses then.
_SMALL_GROUPS = "the groups are so small that any count would tell of a few patients"
_RECALIBRATED = "Probabilities are recalibrated on validation patients (Platt scaling), and the threshold with them."


@dataclass(frozen=True)
class ModelAudit:
    """What an audit found of one model.

    Args:
        name (`str`): Folder of the model.
        tables (`dict[str, ResultTable]`): By file name: `bands`, `thresholds`, `calibration`, `subgroups`, `gaps`,
            `drift` and `drift-fields`; those that the predictions do not allow are absent.
        missing (`dict[str, str]`): Why one is absent, by what is missing.
        subgroups ([`SubgroupAudit`], *optional*): What the tables of subgroups are of, for [`subgroup_plot`].
        drift (`list[PeriodDrift]`): What the tables of drift are of, for [`drift_figure`].
    """

    name: str
    tables: Mapping[str, ResultTable]
    missing: Mapping[str, str] = field(default_factory=dict)
    subgroups: SubgroupAudit | None = None
    drift: "list[PeriodDrift]" = field(default_factory=list)

    def save(self, folder: str | Path) -> None:
        """Write every table as Markdown, CSV and JSON.

        Args:
            folder (`str` or `Path`): Where to; made when absent.

        Raises:
            ClaimDataError: `E_WRITE` if the disk is full or cannot be written.
        """
        for name, table in self.tables.items():
            table.save(folder, name)


def audit_model(
    model: str | Path, cohort: str | Path, *, raw_counts: bool = False, replicates: int = REPLICATES, seed: int = 0
) -> ModelAudit:
    """Audit a model by what it predicted for the test split of its cohort.

    Whatever is chosen or fitted (the threshold, the recalibration) is so on the validation split, where the folder has
    its predictions. Subgroups and drift are judged by recalibrated probabilities.

    Args:
        model (`str` or `Path`): Folder with `predictions.parquet` and `predictions_validation.parquet`, as
            [`save_predictions`] writes.
        cohort (`str` or `Path`): Folder of the cohort, not of its sequences, which may hide sex or race.
        raw_counts (`bool`, *optional*, defaults to `False`): Whether tables of bands and thresholds may tell of 1 to
            10 rows; subgroups never do.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates, over patients.
        seed (`int`, *optional*, defaults to `0`): Seed of the draws.

    Raises:
        FileNotFoundError: If there are no predictions of the test split.
        ValueError: If the predictions are not of this cohort.

    Examples:
        >>> audit_model("/nowhere", "cohort")
        Traceback (most recent call last):
        FileNotFoundError: expected predictions.parquet in 'nowhere', found none; fine-tune or score the model on a
        cohort first
    """
    test, validation = read_predictions(Path(model), _TEST), None
    with suppress(FileNotFoundError):
        validation = read_predictions(Path(model), _VALIDATION)
    splits, name = read_splits(cohort), Path(model).name
    examples = test.examples(splits[_TEST])
    draws: dict[str, Any] = {"replicates": replicates, "seed": seed}
    if (too_few := _too_few(test, raw_counts)) is not None:
        return ModelAudit(name, {}, {"everything": too_few})
    threshold = line = groups = None
    if validation is not None and not test.is_number and _has_both(validation.labels):
        threshold = float(gmean_threshold(validation.labels, validation.scores))
        line = _rising_line(validation)
    ranked, attributes = (test.labels, test.scores, test.patients), audit_attributes(examples)
    tables = {
        "bands": decile_table(*ranked, raw_counts=raw_counts, **draws),
        "thresholds": alert_table(*ranked, threshold=threshold, raw_counts=raw_counts, **draws),
    }
    shown = None if threshold is None else _shown_threshold(test, threshold, raw_counts)
    notes = _scale_notes(Path(model), shown)
    tables = {key: replace(table, notes=[*table.notes, *notes]) for key, table in tables.items()}
    missing: dict[str, str] = {}
    if test.is_number:
        with suppress(ValueError):
            tables["subgroups"] = number_group_table(test.labels, test.scores, attributes, test.patients, **draws)
        if "subgroups" not in tables:
            missing["subgroups"] = _SMALL_GROUPS
    else:
        kinds = {"as it is": test.scores} | ({} if line is None else {"recalibrated on validation": line(test.scores)})
        tables["calibration"] = calibration_table(test.labels, kinds, test.patients, title="Calibration", **draws)
    if shown is not None:
        groups = _audit_groups(test, line, shown, attributes, draws)
        found = _group_tables(groups, [] if line is None else [_RECALIBRATED])
        tables |= found
        if not found:
            groups, missing["subgroups"] = None, _SMALL_GROUPS
    elif not test.is_number:
        missing["subgroups"] = (
            "validation patients with and without the outcome choose a threshold, and there are none"
        )
    measured = [] if validation is None else _measure_drift(validation, test, splits, line, **draws)
    if measured:
        tables |= {"drift": drift_table(measured), "drift-fields": field_table(measured)}
    else:
        missing["drift"] = (
            f"it takes {_FEWEST_OF_PERIOD} validation examples with predictions, and as many examples and patients of "
            "the test split whose index dates are in one year"
        )
    return ModelAudit(name, tables, missing, groups, measured)


def _scale_notes(model: Path, threshold: float | None) -> list[str]:
    """Say of what the thresholds are, where scores are calibrated and the predictions of a run are not."""
    calibration = read_calibration(model)
    if calibration is None:
        return []
    example = "" if threshold is None else f": {threshold:.3g} here is {calibration([threshold])[0]:.3g} there"
    return [f"Probabilities are the model's own; those of 'score' are calibrated{example}."]


def _audit_groups(
    test: SplitPredictions,
    line: Calibration | None,
    threshold: float,
    attributes: Mapping[str, NDArray[np.str_]],
    draws: Mapping[str, Any],
) -> SubgroupAudit:
    """Groups at a threshold, by recalibrated risks where there are some."""
    risks, above = test.scores, threshold
    if line is not None:
        risks, above = line(test.scores), float(line(np.array([threshold]))[0])
    return audit_subgroups(test.labels, risks, attributes, threshold=above, patients=test.patients, **draws)


def _group_tables(groups: SubgroupAudit, notes: list[str]) -> dict[str, ResultTable]:
    """The tables of groups; none where they refuse, because of a few patients even the marks would tell."""
    with suppress(ValueError):
        tables = {"subgroups": subgroup_table(groups), "gaps": gap_table(groups)}
        return {name: replace(table, notes=[*table.notes, *notes]) for name, table in tables.items()}
    return {}


def _too_few(test: SplitPredictions, raw_counts: bool) -> str | None:
    if test.is_number:
        return "the test split has fewer than 11 examples" if is_small(len(test.labels)) else None
    smaller = min(int((test.labels == label).sum()) for label in (0, 1))
    if smaller and (raw_counts or not is_small(smaller)):
        return None
    return "the test split has fewer than 11 examples with, or without, the outcome"


def _has_both(labels: NDArray[Any]) -> bool:
    return len(np.unique(labels)) == 2


def _rising_line(validation: SplitPredictions) -> Calibration | None:
    """Platt scaling, unless it has nothing to learn from or would turn the order of a poor model round."""
    if min(int((validation.labels == label).sum()) for label in (0, 1)) < _FEWEST_TO_FIT:
        return None
    line = fit_platt(validation.labels, validation.scores)
    low, high = line(np.array([0.25, 0.75]))
    return line if high > low else None


def _shown_threshold(test: SplitPredictions, threshold: float, raw_counts: bool) -> float:
    """The threshold as the table of thresholds has it, so that no two tables differ by a few patients."""
    bins = risk_bins(test.labels, test.scores, raw_counts=raw_counts)
    if bins is None or bins.max() == 0:
        return threshold
    return cut_value(bins, test.scores, nearest_cut(bins, int((test.scores > threshold).sum())))


def _measure_drift(
    validation: SplitPredictions,
    test: SplitPredictions,
    splits: Mapping[str, pa.Table],
    line: Calibration | None,
    **draws: Any,
) -> "list[PeriodDrift]":
    """Years of index dates of the test split against the validation split."""
    reference, examples = validation.examples(splits[_VALIDATION]), test.examples(splits[_TEST])
    if "index_day" not in examples.column_names or len(validation.labels) < _FEWEST_OF_PERIOD:
        return []
    periods = {name: _sample(test, examples, line, rows) for name, rows in _years(examples)}
    every = np.ones(len(validation.labels), bool)
    return measure_drift(_sample(validation, reference, line, every), periods, **draws) if periods else []


def _years(examples: pa.Table) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    years = pc.year(examples["index_day"].cast(pa.int32()).cast(pa.date32())).to_numpy()
    for year in np.unique(years).tolist():
        rows = years == year
        if min(int(rows.sum()), len(pc.unique(examples["patient_id"].filter(pa.array(rows))))) >= _FEWEST_OF_PERIOD:
            yield str(year), rows


def _sample(
    found: SplitPredictions, examples: pa.Table, line: Calibration | None, rows: NDArray[np.bool_]
) -> DriftSample:
    examples = examples.filter(pa.array(rows))
    visits, index_day = examples["visit_day"], examples["index_day"].to_numpy()
    lengths = pc.list_value_length(visits).to_numpy(zero_copy_only=False)
    codes = pc.list_value_length(pc.list_flatten(examples["codes"]))
    owner = pc.list_parent_indices(examples["codes"].combine_chunks())
    last = np.full(len(index_day), np.nan)
    days, of_row = pc.list_flatten(visits).to_numpy(), pc.list_parent_indices(visits.combine_chunks()).to_numpy()
    # Visits are in order, so the last one is the one that stays.
    last[of_row] = index_day[of_row] - days
    fields = {
        "age": ages_in_years(examples),
        "sex": examples["sex"].to_numpy(),
        "visits": lengths.astype(np.float64),
        "codes": np.bincount(owner.to_numpy(), codes.to_numpy(), minlength=len(index_day)).astype(np.float64),
        "days since the last visit": last,
    }
    outcome = {} if found.is_number else {"labels": found.labels[rows]}
    if not found.is_number:
        scores = found.scores[rows]
        outcome["probabilities"] = scores if line is None else line(scores)
    return DriftSample(fields, patients=found.patients[rows], codes=examples.select(["codes"]), **outcome)
