"""Tokens about the patient: bins come from the training rows, and what is missing is counted."""

import numpy as np
import pyarrow as pa

from claim_transformers.claims.counties import CountyFeatures
from claim_transformers.cohorts.patient_codes import CountyBins, patient_codes

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
