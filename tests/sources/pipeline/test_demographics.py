"""The crosswalk of counties, as the sources read it."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from claim_transformers.claims.engine import connect, fetch
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.pipeline.demographics import read_county_crosswalk

DATA = os.environ.get("CLAIMS_DATA_DIR")


@pytest.fixture
def connection():
    return connect(threads=1)


def _read(connection, path, scratch):
    scratch.mkdir()
    return fetch(connection, read_county_crosswalk(connection, path, scratch)).sort_by("ssacounty")


def test_a_repeated_ssa_code_has_its_smallest_fips_code(connection, tmp_path):
    (tmp_path / "x.csv").write_text("fipscounty,ssacounty,county\n01003,01000,B\n01001,01000,A\n,01020,C\n")
    rows = _read(connection, tmp_path / "x.csv", tmp_path / "scratch")
    assert rows.select(["ssacounty", "fipscounty"]).to_pylist() == [{"ssacounty": "01000", "fipscounty": "01001"}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fips,ssa\n01003,01000\n", "E_COLUMN"),
        ("fipscounty,ssacounty\n1003,SECRET\n", "E_LAYOUT: expected codes of five digits in x.csv, found 1 rows"),
    ],
)
def test_a_crosswalk_of_another_layout_is_refused_without_its_values(connection, tmp_path, text, message):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(ClaimDataError, match=message) as error:
        _read(connection, tmp_path / "x.csv", tmp_path / "scratch")
    assert "SECRET" not in str(error.value)


@pytest.mark.parametrize("name", ["nowhere.csv", "folder"])
def test_a_crosswalk_that_is_not_there_is_named(connection, tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ClaimDataError, match=f"E_NO_FILE: .*{name}"):
        _read(connection, tmp_path / name, tmp_path / "scratch")


@pytest.mark.skipif(not DATA, reason="CLAIMS_DATA_DIR is not set")
def test_the_crosswalk_knows_98_5_percent_of_the_beneficiaries_of_sample_1(connection, tmp_path):
    known = _read(connection, Path(str(DATA)) / "county" / "ssa_fips_county_crosswalk.csv", tmp_path / "scratch")
    for year in (2008, 2009, 2010):
        path = Path(str(DATA)) / "synpuf" / "sample1" / f"beneficiary_{year}.parquet"
        rows = pq.read_table(path, columns=["SP_STATE_CODE", "BENE_COUNTY_CD"])
        state, county = (rows[name].cast(pa.string()) for name in rows.column_names)
        codes = pc.binary_join_element_wise(pc.utf8_lpad(state, 2, "0"), pc.utf8_lpad(county, 3, "0"), "")
        found = pc.sum(pc.is_in(codes, value_set=known["ssacounty"].combine_chunks())).as_py()
        assert round(100 * found / len(codes), 1) == 98.5
