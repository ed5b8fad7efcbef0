"""Pushes through the real client to a hub on 127.0.0.1."""

import hashlib
import json
import re

import pytest
from hub.loopback_hub import TOKEN, Fault

from claim_transformers.hub.connection import _ATTEMPTS

CHECKPOINT_FILES = {"config.json", "manifest.json", "model.safetensors", "tokenizer_config.json", "vocab.json"}


def test_the_usual_methods_of_transformers_push_and_load(hub, client):
    seen = client("push_and_load_the_usual_way", "plain")
    assert seen["loaded"] == seen["auto"] == seen["pushed"]
    assert seen["same_vocabulary"]
    assert seen["auto_tokenizer"] == "ClaimTokenizer"
    assert hub.repos["model", "loopback/plain"].private


def test_a_checkpoint_is_pushed_as_one_commit_and_loads_with_the_same_weights(hub, client):
    pushed = client("push", "once", commit_message="First checkpoint")
    repo = hub.repos["model", "loopback/once"]
    assert [repo.messages[sha] for sha in repo.commits] == ["initial commit", "First checkpoint"]
    assert repo.branches["main"] == pushed["commit"]
    assert pushed["commit"] in pushed["url"]
    assert client("load_pushed", "loopback/once") == client("load_pushed", "loopback/once", pushed["commit"])
    assert repo.private


def test_nothing_but_the_files_of_a_checkpoint_is_pushed(hub, client):
    client("push", "without-code", with_code=False)
    files = set(hub.files("loopback/without-code")) - {".gitattributes"}
    assert files >= CHECKPOINT_FILES
    assert all(name.endswith((".json", ".safetensors")) for name in files)
    assert "auto_map" not in json.loads(hub.files("loopback/without-code")["config.json"])
    client("push", "with-code", with_code=True)
    extra = set(hub.files("loopback/with-code")) - {".gitattributes"} - files
    assert extra
    assert all(re.fullmatch(r"[a-z_]+_claim\.py", name) for name in extra)


def test_no_token_and_no_path_of_this_machine_is_pushed(hub, client, tmp_path_factory):
    client("push", "clean")
    for name, content in hub.files("loopback/clean").items():
        assert TOKEN.encode() not in content, name
        assert str(tmp_path_factory.getbasetemp()).encode() not in content, name


def test_a_push_with_code_leaves_the_classes_as_they_were(hub, client):
    seen = client("classes_after_a_push_with_code", "state")
    assert seen == {"auto_class": [None, None, None], "auto_map": None}


def test_the_card_of_the_hub_stays_when_no_card_is_given(hub, client, tmp_path):
    (tmp_path / "card.md").write_text("# A card\n")
    client("push", "carded", card=tmp_path / "card.md")
    client("push", "carded", seed=1)
    assert hub.files("loopback/carded")["README.md"] == b"# A card\n"


def test_weights_of_an_earlier_push_do_not_stay_behind(hub, client):
    client("push", "shards", max_shard_size="2KB")
    assert "model.safetensors.index.json" in hub.files("loopback/shards")
    client("push", "shards", with_code=False)
    files = set(hub.files("loopback/shards"))
    assert {name for name in files if "safetensors" in name} == {"model.safetensors"}
    assert not any(name.endswith(".py") for name in files)


def test_a_branch_is_created_and_main_stays(hub, client):
    pushed = client("push", "branched", revision="v1")
    repo = hub.repos["model", "loopback/branched"]
    assert repo.branches["v1"] == pushed["commit"] != repo.branches["main"]
    assert set(hub.files("loopback/branched")) == {".gitattributes"}


def test_a_private_push_is_refused_by_a_public_repository(hub, client):
    client("push", "open", private=False)
    before = dict(hub.repos["model", "loopback/open"].branches)
    refused = client("push", "open", seed=1)
    assert refused["kind"] == "PushRefusedError"
    assert "to be public" in refused["error"]
    assert hub.repos["model", "loopback/open"].branches == before


@pytest.mark.parametrize("name", ["training_args.bin", "optimizer.pt", "trainer_state.json", "rng_state.pth"])
def test_a_training_folder_is_refused_before_any_request(hub, client, tmp_path, name):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / name).write_text("secret")
    refused = client("push_saved", tmp_path, "never")
    assert refused["kind"] == "PushRefusedError"
    assert name in refused["error"]
    assert not hub.requests


@pytest.mark.parametrize(
    "fault",
    [
        Fault("POST", "/commit/", status=503),
        Fault("POST", "/commit/", status=429),
        Fault("POST", "/commit/", cut="before"),
        Fault("POST", "/commit/", cut="after"),
        Fault("POST", "/repos/create", cut="after"),
        Fault("GET", "/api/models/", status=502),
    ],
    ids=lambda fault: f"{fault.path}-{fault.status or fault.cut}",
)
def test_a_fault_that_passes_costs_one_retry_and_makes_one_commit(hub, client, fault):
    client("push", "busy")
    fault.times = 1
    hub.faults = [fault]
    pushed = client("push", "busy", seed=1)
    repo = hub.repos["model", "loopback/busy"]
    assert pushed["waits"] == [1]
    assert len(repo.commits) == 3
    assert repo.branches["main"] == pushed["commit"]


def test_the_wait_that_the_hub_asks_for_is_kept(hub, client):
    hub.faults = [Fault("POST", "/commit/", status=429, headers={"Retry-After": "17"})]
    assert client("push", "patient")["waits"] == [17]


@pytest.mark.parametrize(
    ("fault", "attempts", "said"),
    [
        (Fault("POST", "/commit/", status=401), 1, "status 401"),
        (Fault("POST", "/commit/", status=403), 1, "status 403"),
        (Fault("POST", "/preupload/", status=401), 1, "status 401"),
        (Fault("POST", "/commit/", status=400), 1, "status 400"),
        (Fault("POST", "/commit/", status=503), _ATTEMPTS, "status 503"),
        (Fault("POST", "/commit/", cut="before"), _ATTEMPTS, "connection was cut"),
    ],
    ids=lambda value: f"{value.path}-{value.status or value.cut}" if isinstance(value, Fault) else None,
)
def test_a_fault_that_stays_leaves_the_hub_at_the_old_commit(hub, client, fault, attempts, said):
    client("push", "stuck")
    old = dict(hub.files("loopback/stuck"))
    hub.requests.clear()
    fault.times = 99
    hub.faults = [fault]
    failed = client("push", "stuck", seed=1)
    assert failed["kind"] == "HubError"
    assert failed["error"].startswith("E_HUB: ")
    assert said in failed["error"]
    assert TOKEN not in failed["error"]
    assert len(failed["waits"]) == attempts - 1
    assert sum(fault.path in request for request in hub.requests) == attempts
    assert hub.files("loopback/stuck") == old


def test_a_connection_cut_while_weights_are_sent_leaves_the_old_commit_readable(hub, client):
    client("push", "cut")
    before = client("load_pushed", "loopback/cut")
    hub.faults = [Fault("PUT", "/lfs/", status=400)]
    assert client("push", "cut", seed=1)["kind"] == "HubError"
    assert client("load_pushed", "loopback/cut") == before


@pytest.mark.parametrize("status", [401, 404])
def test_weights_that_xet_does_not_take_leave_the_old_commit(hub, client, status):
    client("push", "xet")
    before = dict(hub.files("loopback/xet"))
    hub.faults = [Fault("GET", "/xet-write-token/", status=status)]
    failed = client("push_through_xet", "xet", 1)
    assert failed["kind"] == "HubError"
    assert f"through Xet, status {status}" in failed["error"]
    assert hub.files("loopback/xet") == before


def test_a_network_that_goes_away_at_any_request_leaves_a_whole_commit(hub, client):
    client("push", "gone")
    seen = []
    for requests in range(12):
        old = dict(hub.files("loopback/gone"))
        hub.requests.clear()
        hub.dies_after = requests
        pushed = client("push_without_pauses", "gone", requests + 1)
        hub.dies_after = None
        seen.append("commit" in pushed)
        assert seen[-1] or pushed["kind"] == "HubError"
        assert seen[-1] == (hub.files("loopback/gone") != old)
        new = hub.files("loopback/gone")
        manifest = json.loads(new["manifest.json"])["files"]
        assert {name: hashlib.sha256(new[name]).hexdigest() for name in manifest} == {
            name: entry["sha256"] for name, entry in manifest.items()
        }
    assert seen[:4] == [False] * 4
    assert seen[-1]
    assert seen == sorted(seen)


def test_a_commit_of_somebody_else_in_between_is_not_overwritten(hub, client):
    client("push", "shared")
    repo = hub.repos["model", "loopback/shared"]
    theirs = {**hub.files("loopback/shared"), "config.json": b"{}"}
    hub.faults = [Fault("POST", "/preupload/", meanwhile=lambda: repo.commit("main", theirs, "theirs"))]
    failed = client("push", "shared", seed=1)
    assert "somebody else committed" in failed["error"]
    assert failed["waits"] == []
    assert hub.files("loopback/shared") == theirs


def test_a_commit_of_somebody_else_after_a_cut_is_not_taken_for_our_own(hub, client):
    client("push", "cut-and-shared")
    repo = hub.repos["model", "loopback/cut-and-shared"]
    theirs = {**hub.files("loopback/cut-and-shared"), "config.json": b"{}"}
    hub.faults = [
        Fault("POST", "/commit/", cut="before"),
        Fault("POST", "/preupload/", meanwhile=lambda: repo.commit("main", theirs, "theirs")),
    ]
    failed = client("push", "cut-and-shared", seed=1)
    assert "somebody else committed" in failed["error"]
    assert hub.files("loopback/cut-and-shared") == theirs


def test_a_repository_of_another_owner_cannot_be_pushed_to_without_a_word(hub, client):
    hub.faults = [Fault("POST", "/repos/create", status=403, times=9)]
    failed = client("push", "other/model")
    assert failed["kind"] == "HubError"
    assert "'other/model' with status 403" in failed["error"]
