import json

import pytest
from training.checkpoint_folders import DAMAGES, FILES, foreign, make_checkpoint

from claim_transformers.training.manifests import MANIFEST_NAME, damage_of, read_manifest


def test_a_folder_as_it_was_saved_is_whole(tmp_path):
    checkpoint = make_checkpoint(tmp_path, 10)
    (checkpoint / "notes.txt").write_text("mine")
    assert damage_of(checkpoint) is None
    assert read_manifest(checkpoint)["files"].keys() == set(FILES.values())


@pytest.mark.parametrize("how", DAMAGES, ids=lambda how: how.__name__)
@pytest.mark.parametrize("name", [*FILES.values(), MANIFEST_NAME])
def test_every_damage_of_every_file_is_seen_and_named(how, name, tmp_path):
    checkpoint, other = make_checkpoint(tmp_path, 20), make_checkpoint(tmp_path, 10)
    how(checkpoint / name, other / name)
    found = damage_of(checkpoint)
    # The whole manifest of another checkpoint is of other files.
    assert found.startswith(name) or (name == MANIFEST_NAME and how is foreign)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors.index.json", "optimizer_0/shard.pt"])
def test_a_file_that_loaders_would_take_instead_is_no_part_of_the_checkpoint(name, tmp_path):
    checkpoint = make_checkpoint(tmp_path, 10)
    (checkpoint / name).parent.mkdir(exist_ok=True)
    (checkpoint / name).write_text("other weights")
    assert damage_of(checkpoint) == f"{name} was not saved with the others"


def test_a_link_is_no_file_of_a_checkpoint(tmp_path):
    checkpoint = make_checkpoint(tmp_path, 10)
    (tmp_path / "outside").write_bytes((checkpoint / "config.json").read_bytes())
    (checkpoint / "config.json").unlink()
    (checkpoint / "config.json").symlink_to(tmp_path / "outside")
    assert damage_of(checkpoint) == "config.json is missing"


@pytest.mark.parametrize("change", [{"step": 11}, {"files": {}}, {"files": None}, {"is_resumable": None}])
def test_a_manifest_that_was_changed_is_damaged(change, tmp_path):
    checkpoint = make_checkpoint(tmp_path, 10)
    content = json.loads((checkpoint / MANIFEST_NAME).read_text())
    (checkpoint / MANIFEST_NAME).write_text(json.dumps({**content, **change}))
    assert damage_of(checkpoint) == "manifest.json is damaged"
