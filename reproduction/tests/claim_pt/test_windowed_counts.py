"""Counts by window: equal to a slow count by hand, and nothing but content moves them."""

import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from training.patients_at_random import random_patients

from claim_transformers.codes import CategoryRules
from reproduction.claim_pt.windowed_counts import count_in_windows

RULES = CategoryRules({f"ICD9CM/4{ten}": f"CCS/{ten}" for ten in range(5)}, {"HCPCS": ("HCPCSGROUP", 3)})
WINDOWS = (30, 90, None)


@pytest.fixture
def examples():
    """Patients at random whose index dates lie from a day to four months after their last visit."""
    patients = random_patients(60, seed=4, labels=True)
    generator = np.random.default_rng(4)
    last = [max(days, default=15000) for days in patients["visit_day"].to_pylist()]
    index = pa.array(np.array(last) + generator.choice([1, 30, 31, 120], len(last)), pa.int32())
    if "index_day" in patients.column_names:
        patients = patients.drop_columns(["index_day"])
    return patients.append_column("index_day", index)


def count_slowly(examples, windows_days):
    """One dictionary of names to log counts per patient, by loops over patients, visits and codes."""
    found = []
    for row in examples.select(["index_day", "visit_day", "visit_type", "codes"]).to_pylist():
        counts = Counter()
        for day, kind, codes in zip(row["visit_day"], row["visit_type"], row["codes"], strict=True):
            for category in {RULES.category(code) for code in codes} - {None}:
                for window in windows_days:
                    if window is None or row["index_day"] - day <= window:
                        shown = "ever" if window is None else f"in {window} days"
                        counts[f"{category}{' inpatient' if kind == 'IP' else ''} {shown}"] += 1
        found.append({name: math.log1p(count) for name, count in counts.items()})
    return found


def as_dictionaries(counts):
    return [
        {counts.names[i]: value for i, value in enumerate(row) if value}
        for row in counts.matrix.toarray().astype(float).tolist()
    ]


def test_the_counts_are_those_of_a_slow_count(examples):
    expected = count_slowly(examples, WINDOWS)
    counts = count_in_windows(examples, rules=RULES, windows_days=WINDOWS)
    assert counts.names == sorted({name for row in expected for name in row})
    assert any("inpatient" in name for name in counts.names)
    assert any("in 30 days" in name for name in counts.names)
    for found, wanted in zip(as_dictionaries(counts), expected, strict=True):
        assert found == pytest.approx(wanted)


def test_a_visit_counts_in_every_window_that_reaches_it_and_on_its_last_day():
    columns = {"index_day": [100, 100], "visit_day": [[70], [69]], "visit_type": [["OP"], ["OP"]]}
    examples = pa.table(columns | {"codes": [[["ICD9CM/411"]], [["ICD9CM/411"]]]})
    found = as_dictionaries(count_in_windows(examples, rules=RULES, windows_days=WINDOWS))
    assert set(found[0]) == {"CCS/1 in 30 days", "CCS/1 in 90 days", "CCS/1 ever"}
    assert set(found[1]) == {"CCS/1 in 90 days", "CCS/1 ever"}


def test_a_wider_window_never_counts_less(examples):
    counts = count_in_windows(examples, rules=RULES, windows_days=WINDOWS)
    values = dict(zip(counts.names, counts.matrix.toarray().T, strict=True))
    narrow = [name for name in values if name.endswith("in 30 days")]
    assert narrow
    for name in narrow:
        assert (values[name] <= values[name.replace("in 30 days", "in 90 days")]).all()


def test_named_columns_come_in_their_order_and_others_are_left_out(examples):
    counts = count_in_windows(examples, rules=RULES, windows_days=WINDOWS)
    wanted = [counts.names[2], "CCS/none ever", counts.names[0]]
    named = count_in_windows(examples, rules=RULES, windows_days=WINDOWS, names=wanted).matrix.toarray()
    whole = counts.matrix.toarray()
    np.testing.assert_array_equal(named, np.column_stack([whole[:, 2], np.zeros(len(whole)), whole[:, 0]]))


def test_slices_chunks_and_other_patients_change_nothing(examples):
    counts = count_in_windows(examples, rules=RULES)
    names, whole = counts.names, counts.matrix.toarray()
    part = count_in_windows(examples.slice(20, 15), rules=RULES, names=names).matrix.toarray()
    np.testing.assert_array_equal(part, whole[20:35])
    chunked = pa.concat_tables([examples.slice(20), examples.slice(0, 20)])
    turned = count_in_windows(chunked, rules=RULES, names=names).matrix.toarray()
    np.testing.assert_array_equal(turned, np.vstack([whole[20:], whole[:20]]))


def test_patients_without_visits_or_codes_count_nothing():
    codes = pa.array([[], [[]]], pa.list_(pa.list_(pa.string())))
    columns = {"index_day": [100, 100], "visit_day": pa.array([[], [50]], pa.list_(pa.int32()))}
    examples = pa.table(columns | {"visit_type": pa.array([[], ["OP"]], pa.list_(pa.string())), "codes": codes})
    assert count_in_windows(examples, rules=RULES).matrix.shape == (2, 0)
    assert count_in_windows(examples, rules=RULES, names=["CCS/1 ever"]).matrix.nnz == 0


def test_a_visit_at_the_index_date_is_refused_without_its_date():
    columns = {"index_day": [15123], "visit_day": [[15123]], "visit_type": [["OP"]], "codes": [[["ICD9CM/411"]]]}
    with pytest.raises(ValueError, match="before the index date, found 1 of 1") as caught:
        count_in_windows(pa.table(columns), rules=RULES)
    assert "15123" not in str(caught.value)


@pytest.mark.parametrize("windows", [[], [-1], [30, 30], [None, None]])
def test_windows_that_mean_nothing_are_refused(windows):
    with pytest.raises(ValueError, match="expected different windows"):
        count_in_windows(pa.table({}), rules=RULES, windows_days=windows)
