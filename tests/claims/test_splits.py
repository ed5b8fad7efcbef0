import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claim_transformers.claims.splits import SPLITS, assert_disjoint, split_numbers, split_of
from claim_transformers.codes.errors import ClaimDataError


def _split_by_definition(patient_id: str, salt: str) -> str:
    bucket = int.from_bytes(hashlib.sha256(f"{salt}|{patient_id}".encode()).digest()[:8], "big") % 1000
    return "train" if bucket < 800 else "validation" if bucket < 900 else "test"


@given(st.lists(st.text(max_size=8), max_size=20), st.text(max_size=5))
@settings(max_examples=50, deadline=None)
def test_split_follows_the_definition(patient_ids, salt):
    expected = [_split_by_definition(patient_id, salt) for patient_id in patient_ids]
    assert split_of(pa.array(patient_ids, pa.string()), salt).to_pylist() == expected


def test_nobody_moves_when_patients_are_added_or_reordered():
    patient_ids = [f"P{number}" for number in range(300)]
    before = dict(zip(patient_ids, split_of(pa.array(patient_ids)).to_pylist(), strict=True))
    more = patient_ids[::-1] + [f"Q{number}" for number in range(300)]
    after = dict(zip(more, split_of(pa.array(more)).to_pylist(), strict=True))
    assert all(after[patient_id] == split for patient_id, split in before.items())


def test_shares_come_out_as_asked():
    patient_ids = pa.array([f"P{number}" for number in range(20_000)])
    shares = np.bincount(split_numbers(patient_ids, train=0.6, validation=0.3), minlength=3) / 20_000
    np.testing.assert_allclose(shares, [0.6, 0.3, 0.1], atol=0.015)


def test_another_salt_draws_other_splits():
    patient_ids = pa.array([f"P{number}" for number in range(200)])
    assert split_of(patient_ids) != split_of(patient_ids, salt="another")


def test_chunked_and_dictionary_ids_fall_into_the_same_splits():
    plain = pa.array([f"P{number}" for number in range(50)])
    chunked = pa.chunked_array([plain.slice(0, 20), plain.slice(20)])
    assert split_of(chunked) == split_of(plain)
    assert split_of(plain.cast(pa.large_string())) == split_of(plain)


@pytest.mark.parametrize("shares", [{"train": -0.1}, {"train": 0.8, "validation": 0.3}])
def test_impossible_shares_are_refused(shares):
    with pytest.raises(ValueError, match="shares of at least 0"):
        split_of(pa.array(["P1"]), **shares)


def test_null_id_is_refused():
    with pytest.raises(ValueError, match="1 nulls"):
        split_of(pa.array(["P1", None]))


def test_overlap_is_refused_without_naming_the_patient():
    splits = {"train": pa.array(["ZZCANARY1", "P2"]), "test": pa.chunked_array([["P3"], ["ZZCANARY1"]])}
    with pytest.raises(ClaimDataError, match="1 patient in both 'train' and 'test'") as caught:
        assert_disjoint(splits)
    assert caught.value.reason_code == "E_SPLIT_OVERLAP"
    assert "ZZCANARY" not in str(caught.value)


def test_splits_by_hash_never_overlap():
    patient_ids = pa.array([f"P{number % 100}" for number in range(300)])
    numbers = split_numbers(patient_ids)
    assert_disjoint({split: patient_ids.filter(pa.array(numbers == number)) for number, split in enumerate(SPLITS)})


@pytest.mark.parametrize(
    ("train", "validation", "present"), [(1.0, 0.0, {0}), (0.0, 1.0, {1}), (0.0, 0.0, {2}), (0.7, 0.3, {0, 1})]
)
def test_shares_may_be_nothing_and_everything(train, validation, present):
    patient_ids = pa.array([f"P{number}" for number in range(300)])
    assert set(split_numbers(patient_ids, train=train, validation=validation)) == present


@pytest.mark.parametrize("shares", [(-0.01, 0.5), (0.5, -0.01), (0.5, 0.51)])
def test_shares_just_beyond_their_bounds_are_refused(shares):
    with pytest.raises(ValueError, match="shares of at least 0"):
        split_numbers(pa.array(["P1"]), train=shares[0], validation=shares[1])


def test_overlap_of_any_two_splits_is_refused():
    for shared in ("train", "validation"), ("validation", "test"), ("train", "test"):
        splits = {name: pa.array([name, *(["both", "too"] if name in shared else [])]) for name in SPLITS}
        with pytest.raises(ClaimDataError, match=f"2 patients in both '{shared[0]}' and '{shared[1]}'"):
            assert_disjoint(splits)
