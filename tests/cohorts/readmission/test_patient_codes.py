"""Tokens about the patient: bins come from the training rows, and what is missing is counted."""

import numpy as np
import pyarrow as pa
import pytest

from claim_transformers.claims.counties import CountyFeatures
from claim_transformers.claims.number_bins import NumberBins
from claim_transformers.cohorts.readmission.patient_codes import (
    COUNTY_BINS_FILE,
    CountyBins,
    load_county_bins,
    patient_codes,
)

FIPS = [f"{number:05d}" for number in range(1, 101)]
FEATURES = CountyFeatures(
    pa.array(FIPS), {"SMOKERS": np.arange(100.0), "CRIME": np.where(np.arange(100) % 2, np.nan, 5.0)}
)


def test_bins_follow_the_counties_of_training_examples_and_not_the_table():
    low = CountyBins.fit(FEATURES, pa.array(FIPS[:20] * 10), num_bins=2)
    everywhere = CountyBins.fit(FEATURES, pa.array(FIPS * 10), num_bins=2)
    assert low.bins.edges["SMOKERS"] < everywhere.bins.edges["SMOKERS"]
    assert low.tokens(pa.array([FIPS[30]]))[1].to_pylist() == ["COUNTY/SMOKERS-1"]
    assert everywhere.tokens(pa.array([FIPS[30]]))[1].to_pylist() == ["COUNTY/SMOKERS-0"]


def test_missing_counties_and_measures_are_counted():
    bins = CountyBins.fit(FEATURES, pa.array(FIPS))
    counties = pa.array([FIPS[0], FIPS[1], FIPS[3], "99999", None])
    assert bins.count_missing(counties) == {"county unknown": 1, "county without measures": 1, "no CRIME": 2}


def test_a_patient_of_an_unknown_county_has_no_county_token():
    bins = CountyBins.fit(FEATURES, pa.array(FIPS * 3), num_bins=3)
    facts = pa.table({"race": ["Hispanic", None], "original_reason_entitlement_code": [None, "2"],
                      "dual_status_code": pa.array([None, None], pa.string())})  # fmt: skip
    found = patient_codes(facts, bins.tokens(pa.array([FIPS[99], None]))).to_pylist()
    assert found == [["RACE/HISPANIC", "COUNTY/SMOKERS-2"], ["ENTITLEMENT/2"]]


def test_no_rows_have_no_codes():
    facts = pa.table({name: pa.array([], pa.string()) for name in
                      ("race", "original_reason_entitlement_code", "dual_status_code")})  # fmt: skip
    assert patient_codes(facts).to_pylist() == []


def test_bins_from_elsewhere_are_used_as_they_are_for_their_measures_alone():
    other = NumberBins({"SMOKERS": (3.0, 90.0)})
    reused = CountyBins.reuse(FEATURES, other)
    assert reused.bins == other
    assert [words.to_pylist() for words in reused.tokens(pa.array([FIPS[4], None]))] == [["COUNTY/SMOKERS-1", None]]
    with pytest.raises(ValueError, match="found none of the name OBESITY among CRIME, SMOKERS"):
        CountyBins.reuse(FEATURES, NumberBins({"OBESITY": (1.0,), "SMOKERS": (1.0,)}))


def test_bins_are_read_from_a_cohort_and_from_a_form(tmp_path):
    with pytest.raises(ValueError, match=r"expected bins of county measures in the folder .*, found none"):
        load_county_bins(tmp_path)
    NumberBins({"CRIME": (1.0,)}).save(tmp_path / COUNTY_BINS_FILE)
    assert load_county_bins(tmp_path).edges == {"CRIME": (1.0,)}
    (tmp_path / "form.json").write_text('{"county_bins": {"CRIME": [2.0]}}')
    assert load_county_bins(tmp_path).edges == {"CRIME": (2.0,)}


def test_measures_stand_beside_their_tokens_null_where_unknown():
    bins = CountyBins.fit(FEATURES, pa.array(FIPS))
    (known, unknown) = bins.measures(pa.array([FIPS[0], None])).to_pylist()
    assert known["SMOKERS"] == FEATURES.values["SMOKERS"][0]
    assert unknown == {"CRIME": None, "SMOKERS": None}
