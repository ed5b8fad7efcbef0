"""The command `explain`: what was known on a day, one private file, and nothing that tells who a patient is."""

import stat

import pyarrow.parquet as pq
import pytest
import torch
from claim_batches import randomise
from cohorts.patients_by_hand import paid, patient, write_claims
from datasets import Dataset, DatasetDict
from typer.testing import CliRunner

from claim_transformers.cli import app
from claim_transformers.models.claim import ClaimConfig, ClaimForSequenceClassification, ClaimTokenizer
from claim_transformers.training import Calibration, save_calibration

TOKENS = ["SEX/F", "SEX/M", "AGE/8", "AGE/9", "TYPE/OP", "TYPE/IP", "HCPCS/99213", "HCPCS/99214", "HCPCS/99215"]
FIRST, SECOND = ("2012-01-05", "OP", ["HCPCS/99213"]), ("2012-02-01", "OP", ["HCPCS/99214", "HCPCS/99213"])
FUTURE, UNPAID = ("2012-07-01", "IP", ["HCPCS/99215"]), ("2012-03-01", "OP", ["HCPCS/99215"])
PAID = ("2012-01-20", "2012-02-20")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    tokenizer = ClaimTokenizer({token: number for number, token in enumerate(TOKENS, 3)})
    config = ClaimConfig(
        vocab_size=len(tokenizer), hidden_size=8, num_hidden_layers=1, intermediate_size=8, visit_pooling="sum",
        num_attention_heads=2,
    )  # fmt: skip
    torch.manual_seed(0)
    randomise(ClaimForSequenceClassification(config)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def run(*arguments, fails=False):
    result = CliRunner().invoke(app, ["explain", *map(str, arguments)])
    assert (result.exception is not None) == fails, result.output or result.exception
    return str(result.exception) if fails else result.output


def ids_in(folder, *ids):
    (folder / "ids.txt").write_text("\n".join(["", *ids, ids[0], ""]))
    return folder / "ids.txt"


def test_the_file_adds_up_and_holds_nothing_of_what_was_not_known(tmp_path, checkpoint):
    known = write_claims(
        tmp_path / "known", [patient("SECRET1", FIRST, SECOND, **paid(*PAID)), patient("P2", FIRST, **paid(PAID[0]))]
    )
    more = patient("SECRET1", FIRST, SECOND, UNPAID, FUTURE, **paid(*PAID, "2012-06-02", None))
    later = write_claims(tmp_path / "more", [more, patient("P2", FIRST, **paid(PAID[0]))], files=2)
    wanted = ids_in(tmp_path, "SECRET1", "P2", "SECRET3")
    options = ["--patient-file", wanted, "--at", "2012-06-01"]
    printed = run(checkpoint, known, tmp_path / "a.parquet", *options)
    assert "<11 predictions explained; patients found: not all, <11 of <11" in printed
    assert "SECRET" not in printed
    run(checkpoint, later, tmp_path / "b.parquet", *options)
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.equals(pq.read_table(tmp_path / "b.parquet"))
    assert stat.S_IMODE((tmp_path / "a.parquet").stat().st_mode) == 0o600
    rows = [row for row in table.to_pylist() if row["patient_id"] == "SECRET1"]
    tokens = [row for row in rows if row["kind"] != "visit"]
    assert [row["days_before_index"] for row in rows if row["kind"] == "visit"] == [148, 121]
    assert rows[0]["base"] + sum(row["contribution"] for row in tokens) == pytest.approx(
        rows[0]["prediction"], abs=0.1
    )
    assert {row["code"] for row in rows if row["kind"] == "code"} == {"HCPCS/99213", "HCPCS/99214"}


def test_the_table_of_one_patient_is_printed_and_a_file_is_replaced_only_if_asked(tmp_path, checkpoint):
    claims = write_claims(tmp_path / "claims", [patient("SECRET1", FIRST, SECOND)])
    command = [checkpoint, claims, tmp_path / "out.parquet", "--patient-file", ids_in(tmp_path, "SECRET1")]
    printed = run(*command, "--at", "2012-06-01", "--fast")
    assert "HCPCS/99213" in printed
    assert "patients found: all" in printed
    assert "(2 visits)" in printed
    assert "SECRET" not in printed
    assert "--overwrite" in run(*command, "--at", "2012-06-01", fails=True)
    save_calibration(checkpoint, Calibration({"method": "platt", "intercept": -3.0, "slope": 1.0}))
    try:
        assert "calibrated (platt)" in run(*command, "--at", "2012-06-01", "--overwrite")
    finally:
        (checkpoint / "calibration.json").unlink()


def test_examples_of_a_cohort_are_explained_as_they_are(tmp_path, checkpoint):
    visits = {"visit_day": [10], "visit_type": ["OP"], "codes": [["HCPCS/99213"]]}
    rows = [{"patient_id": "P1", "sex": "F", "index_day": day, **visits} for day in (30, 20)]
    DatasetDict(train=Dataset.from_list(rows[:1]), test=Dataset.from_list(rows[1:])).save_to_disk(tmp_path / "cohort")
    options = ["--patient-file", ids_in(tmp_path, "P1")]
    run(checkpoint, tmp_path / "cohort", tmp_path / "out.parquet", *options)
    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    found = [(row["index_day"], row["days_before_index"]) for row in table if row["kind"] == "visit"]
    assert found == [(20, 10), (30, 20)]
    assert "no index date" in run(
        checkpoint, tmp_path / "cohort", tmp_path / "x.parquet", *options, "--at", "2012-01-01", fails=True
    )


def test_what_cannot_be_explained_is_refused_without_an_identifier(tmp_path, checkpoint):
    claims = write_claims(tmp_path / "claims", [patient("P1", FIRST)])
    options = ["--patient-file", ids_in(tmp_path, "SECRET9")]
    assert "--at" in run(checkpoint, claims, tmp_path / "out.parquet", *options, fails=True)
    message = run(checkpoint, claims, tmp_path / "out.parquet", *options, "--at", "2012-06-01", fails=True)
    assert message.startswith("E_NO_PATIENTS")
    assert "SECRET" not in message
    (tmp_path / "ids.txt").write_text("\n")
    assert "1 to 10,000" in run(checkpoint, claims, tmp_path / "out.parquet", *options, fails=True)
    ids_in(tmp_path, "P1")
    command = ["claim-pt-base", claims, tmp_path / "out.parquet", *options, "--at", "2012-06-01"]
    assert "found no classifier.bias" in run(*command, fails=True)
    assert not (tmp_path / "out.parquet").exists()
