"""The cohort command with readmissions: its options, its summary, and options of other cohorts."""

import json
import sys

import pytest
from cohorts.stays_by_hand import inpatient, write_stays
from datasets import load_from_disk
from typer.testing import CliRunner

from claim_transformers.cli import app, main


@pytest.fixture(scope="module")
def claims(tmp_path_factory):
    stays = []
    for number in range(60):
        again = "2009-05-15" if number % 3 else "2009-07-15"
        stays.append(
            inpatient(f"p{number}", f"{number}-1", "2009-05-01", "2009-05-05", discharge_disposition_code="01")
        )
        stays.append(inpatient(f"p{number}", f"{number}-2", again, "2009-07-16" if number % 3 == 0 else "2009-05-16"))
    return write_stays(tmp_path_factory.mktemp("cli") / "claims", stays)


def run(*arguments):
    result = CliRunner().invoke(app, ["cohort", "readmission", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    return " ".join(result.output.split())


def test_the_summary_states_the_rate_and_the_folder_holds_the_options(claims, tmp_path):
    table = tmp_path / "svi.csv"
    table.write_text("FIPS,smokers\n01001,3\n")
    output = run(claims, tmp_path / "out", "--rule", "plain", "--hide-disposition", "--see-unpaid",
                 "--look-back-days", 30, "--county-features", table, "--seed", 3)  # fmt: skip
    assert "40 of 120 index stays were readmitted: 33.33 %." in output
    assert "120 stays have no known county" in output
    content = json.loads((tmp_path / "out" / "cohort.json").read_text())
    assert (content["rule"], content["disposition"], content["hide_unpaid"]) == ("plain", False, False)
    assert (content["look_back_days"], content["seed"]) == (30, 3)
    splits = load_from_disk(str(tmp_path / "out"))
    assert sum(split.num_rows for split in splits.values()) == 120
    assert not any("DISP" in str(split["codes"][:]) for split in splits.values())


def fail(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["claim-transformers", "cohort", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_options_of_another_kind_of_cohort_are_refused(claims, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    assert "expected no --cases" in fail(monkeypatch, capsys, "readmission", claims, out, "--cases", 5)
    message = fail(monkeypatch, capsys, "asthma_exacerbation", claims, out, "--rule", "stays")
    assert "expected no --rule for the cohort 'asthma_exacerbation'" in message
    assert "rule out of plain, stays, unplanned" in fail(
        monkeypatch, capsys, "readmission", claims, out, "--rule", "x"
    )
    assert "--test-from" in fail(monkeypatch, capsys, "readmission", claims, out, "--test-from", "2009")


def test_sequences_are_written_and_their_vocabulary_is_printed(claims, tmp_path, monkeypatch, capsys):
    run(claims, tmp_path / "cohort", "--rule", "plain")
    arguments = [
        tmp_path / "cohort",
        tmp_path / "out",
        "--depth",
        "category",
        "--depth-of",
        "DISP=code",
        "--hide",
        "race",
    ]
    result = CliRunner().invoke(app, ["sequences", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    assert "Tokens at the depth of category" in " ".join(result.output.split())
    assert "CCS/108" in str(load_from_disk(str(tmp_path / "out"))["train"]["codes"][:])
    form = json.loads((tmp_path / "out" / "sequence_form.json").read_text())
    assert (form["depth"], form["depth_of_system"], form["hide"]) == ("category", {"DISP": "code"}, ["race"])
    again = [tmp_path / "cohort", tmp_path / "again", "--form-of", tmp_path / "out"]
    CliRunner().invoke(app, ["sequences", *map(str, again)], catch_exceptions=False)
    assert (tmp_path / "again" / "sequence_form.json").read_text() == (
        tmp_path / "out" / "sequence_form.json"
    ).read_text()
    monkeypatch.setattr(
        sys, "argv", ["claim-transformers", "sequences", *map(str, arguments[:2]), "--depth-of", "DISP"]
    )
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "expected SYSTEM=depth as --depth-of, such as NDC=code, found 'DISP'" in capsys.readouterr().err


def test_a_form_without_numbers_stays_without_them(claims, tmp_path):
    run(claims, tmp_path / "cohort", "--rule", "plain")
    first = [tmp_path / "cohort", tmp_path / "plain", "--number-bins", 0]
    again = [tmp_path / "cohort", tmp_path / "again", "--form-of", tmp_path / "plain"]
    for arguments in (first, again):
        CliRunner().invoke(app, ["sequences", *map(str, arguments)], catch_exceptions=False)
    forms = [(tmp_path / name / "sequence_form.json").read_text() for name in ("plain", "again")]
    assert forms[0] == forms[1]
    assert json.loads(forms[0])["bins"]["edges"] == {}
