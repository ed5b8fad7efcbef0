"""A staging area keeps what was received; consolidation makes tables of it and says where each row is from."""

import hashlib
import os
import stat
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from sources.raw_claims import BENEFICIARY_FILE, write_synpuf
from sources.raw_claims import beneficiary as synpuf_beneficiary
from sources.raw_claims import inpatient as synpuf_inpatient
from sources.rif_rows import beneficiary, claim, drug, write_rif

import claim_transformers.sources.deliveries.staging_area as staging_module
from claim_transformers.claims.engine import connect, fetch, limits_of
from claim_transformers.claims.store import open_folder
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.deliveries.consolidation import _PROVENANCE_SCHEMA, consolidate
from claim_transformers.sources.deliveries.staging_area import Staging
from claim_transformers.sources.pipeline.ingest import ingest
from claim_transformers.sources.registry import find_stageable

YEAR_2008 = BENEFICIARY_FILE.format(year="2008")
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


def test_a_stray_quote_costs_a_staged_file_one_record(staging, tmp_path: Path) -> None:
    rows = [synpuf_inpatient(f"P{number}", f"C{number}", PRVDR_NUM="LEE") for number in range(1, 6)]
    rows[2]["PRVDR_NUM"] = "MAY"
    folder = write_synpuf(tmp_path / "raw", inpatients=rows)
    (file,) = folder.iterdir()
    file.write_bytes(file.read_bytes().replace(b"MAY", b'"MAY'))
    loads = {load.table: load for load in staging.load("synpuf", folder)}
    staged = fetch(staging.connection, staging.rows("synpuf", "inpatient").order_by("row_no"))
    assert staged["CLM_ID"].to_pylist() == ["C1", "C2", "C4", "C5"]
    assert loads["inpatient"].num_rows == 5
    assert staging.connection.raw_sql("SELECT row_no, reason_code FROM rejects").fetchall() == [(3, "R_NCOLS")]


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


def test_deliveries_with_files_of_one_name_stand_side_by_side(staging, tmp_path: Path) -> None:
    shared = claim("inpatient", "9", patient="P3")
    for year in ("2018", "2019"):
        folder = _rif(tmp_path / year, claim("inpatient", year), shared)
        staging.load("cms-rif", folder, corrects=False)
    assert all(load.is_valid for load in staging.loads())
    with pytest.raises(ClaimDataError, match=r"E_FILE_TWICE: inpatient\.csv has the content of load 1"):
        staging.load("cms-rif", tmp_path / "2018")
    limits = {"threads": 1, "memory_limit": "300MB"}
    summary = consolidate(staging, tmp_path / "out", progress=False, **limits, **ANY_SHARE)
    assert limits_of(staging.connection) == limits_of(connect(**limits))
    lines = pq.read_table(tmp_path / "out" / "claim_line")["claim_id"].to_pylist()
    # What both deliveries hold is a duplicate.
    assert sorted(lines) == ["2018-IP", "2019-IP", "9-IP"]
    assert summary.report["totals"]["dropped"] == 1
    names = {file["source_file"] for file in summary.report["files"]}
    assert names == {"inpatient.csv (load 1)", "inpatient.csv (load 2)"}


def test_a_file_that_repeats_most_claims_of_its_name_corrects_and_one_that_repeats_none_adds(staging, tmp_path):
    first = [claim("inpatient", str(number)) for number in range(4)]
    staging.load("cms-rif", _rif(tmp_path / "first", *first))
    staging.load("cms-rif", _rif(tmp_path / "second", *(claim("inpatient", f"2{number}") for number in range(3))))
    assert [load.superseded_by for load in staging.loads()] == [None, None]
    # Three of four come again, one of them in spaces, beside new ones.
    again = [claim("inpatient", name, CLM_PMT_AMT="5.00") for name in ("0", " 1 ", "2", "30", "31", "32", "33")]
    staging.load("cms-rif", _rif(tmp_path / "third", *again))
    assert [load.superseded_by for load in staging.loads()] == [3, None, None]
    half = [claim("inpatient", "20"), claim("inpatient", "40")]
    with pytest.raises(ClaimDataError, match=r"E_CORRECTION: .* none of load 2 .* found <11 of <11 \(CLM_ID\)"):
        staging.load("cms-rif", _rif(tmp_path / "fourth", *half))
    assert len(staging.loads()) == 3


@pytest.mark.parametrize(("again", "is_correction"), [(["1", "2"], False), (["1", "2", "\u00a03"], True)])
def test_a_file_that_repeats_exactly_half_of_a_load_is_asked_about(staging, tmp_path, again, is_correction) -> None:
    staging.load("cms-rif", _rif(tmp_path / "first", *(claim("inpatient", name) for name in "1234")))
    second = _rif(tmp_path / "second", *(claim("inpatient", name) for name in [*again, "8", "9"]))
    if is_correction:
        staging.load("cms-rif", second)
        assert [load.superseded_by for load in staging.loads()] == [2, None]
    else:
        with pytest.raises(ClaimDataError, match=r"E_CORRECTION: .* found <11 of <11 \(CLM_ID\)"):
            staging.load("cms-rif", second)


def test_years_of_beneficiaries_stand_side_by_side_and_a_year_that_comes_again_corrects(staging, tmp_path):
    for number, (year, sex) in enumerate((("2018", "1"), ("2019", "1"), ("2019", "2"))):
        person = beneficiary(RFRNC_YR=year, BENE_SEX_IDENT_CD=sex)
        staging.load("cms-rif", write_rif(tmp_path / str(number), beneficiary=[person]))
    assert [load.superseded_by for load in staging.loads()] == [None, 3, None]


def test_a_file_without_a_column_of_claims_is_not_guessed_at(staging, tmp_path, monkeypatch):
    staging.load("cms-rif", _rif(tmp_path / "raw"))
    changed = replace(find_stageable("cms-rif"), keys=(("CLAIM",),))
    monkeypatch.setattr(staging_module, "find_stageable", lambda source: changed)
    with pytest.raises(ClaimDataError, match=r"E_CORRECTION: expected a column of claims .* found none out of CLAIM"):
        staging.load("cms-rif", _rif(tmp_path / "again", claim("inpatient", CLM_PMT_AMT="5.00")))


def test_a_corrected_file_supersedes_the_older_load_whose_rows_stay(staging, tmp_path: Path) -> None:
    staging.load("cms-rif", _rif(tmp_path / "raw"))
    corrected = _rif(tmp_path / "raw", claim("inpatient", CLM_PMT_AMT="5.00"))
    staging.load("cms-rif", corrected, corrects=True)
    assert [(load.load_id, load.superseded_by) for load in staging.loads()] == [(1, 2), (2, None)]
    valid = fetch(staging.connection, staging.rows("cms-rif", "inpatient"))["CLM_PMT_AMT"].to_pylist()
    every = fetch(staging.connection, staging.connection.table("stage_cms_rif_inpatient")).num_rows
    assert (valid, every) == (["5.00"], 3)
    with pytest.raises(ClaimDataError, match="E_FILE_TWICE"):
        staging.load("cms-rif", _rif(tmp_path / "raw", claim("inpatient", CLM_PMT_AMT="5.00")), corrects=True)
    # The way back: what is no longer valid may come again.
    staging.load("cms-rif", _rif(tmp_path / "raw"), corrects=True)
    assert [load.superseded_by for load in staging.loads()] == [2, 3, None]


def test_a_correction_that_was_loaded_as_an_addition_is_put_right_by_naming_both_loads(staging, tmp_path) -> None:
    for paid in ("4.00", "5.00"):
        folder = _rif(tmp_path / "raw", claim("inpatient", CLM_PMT_AMT=paid))
        staging.load("cms-rif", folder, corrects=False)
    with pytest.raises(ClaimDataError, match=r"E_CORRECTION.*found the loads 1, 2: name the load by its number"):
        staging.load("cms-rif", _rif(tmp_path / "other", claim("inpatient", CLM_PMT_AMT="6.00")), corrects=True)
    with pytest.raises(ClaimDataError, match="E_FILE_TWICE"):
        staging.load("cms-rif", folder, corrects=[1])
    staging.load("cms-rif", folder, corrects=[1, 2])
    assert [load.superseded_by for load in staging.loads()] == [3, 3, None]


def test_a_correction_that_is_not_plain_is_refused(staging, tmp_path: Path) -> None:
    staging.load("cms-rif", _rif(tmp_path / "raw"))
    folder = _rif(tmp_path / "fixed", claim("inpatient", CLM_PMT_AMT="5.00"))
    renamed = (folder / "inpatient.csv").rename(folder / "inpatient_fixed.csv")
    with pytest.raises(ClaimDataError, match=r"E_CORRECTION: .* name inpatient_fixed\.csv to correct, found none"):
        staging.load("cms-rif", folder, corrects=True)
    with pytest.raises(ClaimDataError, match=r"E_CORRECTION: expected the number of a valid load of cms-rif .* 7"):
        staging.load("cms-rif", folder, corrects=[7])
    (folder / "inpatient_b.csv").write_text(renamed.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(ClaimDataError, match=r"E_CORRECTION: expected one file of inpatient .* found 2"):
        staging.load("cms-rif", folder, corrects=[1])
    assert len(staging.loads()) == 1
    staging.load("cms-rif", renamed, corrects=[1])
    assert [load.superseded_by for load in staging.loads()] == [2, None]


def test_loads_are_still_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    for number in range(2):
        with Staging(tmp_path / "staging.duckdb") as staging:
            staging.load("cms-rif", write_rif(tmp_path / str(number), part_d=[drug(str(number))]))
    with Staging(tmp_path / "staging.duckdb") as staging:
        assert [load.load_id for load in staging.loads()] == [1, 2]


def test_what_is_no_staging_area_or_no_staged_source_is_refused(staging, tmp_path: Path) -> None:
    other = tmp_path / "other.duckdb"
    other.write_bytes(b"something else" * 1000)
    with pytest.raises(ClaimDataError, match=r"E_STAGING: .* found a file that is no DuckDB file"):
        Staging(other)
    with pytest.raises(ClaimDataError, match=r"E_STAGING: .* found a folder: name a file"):
        Staging(tmp_path)
    with pytest.raises(ClaimDataError, match=r"E_STAGING: .* found no folder .*none to make it in"):
        Staging(tmp_path / "none" / "staging.duckdb")
    with pytest.raises(ClaimDataError, match=r"E_STAGING: .* found no file"):
        Staging(tmp_path / "none.duckdb", read_only=True)
    assert not (tmp_path / "none.duckdb").exists()
    with pytest.raises(ValueError, match="expected a source out of cclf, cms-rif, synpuf"):
        staging.load("tuva", tmp_path)
    with pytest.raises(ClaimDataError, match="E_NO_FILE"):
        consolidate(staging, tmp_path / "out", progress=False)


def test_a_staging_area_that_was_cut_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "staging.duckdb"
    with Staging(path) as staging:
        staging.load("cms-rif", _rif(tmp_path / "raw"))
    refused = set()
    # One block less each time.
    for size in range(path.stat().st_size, 0, -(1 << 18)):
        os.truncate(path, size)
        try:
            with Staging(path, read_only=True) as staging:
                staging.loads()
        except ClaimDataError as error:
            refused.add(error.reason_code)
    assert refused == {"E_ENGINE", "E_STAGING"}


@pytest.mark.parametrize("read_only", [True, False])
def test_a_pipe_is_no_staging_area_and_nobody_waits_for_it(tmp_path: Path, read_only: bool) -> None:
    os.mkfifo(tmp_path / "staging.duckdb")
    with pytest.raises(ClaimDataError, match="E_INPUT"):
        Staging(tmp_path / "staging.duckdb", read_only=read_only)


def test_what_a_killed_load_left_beside_the_staging_area_is_removed(staging, tmp_path: Path) -> None:
    left = tmp_path / ".staging.duckdb.writing-0123456789ab"
    left.mkdir()
    (left / "raw.csv").touch()
    staging.load("cms-rif", _rif(tmp_path / "raw"))
    assert not left.exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("read_only", [True, False])
def test_a_duckdb_file_of_something_else_is_left_as_it_is(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "mine.duckdb"
    with duckdb.connect(str(path)) as mine:
        mine.execute("CREATE TABLE loads (day DATE)")
    path.chmod(0o644)
    before = path.read_bytes()
    with pytest.raises(ClaimDataError, match=r"E_STAGING: .* found a DuckDB file of something else"):
        Staging(path, read_only=read_only)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (before, 0o644)


def test_beneficiaries_alone_are_no_claims_and_loads_have_names_of_their_own(staging, tmp_path: Path) -> None:
    staging.load("synpuf", write_synpuf(tmp_path / "raw", beneficiaries={"2008": [synpuf_beneficiary()]}) / YEAR_2008)
    with pytest.raises(ClaimDataError) as raised:
        consolidate(staging, tmp_path / "out", progress=False)
    assert str(raised.value) == (
        f"E_NO_FILE: expected claims of synpuf in staging.duckdb, found {YEAR_2008} (load 1) alone: stage its claims"
    )


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
    assert pq.read_schema(tmp_path / "out" / "provenance" / "part-00000.parquet").names == _PROVENANCE_SCHEMA.names


def test_every_line_of_rows_that_hold_several_has_its_provenance(staging, tmp_path: Path) -> None:
    stays = [synpuf_inpatient("S1", HCPCS_CD_1="99221", HCPCS_CD_2="99222")]
    people = {"2008": [synpuf_beneficiary("S1")]}
    staging.load("synpuf", write_synpuf(tmp_path / "synpuf", beneficiaries=people, inpatients=stays))
    summary = consolidate(staging, tmp_path / "out", progress=False, **ANY_SHARE)
    assert summary.lines["claim_line"] > 1
    provenance = pq.read_table(tmp_path / "out" / "provenance")
    assert provenance.num_rows == sum(summary.lines.values())


def test_lines_that_cannot_be_read_are_counted_checked_and_quarantined_as_by_ingest(staging, tmp_path: Path) -> None:
    folder = write_rif(tmp_path / "raw", part_d=[drug(f"D{number}") for number in range(4)])
    path = folder / "pde.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[2] = lines[2].rpartition("|")[0]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*lines, ""]).encode())
    staging.load("cms-rif", folder)
    with pytest.raises(ClaimDataError, match=r"E_QUARANTINE_RATE.*pde\.csv \(load 1\): R_NCOLS <11 of <11 rows"):
        consolidate(staging, tmp_path / "out", progress=False)
    consolidated = consolidate(staging, tmp_path / "out", progress=False, **ANY_SHARE)
    ingested = ingest("cms-rif", folder, tmp_path / "ingested", progress=False, **ANY_SHARE)
    entries = [{**file, "source_file": "pde.csv"} for file in consolidated.report["files"]]
    assert entries == ingested.report["files"]
    assert entries[0]["fixes"] == {"F_BOM": 1, "F_EOL": 5}
    quarantine = pq.read_table(tmp_path / "out" / "quarantine").to_pylist()
    assert [(row["row_no"], row["source_file"]) for row in quarantine] == [(2, "pde.csv (load 1)")]
    (given,) = open_folder(tmp_path / "out").manifest["inputs"]
    assert given["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_quarantine_of_two_loads_of_one_name_has_two_files(staging, tmp_path: Path) -> None:
    for year in ("2018", "2019"):
        staging.load("cms-rif", write_rif(tmp_path / year, part_d=[drug(year), drug(f"{year}B", SRVC_DT="soon")]))
    consolidate(staging, tmp_path / "out", progress=False, **ANY_SHARE)
    rows = pq.read_table(tmp_path / "out" / "quarantine").to_pylist()
    assert sorted((row["PDE_ID"], row["source_file"]) for row in rows) == [
        ("2018B", "pde.csv (load 1)"),
        ("2019B", "pde.csv (load 2)"),
    ]


def test_consolidation_gives_the_lines_that_ingest_gives(staging, tmp_path: Path) -> None:
    tables = {"carrier": [claim("carrier"), claim("carrier", line=2)], "part_d": [drug()]}
    folder = write_rif(tmp_path / "raw", beneficiary=[beneficiary()], **tables)
    staging.load("cms-rif", folder)
    consolidate(staging, tmp_path / "consolidated", progress=False)
    ingest("cms-rif", folder, tmp_path / "ingested", progress=False)
    for name in ("claim_line", "rx_claim", "eligibility"):
        one, other = (pq.read_table(tmp_path / out / name) for out in ("consolidated", "ingested"))
        assert one.equals(other)
