"""The commands stage and consolidate: what they print, what they refuse, and that a refusal changes nothing."""

import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sources.raw_claims import inpatient, write_synpuf
from sources.rif_rows import beneficiary, claim, drug, write_rif
from typer.testing import CliRunner

from claim_transformers.cli import app, main
from claim_transformers.sources.deliveries.staging_area import Staging

ROWS, BROKEN = 9, 2


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return " ".join(result.output.split())


def fail(capsys, monkeypatch, *arguments: object) -> str:
    monkeypatch.setattr(sys, "argv", ["claim-transformers", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    errors = capsys.readouterr().err.replace("\r", "\n").splitlines()
    (line,) = [line for line in errors if line.startswith("error: ")]
    return line


def raw_files(folder: Path, paid: str = "5.00") -> Path:
    """Drug events, the cheapest table to consolidate; some have no day of service."""
    rows = [
        drug(f"D{number}", f"P{number % 3}", SRVC_DT="soon" if number < BROKEN else "05-Mar-2018", PTNT_PAY_AMT=paid)
        for number in range(ROWS)
    ]
    return write_rif(folder, part_d=rows)


def loads_of(staging: Path) -> list[tuple[int, str, int | None]]:
    with Staging(staging) as area:
        return [(load.load_id, load.file_name, load.superseded_by) for load in area.loads()]


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    path = tmp_path / "staging.duckdb"
    output = run("stage", "cms-rif", raw_files(tmp_path / "raw"), path)
    assert "│ 1 │ pde.csv │ part_d │ <11 │ 0 │" in output
    assert "Superseded" not in output
    return path


def test_the_same_file_twice_is_refused_and_nothing_is_loaded(staging, tmp_path, capsys, monkeypatch):
    message = fail(capsys, monkeypatch, "stage", "cms-rif", tmp_path / "raw" / "pde.csv", staging)
    assert "E_FILE_TWICE: pde.csv has the content of load 1" in message
    assert loads_of(staging) == [(1, "pde.csv", None)]


def test_a_corrected_file_supersedes_and_alone_is_consolidated(staging, tmp_path, capsys, monkeypatch):
    output = run("stage", "cms-rif", raw_files(tmp_path / "corrected", paid="6.00"), staging)
    assert "Superseded loads: 1. Their rows stay in the file. More than half of what they hold came again" in output
    assert loads_of(staging) == [(1, "pde.csv", 2), (2, "pde.csv", None)]
    out = tmp_path / "out"
    shares = ["--max-quarantine-share", "0.3", "--max-reason-share", "0.3"]
    output = run("consolidate", staging, out, *shares)
    for words in ("cms_rif_part_d", "with category", "<11 lines of rx_claim"):
        assert words in output
    assert (out / "quality_report.json").is_file()
    assert pq.read_table(out / "rx_claim").num_rows == ROWS - BROKEN
    provenance = pq.read_table(out / "provenance").to_pydict()
    assert provenance["load_id"] == [2] * (ROWS - BROKEN)
    assert sorted(provenance["row_no"]) == list(range(BROKEN + 1, ROWS + 1))
    assert "stands beside" not in output
    assert "E_EXISTS" in fail(capsys, monkeypatch, "consolidate", staging, out, *shares)


def test_a_second_delivery_stands_beside_the_first_and_can_be_made_a_correction(
    staging, tmp_path, capsys, monkeypatch
):
    second = raw_files(tmp_path / "second", paid="6.00")
    with (second / "pde.csv").open("a", encoding="utf-8") as file:
        file.write("cut|short\n")
    output = run("stage", "cms-rif", second, staging, "--adds")
    assert "│ 2 │ pde.csv │ part_d │ <11 │ <11 │" in output
    assert "Superseded" not in output
    assert "pde.csv (load 2) stands beside load 1 of the same name: all of them count." in output
    assert "If it corrects load 1, stage it again with --corrects-load 1 --corrects-load 2." in output
    assert loads_of(staging) == [(1, "pde.csv", None), (2, "pde.csv", None)]
    both = ["--corrects-load", "1", "--corrects-load", "2"]
    assert "found two of them" in fail(capsys, monkeypatch, "stage", "cms-rif", second, staging, "--corrects", *both)
    message = fail(
        capsys, monkeypatch, "stage", "cms-rif", raw_files(tmp_path / "third", "7.00"), staging, "--corrects"
    )
    assert "E_CORRECTION" in message
    assert "found the loads 1, 2: name the load by its number, corrects=[NUMBER] (--corrects-load NUMBER)" in message
    assert "Superseded loads: 1, 2." in run("stage", "cms-rif", second, staging, *both)
    # The way back to the first delivery.
    assert "Superseded loads: 3." in run("stage", "cms-rif", tmp_path / "raw", staging, "--corrects")


def test_consolidate_takes_the_options_of_its_sources(tmp_path, capsys, monkeypatch):
    denied = {"CARR_CLM_PMT_DNL_CD": "0"}
    person = beneficiary(STATE_CODE="22", BENE_COUNTY_CD="090")
    raw = write_rif(
        tmp_path / "raw", beneficiary=[person], carrier=[claim("carrier"), claim("carrier", "8", **denied)]
    )
    crosswalk = tmp_path / "counties.csv"
    crosswalk.write_text("fipscounty,ssacounty\n25017,22090\n")
    run("stage", "cms-rif", raw, tmp_path / "staging.duckdb")
    found = {}
    for name, options in {"plain": [], "asked": ["--keep-denied", "--county-crosswalk", crosswalk]}.items():
        run("consolidate", tmp_path / "staging.duckdb", tmp_path / name, *options)
        found[name] = [pq.read_table(tmp_path / name / table).to_pylist() for table in ("claim_line", "eligibility")]
    assert [len(lines) for lines, _ in found.values()] == [1, 2]
    assert [people[0]["county_fips"] for _, people in found.values()] == [None, "25017"]


def test_too_much_in_quarantine_leaves_no_folder(staging, tmp_path, capsys, monkeypatch):
    message = fail(capsys, monkeypatch, "consolidate", staging, tmp_path / "out")
    assert "E_QUARANTINE" in message
    assert not (tmp_path / "out").exists()


def test_what_does_not_fit_ends_with_one_line(staging, tmp_path, capsys, monkeypatch):
    missing = tmp_path / "none.duckdb"
    assert "expected a staging area at" in fail(capsys, monkeypatch, "consolidate", missing, tmp_path / "out")
    assert not missing.exists()
    text = tmp_path / "notes.txt"
    text.write_text("no database at all")
    for command in (["stage", "cms-rif", tmp_path / "raw", text], ["consolidate", text, tmp_path / "out"]):
        assert "found a file that is no DuckDB file" in fail(capsys, monkeypatch, *command)
    (tmp_path / "empty").mkdir()
    assert "E_NO_FILE" in fail(capsys, monkeypatch, "stage", "cms-rif", tmp_path / "empty", staging)
    assert loads_of(staging) == [(1, "pde.csv", None)]


def test_sources_and_options_that_there_are_not_are_wrong_usage(staging, tmp_path):
    for given, said in (
        (["stage", "tuva", tmp_path / "raw", staging], "expected a source out of cclf, cms-rif, synpuf, found 'tuva'"),
        (["stage", "synpuf", tmp_path / "raw", staging, "--layouts", tmp_path], "--layouts"),
        (["ingest", "synpuff", tmp_path / "raw", tmp_path / "out"], "simulated, synpuf, synthea, tables, tuva"),
        (["ingest", "synpuf", tmp_path / "raw", tmp_path / "out", "--delimiter", "|"], "--delimiter"),
    ):
        result = CliRunner().invoke(app, [str(one) for one in given])
        assert result.exit_code == 2
        assert said in " ".join(result.output.split())


def test_an_option_of_no_staged_source_is_refused(tmp_path, capsys, monkeypatch):
    raw = write_synpuf(tmp_path / "raw", inpatients=[inpatient()])
    run("stage", "synpuf", raw, tmp_path / "staging.duckdb")
    given = (tmp_path / "staging.duckdb", tmp_path / "out", "--layouts", tmp_path)
    message = fail(capsys, monkeypatch, "consolidate", *given)
    assert "expected options of the sources ['synpuf'], found ['layouts']" in message
    for option, said in {
        "--threads": "expected threads >= 1, found 0",
        "--memory-limit": "expected a memory_limit",
    }.items():
        assert said in fail(capsys, monkeypatch, "consolidate", *given[:2], option, "0")
