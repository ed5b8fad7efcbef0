"""From patients to labelled examples: index dates, selection, labels, sampling, splits and the attrition table."""

import itertools
import json
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from claim_transformers.claims.splits import split_of
from claim_transformers.claims.store import open_folder
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.cohorts.definition import CohortDefinition, load_definition
from claim_transformers.cohorts.index_dates import index_candidates, outcome_codes, unit_hash
from claim_transformers.cohorts.rules import Days, satisfies
from claim_transformers.cohorts.timelines import UNKNOWN_DAY, Timelines

if TYPE_CHECKING:
    from datasets import DatasetDict

SPLITS = ("train", "validation", "test")
DEFINITION_FILE = "cohort.json"


@dataclass(frozen=True)
class AttritionStep:
    """One row of the attrition table: what was asked, and how many patients were left."""

    step: str
    patients: int
    removed: int


@dataclass(frozen=True)
class Cohort:
    """Labelled examples, one per patient.

    Args:
        definition (`CohortDefinition`): What was asked for.
        examples (`pa.Table`): Columns of the patients table cut at the index date, with `index_day` (int32, days
            since 1970-01-01) and `label` (int8), sorted by patient.
        attrition (`list[AttritionStep]`): How many patients each step left.
        sampled_share (`tuple[float, float]`): Share of the eligible pairs of patient and index date that became
            examples, for label 0 and label 1. Their ratio turns a risk of the population into one of the sample.
    """

    definition: CohortDefinition
    examples: pa.Table
    attrition: tuple[AttritionStep, ...]
    sampled_share: tuple[float, float]

    def splits(self) -> dict[str, pa.Table]:
        """The examples by split; a patient is in exactly one, by hash of the id salted with the cohort's name."""
        definition = self.definition
        split = split_of(
            self.examples["patient_id"],
            salt=f"cohort/{definition.name}",
            train=definition.train,
            validation=definition.validation,
        )
        return {name: self.examples.filter(pc.equal(split, name)) for name in SPLITS}

    def to_dataset_dict(self) -> "DatasetDict":
        """The examples as a `datasets.DatasetDict` with a `label` column, ready for `Trainer`."""
        from datasets import Dataset, DatasetDict

        return DatasetDict({name: Dataset(table) for name, table in self.splits().items()})

    def save(self, out: str | Path, *, overwrite: bool = False) -> None:
        """Writes the examples by `save_to_disk`, the attrition table and the definition; all of it or nothing.

        Args:
            out (`str` or `Path`): Folder to make.
            overwrite (`bool`): Whether a cohort that stands there is replaced.

        Raises:
            ClaimDataError: If the folder exists and may not be replaced (`E_EXISTS`; what is no cohort never is), or
                the disk does not take it (`E_WRITE`).
        """
        out = Path(out)
        check_out(out, overwrite=overwrite)
        staging = out.with_name(f".{out.name}.writing-{uuid.uuid4().hex[:12]}")
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            self.to_dataset_dict().save_to_disk(str(staging))
            steps = [vars(step) for step in self.attrition]
            (staging / "attrition.json").write_text(json.dumps(steps, indent=1) + "\n", encoding="utf-8")
            content = {**self.definition.to_dict(), "sampled_share": list(self.sampled_share)}
            (staging / DEFINITION_FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            if out.exists():
                # Renamed first, so that a run that stops here has lost neither the old cohort nor the new one.
                replaced = out.with_name(f"{staging.name}-replaced")
                out.rename(replaced)
                staging.rename(out)
                shutil.rmtree(replaced)
            else:
                staging.rename(out)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ClaimDataError("E_WRITE", f"could not write {out.name!r}: {reason}. Nothing was saved") from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def check_out(out: str | Path, *, overwrite: bool = False) -> None:
    """Refuses a folder that a cohort may not be saved to; asked before a build, it spares the wait.

    Args:
        out (`str` or `Path`): Folder to make.
        overwrite (`bool`, *optional*, defaults to `False`): Whether a cohort that stands there may be replaced.

    Raises:
        ClaimDataError: `E_EXISTS`.

    Examples:
        >>> check_out("/nowhere/cohort")
    """
    out = Path(out)
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not overwrite:
        raise ClaimDataError(
            "E_EXISTS", f"expected a new folder, found an existing {out.name!r}; choose another or use overwrite"
        )
    if not (out / DEFINITION_FILE).is_file():
        raise ClaimDataError("E_EXISTS", f"expected a cohort to replace in {out.name!r}, found something else")


def build_cohort(definition: CohortDefinition | str | Path, claims: str | Path) -> Cohort:
    """Builds a cohort from an ingested folder.

    Reads one patients file at a time, so memory follows the largest file and the examples that are kept.

    Args:
        definition (`CohortDefinition`, `str` or `Path`): The cohort, its built-in name, or its YAML file.
        claims (`str` or `Path`): Folder that `claim-transformers ingest` wrote.

    Returns:
        `Cohort`: Examples, labels and attrition.

    Raises:
        ClaimDataError: If the folder is no ingested folder, nobody is left (`E_EMPTY_COHORT`), all labels are equal
            (`E_ONE_CLASS`), or an example holds anything at or after its index date (`E_LEAK`).
        ValueError: If the definition does not fit.
    """
    if not isinstance(definition, CohortDefinition):
        definition = load_definition(definition)
    steps = _step_names(definition)
    counts, pairs = np.zeros(len(steps), np.int64), np.zeros(2, np.int64)
    selected = []
    for table in _patient_files(Path(claims)):
        examples, left, eligible = _select(Timelines(table), definition)
        selected.append(examples)
        counts += left
        pairs += eligible
    if not sum(table.num_rows for table in selected):
        lost = ", ".join(f"{step}: {count}" for step, count in zip(steps, counts, strict=True))
        raise ClaimDataError(
            "E_EMPTY_COHORT",
            f"expected at least one patient in {definition.name!r}, found ({lost}); change the dates or criteria of "
            "the definition where the numbers fall to 0",
        )
    examples = _sample(pa.concat_tables(selected).sort_by("patient_id"), definition)
    _check(examples, definition)
    patients = [*counts.tolist(), examples.num_rows]
    names = [*steps, _sampling_name(definition)]
    removed = [0, *(before - after for before, after in itertools.pairwise(patients))]
    rows = zip(names, patients, removed, strict=True)
    kept = np.bincount(examples["label"].to_numpy(), minlength=2)
    share = (float(kept[0] / pairs[0]), float(kept[1] / pairs[1]))
    return Cohort(definition, examples, tuple(AttritionStep(*row) for row in rows), share)


def _patient_files(claims: Path) -> Iterator[pa.Table]:
    files = open_folder(claims).table_files("patients")
    if not files:
        raise ClaimDataError(
            "E_NO_PATIENTS",
            f"expected patients/*.parquet in {claims}, found none: nobody has a visit; see quality_report.json there",
        )
    for file in files:
        yield pq.read_table(file)


def _step_names(definition: CohortDefinition) -> list[str]:
    first = "patients with a visit"
    index = (
        "with an index date" if definition.index.rule == "fixed_date" else "with a visit that can be the index visit"
    )
    return [
        first,
        index,
        *(step.step for step in definition.criteria),
        "outcome known (event, or observed to the end)",
    ]


def _sampling_name(definition: CohortDefinition) -> str:
    sampling = definition.sampling
    if sampling.cases is None and sampling.controls_per_case is None:
        return "kept (no sampling)"
    cases = "all" if sampling.cases is None else f"at most {sampling.cases}"
    controls = "all" if sampling.controls_per_case is None else f"{sampling.controls_per_case:g} per case"
    return f"sampled ({cases} cases, controls: {controls})"


def _select(
    timelines: Timelines, definition: CohortDefinition
) -> tuple[pa.Table, NDArray[np.int64], NDArray[np.int64]]:
    """The eligible patients of one file with their labels, how many each step left, and eligible pairs by label."""
    candidates = [
        _judge(timelines, definition, index_day, has_index)
        for index_day, has_index in index_candidates(timelines, definition)
    ]
    # A patient passes a step when it does so at one of its index dates.
    passed = [np.any(marks, axis=0) for marks in zip(*(candidate.passed for candidate in candidates), strict=True)]
    left = np.array([timelines.num_patients, *(int(marks.sum()) for marks in passed)])
    pairs = sum((np.bincount(each.label[each.passed[-1]], minlength=2) for each in candidates), np.zeros(2, np.int64))
    keep = passed[-1]
    chosen = _choose(timelines, definition, candidates)
    rows = np.arange(timelines.num_patients)
    index_day = np.stack([candidate.index_day for candidate in candidates])[chosen, rows]
    label = np.stack([candidate.label for candidate in candidates])[chosen, rows]
    table = timelines.before(keep, index_day)
    return table.append_column("label", pa.array(label[keep], pa.int8())), left, pairs


@dataclass(frozen=True)
class _Candidate:
    """What one index date per patient gives: its label, and whether the patient is still in after each step."""

    index_day: Days
    label: NDArray[np.int8]
    passed: list[NDArray[np.bool_]]


def _judge(
    timelines: Timelines, definition: CohortDefinition, index_day: Days, has_index: NDArray[np.bool_]
) -> _Candidate:
    passed = [has_index]
    for criterion in definition.criteria:
        passed.append(passed[-1] & satisfies(timelines, definition, criterion, index_day))
    label, known = _labels(timelines, definition, index_day)
    return _Candidate(index_day, label, [*passed, passed[-1] & known])


def _choose(timelines: Timelines, definition: CohortDefinition, candidates: list[_Candidate]) -> NDArray[np.int64]:
    """The index date of each patient: the first with the outcome, else one of the eligible ones at random."""
    eligible = np.stack([candidate.passed[-1] for candidate in candidates])
    case = eligible & (np.stack([candidate.label for candidate in candidates]) == 1)
    rank = unit_hash(timelines.patients["patient_id"], f"date/{definition.sampling.seed}")
    wanted = np.floor(rank * np.maximum(eligible.sum(axis=0), 1)) + 1
    drawn = np.argmax(eligible & (np.cumsum(eligible, axis=0) == wanted), axis=0)
    chosen: NDArray[np.int64] = np.where(case.any(axis=0), np.argmax(case, axis=0), drawn)
    return chosen


def _labels(
    timelines: Timelines, definition: CohortDefinition, index_day: Days
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """The label of each patient, and whether it is known: an event, or observation through the whole horizon."""
    rule = definition.label
    end_day = index_day + rule.horizon_days
    outcome = timelines.visits_with(outcome_codes(definition), rule.visit_types)
    label = timelines.count(outcome & timelines.in_window(index_day, end_day)) > 0
    died = (timelines.death_day != UNKNOWN_DAY) & (timelines.death_day < end_day)
    observed = timelines.covered(index_day, np.where(died, np.minimum(timelines.death_day, end_day - 1), end_day - 1))
    known = label | (observed & (~died | (rule.death == "negative")))
    return label.astype(np.int8), known


def _sample(examples: pa.Table, definition: CohortDefinition) -> pa.Table:
    sampling = definition.sampling
    label = examples["label"].to_numpy()
    order = np.argsort(unit_hash(examples["patient_id"], f"sample/{sampling.seed}"), kind="stable")
    cases, controls = order[label[order] == 1], order[label[order] == 0]
    cases = cases if sampling.cases is None else cases[: sampling.cases]
    if sampling.controls_per_case is not None:
        controls = controls[: round(sampling.controls_per_case * len(cases))]
    return examples.take(pa.array(np.sort(np.concatenate([cases, controls]))))


def _check(examples: pa.Table, definition: CohortDefinition) -> None:
    positives = int(np.count_nonzero(examples["label"].to_numpy()))
    if positives in (0, examples.num_rows):
        raise ClaimDataError(
            "E_ONE_CLASS",
            f"expected both labels in {definition.name!r}, found {positives} positive of {examples.num_rows}; "
            "the dates, codes or horizon of the definition may not fit these claims",
        )
    timelines = Timelines(examples.drop_columns(["index_day", "label"]))
    index_day = examples["index_day"].to_numpy()
    late = int(np.count_nonzero(timelines.visit_day >= index_day[timelines.patient_of_visit]))
    if late:
        raise ClaimDataError("E_LEAK", f"expected every visit before its index date, found {late} at or after it")


def attrition_table(cohort: Cohort) -> list[tuple[str, Any, Any]]:
    """The attrition table as rows of text, with cases and controls at the end.

    Args:
        cohort (`Cohort`): The cohort.

    Returns:
        `list[tuple[str, str, str]]`: Step, patients left, patients removed.
    """
    rows = [(step.step, f"{step.patients:,}", f"{step.removed:,}") for step in cohort.attrition]
    cases = int(np.count_nonzero(cohort.examples["label"].to_numpy()))
    return [
        *rows,
        ("of these cases", f"{cases:,}", ""),
        ("of these controls", f"{len(cohort.examples) - cases:,}", ""),
    ]
