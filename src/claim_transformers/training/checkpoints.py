"""Checkpoints of a run: which of them is whole, which one a run resumes from, and which may go."""

import json
import logging
import re
import shutil
import uuid
from collections.abc import Collection
from pathlib import Path

from transformers.trainer_utils import sort_checkpoints

from claim_transformers.claims.files import flush_entry, lock_folder, remove_left_files, remove_leftovers
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.training.manifests import MANIFEST_NAME, damage_of, read_manifest

_logger = logging.getLogger(__name__)

TRAINER_STATE = "trainer_state.json"
# A saved model waits here, whole, while its files take the places of those of the model before.
STAGED_MODEL = "tmp-model"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_LEFT_FOLDER = re.compile(rf"\.(checkpoint-\d+|{STAGED_MODEL})\.(writing|replaced)-[0-9a-f]{{12}}")
# Without these a loader fails, so they leave first and come back last: what is half replaced is refused by everybody.
_NAMED_LAST = ("adapter_config.json", "config.json", MANIFEST_NAME)
_WEIGHTS = (".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json")
# Of a checkpoint without a manifest, what a run cannot be resumed without.
_PARTS = ("trainer_state.json", "scheduler.pt", "optimizer*", "rng_state*.pth")

_CURE = "resume_from_checkpoint 'auto' takes the newest one of output_dir that is whole"


def find_valid_checkpoint(output_dir: str | Path, *, needs_best_model: bool = False) -> Path | None:
    """Find the newest checkpoint of a run that is whole, and warn of every newer one that is not.

    Every file is compared with the manifest that was written with it, by size and SHA-256. A checkpoint without a
    manifest, of `transformers.Trainer`, is passed over: nothing tells whether it is whole.

    Args:
        output_dir (`str` or `Path`): Folder of the run, with `checkpoint-10`, `checkpoint-20` and so on.
        needs_best_model (`bool`, *optional*, defaults to `False`): Whether the checkpoint of the best model, which a
            later one names, has to be whole too, as for `load_best_model_at_end`.

    Returns:
        `Path` or `None`: The checkpoint, `None` if there is none. Each one that was skipped is logged as a warning of
        one line, `W_CHECKPOINT`, with the file and what is wrong with it.

    Examples:
        >>> import tempfile
        >>> find_valid_checkpoint(tempfile.mkdtemp()) is None
        True
    """
    for checkpoint in reversed(_checkpoints(Path(output_dir))):
        damage = _why_not_resumed(checkpoint)
        if damage is None and needs_best_model:
            damage = _damage_of_best(checkpoint)
        if damage is None:
            return checkpoint
        _logger.warning("W_CHECKPOINT: skipped %s: %s", checkpoint.name, damage)
    return None


def require_valid_checkpoint(checkpoint: str | Path) -> None:
    """Refuse a checkpoint from which a run would not go on as it was, naming the file.

    One without a manifest is accepted with a warning if it has all its parts: whoever names it knows where it is from.

    Args:
        checkpoint (`str` or `Path`): Folder of a checkpoint.

    Raises:
        ClaimDataError: `E_CHECKPOINT` with the file, what is wrong with it and the cure.

    Examples:
        >>> require_valid_checkpoint("runs/checkpoint-7")
        Traceback (most recent call last):
        claim_transformers.codes.errors.ClaimDataError: E_CHECKPOINT: expected a checkpoint at runs/checkpoint-7, found
        no folder: ...
    """
    checkpoint = Path(checkpoint)
    if not checkpoint.is_dir():
        raise ClaimDataError("E_CHECKPOINT", f"expected a checkpoint at {checkpoint}, found no folder: {_CURE}")
    if (checkpoint / MANIFEST_NAME).exists():
        damage = _why_not_resumed(checkpoint)
    else:
        missing = [part for part in _PARTS if not any(checkpoint.glob(part))]
        damage = f"{missing[0]} is missing, and so is {MANIFEST_NAME}" if missing else None
        if damage is None:
            _logger.warning("W_CHECKPOINT: %s has no manifest: nothing tells whether it is whole", checkpoint.name)
    if damage is not None:
        raise ClaimDataError("E_CHECKPOINT", f"expected a whole checkpoint at {checkpoint}, but {damage}: {_CURE}")


def choose_checkpoint(asked: str | bool | None, output_dir: Path, *, needs_best_model: bool = False) -> Path | None:
    """Say which checkpoint a run resumes from: `None` for a run that starts anew, an error where one was demanded."""
    word = asked.strip().lower() if isinstance(asked, str) else asked
    if word in (None, False, "", "false", "none", "no"):
        if beside := _checkpoints(output_dir):
            _logger.warning(
                "W_CHECKPOINT: the run starts anew beside %d checkpoints of an earlier one: resume_from_checkpoint "
                "'auto' goes on, another output_dir keeps them apart",
                len(beside),
            )
        return None
    if word not in (True, "true", "auto"):
        named = Path(str(asked))
        require_valid_checkpoint(named)
        if needs_best_model and (damage := _damage_of_best(named)) is not None:
            raise ClaimDataError("E_CHECKPOINT", f"expected the best model whole, but {damage}: {_CURE}")
        return named
    found = find_valid_checkpoint(output_dir, needs_best_model=needs_best_model)
    if found is None and word != "auto":
        raise ClaimDataError(
            "E_CHECKPOINT",
            f"expected a valid checkpoint in {output_dir}, found none among {len(_checkpoints(output_dir))}: "
            "resume_from_checkpoint 'auto' starts anew where there is none",
        )
    # A warning, because levels below it are not shown where nobody asked for them.
    _logger.warning("Training %s", f"goes on from {found}" if found else f"starts anew: no checkpoint in {output_dir}")
    return found


def rotate_checkpoints(run_dir: Path, limit: int | None, protected: Collection[Path]) -> None:
    """Keep at most `limit` checkpoints and those that are protected; what is damaged leaves first, then the oldest."""
    found = [Path(path) for path in sort_checkpoints(str(run_dir), use_mtime=True)]
    surplus = len(found) - max(limit or len(found), len(protected))
    if surplus > 0:
        candidates = [path for path in found if path not in protected]
        for path in sorted(candidates, key=lambda path: damage_of(path) is None)[:surplus]:
            # Under a name that no reader takes for a checkpoint, and that a later run cleans, should this one die.
            going = path.rename(path.parent / f".{path.name}.writing-{uuid.uuid4().hex[:12]}")
            shutil.rmtree(going, ignore_errors=True)


def clean_run(output_dir: Path) -> None:
    """Remove what dead runs left in a folder, and end the publication of a model that one of them had begun."""
    if not output_dir.is_dir():
        return
    finish_model(output_dir)
    remove_left_files(output_dir)
    for path in sorted(output_dir.iterdir()):
        if path.is_dir() and (of := _LEFT_FOLDER.fullmatch(path.name)):
            remove_leftovers(output_dir / of[1])


def finish_model(output_dir: Path) -> None:
    """Put the files of a model that was saved whole beside its place into it, one by one; can be called again.

    There is no rename of several files at once, and the folder has checkpoints that stay. So readers are kept out:
    without `config.json` nothing loads, and the manifest comes last.
    """
    staged = output_dir / STAGED_MODEL
    with lock_folder(output_dir, wait=True):
        if not staged.is_dir():
            return
        names = sorted(path.name for path in staged.iterdir())
        if (saved := read_manifest(staged)) is not None:
            _make_room(output_dir, names, saved["files"])
        for name in sorted(names, key=lambda name: (name in _NAMED_LAST and _NAMED_LAST.index(name) + 1, name)):
            if name in _NAMED_LAST:
                flush_entry(output_dir)
            elif (output_dir / name).is_dir():
                shutil.rmtree(output_dir / name)
            (staged / name).replace(output_dir / name)
        staged.rmdir()


def _make_room(output_dir: Path, names: Collection[str], saved: Collection[str]) -> None:
    """Remove what keeps a model readable, then files of the model before that this one has not."""
    for name in _NAMED_LAST[:-1]:
        if name in names:
            (output_dir / name).unlink(missing_ok=True)
    before = read_manifest(output_dir) or {"files": {}}
    # Loaders prefer some names of weights to others, so none of another model may stay, manifest or not.
    weights = [path.name for path in output_dir.iterdir() if path.is_file() and path.name.endswith(_WEIGHTS)]
    for name in {*before["files"], *weights} - {*saved}:
        (output_dir / name).unlink(missing_ok=True)
    if MANIFEST_NAME in names:
        (output_dir / MANIFEST_NAME).unlink(missing_ok=True)
    flush_entry(output_dir)


def _checkpoints(output_dir: Path) -> list[Path]:
    """Folders of checkpoints, oldest step first."""
    if not output_dir.is_dir():
        return []
    found = [path for path in output_dir.iterdir() if _CHECKPOINT.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=_step_of)


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


def _why_not_resumed(checkpoint: Path) -> str | None:
    """What keeps a run from going on from a checkpoint as if it had not been stopped."""
    if (damage := damage_of(checkpoint)) is not None:
        return damage
    manifest = read_manifest(checkpoint) or {}
    if not manifest.get("is_resumable"):
        return "it holds a model only, without optimizer and random state (save_only_model)"
    step = manifest.get("step")
    if _CHECKPOINT.fullmatch(checkpoint.name) and step != _step_of(checkpoint):
        return f"its manifest is of step {step}"
    return None


def _damage_of_best(checkpoint: Path) -> str | None:
    """What is wrong with the best model so far, if it is in a checkpoint beside this one."""
    best = json.loads((checkpoint / TRAINER_STATE).read_bytes()).get("best_global_step")
    beside = checkpoint.parent / f"checkpoint-{best}"
    # One that was removed, or has no manifest, is for the end of the run to judge.
    is_judged = best is not None and beside != checkpoint and (beside / MANIFEST_NAME).exists()
    damage = damage_of(beside) if is_judged else None
    return None if damage is None else f"in {beside.name}, the best model so far, {damage}"
