"""Counts of codes: what they count, and that nothing but content moves them."""

import numpy as np
import pyarrow as pa
import pytest
from analysis.cohort_by_hand import make_examples

from claim_transformers.analysis.rivals.features import count_codes, demographics, read_labels, select_codes
from claim_transformers.codes import CategoryRules

ASTHMA = CategoryRules(prefixes={"ICD9CM/493": "CCS/128"})


def table(*patients):
    return pa.table({"codes": pa.array(list(patients), pa.list_(pa.list_(pa.string())))})


def test_a_code_counts_once_per_visit_that_carries_it():
    counts = count_codes(table([["A/1"], ["A/1", "A/2"]], [["A/2"]]), ["A/1", "A/2"])
    assert np.allclose(np.expm1(counts.matrix.toarray()), [[2, 1], [0, 1]])


def test_codes_outside_the_columns_are_left_out():
    assert count_codes(table([["A/9"]]), ["A/1"]).matrix.nnz == 0


def test_two_codes_of_one_category_in_one_visit_count_once():
    examples = table([["ICD9CM/49390", "ICD9CM/49392"], ["ICD9CM/49390"]])
    counts = count_codes(examples, ["CCS/128"], rules=ASTHMA)
    assert np.allclose(np.expm1(counts.matrix.toarray()), [[2]])


def test_tokens_of_written_sequences_are_categories_already():
    examples = table([["ICD9CM/49390", "CCS/128", "LOS/1"], ["PAID/2", "UNK/NDC"]])
    names = select_codes(examples, min_patients=1, rules=ASTHMA)
    assert names == ["CCS/128", "LOS/1", "PAID/2", "UNK/NDC"]
    assert np.allclose(np.expm1(count_codes(examples, names, rules=ASTHMA).matrix.toarray()), 1)


def test_the_threshold_counts_patients_and_not_occurrences():
    examples = table([["A/1"], ["A/1"], ["A/1"]], [["A/2"]], [["A/2"]])
    assert select_codes(examples, min_patients=2) == ["A/2"]


def test_a_threshold_that_nothing_reaches_says_what_was_found():
    with pytest.raises(ValueError, match="held by at least 11 patients, the most common one has 1"):
        select_codes(table([["A/1"]]))


def test_a_slice_counts_like_a_copy():
    examples = make_examples(50, seed=1)
    names = select_codes(examples)
    whole = count_codes(examples, names).matrix.toarray()
    assert np.allclose(count_codes(examples.slice(20, 10), names).matrix.toarray(), whole[20:30])
    assert np.allclose(demographics(examples.slice(20, 10))[0], demographics(examples)[0][20:30])


def test_demographics_know_age_sex_and_recent_use():
    examples = make_examples(4, seed=2)
    values, names = demographics(examples)
    assert values.shape == (4, len(names))
    assert np.allclose(values[:, names.index("age_years / 20")], 9 / 20)
    assert values[:, names.index("female")].tolist() == [0, 1, 0, 1]
    visits = [len(days) for days in examples["visit_day"].to_pylist()]
    assert np.allclose(np.expm1(values[:, names.index("OP visits")]), visits)
    assert np.allclose(values[:, names.index("OP visits in 90 days")], 0)


def test_patients_without_codes_have_zero_counts():
    assert count_codes(table([], [[]]), ["A/1"]).matrix.shape == (2, 1)


def test_the_most_common_codes_are_kept_whatever_the_order_of_rows():
    rows = [[["A/1", "A/2", "A/3"]], [["A/2", "A/3"]], [["A/3", "A/1"]]]
    for given in (rows, rows[::-1]):
        assert select_codes(table(*given), min_patients=1, most=2) == ["A/1", "A/3"]


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.int8(), 2), pa.large_list(pa.int64())])
def test_lists_of_labels_are_read_in_every_form_of_a_list(kind):
    column = pa.array([[1, 0], [0, 0], [1, 1]], kind)
    assert read_labels(pa.table({"label": column})).tolist() == [[1, 0], [0, 0], [1, 1]]


def test_lists_of_several_lengths_are_refused():
    with pytest.raises(ValueError, match="expected lists of one length in column 'label'"):
        read_labels(pa.table({"label": [[1, 0], [1]]}))


def test_patients_without_an_index_date_are_refused_with_the_cure():
    with pytest.raises(ValueError, match=r"E_COLUMN.*found no index_day: run"):
        demographics(make_examples(3, seed=0).drop_columns(["index_day"]))
