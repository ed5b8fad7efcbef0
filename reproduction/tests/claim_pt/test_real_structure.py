"""The script of the table: it says what it needs, and its YAML files are its arguments."""

from pathlib import Path

import pytest
import yaml

from claim_transformers.training import ClaimTrainingArguments, parse_arguments
from reproduction.tests.scripts_by_path import CLAIM_PT, load_script

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def script():
    return load_script(CLAIM_PT / "scripts" / "real_structure.py")


def test_without_a_folder_the_script_says_what_to_give(script, monkeypatch, tmp_path):
    monkeypatch.delenv("CLAIMS_DATA_DIR", raising=False)
    with pytest.raises(ValueError, match="expected --claims FOLDER with a meds data set, or CLAIMS_DATA_DIR"):
        script.find_claims(script.ScriptArguments(name="ours"))
    monkeypatch.setenv("CLAIMS_DATA_DIR", str(tmp_path))
    with pytest.raises(ValueError, match=r"expected a folder of meds data at .*ours, found none"):
        script.find_claims(script.ScriptArguments(name="ours"))
    (tmp_path / "ours").mkdir()
    assert script.find_claims(script.ScriptArguments(name="ours")) == tmp_path / "ours"


@pytest.mark.parametrize("name", ["meds_gibleed", "meds_synthea_1k", "synpuf_control"])
def test_every_key_of_a_yaml_file_is_an_argument(script, name, tmp_path):
    path = CLAIM_PT / "configs" / f"{name}.yaml"
    given = [str(path), "--output_dir", str(tmp_path), "--use_cpu", "True"]
    arguments, training = parse_arguments(script.ScriptArguments, ClaimTrainingArguments, arguments=given)
    for key, value in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        parsed = getattr(arguments, key) if hasattr(arguments, key) else getattr(training, key)
        assert key == "output_dir" or parsed == value
    assert (ROOT / arguments.model_config).is_file()


def test_the_script_fits_a_screen_and_a_half():
    assert len((CLAIM_PT / "scripts" / "real_structure.py").read_text(encoding="utf-8").splitlines()) <= 100
