"""From claims to an audit by commands alone, in a folder that is no clone."""

import json
import re
import sys

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from training.ingested_folder import ingested
from training.patients_at_random import random_patients
from typer.testing import CliRunner

from claim_transformers.cli import app, main
from claim_transformers.training import Calibration, save_calibration
from claim_transformers.training.run_arguments import FineTuningArguments, PretrainingArguments, recipe

TINY = {"visit_pooling": "sum", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
QUICK = ["--max_steps", "2", "--use_cpu", "True", "--disable_tqdm", "True", "--per_device_train_batch_size", "16"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pretrained and fine-tuned by the settings that ship, in two steps each."""
    folder = tmp_path_factory.mktemp("anywhere")
    ingested(folder / "claims", {"train": 48, "validation": 16, "test": 8})
    splits = {}
    for name, rows, first in (("train", 60, 1000), ("validation", 60, 2000), ("test", 80, 3000)):
        table = random_patients(rows, first, first=first, labels=True)
        splits[name] = datasets.Dataset(table.append_column("index_day", pa.array([15_400] * rows, pa.int32())))
    datasets.DatasetDict(splits).save_to_disk(str(folder / "cohort"))
    (folder / "tiny.json").write_text(json.dumps({"model": TINY, "tokenizer": {"time_tokens": "gap"}}))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "cache")
        for command in (
            ["pretrain", "--claims", "claims", "--model_config", "tiny.json", "--output_dir", "pretrained"],
            ["finetune", "--cohort", "cohort", "--model_name_or_path", "pretrained", "--output_dir", "models/ours"],
        ):
            patch.setattr(sys, "argv", ["claim-transformers", *command, *QUICK])
            with pytest.raises(SystemExit) as ended:
                main()
            assert not ended.value.code, command
    return folder


def test_commands_leave_what_the_scripts_leave(folder):
    assert (folder / "pretrained" / "eval_results.json").is_file()
    found = json.loads((folder / "models" / "ours" / "metrics.json").read_text())
    assert (found["name"], found["examples"]) == ("cohort: pretrained, fine-tuned", 80)
    assert pq.read_table(folder / "models" / "ours" / "predictions_validation.parquet").num_rows == 60


def test_an_audit_of_them_is_tables_in_a_folder_of_its_own(folder):
    line = Calibration({"method": "prior", "training_share": 0.5, "true_share": 0.1})
    save_calibration(folder / "models" / "ours", line)
    arguments = ["audit", str(folder / "models" / "ours"), str(folder / "cohort"), str(folder / "audit")]
    result = CliRunner().invoke(app, [*arguments, "--replicates", "20"], catch_exceptions=False)
    assert result.exit_code == 0
    for name in ("bands", "thresholds", "calibration", "subgroups"):
        assert (folder / "audit" / f"{name}.csv").is_file(), name
    rows = json.loads((folder / "audit" / "bands.json").read_text())["rows"]
    assert sum(row["rows"] for row in rows) == 80
    # A threshold of the tables is none of the scores, which are calibrated.
    said = re.search(r"calibrated: (\S+) here is (\S+) there", (folder / "audit" / "thresholds.md").read_text())
    assert float(said[2].rstrip(".")) == pytest.approx(line([float(said[1])])[0], abs=0.01)
    assert rows[-1]["share found"]["value"] == pytest.approx(1)
    assert "Not measured: drift" in result.output
    with pytest.raises(ValueError, match="E_EXISTS"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    swapped = datasets.load_from_disk(str(folder / "cohort"))
    swapped["test"] = swapped["validation"]
    swapped.save_to_disk(str(folder / "other"))
    arguments = ["audit", str(folder / "models" / "ours"), str(folder / "other"), str(folder / "none")]
    with pytest.raises(ValueError, match="expected predictions of the examples of the cohort"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_an_unknown_flag_ends_with_one_line_and_status_2(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["claim-transformers", "finetune", "--cohrt", "cohort"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "--cohrt" in capsys.readouterr().err


@pytest.mark.parametrize(("command", "kind"), [("pretrain", PretrainingArguments), ("finetune", FineTuningArguments)])
def test_help_names_every_flag_of_ours(command, kind):
    output = CliRunner().invoke(app, [command, "--help"]).output
    assert all(f"--{name}: " in output for name in kind.__dataclass_fields__)


def test_settings_that_ship_are_those_of_the_examples():
    for name in ("pretraining.yaml", "classification.yaml", "claim-pt-base.json", "medicare-encoder-base.json"):
        assert recipe(name).is_file(), name
