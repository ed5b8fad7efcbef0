"""The commands: their help, their summaries and how they refuse."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cohorts.patients_by_hand import ADMISSION, ASTHMA_VISIT, patient, write_claims
from sources.raw_claims import pharmacy_claim, write_tuva
from typer.testing import CliRunner

from claim_transformers.cli import app, main

COMMANDS = (
    "simulate",
    "map",
    "ingest",
    "stage",
    "consolidate",
    "cohort",
    "sequences",
    "coverage",
    "pretrain",
    "finetune",
    "score",
    "explain",
    "report-adt",
    "audit",
    "report",
    "install-checkpoint",
)
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_no_command_shows_what_there_is():
    assert all(command in CliRunner().invoke(app, []).output for command in COMMANDS)


def test_simulate_then_ingest_then_cohort_by_the_command_line(tmp_path):
    run = CliRunner()
    steps = [
        ["simulate", "pediatric", str(tmp_path / "raw"), "--patients", "1500", "--seed", "3"],
        ["ingest", "simulated", str(tmp_path / "raw"), str(tmp_path / "claims")],
        ["cohort", "event", "asthma_exacerbation", str(tmp_path / "claims"), str(tmp_path / "cohort")],
    ]
    for step in steps:
        result = run.invoke(app, step, catch_exceptions=False)
        assert result.exit_code == 0, result.output
    assert "asthma on a claim in the two years before" in " ".join(result.output.split())
    assert (tmp_path / "claims" / "quality_report.json").is_file()
    assert (tmp_path / "cohort" / "dataset_dict.json").is_file()


def test_the_attrition_table_is_printed(tmp_path):
    claims = write_claims(
        tmp_path / "claims", [patient(f"P{i}", ASTHMA_VISIT, *([ADMISSION] if i % 2 else [])) for i in range(8)]
    )
    result = CliRunner().invoke(app, ["cohort", "event", "asthma_exacerbation", str(claims), str(tmp_path / "out")])
    assert result.exit_code == 0
    assert "removed" in result.output


def test_bad_input_ends_with_one_line_and_status_1(tmp_path):
    code = "from claim_transformers.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, "ingest", "tuva", str(tmp_path), str(tmp_path / "out"), "--extract-date", "soon"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
    assert "an ISO date" in result.stderr


def _fails(capsys, monkeypatch, *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["claim-transformers", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    lines = [line for line in capsys.readouterr().err.replace("\r", "\n").splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def test_full_memory_is_one_line(capsys, monkeypatch):
    def fill(*_):
        raise MemoryError

    monkeypatch.setattr("typer.main.get_command", fill)
    assert "E_MEMORY" in _fails(capsys, monkeypatch)


def test_a_query_that_the_user_stops_ends_as_any_stopped_command(monkeypatch):
    # What DuckDB 2.0 raises when a signal comes in the midst of a query.
    def stop(*_):
        raise RuntimeError("Query interrupted")

    monkeypatch.setattr("typer.main.get_command", stop)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 130


def test_every_command_that_writes_refuses_a_folder_that_is_there(tmp_path, capsys, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    out = str(tmp_path / "mine")
    claims = str(write_claims(tmp_path / "claims", [patient("P1", ASTHMA_VISIT)]))
    for command in (
        ["simulate", "pediatric", out],
        ["ingest", "tuva", claims, out],
        ["cohort", "event", "hospital_admission", claims, out],
    ):
        for overwrite in ([], ["--overwrite"]):
            assert "E_EXISTS" in _fails(capsys, monkeypatch, *command, *overwrite)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_the_shares_of_quarantine_can_be_moved(tmp_path, capsys, monkeypatch):
    drugs = [pharmacy_claim(claim=f"R{n}", dispensing_date="soon" if n < 3 else "2018-09-18") for n in range(50)]
    raw, out = str(write_tuva(tmp_path / "raw", pharmacy=drugs)), str(tmp_path / "out")
    assert "--max-reason-share" in _fails(
        capsys, monkeypatch, "ingest", "tuva", raw, out, "--max-quarantine-share", "0.5"
    )
    shares = ["--max-reason-share", "0.06", "--max-quarantine-share", "0.06"]
    result = CliRunner().invoke(app, ["ingest", "tuva", raw, out, *shares])
    assert result.exit_code == 0
    assert "with category" in result.output


def test_an_engine_that_is_none_is_refused(tmp_path, capsys, monkeypatch):
    claims, out = str(write_claims(tmp_path / "claims", [patient("P1", ASTHMA_VISIT)])), str(tmp_path / "out")
    for command in (
        ["ingest", "tuva", claims, out],
        ["cohort", "event", "hospital_admission", claims, out],
        ["cohort", "readmission", claims, out],
        ["sequences", claims, out],
        ["score", "no checkpoint", claims, out, "--at", "2013-01-01"],
    ):
        assert "E_SPARK" in _fails(capsys, monkeypatch, *command, "--engine", "somewhere")
    dry = _fails(capsys, monkeypatch, "ingest", "tuva", claims, out, "--engine", "spark", "--dry-run")
    assert "expected a dry run on one machine" in dry


def test_dates_that_do_not_fit_are_refused(tmp_path, capsys, monkeypatch):
    raw, out = str(tmp_path), str(tmp_path / "out")
    assert "an ISO date" in _fails(capsys, monkeypatch, "ingest", "tuva", raw, out, "--extract-date", "soon")
    assert "an ISO date" in _fails(capsys, monkeypatch, "simulate", "pediatric", out, "--start", "soon")


@pytest.mark.parametrize(
    ("option", "value", "strength"),
    [("--biased-subgroup", "dual", "--planted-bias"), ("--drift-year", "2011", "--planted-drift")],
)
def test_a_planted_bias_or_drift_needs_a_strength(tmp_path, option, value, strength):
    arguments = ["simulate", "medicare", str(tmp_path / "out"), "--patients", "9", option, value]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert f"expected {strength}, a strength from 0 to 1, with {option}" in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("population", "earlier"), [("pediatric", 1), ("medicare", 2)])
def test_a_simulation_is_coded_as_it_is_asked(tmp_path, population, earlier):
    command = ["simulate", population, str(tmp_path / "out"), "--patients", "3", "--end", "2010-12-31", "--overwrite"]
    manifest = tmp_path / "out" / "simulation.json"
    for options, told in (
        (["--icd10-from", "always"], {"icd10_from": "always", "simulation_version": earlier + 1}),
        (["--simulation-version", str(earlier)], {"simulation_version": earlier}),
        ([], {"icd10_from": "2015-10-01", "simulation_version": earlier + 1}),
    ):
        assert CliRunner().invoke(app, [*command, *options]).exit_code == 0
        content = json.loads(manifest.read_text())
        assert {name: content[name] for name in ("icd10_from", "simulation_version") if name in content} == told


@pytest.mark.parametrize(
    ("population", "option"),
    [
        ("pediatric", "--planted-bias"),
        ("pediatric", "--planted-drift"),
        ("medicare", "--dirt"),
        ("medicare", "--institution"),
    ],
)
def test_a_population_has_no_option_of_the_other(tmp_path, population, option):
    result = CliRunner().invoke(app, ["simulate", population, str(tmp_path / "out"), option, "1"])
    assert result.exit_code == 2
    assert f"No such option: {option}" in result.output
    assert not (tmp_path / "out").exists()


def test_a_population_that_is_not_simulated_is_refused(tmp_path):
    result = CliRunner().invoke(app, ["simulate", "paediatric", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "'pediatric'" in result.output


def test_the_command_line_writes_the_bytes_of_the_python_function(tmp_path):
    from claim_transformers import PlantedBias, simulate, simulate_medicare

    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for population, options, run in (
        ("pediatric", ["--institution", "b", "--dirt"], {"institution": "b", "dirt": "typical"}),
        (
            "medicare",
            ["--planted-bias", "0.5", "--biased-subgroup", "dual"],
            {"planted_bias": PlantedBias("dual", unrecorded=0.5, hidden=0.5)},
        ),
    ):
        arguments = ["simulate", population, str(ours / population), "--patients", "40", "--seed", "3", *options]
        assert CliRunner().invoke(app, arguments).exit_code == 0
        function = simulate if population == "pediatric" else simulate_medicare
        function(theirs / population, patients=40, seed=3, **run)
    written = sorted(path.relative_to(ours) for path in ours.rglob("*") if path.is_file())
    assert len(written) > 2
    assert all((ours / path).read_bytes() == (theirs / path).read_bytes() for path in written)


def test_arrow_takes_its_memory_as_the_process_does_unless_told_otherwise(monkeypatch) -> None:
    monkeypatch.setattr("typer.main.get_command", lambda _: lambda *_, **__: None)
    found = []
    monkeypatch.setenv("ARROW_DEFAULT_MEMORY_POOL", "mimalloc")
    for _ in range(2):
        main()
        found.append(os.environ["ARROW_DEFAULT_MEMORY_POOL"])
        monkeypatch.delenv("ARROW_DEFAULT_MEMORY_POOL")
    assert found == ["mimalloc", "system"]
