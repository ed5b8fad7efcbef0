"""Diagnosis categories, and the labels of a cohort that predicts all of them ("auto diagnosis").

A label is a list with one 0 or 1 for each category (AHRQ CCSR, of either ICD-CM). Beside it stands `is_new`, with 1
where the patient has no earlier visit of that category: predicting what is already known is easy, and the part that is
worth knowing is measured there.
"""

from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from claim_transformers.codes import category_of, category_rules
from claim_transformers.codes.rules import CategoryRules
from claim_transformers.cohorts.event.definition import LabelRule
from claim_transformers.cohorts.timelines import Days, Flags, Timelines

SYSTEMS = ("ICD9CM", "ICD10CM")
_NEXT, _PAST = "next_categories", "past_categories"


@cache
def _rules() -> tuple[CategoryRules, tuple[str, ...]]:
    """The categories of diagnoses, and their names, such as `CCSR/RSP009`, in the order of their numbers."""
    rules = category_rules(SYSTEMS)
    return rules, tuple(sorted(set(rules.prefixes.values())))


def _category_numbers(codes: pa.Array) -> NDArray[np.int64]:
    """The number of the category of each `SYSTEM/CODE`, -1 where it is no diagnosis or has no category."""
    rules, names = _rules()
    is_diagnosis = pc.match_substring_regex(codes, f"^(?:{'|'.join(SYSTEMS)})/")
    numbers = np.full(len(codes), -1, np.int64)
    found = pc.index_in(category_of(codes.filter(is_diagnosis), rules), value_set=pa.array(names, pa.string()))
    numbers[is_diagnosis.to_numpy(zero_copy_only=False)] = pc.fill_null(found, -1).to_numpy(zero_copy_only=False)
    return numbers


def visits_with_category(timelines: Timelines) -> Flags:
    """Which visits carry a diagnosis that has a category, shape `(visits,)`."""
    return timelines.visits_holding(_category_numbers(timelines.code_names) >= 0)


def append_categories(
    examples: pa.Table, timelines: Timelines, keep: Flags, index_day: Days, label: LabelRule
) -> pa.Table:
    """Add `next_categories` of the index date and `past_categories` of all visits before it to the kept patients.

    What is new is judged by the whole record before the index date, paid or not: a disease does not begin when its
    claim is paid.
    """
    number_of_code = _category_numbers(timelines.code_names)
    kept = keep[timelines.patient_of_visit]
    limit = index_day[timelines.patient_of_visit]
    on_date = kept & (timelines.visit_day == limit) & timelines.visits_with([], label.visit_types)
    for name, visits in ((_NEXT, on_date), (_PAST, kept & (timelines.visit_day < limit))):
        # Pairs come sorted by patient, and only kept patients have any, so their counts alone are the lists' lengths.
        patients, numbers = timelines.numbers_held(number_of_code, visits)
        counts = np.bincount(patients, minlength=timelines.num_patients)[keep]
        offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
        examples = examples.append_column(name, pa.ListArray.from_arrays(offsets, pa.array(numbers, pa.int16())))
    return examples


def label_diagnoses(examples: pa.Table, is_train: Flags, rule: LabelRule) -> tuple[pa.Table, tuple[str, ...]]:
    """Turn lists of categories into the columns `label` and `is_new` of equal length, and name the categories.

    A category stays if `minimum_patients` training patients have it at their index date, an example if it has one.
    """
    names = _rules()[1]
    held = _matrix(examples[_NEXT], np.arange(len(names)), len(names))
    chosen = np.flatnonzero(held[is_train].sum(axis=0) >= rule.minimum_patients)
    label = held[:, chosen]
    keep = label.any(axis=1)
    # Where a category stands among the chosen ones; -1 takes it out of the matrix of the past.
    column_of = np.full(len(names), -1, np.int64)
    column_of[chosen] = np.arange(len(chosen))
    seen = _matrix(examples[_PAST], column_of, len(chosen))[keep]
    examples = examples.drop_columns([_NEXT, _PAST]).filter(pa.array(keep))
    examples = examples.append_column("label", _lists(label[keep])).append_column("is_new", _lists(~seen))
    return examples, tuple(names[number] for number in chosen)


def _matrix(lists: pa.ChunkedArray, column_of: NDArray[np.int64], width: int) -> Flags:
    """Rows by columns, true where a list holds a number of that column."""
    array = lists.combine_chunks()
    array = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
    rows = np.repeat(np.arange(len(array)), pc.list_value_length(array).to_numpy(zero_copy_only=False))
    columns = column_of[array.flatten().to_numpy(zero_copy_only=False).astype(np.int64)]
    matrix = np.zeros((len(array), width), bool)
    matrix[rows[columns >= 0], columns[columns >= 0]] = True
    return matrix


def _lists(matrix: Flags) -> pa.Array:
    """Lists of 32-bit floats, which a collator makes into the targets of a multi-label loss as they are."""
    rows, width = matrix.shape
    offsets = pa.array((np.arange(rows + 1) * width).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array(matrix.astype(np.float32).ravel()))
