"""A staging area keeps what was received; consolidation makes tables of it and says where each row is from."""

import hashlib
import stat
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sources.raw_claims import beneficiary as synpuf_beneficiary
from sources.raw_claims import inpatient as synpuf_inpatient
from sources.raw_claims import write_synpuf
from sources.rif_rows import beneficiary, claim, drug, write_rif

from claim_transformers.claims.engine import fetch
from claim_transformers.claims.store import open_folder
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.consolidation import PROVENANCE_SCHEMA, consolidate
from claim_transformers.sources.ingest import ingest
from claim_transformers.sources.staging import Staging

ANY_SHARE = {"max_quarantine_share": 1.0, "max_reason_share": 1.0}


@pytest.fixture
def staging(tmp_path: Path):
    with Staging(tmp_path / "staging.duckdb") as staging:
        yield staging


def _rif(folder: Path, *rows) -> Path:
    return write_rif(folder, inpatient=rows or [claim("inpatient"), claim("inpatient", " 8 ", patient="P2")])


def test_rows_are_staged_as_they_were_received_with_load_hash_file_and_number(staging, tmp_path: Path) -> None:
    folder = _rif(tmp_path / "raw")
    (load,) = staging.load("cms-rif", folder)
    assert load.sha256 == hashlib.sha256((folder / "inpatient.csv").read_bytes()).hexdigest()
    rows = fetch(staging.connection, staging.rows("cms-rif", "inpatient").order_by("row_no")).to_pylist()
    assert [row["CLM_ID"] for row in rows] == ["7", " 8 "]
    assert [(row["load_id"], row["source_file"], row["row_no"]) for row in rows] == [
        (1, "inpatient.csv", 1),
        (1, "inpatient.csv", 2),
    ]
    assert {row["file_sha256"] for row in rows} == {load.sha256}
    assert stat.S_IMODE(staging.path.stat().st_mode) == 0o600


def test_the_same_file_is_refused_and_leaves_the_staging_area_as_it_was(staging, tmp_path: Path) -> None:
    folder = _rif(tmp_path / "raw")
    staging.load("cms-rif", folder)
    (folder / "snf.csv").write_bytes(
        write_rif(tmp_path / "other", snf=[claim("snf")]).joinpath("snf.csv").read_bytes()
    )
    with pytest.raises(ClaimDataError, match=r"E_FILE_TWICE: inpatient\.csv has the content of load 1"):
        staging.load("cms-rif", folder)
    (folder / "inpatient.csv").rename(folder / "inpatient_again.csv")
    with pytest.raises(ClaimDataError, match="E_FILE_TWICE"):
        staging.load("cms-rif", folder / "inpatient_again.csv")
    assert [load.file_name for load in staging.loads()] == ["inpatient.csv"]


def test_a_corrected_file_supersedes_the_older_load_whose_rows_stay(staging, tmp_path: Path) -> None:
    staging.load("cms-rif", _rif(tmp_path / "raw"))
    corrected = _rif(tmp_path / "raw", claim("inpatient", CLM_PMT_AMT="5.00"))
    staging.load("cms-rif", corrected)
    assert [(load.load_id, load.superseded_by) for load in staging.loads()] == [(1, 2), (2, None)]
    valid = fetch(staging.connection, staging.rows("cms-rif", "inpatient"))["CLM_PMT_AMT"].to_pylist()
    every = fetch(staging.connection, staging.connection.table("stage_cms_rif_inpatient")).num_rows
    assert (valid, every) == (["5.00"], 3)
    with pytest.raises(ClaimDataError, match="E_FILE_TWICE"):
        staging.load("cms-rif", _rif(tmp_path / "raw"))


def test_loads_are_still_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    for number in range(2):
        with Staging(tmp_path / "staging.duckdb") as staging:
            staging.load("cms-rif", write_rif(tmp_path / str(number), part_d=[drug(str(number))]))
    with Staging(tmp_path / "staging.duckdb") as staging:
        assert [load.load_id for load in staging.loads()] == [1, 2]


def test_what_is_no_staging_area_or_no_staged_source_is_refused(staging, tmp_path: Path) -> None:
    other = tmp_path / "other.duckdb"
    other.write_bytes(b"something else" * 1000)
    with pytest.raises(ClaimDataError, match="E_STAGING"):
        Staging(other)
    with pytest.raises(ValueError, match="expected a source out of cms-rif, synpuf"):
        staging.load("tuva", tmp_path)
    with pytest.raises(ClaimDataError, match="E_NO_FILE"):
        consolidate(staging, tmp_path / "out", progress=False)


def test_two_generations_become_one_schema_and_every_row_says_where_it_is_from(staging, tmp_path: Path) -> None:
    rif = write_rif(
        tmp_path / "rif", inpatient=[claim("inpatient"), claim("inpatient", line=2)], beneficiary=[beneficiary()]
    )
    with (rif / "inpatient.csv").open("a", encoding="utf-8") as file:
        file.write("broken|line\n")
        file.write((rif / "inpatient.csv").read_text(encoding="utf-8").splitlines()[1].replace("|7|", "|9|", 1) + "\n")
    people = {"2008": [synpuf_beneficiary("S1")]}
    synpuf = write_synpuf(tmp_path / "synpuf", beneficiaries=people, inpatients=[synpuf_inpatient("S1")])
    staging.load("synpuf", synpuf)
    staging.load("cms-rif", rif)
    summary = consolidate(staging, tmp_path / "out", progress=False, **ANY_SHARE)
    lines = pq.read_table(tmp_path / "out" / "claim_line").to_pylist()
    found = {(line["data_source"], line["claim_id"], line["diagnoses"][0]["system"]) for line in lines}
    assert found == {
        ("synpuf", "C1", "ICD9CM"),
        ("cms-rif", "7-IP", "ICD10CM"),
        ("cms-rif", "9-IP", "ICD10CM"),
    }
    provenance = pq.read_table(tmp_path / "out" / "provenance").to_pylist()
    assert len(provenance) == sum(summary.lines.values())
    where = {
        (row["claim_id"], row["claim_line_number"]): (row["load_id"], row["row_no"], row["rule"]) for row in provenance
    }
    loads = {load.file_name: load.load_id for load in staging.loads()}
    assert where["7-IP", 2] == (loads["inpatient.csv"], 2, "cms-rif/inpatient")
    # The broken line has number 3, as in the file.
    assert where["9-IP", 1] == (loads["inpatient.csv"], 4, "cms-rif/inpatient")
    assert where["C1", 1][2] == "synpuf/inpatient"
    manifest = open_folder(tmp_path / "out").manifest
    assert set(manifest["rules"]) == {row["rule"] for row in provenance}
    assert pq.read_schema(tmp_path / "out" / "provenance" / "part-00000.parquet").names == PROVENANCE_SCHEMA.names


def test_consolidation_gives_the_lines_that_ingest_gives(staging, tmp_path: Path) -> None:
    tables = {"carrier": [claim("carrier"), claim("carrier", line=2)], "part_d": [drug()]}
    folder = write_rif(tmp_path / "raw", beneficiary=[beneficiary()], **tables)
    staging.load("cms-rif", folder)
    consolidate(staging, tmp_path / "consolidated", progress=False)
    ingest("cms-rif", folder, tmp_path / "ingested", progress=False)
    for name in ("claim_line", "rx_claim", "eligibility"):
        one, other = (pq.read_table(tmp_path / out / name) for out in ("consolidated", "ingested"))
        assert one.equals(other)
