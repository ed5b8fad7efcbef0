"""The arguments and methods of `Trainer` for the Hub, through the real client to a hub on 127.0.0.1."""

import json

import pytest
from hub.loopback_hub import TOKEN, Fault

from claim_transformers.hub.draft_card import write_draft_card

PLANTED = ("patients.csv", "training_args.bin", "notes.json", "model-00001-of-00002.safetensors.bak")
FILES = {"config.json", "manifest.json", "model.safetensors", "tokenizer_config.json", "vocab.json", "categories.json"}


def plain_files(hub, name):
    return {file for file in hub.files(name) if not file.endswith(".py")} - {".gitattributes"}


def test_push_to_hub_sends_the_checkpoint_in_one_commit_and_nothing_that_lies_beside_it(hub, client, tmp_path):
    seen = client("train_and_share", tmp_path, "shared", planted=PLANTED, push_to_hub=True, save_strategy="no")
    repo = hub.repos["model", "loopback/shared"]
    assert "error" not in seen, seen
    assert seen["weights"] == seen["loaded"]
    assert [repo.messages[sha] for sha in repo.commits] == ["initial commit", "End of training"]
    assert repo.branches["main"] == seen["commit"]
    assert repo.private
    assert plain_files(hub, "loopback/shared") == FILES | {"README.md"}
    files = hub.files("loopback/shared")
    assert "modeling_claim.py" in files
    card = files["README.md"].decode()
    assert "license: mit" in card
    assert "pediatric" in card
    assert "simulated children" in card
    for name, content in files.items():
        assert b"secret" not in content, name
        assert str(tmp_path).encode() not in content, name
        assert TOKEN.encode() not in content, name


def test_a_classifier_is_shared_with_its_calibration_and_scored_with_it_by_name(hub, client, tmp_path):
    seen = client("fine_tune_and_share", tmp_path, "tuned")
    repo = hub.repos["model", "loopback/tuned"]
    assert [repo.messages[sha] for sha in repo.commits] == ["initial commit", "Model save"]
    assert seen["fitted"] is not None
    assert seen["by_name"] == seen["fitted"]
    assert seen["answer"] == pytest.approx(seen["expected"], abs=1e-6)
    assert abs(seen["own"] - seen["answer"]) > 0.01


def test_every_save_is_shared_and_a_hub_that_is_down_costs_one_of_them(hub, client, tmp_path):
    hub.faults = [Fault("POST", "/commit/", status=403)]
    seen = client("train_and_share", tmp_path, "often", push_to_hub=True, hub_strategy="every_save", hub_token=TOKEN)
    repo = hub.repos["model", "loopback/often"]
    messages = [repo.messages[sha] for sha in repo.commits]
    assert messages == ["initial commit", "Training in progress, step 2", "End of training"]
    assert "error" not in seen, seen
    assert seen["weights"] == seen["loaded"]
    assert plain_files(hub, "loopback/often") == FILES | {"README.md"}


def test_a_name_that_is_taken_by_a_public_repository_is_refused_before_the_first_step(hub, client, tmp_path):
    client("push", "open", private=False)
    refused = client("train_and_share", tmp_path, "open", push_to_hub=True)
    assert refused["kind"] == "PushRefusedError"
    assert not list(tmp_path.glob("checkpoint-*"))
    assert "commit" in client("train_and_share", tmp_path, "open", push_to_hub=True, hub_private_repo=False)


def test_a_card_that_tells_of_a_patient_stops_the_push(hub, client, tmp_path):
    (tmp_path / "README.md").write_text("# Ours\n\n| ZZ100001 | F | 2012-03-04 |\n")
    refused = client("train_and_share", tmp_path, "told", save_strategy="no")
    assert refused["kind"] == "PushRefusedError"
    assert "ZZ100001" not in refused["error"]
    assert set(hub.files("loopback/told")) == {".gitattributes"}


def test_the_usual_push_of_model_and_tokenizer_sends_the_code_that_a_push_with_code_sends(hub, client):
    # That this code loads where the package is not installed is tested in test_auto_classes.
    client("push_and_load_the_usual_way", "usual")
    client("push", "coded", with_code=True)
    usual, coded = hub.files("loopback/usual"), hub.files("loopback/coded")
    assert {name for name in usual if name.endswith(".py")} == {name for name in coded if name.endswith(".py")}
    assert json.loads(usual["tokenizer_config.json"]) == json.loads(coded["tokenizer_config.json"])
    entries = json.loads(coded["config.json"])["auto_map"]
    assert {**json.loads(usual["config.json"])["auto_map"], "AutoTokenizer": entries["AutoTokenizer"]} == entries


@pytest.mark.parametrize(("examples", "is_shown"), [(10, False), (11, True)])
def test_a_draft_shows_figures_of_eleven_examples_and_more(tmp_path, examples, is_shown):
    path = write_draft_card(
        tmp_path, model_class="ClaimModel", settings={"seed": 1}, metrics={"auroc": 0.75}, examples=examples
    )
    assert ("| auroc | 0.75 |" in path.read_text()) is is_shown


def test_a_card_of_measured_results_stays_and_a_draft_is_written_again(tmp_path):
    for settings in ({"seed": 1}, {"seed": 2}):
        path = write_draft_card(tmp_path, model_class="ClaimModel", settings=settings, metrics={}, examples=0)
    assert "| seed | 2 |" in path.read_text()
    path.write_text("# Measured\n")
    write_draft_card(tmp_path, model_class="ClaimModel", settings={}, metrics={}, examples=0)
    assert path.read_text() == "# Measured\n"
