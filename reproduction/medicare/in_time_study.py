"""Readmission in time and one year later (Lahlou et al., section 5.2), in a world that stays and in one that changes.

Models learn from stays that ended, window included, before the last year. Test patients, of whom they have seen
nothing, are scored on their stays before that year and in it; and on those that they have in it when the world changes
on its first day. Both worlds have the same patients, and their lives follow one law up to that day.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from claim_transformers.analysis.result_table import Cell, ResultTable
from claim_transformers.cohorts.cohort import DEFINITION_FILE
from claim_transformers.cohorts.readmission.definition import STAYS, ReadmissionDefinition
from reproduction.medicare.populations import read_examples
from reproduction.medicare.profiles import DRIFTED, STUDY
from reproduction.medicare.readmission_study import (
    CEILING,
    ModelScores,
    ReadmissionStudy,
    StudyCohort,
    known_risks,
)
from reproduction.medicare.tables import interval_row

Flags = NDArray[np.bool_]
WORLD = "world"
_EPOCH = dt.date(1970, 1, 1)


@dataclass(frozen=True)
class InTime:
    """The cohort of the question, and its worlds.

    Args:
        cohort ([`StudyCohort`]): Early training and validation stays; all stays of test patients, with a column
            `world`, the name of a population.
        last_year (`int`): The year that models have not seen.
    """

    cohort: StudyCohort
    last_year: int

    def rows(self, name: str) -> Flags:
        """Test stays of a part of the table.

        Args:
            name (`str`): `"in time"`, `"one year later"` or `"one year later, changed"`.

        Returns:
            `NDArray[bool]` of shape `(test stays,)`.
        """
        test = self.cohort.examples["test"]
        is_late = test["discharge_day"].to_numpy() >= _first_day(self.last_year)
        is_changed: Flags = pc.equal(test[WORLD], DRIFTED).to_numpy(zero_copy_only=False)
        parts: dict[str, Flags] = {
            "in time": ~is_late & ~is_changed,
            "one year later": is_late & ~is_changed,
            "one year later, changed": is_late & is_changed,
        }
        return parts[name]


PARTS = ("in time", "one year later", "one year later, changed")


def open_in_time(study: ReadmissionStudy) -> InTime:
    """Build the cohort of the question from the populations `"study"` and `"drifted"`, once.

    Args:
        study ([`ReadmissionStudy`]): Cohorts and models.

    Returns:
        [`InTime`]: The cohort.

    Raises:
        ValueError: If the two populations are not the same patients.
    """
    people = study.profile.populations
    still, moved = people[STUDY], people[DRIFTED]
    if (still.seed, still.patients) != (moved.seed, moved.patients):
        raise ValueError(f"expected populations {STUDY!r} and {DRIFTED!r} of one seed and size, found others")
    definition = ReadmissionDefinition(STAYS)
    folders = {name: study.populations.cohort(name, definition) for name in (STUDY, DRIFTED)}
    parameters = {"cohorts": {name: folder.name for name, folder in folders.items()}, "last_year": moved.drift_year}
    folder = study.workspace.folder_step(
        "prepare/in-time", parameters, lambda out: _write(folders, moved.drift_year, definition.horizon_days, out)
    )
    cohort = StudyCohort(folder, study.sequences(folder), study.populations.raw(STUDY))
    return InTime(cohort, moved.drift_year)


def true_risk_in_time(study: ReadmissionStudy, question: InTime) -> ModelScores:
    """The simulators' risks, of each world its own.

    Args:
        study ([`ReadmissionStudy`]): Cohorts and models.
        question ([`InTime`]): The cohort.

    Returns:
        [`ModelScores`]: True risks.
    """
    from claim_transformers.analysis.rivals.true_risk import stay_risk_scores

    examples = question.cohort.examples
    risks = {name: pq.read_table(study.populations.raw(name) / "true_risk.parquet") for name in (STUDY, DRIFTED)}
    test = np.zeros(examples["test"].num_rows)
    for name, table in risks.items():
        of_world = pc.equal(examples["test"][WORLD], name)
        test[of_world.to_numpy(zero_copy_only=False)] = stay_risk_scores(
            examples["test"].filter(of_world), table, missing="nan"
        )
    validation = stay_risk_scores(examples["validation"], risks[STUDY], missing="nan")
    return ModelScores("true-risk", "True risk", CEILING, known_risks(validation), known_risks(test))


def in_time_table(models: Sequence[ModelScores], question: InTime, *, replicates: int = 1000) -> ResultTable:
    """Put models side by side, in time and later.

    Args:
        models (`list[ModelScores]`): Models that learned from the cohort of the question.
        question ([`InTime`]): The cohort.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.

    Returns:
        [`ResultTable`]: One row per model and part.
    """
    labels, patients = question.cohort.labels("test"), question.cohort.patients("test")
    rows: list[dict[str, Cell]] = []
    for part in PARTS:
        chosen = question.rows(part)
        for model in models:
            observed, expected = float(labels[chosen].mean()), float(model.test[chosen].mean())
            rows.append(
                {
                    "test stays": part,
                    "model": model.name,
                    "stays": int(chosen.sum()),
                    "readmitted": observed,
                    "expected": expected,
                    **interval_row(labels[chosen], model.test[chosen], patients[chosen], replicates=replicates),
                }
            )
    notes = (
        f"Learned from stays before {question.last_year}; tested on patients that no model has seen. In the changed "
        "world codes, care and the hazard move on the first day of that year (docs/simulation_medicare.md).",
        "Lahlou et al. report 0.91 in time and 0.81 on 2012 (section 5.2), on other claims.",
    )
    return ResultTable("Readmission: in time and one year later", rows, notes)


def _write(folders: dict[str, Path], last_year: int, horizon_days: int, out: Path) -> None:
    from datasets import Dataset, DatasetDict

    splits = {name: read_examples(folder) for name, folder in folders.items()}
    parts = {}
    for split in ("train", "validation"):
        table = splits[STUDY][split]
        parts[split] = table.filter(pc.less(pc.add(table["discharge_day"], horizon_days), _first_day(last_year)))
    later = splits[DRIFTED]["test"]
    later = later.filter(pc.greater_equal(later["discharge_day"], _first_day(last_year)))
    tests = [
        table.append_column(WORLD, pa.array([name] * table.num_rows, pa.string()))
        for name, table in ((STUDY, splits[STUDY]["test"]), (DRIFTED, later))
    ]
    parts["test"] = pa.concat_tables(tests).combine_chunks()
    DatasetDict({name: Dataset(table) for name, table in parts.items()}).save_to_disk(str(out))
    (out / DEFINITION_FILE).write_bytes((folders[STUDY] / DEFINITION_FILE).read_bytes())


def _first_day(year: int) -> int:
    return (dt.date(year, 1, 1) - _EPOCH).days
