"""Every Auto class, in processes that have never seen the test session."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub.load_auto import load
from huggingface_hub import constants

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.hub import install_checkpoint
from claim_transformers.models.claim import names_claim
from claim_transformers.models.registration import register

SCRIPT = Path(__file__).with_name("load_auto.py")
MODEL_FOLDER = Path(names_claim.__file__).parent
CLASSES = {
    "AutoConfig": "ClaimConfig",
    "AutoTokenizer": "ClaimTokenizer",
    "AutoModel": "ClaimModel",
    "AutoModelForPreTraining": "ClaimForPreTraining",
    "AutoModelForMaskedLM": "ClaimForMaskedLM",
    "AutoModelForSequenceClassification": "ClaimForSequenceClassification",
    "AutoModelForTokenClassification": "ClaimForVisitClassification",
}


@pytest.fixture(scope="module")
def store(client, tmp_path_factory):
    """A store with one checkpoint, and what that checkpoint predicts."""
    folder = tmp_path_factory.mktemp("store")
    return folder, client("save_to_store", folder / "claim-pt-fake")


@pytest.fixture(scope="module")
def remote(hub_server, client, client_environment, tmp_path_factory):
    """What a new process without the package makes of a checkpoint that was pushed with its code."""
    hub_server.forget()
    client("push", "with-code")
    folder = tmp_path_factory.mktemp("remote")
    process = subprocess.run(
        [sys.executable, str(SCRIPT), "loopback/with-code"],
        env={**client_environment, "HF_HOME": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


@pytest.fixture
def installed(store, tmp_path, monkeypatch):
    """What the Auto classes make of an installed name, offline and without the store."""
    with monkeypatch.context() as patch:
        patch.setenv("CLAIM_TRANSFORMERS_HOME", str(store[0]))
        install_checkpoint("claim-pt-fake", cache_dir=tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    register()
    return load("claim-pt-fake", cache_dir=tmp_path)


def test_a_pushed_checkpoint_loads_through_every_auto_class_without_the_package(remote):
    assert remote["classes"] == CLASSES
    assert not remote["has_package"]


def test_an_installed_name_loads_through_every_auto_class_offline(installed):
    assert installed["classes"] == CLASSES


def test_a_loaded_checkpoint_predicts_bit_for_bit_what_the_saved_one_does(store, remote, installed):
    for seen in (remote, installed):
        assert seen["input_ids"] == store[1]["input_ids"]
        assert seen["logits"] == store[1]["logits"]


def test_remote_code_runs_only_when_trusted(remote):
    assert "trust_remote_code=True" in remote["refusal"]


def test_installing_twice_changes_nothing(tmp_path, monkeypatch):
    source = tmp_path / "store" / "claim-pt-fake"
    source.mkdir(parents=True)
    (source / "config.json").write_text("{}")
    (source / "optimizer.pt").write_text("")
    monkeypatch.setenv("CLAIM_TRANSFORMERS_HOME", str(tmp_path / "store"))
    cache = tmp_path / "cache"
    first = install_checkpoint("claim-pt-fake", cache_dir=cache)
    assert install_checkpoint("claim-pt-fake", cache_dir=cache) == first
    files = sorted(str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file())
    repository = "models--claim-pt-fake"
    assert files == [f"{repository}/refs/main", f"{repository}/snapshots/{first.name}/config.json"]
    (source / "config.json").write_text('{"changed": true}')
    second = install_checkpoint("claim-pt-fake", cache_dir=cache)
    assert second != first
    assert (cache / repository / "refs" / "main").read_text() == second.name


def test_a_pipe_in_the_store_is_refused_and_a_cache_that_cannot_be_written_keeps_what_it_has(tmp_path, monkeypatch):
    source = tmp_path / "store" / "claim-pt-fake"
    source.mkdir(parents=True)
    (source / "config.json").write_text("{}")
    monkeypatch.setenv("CLAIM_TRANSFORMERS_HOME", str(tmp_path / "store"))
    (tmp_path / "cache").write_text("a file in place of a folder")
    with pytest.raises(ClaimDataError, match="E_WRITE"):
        install_checkpoint("claim-pt-fake", cache_dir=tmp_path / "cache")
    os.mkfifo(source / "form.json")
    with pytest.raises(ValueError, match=r"form\.json to be a file, found a pipe"):
        install_checkpoint("claim-pt-fake", cache_dir=tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("path", sorted(MODEL_FOLDER.glob("*_claim.py")), ids=lambda path: path.name)
def test_a_file_that_travels_imports_only_its_siblings_and_what_every_reader_has(path):
    """`from .x import y` is the one form that transformers' copier follows."""
    allowed = {"torch", "transformers", "huggingface_hub", "numpy", "pyarrow", "safetensors", *sys.stdlib_module_names}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert {name.name.partition(".")[0] for name in node.names} <= allowed
        elif isinstance(node, ast.ImportFrom) and node.level:
            assert node.level == 1
            assert node.module
            assert (MODEL_FOLDER / f"{node.module}.py").is_file()
        elif isinstance(node, ast.ImportFrom):
            assert str(node.module).partition(".")[0] in allowed
