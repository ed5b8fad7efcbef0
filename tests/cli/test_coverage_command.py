import json

from cohorts.patients_by_hand import ADMISSION, ASTHMA_VISIT, patient, write_claims
from typer.testing import CliRunner

from claim_transformers.cli import app

_BY_CATEGORY = [*["0.00", "%"] * 2, "100.00", "%", *["0.00", "%"] * 2]


def test_the_table_and_the_json_say_the_same_of_a_shipped_checkpoint(tmp_path):
    modern = ("2016-01-01", "OP", ["ICD10CM/J45909", "HCPCS/99213"])
    claims = write_claims(tmp_path / "claims", [patient("A", ASTHMA_VISIT, ADMISSION, modern)], last_day="2016-12-31")
    command = ["coverage", "claim-pt-base", str(claims)]
    result = CliRunner().invoke(app, [*command, "--raw-counts"], catch_exceptions=False)
    assert result.exit_code == 0
    assert result.output.splitlines()[1].split() == ["ICD9CM", "2", "2", *_BY_CATEGORY]
    found = json.loads(CliRunner().invoke(app, [*command, "--json", "--raw-counts"], catch_exceptions=False).output)
    assert [row["system"] for row in found["systems"]] == ["ICD9CM", "ICD10CM", "HCPCS", "all"]
    expected = {"known": 0, "parent": 0, "category": 2, "wider": 0, "unknown": 0}
    assert found["systems"][0]["occurrences"] == expected
    # Without asking no count of 1 to 10 is told, nor a share that gives one away.
    table = CliRunner().invoke(app, command).output.splitlines()
    assert table[1].split() == ["ICD9CM", "<11", "2", *_BY_CATEGORY]
    assert table[4].split()[:4] == ["all", "<11", "4", "<11"]
    shown = json.loads(CliRunner().invoke(app, [*command, "--json"]).output)["systems"][0]
    assert (shown["num_occurrences"], shown["occurrences"]["category"], shown["shares"]["category"]) == (
        "<11",
        "<11",
        1.0,
    )
