"""The command `cohort event`: sizes and seeds on the command line, and what it says."""

import json
import sys

import pytest
from cohorts.patients_by_hand import ADMISSION, ASTHMA_VISIT, paid, patient, write_claims
from datasets import load_from_disk
from typer.testing import CliRunner

from claim_transformers.cli import app, main
from claim_transformers.cli.cohort import _EVENT_HELP
from claim_transformers.cohorts import built_in_cohorts, load_definition


@pytest.fixture
def claims(tmp_path):
    children = []
    for i in range(60):
        visits = [ASTHMA_VISIT, ("2012-12-20", "OP", ["ICD9CM/4659"]), *([ADMISSION] if i % 3 == 0 else [])]
        children.append(patient(f"P{i:03d}", *visits) | paid("2012-06-01", "2014-12-31", "2014-12-31")
                        | ({} if i % 3 == 0 else paid("2012-06-01", "2014-12-31")))  # fmt: skip
    return write_claims(tmp_path / "claims", children)


def run(*arguments):
    command = ["cohort", "event", "asthma_exacerbation", *map(str, arguments)]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0
    return " ".join(result.output.split())


def test_sizes_and_seed_of_the_command_line_win_over_the_definition(claims, tmp_path):
    run(claims, tmp_path / "a", "--cases", 10, "--controls-per-case", 1.5)
    output = run(claims, tmp_path / "b", "--cases", 10, "--controls-per-case", 1.5, "--seed", 1)
    assert "sampled (at most 10 cases" in output
    names = []
    for folder, seed in (("a", 0), ("b", 1)):
        content = json.loads((tmp_path / folder / "cohort.json").read_text())
        assert content["sampling"] == {"cases": 10, "controls_per_case": 1.5, "patients": None, "seed": seed}
        splits = load_from_disk(str(tmp_path / folder))
        names.append({name for split in splits.values() for name in split["patient_id"]})
        assert len(names[-1]) == 25
    assert names[0] != names[1]


def test_index_dates_of_the_command_line_win_over_the_definition(claims, tmp_path):
    run(claims, tmp_path / "out", "--cases", 10, "--index-date", "2013-02-01", "--index-date", "2012-11-01")
    content = json.loads((tmp_path / "out" / "cohort.json").read_text())
    assert content["index"]["dates"] == ["2013-02-01", "2012-11-01"]
    days = {day for split in load_from_disk(str(tmp_path / "out")).values() for day in split["index_day"]}
    assert days <= {15737, 15645}


def test_index_dates_go_with_definitions_that_have_some():
    with pytest.raises(
        ValueError, match=r"expected index dates with the rule 'fixed_date' alone, found 'next_encounter'"
    ):
        load_definition("next_diagnoses", "event").with_index_dates(["2013-01-01"])
    with pytest.raises(ValueError, match=r"index.dates: expected an ISO date"):
        load_definition("asthma_exacerbation", "event").with_index_dates(["soon"])


def test_all_takes_everybody(claims, tmp_path):
    output = run(claims, tmp_path / "out", "--cases", "all", "--controls-per-case", "all")
    assert "kept (no sampling)" in output
    assert sum(split.num_rows for split in load_from_disk(str(tmp_path / "out")).values()) == 60


def test_the_summary_shows_who_is_hidden_and_drawn_and_where_the_chart_is(claims, tmp_path):
    output = run(claims, tmp_path / "out", "--cases", 10)
    for words in ("cases not drawn", "cases / controls", "visits were not paid by the index date and are hidden",
                  "flow_chart.svg", "train: cases / controls"):  # fmt: skip
        assert words in output
    assert (tmp_path / "out" / "flow_chart.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--cases", "many"], "expected a whole number or 'all' as --cases, found another text"),
        (["--cases", "1.5"], "expected a whole number or 'all' as --cases"),
        (["--controls-per-case", "few"], "expected a number or 'all' as --controls-per-case"),
        (["--cases", "0"], "sampling.cases: expected at least 1, found 0"),
        (["--patients", "9"], "an event has cases and controls"),
    ],
)
def test_sizes_that_do_not_fit_end_with_one_line(claims, tmp_path, capsys, monkeypatch, options, message):
    command = ["claim-transformers", "cohort", "event", "asthma_exacerbation"]
    monkeypatch.setattr(sys, "argv", [*command, str(claims), str(tmp_path / "out"), *options])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_help_names_every_event():
    assert _EVENT_HELP.partition(", or")[0].split(", ") == built_in_cohorts("event")


def test_counts_of_1_to_10_are_printed_drawn_and_written_only_with_raw_counts(claims, tmp_path):
    # 20 cases and 40 controls, of which 3 cases are not drawn.
    arguments = claims, "--cases", 17, "--controls-per-case", 2
    for folder, options in (("shown", []), ("raw", ["--raw-counts"])):
        output = run(claims, tmp_path / folder, *arguments[1:], *options)
        texts = [output, *((tmp_path / folder / name).read_text() for name in ("flow_chart.svg", "attrition.json"))]
        is_raw = folder == "raw"
        assert [text in whole for text, whole in zip(
            ["cases not drawn │ │ 3", "3 cases not drawn", '"cases not drawn": 3'], texts, strict=True
        )] == [is_raw] * 3  # fmt: skip
        # 20 less 17 would tell.
        assert ("20 / 40" in output, '"cases": 20' in texts[2]) == (is_raw, is_raw)
