"""Readmission on DE-SynPUF: a sequence of synthetic visits says little, so what does a model read where it gains?

DE-SynPUF was made so that single files look right; what follows what in a patient was not kept. The baseline is
logistic regression on what is known before the index stay. Each further row adds one thing, so that a gain has a name:
what the index claim says, the shape of the model, pretraining on another population.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.cohorts.cohort import DEFINITION_FILE
from claim_transformers.cohorts.readmission.definition import PLAIN, ReadmissionDefinition
from reproduction.engine.steps import StepResult, digest_of_files, write_whole
from reproduction.medicare.readmission_study import (
    COUNTS,
    ModelScores,
    ReadmissionStudy,
    StudyCohort,
    model_scores,
)


def open_synpuf(study: ReadmissionStudy, raw: Path) -> StudyCohort:
    """Ingest DE-SynPUF, label every inpatient claim by the plain rule, and keep some training stays."""
    from claim_transformers.cohorts import build_cohort
    from reproduction.engine.silence import quiet
    from reproduction.medicare.encoders import limit_stays

    workspace, stays = study.workspace, study.profile.synpuf_stays
    claims = workspace.folder_step(
        "prepare/claims-synpuf",
        {"files": digest_of_files(raw, "**/*")},
        lambda out: _ingest(raw, out),
    )

    def build(out: Path) -> None:
        from datasets import Dataset, DatasetDict

        built = build_cohort(ReadmissionDefinition(PLAIN), claims)
        splits = DatasetDict({name: Dataset(table) for name, table in built.splits().items()})
        with quiet():
            limit_stays(splits, stays).save_to_disk(str(out))
        write_whole(out / DEFINITION_FILE, json.dumps(built.definition.to_dict(), indent=1) + "\n")

    folder = workspace.folder_step("prepare/cohort-synpuf", {"claims": claims.name, "stays": stays}, build)
    return StudyCohort(folder, study.sequences(folder))


def before_index_scores(study: ReadmissionStudy, cohort: StudyCohort) -> ModelScores:
    """Fit logistic regression on what is known before the index stay."""
    from reproduction.medicare.count_models import fit_count_model
    from reproduction.medicare.encoders import scores_table

    def fit() -> StepResult:
        parts = {split: without_index_stay(table) for split, table in cohort.examples.items()}
        model = fit_count_model("lr", parts["train"], parts["validation"])
        return StepResult({}, scores_table({split: model.predict(parts[split]) for split in ("validation", "test")}))

    result = study.workspace.step("counts/lr-before-index", {"cohort": cohort.folder.name}, fit)
    return model_scores("lr-before-index", "LR on what is known before the index stay", COUNTS, result)


def without_index_stay(examples: pa.Table) -> pa.Table:
    """Take out of examples what the index claim says: its codes, its amount and its length.

    Args:
        examples (`pa.Table`): Examples of a readmission cohort.

    Returns:
        `pa.Table`: The same rows; the last visit is still there, empty.

    Examples:
        >>> stay = pa.table({
        ...     "codes": [[["A/1"], ["A/2", "A/3"]], [["A/4"]]], "length_of_stay_days": [4, 2],
        ...     "visit_amount": pa.array([[1.0, 2.0], [3.0]], pa.list_(pa.float32())),
        ... })
        >>> known = without_index_stay(stay).to_pydict()
        >>> known["codes"], known["length_of_stay_days"], known["visit_amount"]
        ([[['A/1'], []], [[]]], [0, 0], [[1.0, None], [None]])
    """
    visits = examples["codes"].combine_chunks()
    counts = pc.list_value_length(visits).to_numpy(zero_copy_only=False)
    codes = pc.list_flatten(visits)
    per_visit = pc.list_value_length(codes).to_numpy(zero_copy_only=False).astype(np.int64)
    is_index = np.zeros(len(per_visit), bool)
    is_index[np.cumsum(counts)[counts > 0] - 1] = True
    words = pc.list_flatten(codes).filter(pa.array(np.repeat(~is_index, per_visit)))
    inner = pa.ListArray.from_arrays(_offsets(np.where(is_index, 0, per_visit)), words)
    amounts = pc.list_flatten(examples["visit_amount"].combine_chunks())
    amounts = pc.if_else(pa.array(is_index), pa.scalar(None, amounts.type), amounts)
    changed = {
        "codes": pa.ListArray.from_arrays(_offsets(counts), inner),
        "visit_amount": pa.ListArray.from_arrays(_offsets(counts), amounts),
        "length_of_stay_days": pa.array(np.zeros(examples.num_rows, np.int32)),
    }
    for name, column in changed.items():
        examples = examples.set_column(examples.column_names.index(name), name, column)
    return examples


def _offsets(counts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))


def _ingest(raw: Path, out: Path) -> None:
    from claim_transformers.sources.pipeline.ingest import ingest

    ingest("synpuf", raw, out, progress=sys.stderr.isatty())
