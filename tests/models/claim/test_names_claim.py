import subprocess
import sys
from pathlib import Path

import pytest

from claim_transformers.models.claim import names_claim
from claim_transformers.models.claim.configuration_claim import ClaimConfig
from claim_transformers.models.claim.modeling_claim import ClaimModel
from claim_transformers.models.claim.names_claim import (
    _list_checkpoints,
    checkpoint_hint,
    is_misspelt,
    naming_alternatives,
    resolve_checkpoint,
)
from claim_transformers.models.claim.tokenization_claim import ClaimTokenizer


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store with one checkpoint, and a working folder that is somewhere else."""
    store = tmp_path / "store"
    _checkpoint(store / "claim-pt-fake")
    monkeypatch.setenv("CLAIM_TRANSFORMERS_HOME", str(store))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return store


def _checkpoint(folder: Path, file: str = "config.json") -> Path:
    folder.mkdir(parents=True)
    (folder / file).write_text("{}")
    return folder


def test_a_name_of_the_store_becomes_its_folder(store):
    assert resolve_checkpoint("claim-pt-fake") == str(store / "claim-pt-fake")
    assert "claim-pt-fake" in _list_checkpoints()


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "vocab.json"])
def test_a_local_folder_wins_over_the_store(store, file):
    _checkpoint(Path("claim-pt-fake"), file)
    assert resolve_checkpoint("claim-pt-fake") == "claim-pt-fake"


def test_an_empty_folder_does_not_hide_a_checkpoint_of_the_store(store):
    Path("claim-pt-fake").mkdir()
    assert resolve_checkpoint("claim-pt-fake") == str(store / "claim-pt-fake")


def test_a_path_object_is_accepted(store):
    assert resolve_checkpoint(Path("claim-pt-fake")) == str(store / "claim-pt-fake")


@pytest.mark.parametrize("name", ["organisation/model", "claim-pt-other", "", ".", "..", "-", "x" * 500, "a\0b"])
def test_a_name_that_the_store_lacks_is_left_to_the_hub(store, name):
    assert resolve_checkpoint(name) == name


@pytest.mark.parametrize("name", ["../outside", "..", "claim-pt-fake/../../outside", "/outside", ".hidden"])
def test_no_name_leaves_the_store(store, name):
    _checkpoint(store.parent / "outside")
    _checkpoint(store / ".hidden")
    resolved = resolve_checkpoint(name)
    assert resolved == name
    assert not Path(resolved).is_relative_to(store)


def test_a_checkpoint_inside_the_installed_package_is_found_after_the_users_store(store, tmp_path, monkeypatch):
    package = tmp_path / "package"
    _checkpoint(package / "checkpoints" / "claim-pt-fake")
    _checkpoint(package / "checkpoints" / "claim-pt-shipped")
    monkeypatch.setattr(names_claim, "_package_folder", lambda: package)
    assert resolve_checkpoint("claim-pt-fake") == str(store / "claim-pt-fake")
    assert resolve_checkpoint("claim-pt-shipped") == str(package / "checkpoints" / "claim-pt-shipped")
    assert _list_checkpoints() == ["claim-pt-fake", "claim-pt-shipped"]


def test_a_misspelt_name_gets_the_nearest_checkpoints(store):
    assert "'claim-pt-fake'" in checkpoint_hint("claim-pt-faek")
    assert "Did you mean" not in checkpoint_hint("zzzzzz")
    assert checkpoint_hint("organisation/claim-pt-faek") == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("claim-pt-faek", True),
        ("claim-pt-fak", True),
        ("claim-pt-fake", False),
        ("claim-pt-large", False),
        ("organisation/claim-pt-faek", False),
    ],
)
def test_a_name_is_misspelt_when_it_is_all_but_one_of_the_store(store, name, expected):
    assert is_misspelt(name) is expected


def test_a_folder_of_a_similar_name_is_not_misspelt(store):
    Path("claim-pt-faek").mkdir()
    assert not is_misspelt("claim-pt-faek")


@pytest.mark.parametrize("kind", [ClaimConfig, ClaimModel, ClaimTokenizer])
def test_a_misspelt_name_fails_at_once_and_names_what_was_meant(kind, store, monkeypatch, tmp_path):
    """No request leaves: the client would repeat it for minutes where no network is."""

    def refuse(*args, **kwargs):
        pytest.fail("asked the Hub for a misspelt name")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    with pytest.raises(OSError, match="Did you mean 'claim-pt-fake'"):
        kind.from_pretrained("claim-pt-faek", cache_dir=tmp_path / "cache")


def test_a_failed_load_of_a_folder_keeps_its_own_message(store):
    Path("claim-pt-faek").mkdir()
    with pytest.raises(OSError, match=r"^own message$"), naming_alternatives("claim-pt-faek"):
        raise OSError("own message")


def test_the_file_works_alone_where_the_package_is_not_installed(store):
    """It travels with a checkpoint as remote code."""
    script = (
        "import sys, runpy; sys.path = [p for p in sys.path if 'site-packages' not in p and '/src' not in p]\n"
        f"names = runpy.run_path({names_claim.__file__!r})\n"
        "assert 'claim_transformers' not in sys.modules\n"
        "print(names['resolve_checkpoint']('claim-pt-fake'), names['_list_checkpoints']())"
    )
    shown = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True
    ).stdout
    assert shown.split() == [str(store / "claim-pt-fake"), "['claim-pt-fake']"]
