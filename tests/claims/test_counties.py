"""Counties: the readers of public files, and what is missing."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from claim_transformers.claims.counties import CountyFeatures, read_county_features
from claim_transformers.codes.errors import ClaimDataError

DATA = os.environ.get("CLAIMS_DATA_DIR")
needs_data = pytest.mark.skipif(not DATA, reason="CLAIMS_DATA_DIR is not set")


def test_notes_totals_blanks_and_thousands_are_understood(tmp_path):
    text = 'Poverty, 2018\nSource: none\n"FIPStxt",Area,"People",""\n01000,All,9,\n1001,A,"1,234",\n01003,B,,\n'
    (tmp_path / "p.csv").write_text(text)
    features = read_county_features(tmp_path / "p.csv")
    assert features.county_fips.to_pylist() == ["01001", "01003"]
    np.testing.assert_array_equal(features.values["PEOPLE"], [1234, np.nan])
    assert list(features.values) == ["PEOPLE"]


def test_the_missing_mark_of_the_vulnerability_index_is_no_number(tmp_path):
    ranks = {f"RPL_THEME{end}": [0.5, -999.0] for end in ("1", "2", "3", "4", "S")}
    pq.write_table(pa.table({"FIPS": ["01001", "01003"], "E_TOTPOP": [1, 2]} | ranks), tmp_path / "svi.parquet")
    features = read_county_features(tmp_path / "svi.parquet")
    assert list(features.values) == [f"SVI_{name}" for name in ranks]
    np.testing.assert_array_equal(features.values["SVI_RPL_THEMES"], [0.5, np.nan])
    chosen = read_county_features(tmp_path / "svi.parquet", ["E_TOTPOP"])
    assert chosen.values["SVI_E_TOTPOP"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("text", "code"),
    [("name\nx\n", "E_COLUMN"), ("FIPS,x\n01001,1\n01001,2\n", "E_LAYOUT"), ("FIPS,x\n01001,1\n01003\n", "E_LAYOUT")],
)
def test_what_is_no_table_of_counties_is_refused(tmp_path, text, code):
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(ClaimDataError, match=code):
        read_county_features(tmp_path / "c.csv")


def test_a_column_that_was_asked_for_must_hold_numbers(tmp_path):
    (tmp_path / "c.csv").write_text("FIPS,x\n01001,a\n")
    for column in ("x", "y"):
        with pytest.raises(ClaimDataError, match="E_COLUMN"):
            read_county_features(tmp_path / "c.csv", [column])


def test_files_are_joined_by_county():
    first = CountyFeatures(pa.array(["01001", "01003"]), {"A": np.array([1.0, 2.0])})
    second = CountyFeatures(pa.array(["01003", "01005"]), {"B": np.array([3.0, 4.0])})
    joined = first.join(second)
    assert joined.county_fips.to_pylist() == ["01001", "01003", "01005"]
    np.testing.assert_array_equal(joined.values["B"], [np.nan, 3, 4])
    with pytest.raises(ValueError, match="twice"):
        joined.join(second)


@needs_data
@pytest.mark.parametrize(
    ("name", "counties", "measures"),
    [
        ("cdc_svi_2018_county.parquet", 3142, 5),
        ("chr_county_health_2021.csv", 3141, 23),
        ("usda_ers_Education.csv", 3230, 44),
        ("usda_ers_PovertyEstimates.csv", 3141, 25),
        ("usda_ers_Unemployment.csv", 3222, 52),
        ("usda_rural_atlas_jobs.parquet", 3225, 63),
    ],
)
def test_public_files_are_read_whole(name, counties, measures):
    features = read_county_features(Path(str(DATA)) / "county" / name)
    assert (len(features.county_fips), len(features.values)) == (counties, measures)


@pytest.mark.parametrize("name", ["nowhere.csv", "nowhere.parquet", "folder"])
def test_a_file_that_is_not_there_is_named(tmp_path, name):
    (tmp_path / "folder").mkdir()
    found = "a folder" if name == "folder" else "no such file"
    with pytest.raises(ClaimDataError, match=f"E_NO_FILE: expected a file of .*{name}', found {found}"):
        read_county_features(tmp_path / name)
