"""Every Auto class, in processes that have never seen the test session."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from claim_transformers.hub import install_checkpoint
from claim_transformers.models.claim import names_claim

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
def loads(hub_server, client, client_environment, tmp_path_factory):
    """What the two processes saw: `remote` has no package, `installed` has it and neither hub nor store."""
    folder = tmp_path_factory.mktemp("loads")
    hub_server.forget()
    store = folder / "store"
    reference = client("save_to_store", store / "claim-pt-fake")
    client("push", "with-code")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLAIM_TRANSFORMERS_HOME", str(store))
        install_checkpoint("claim-pt-fake", cache_dir=folder / "installed" / "hub")
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "installed")}
    alone = {**client_environment, "HF_HOME": str(folder / "remote")}
    processes = {
        "remote": _start(folder, "loopback/with-code", "without-package", alone),
        "installed": _start(folder, "claim-pt-fake", "with-package", {**client_environment, **nowhere}),
    }
    seen = {}
    for kind, process in processes.items():
        out, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
        seen[kind] = json.loads(out.splitlines()[-1])
    return {"reference": reference, **seen}


@pytest.mark.parametrize("kind", ["remote", "installed"])
def test_every_auto_class_gives_the_class_of_the_family(loads, kind):
    assert loads[kind]["classes"] == CLASSES


@pytest.mark.parametrize("kind", ["remote", "installed"])
def test_a_loaded_checkpoint_predicts_bit_for_bit_what_the_saved_one_does(loads, kind):
    assert loads[kind]["input_ids"] == loads["reference"]["input_ids"]
    assert loads[kind]["logits"] == loads["reference"]["logits"]


def test_remote_code_runs_without_the_package_and_only_when_trusted(loads):
    assert not loads["remote"]["has_package"]
    assert "trust_remote_code=True" in loads["remote"]["refusal"]


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


def _start(folder, name, package, environment):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), name, package],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
