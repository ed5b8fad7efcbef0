import logging
import re
from pathlib import Path

import pytest
from training.checkpoint_folders import DAMAGES, FILES, flipped, make_checkpoint

from claim_transformers.claims.files import publish_folder
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.training.checkpoints import (
    STAGED_MODEL,
    choose_checkpoint,
    clean_run,
    find_valid_checkpoint,
    finish_model,
    require_valid_checkpoint,
    rotate_checkpoints,
)
from claim_transformers.training.manifests import MANIFEST_NAME, write_manifest


@pytest.fixture
def run(tmp_path):
    """A run of three checkpoints."""
    for step in (10, 20, 100):
        make_checkpoint(tmp_path, step)
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_checkpoint_is_found(run, caplog):
    assert find_valid_checkpoint(run) == run / "checkpoint-100"
    assert find_valid_checkpoint(run / "nowhere") is None
    assert caplog.text == ""


@pytest.mark.parametrize("how", DAMAGES, ids=lambda how: how.__name__)
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_checkpoint_is_passed_over_in_one_line_that_names_the_file(file, how, run, caplog):
    how(run / "checkpoint-100" / FILES[file], run / "checkpoint-20" / FILES[file])
    assert find_valid_checkpoint(run) == run / "checkpoint-20"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(f"W_CHECKPOINT: skipped checkpoint-100: {FILES[file]} ")


def test_an_empty_folder_a_model_alone_and_a_renamed_one_are_passed_over(run, caplog):
    (run / "checkpoint-300").mkdir()
    make_checkpoint(run, 200, is_resumable=False)
    (run / "checkpoint-100").rename(run / "checkpoint-150")
    assert find_valid_checkpoint(run) == run / "checkpoint-20"
    skipped = [record.getMessage().partition("skipped ")[2] for record in caplog.records]
    assert skipped == [
        "checkpoint-300: manifest.json is missing",
        "checkpoint-200: it holds a model only, without optimizer and random state (save_only_model)",
        "checkpoint-150: its manifest is of step 100",
    ]


def test_a_run_goes_back_to_before_a_damaged_best_model_where_it_needs_one(tmp_path):
    for step, best in ((10, 10), (20, 20), (30, 20)):
        make_checkpoint(tmp_path, step, best=best)
    flipped(tmp_path / "checkpoint-20" / "model.safetensors", tmp_path)
    assert find_valid_checkpoint(tmp_path) == tmp_path / "checkpoint-30"
    assert find_valid_checkpoint(tmp_path, needs_best_model=True) == tmp_path / "checkpoint-10"
    with pytest.raises(ClaimDataError, match=r"E_CHECKPOINT.*in checkpoint-20, the best model so far, model\.safeten"):
        choose_checkpoint(str(tmp_path / "checkpoint-30"), tmp_path, needs_best_model=True)


@pytest.mark.parametrize("asked", [True, "True", "true", "auto", "AUTO"])
def test_words_take_the_newest_valid_checkpoint(asked, run):
    assert choose_checkpoint(asked, run) == run / "checkpoint-100"


@pytest.mark.parametrize("asked", [None, False, "False", "none", ""])
def test_a_run_that_asks_for_none_starts_anew_and_says_what_it_starts_beside(asked, run, caplog):
    assert choose_checkpoint(asked, run) is None
    assert "starts anew beside 3 checkpoints" in caplog.text
    caplog.clear()
    assert choose_checkpoint(asked, run / "other") is None
    assert caplog.text == ""


def test_where_there_is_none_auto_starts_anew_and_true_is_an_error(tmp_path, caplog):
    assert choose_checkpoint("auto", tmp_path) is None
    assert "Training starts anew: no checkpoint in" in caplog.text
    flipped(make_checkpoint(tmp_path, 10) / "config.json", tmp_path)
    with pytest.raises(
        ClaimDataError, match=r"E_CHECKPOINT.*found none among 1: resume_from_checkpoint 'auto' starts"
    ):
        choose_checkpoint(True, tmp_path)


def test_a_damaged_checkpoint_that_is_named_is_refused(run):
    checkpoint = run / "checkpoint-20"
    require_valid_checkpoint(checkpoint)
    assert choose_checkpoint(str(checkpoint), run) == checkpoint
    flipped(checkpoint / "optimizer.pt", checkpoint)
    with pytest.raises(ClaimDataError, match=r"E_CHECKPOINT.*but optimizer.pt has another content.*'auto' takes"):
        choose_checkpoint(str(checkpoint), run)
    with pytest.raises(ClaimDataError, match=r"E_CHECKPOINT.*found no folder"):
        choose_checkpoint(str(run / "checkpoint-7"), run)


@pytest.mark.parametrize("file", ["optimizer", "scheduler", "random state", "trainer state"])
def test_a_checkpoint_without_a_manifest_is_taken_only_by_name_and_with_all_its_parts(file, run, caplog):
    checkpoint = run / "checkpoint-100"
    (checkpoint / MANIFEST_NAME).unlink()
    assert find_valid_checkpoint(run) == run / "checkpoint-20"
    caplog.clear()
    require_valid_checkpoint(checkpoint)
    assert "checkpoint-100 has no manifest" in caplog.text
    (checkpoint / FILES[file]).unlink()
    with pytest.raises(ClaimDataError, match=r"E_CHECKPOINT.* is missing, and so is manifest.json"):
        require_valid_checkpoint(checkpoint)


def test_the_last_valid_checkpoint_is_never_rotated_away(tmp_path):
    for step in (10, 20, 30, 40):
        make_checkpoint(tmp_path, step)
    for step in (20, 30):
        flipped(tmp_path / f"checkpoint-{step}" / "model.safetensors", tmp_path)
    rotate_checkpoints(tmp_path, 2, {tmp_path / "checkpoint-40"})
    # The damaged ones go, though one of them is newer than the one that stays.
    assert names(tmp_path) == ["checkpoint-10", "checkpoint-40"]
    rotate_checkpoints(tmp_path, None, set())
    rotate_checkpoints(tmp_path, 1, {tmp_path / "checkpoint-40", tmp_path / "checkpoint-10"})
    assert names(tmp_path) == ["checkpoint-10", "checkpoint-40"]


def test_a_new_checkpoint_of_a_low_step_outlives_those_of_an_earlier_run(tmp_path):
    for step in (900, 1000, 10):
        make_checkpoint(tmp_path, step)
    rotate_checkpoints(tmp_path, 1, {tmp_path / "checkpoint-10"})
    assert names(tmp_path) == ["checkpoint-10"]


def test_what_dead_runs_left_is_removed_and_what_living_ones_write_is_not(run):
    dead = run / ".checkpoint-30.writing-0123456789ab"
    (dead / "checkpoint-30").mkdir(parents=True)
    for name in (".training_log.writing-0123456789ab.jsonl", ".mine"):
        (run / name).write_text("")
    with publish_folder(run / "checkpoint-40") as living:
        clean_run(run)
        assert names(run) == [living.name, ".mine", "checkpoint-10", "checkpoint-100", "checkpoint-20"]


def file_name(name: str) -> str:
    return re.sub("_(?=json|safetensors|index)", ".", name)


def save_model(folder: Path, **content: str) -> None:
    staged = folder / STAGED_MODEL
    staged.mkdir(parents=True)
    for name, text in content.items():
        (staged / file_name(name)).write_text(text)
    write_manifest(staged, {})


def is_whole(folder: Path, text: str) -> bool:
    """Whether all files of a model are there and no weights of another; the manifest may still be under way."""
    content = OLD if text == "old" else NEW
    expected = {file_name(name) for name in content}
    weights = {path.name for path in folder.iterdir() if "safetensors" in path.name}
    return weights <= expected and all(
        (folder / name).is_file() and (folder / name).read_text() == text for name in expected
    )


OLD = {"config_json": "old", "form_json": "old", "model_safetensors": "old", "vocab_json": "old"}
NEW = {"config_json": "new", "model_safetensors_index_json": "new", "model-1_safetensors": "new", "vocab_json": "new"}


def test_a_model_takes_the_place_of_another_and_files_of_others_stay(tmp_path):
    make_checkpoint(tmp_path, 10)
    (tmp_path / "results.json").write_text("mine")
    save_model(tmp_path, **OLD)
    finish_model(tmp_path)
    save_model(tmp_path, **NEW)
    finish_model(tmp_path)
    finish_model(tmp_path)
    weights = ["model-1.safetensors", "model.safetensors.index.json"]
    assert names(tmp_path) == ["checkpoint-10", "config.json", MANIFEST_NAME, *weights, "results.json", "vocab.json"]
    assert is_whole(tmp_path, "new")


def test_a_model_whose_publication_is_cut_anywhere_loads_nowhere_until_the_next_run_ends_it(tmp_path, monkeypatch):
    class CutError(Exception):
        pass

    real = {name: getattr(Path, name) for name in ("replace", "unlink", "rmdir")}
    for place in range(30):
        folder, left = tmp_path / str(place), [place]
        save_model(folder, **OLD)
        finish_model(folder)
        save_model(folder, **NEW)

        def cut(name, left=left):
            def call(self, *given, **named):
                left[0] -= 1
                if left[0] < 0:
                    raise CutError
                return real[name](self, *given, **named)

            return call

        with monkeypatch.context() as patched:
            for name in real:
                patched.setattr(Path, name, cut(name))
            try:
                finish_model(folder)
            except CutError:
                # Whole, or without the file that every loader asks for first.
                assert is_whole(folder, "old") or is_whole(folder, "new") or not (folder / "config.json").exists()
            else:
                break
        clean_run(folder)
        assert is_whole(folder, "new")
        assert not (folder / STAGED_MODEL).exists()
    assert 8 < place < 29
