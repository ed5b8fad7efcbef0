"""The command `cohort readmission`: its options, its summary, and the sequences of its cohort."""

import json
import sys
from dataclasses import replace

import pytest
from cohorts.stays_by_hand import inpatient, write_stays
from datasets import load_from_disk
from typer.testing import CliRunner

from claim_transformers.claims.number_bins import NumberBins
from claim_transformers.cli import app, main
from claim_transformers.models.claim import ClaimTokenizer
from claim_transformers.training import find_form, make_form


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
    assert stop.value.code == 1
    return capsys.readouterr().err


def test_a_definition_of_ones_own_is_read_and_options_win_over_it(claims, tmp_path, monkeypatch, capsys):
    mine = tmp_path / "mine.yaml"
    mine.write_text("kind: readmission\nname: mine\nrule: unplanned\nlook_back_days: 60\nhide_unpaid: false\n")
    run(claims, tmp_path / "out", "--definition", mine, "--rule", "plain", "--hide-disposition")
    content = json.loads((tmp_path / "out" / "cohort.json").read_text())
    found = [content[key] for key in ("name", "rule", "look_back_days", "hide_unpaid", "disposition")]
    assert found == ["mine", "plain", 60, False, False]
    message = fail(monkeypatch, capsys, "readmission", claims, tmp_path / "x", "--definition", "asthma_exacerbation")
    assert "expected a definition of the kind 'readmission', found 'event'" in message


@pytest.mark.parametrize(
    "arguments", [["readmission", "--cases", "5"], ["event", "asthma_exacerbation", "--rule", "stays"]]
)
def test_each_kind_of_cohort_has_its_own_options_alone(claims, tmp_path, arguments):
    kind, *rest = arguments
    result = CliRunner().invoke(app, ["cohort", kind, *rest, str(claims), str(tmp_path / "out")])
    assert result.exit_code == 2
    assert f"No such option: {rest[-2]}" in result.output
    assert not (tmp_path / "out").exists()


def test_options_that_do_not_fit_end_with_one_line(claims, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
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
    assert "CCSR/CIR019" in str(load_from_disk(str(tmp_path / "out"))["train"]["codes"][:])
    form = json.loads((tmp_path / "out" / "form.json").read_text())
    assert (form["depth"], form["depth_of_system"], form["hide"]) == ("category", {"DISP": "code"}, ["race"])
    again = [tmp_path / "cohort", tmp_path / "again", "--form-of", tmp_path / "out"]
    CliRunner().invoke(app, ["sequences", *map(str, again)], catch_exceptions=False)
    assert (tmp_path / "again" / "form.json").read_text() == (tmp_path / "out" / "form.json").read_text()
    monkeypatch.setattr(
        sys, "argv", ["claim-transformers", "sequences", *map(str, arguments[:2]), "--depth-of", "DISP"]
    )
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    assert "expected SYSTEM=depth as --depth-of, such as NDC=code, found 'DISP'" in capsys.readouterr().err


def test_a_form_without_numbers_stays_without_them(claims, tmp_path):
    run(claims, tmp_path / "cohort", "--rule", "plain")
    first = [tmp_path / "cohort", tmp_path / "plain", "--number-bins", 0]
    again = [tmp_path / "cohort", tmp_path / "again", "--form-of", tmp_path / "plain"]
    for arguments in (first, again):
        CliRunner().invoke(app, ["sequences", *map(str, arguments)], catch_exceptions=False)
    forms = [(tmp_path / name / "form.json").read_text() for name in ("plain", "again")]
    assert forms[0] == forms[1]
    assert json.loads(forms[0])["bins"] == {}


def run_sequences(*arguments):
    result = CliRunner().invoke(app, ["sequences", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    return " ".join(result.output.split())


def fail_sequences(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["claim-transformers", "sequences", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    return capsys.readouterr().err


def test_a_form_refuses_depths_and_bins_and_hides_what_it_hides_and_more(claims, tmp_path, monkeypatch, capsys):
    cohort, form = tmp_path / "cohort", tmp_path / "form"
    run(claims, cohort, "--rule", "plain")
    run_sequences(cohort, form, "--depth", "category", "--hide", "disposition")
    given = ["--depth", "category", "--depth-of", "NDC=code", "--number-bins", 0]
    message = fail_sequences(monkeypatch, capsys, cohort, tmp_path / "out", "--form-of", form, *given)
    assert "expected no --depth, --depth-of, --number-bins with --form-of" in message
    assert not (tmp_path / "out").exists()
    run_sequences(cohort, tmp_path / "out", "--form-of", form, "--hide", "sex")
    content = [json.loads((folder / "form.json").read_text()) for folder in (form, tmp_path / "out")]
    assert [each.pop("hide") for each in content] == [["disposition"], ["disposition", "sex"]]
    assert content[0] == content[1]
    assert set(load_from_disk(str(tmp_path / "out"))["train"]["sex"]) == {None}


def checkpoint(folder, words, form):
    """A tokenizer that knows some words, with a form."""
    ClaimTokenizer({word: 3 + place for place, word in enumerate(words)}, form=form).save_pretrained(folder)
    return folder


def test_the_tokenizer_of_a_checkpoint_is_asked_what_it_knows(claims, tmp_path):
    cohort, form = tmp_path / "cohort", tmp_path / "form"
    run(claims, cohort, "--rule", "plain")
    run_sequences(cohort, form, "--depth", "category", "--number-bins", 0)
    other = checkpoint(tmp_path / "other", ["CCSR/END002", "DISP/01"], find_form(form))
    output = run_sequences(cohort, tmp_path / "a", "--form-of", other)
    assert "that the tokenizer of other knows" in output
    assert "Warning: other knows less than half of the codes of CCSR, all: it was pretrained on others" in output
    ours = checkpoint(tmp_path / "ours", ["CCSR/CIR019", "DISP/01"], find_form(form))
    output = run_sequences(cohort, tmp_path / "b", "--form-of", ours)
    # Few codes of one system: neither their number nor that of all less the others, nor the shares that would tell.
    assert "│ CCSR │ 18 │ 100.00 % │ │ DISP │ <11 │ hidden │ │ all │ hidden │ hidden │" in output
    assert "Warning" not in output


def test_bins_of_counties_come_from_a_cohort_or_a_checkpoint(claims, tmp_path, monkeypatch, capsys):
    table = tmp_path / "svi.csv"
    table.write_text("FIPS,smokers\n01001,3\n")
    edges = {"SMOKERS": (1.0, 2.0)}
    other = checkpoint(tmp_path / "other", ["CCSR/CIR019"], replace(make_form("category"), county_bins=edges))
    run(claims, tmp_path / "own", "--county-features", table)
    run(claims, tmp_path / "reused", "--county-features", table, "--county-bins-of", other)
    bins = [NumberBins.load(tmp_path / name / "county_bins.json").edges for name in ("own", "reused")]
    assert bins[0] != bins[1] == edges
    for name in ("own", "reused"):
        run_sequences(tmp_path / name, tmp_path / f"{name}-sequences", "--form-of", other)
        assert json.loads((tmp_path / f"{name}-sequences" / "form.json").read_text())["county_bins"] == {
            "SMOKERS": [1.0, 2.0]
        }
    written = [str(load_from_disk(str(tmp_path / f"{name}-sequences"))["train"][:]) for name in ("own", "reused")]
    assert written[0] == written[1]
    wrong = fail(monkeypatch, capsys, "readmission", claims, tmp_path / "x", "--county-bins-of", other)
    assert "expected --county-features with --county-bins-of, found none" in wrong
    wrong = fail(monkeypatch, capsys, "readmission", claims, tmp_path / "x", "--county-features", tmp_path)
    assert "E_NO_FILE" in wrong
    assert "found a folder" in wrong
