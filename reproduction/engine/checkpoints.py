"""Pretrained checkpoints as the benchmark reads them: quietly, from a folder, and named by a digest of their files."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from claim_transformers.models.claim import ClaimForPreTraining, ClaimTokenizer
from claim_transformers.models.claim.names_claim import checkpoint_hint, resolve_checkpoint
from reproduction.engine.silence import quiet
from reproduction.engine.steps import digest_of_files

PROVENANCE = "pretraining.json"
_TOKENIZER_FILES = ("tokenizer_config.json", "vocab.json")


def checkpoint_folder(name: str) -> Path:
    """Find the folder of a checkpoint.

    Args:
        name (`str`): A folder, or a name such as `"claim-pt-base"`.

    Returns:
        `Path`: The folder.

    Raises:
        ValueError: If there is no such folder. Nothing is downloaded.

    Examples:
        >>> checkpoint_folder("no/such/folder")
        Traceback (most recent call last):
            ...
        ValueError: expected a checkpoint, found none named 'no/such/folder'...
    """
    folder = Path(resolve_checkpoint(name))
    if not (folder / "config.json").is_file():
        raise ValueError(f"expected a checkpoint, found none named {name!r}. {checkpoint_hint(name)}".rstrip())
    return folder


@lru_cache(maxsize=64)
def checkpoint_digest(name: str) -> str:
    """Digest what a checkpoint is made of: configuration, weights and tokenizer."""
    return _digest(name, ("config.json", "model.safetensors", *_TOKENIZER_FILES))


@lru_cache(maxsize=64)
def tokenizer_digest(name: str) -> str:
    """Digest the tokenizer of a checkpoint, for models that read its tokens and nothing else of it."""
    return _digest(name, _TOKENIZER_FILES)


@lru_cache(maxsize=4)
def load_tokenizer(name: str) -> ClaimTokenizer:
    """Load the tokenizer of a checkpoint."""
    tokenizer: ClaimTokenizer = ClaimTokenizer.from_pretrained(str(checkpoint_folder(name)))
    return tokenizer


@lru_cache(maxsize=2)
def load_pretrained(name: str) -> tuple[ClaimForPreTraining, ClaimTokenizer]:
    """Load a checkpoint with its pretraining heads."""
    with quiet():
        return ClaimForPreTraining.from_pretrained(str(checkpoint_folder(name))), load_tokenizer(name)


def refuse_seen(checkpoint: Path, populations: Mapping[str, Mapping[str, Any]]) -> None:
    """Stop when a checkpoint was pretrained on one of these simulated populations.

    Args:
        checkpoint (`Path`): Folder of a checkpoint. Its `pretraining.json`, if there is one, names the simulation.
        populations (`Mapping[str, Mapping]`): What tells each population from others, such as its seed, by its name.

    Raises:
        ValueError: `E_SPLIT_OVERLAP` if all that tells a population from others is true of the checkpoint's.

    Examples:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> refuse_seen(folder, {"study": {"seed": 51}})  # names no simulation
        >>> _ = (folder / PROVENANCE).write_text(json.dumps({"simulation": {"seed": 51}}))
        >>> refuse_seen(folder, {"study": {"seed": 51}})
        Traceback (most recent call last):
            ...
        ValueError: E_SPLIT_OVERLAP: expected populations that the checkpoint has not seen, found its own in ...
    """
    path = checkpoint / PROVENANCE
    if not path.is_file():
        return
    noted = json.loads(path.read_text(encoding="utf-8"))["simulation"]
    simulations = noted if isinstance(noted, list) else [noted]
    for name, marks in populations.items():
        if any(all(seen.get(mark) == value for mark, value in marks.items()) for seen in simulations):
            own = ", ".join(f"{mark} {value!r}" for mark, value in marks.items())
            raise ValueError(
                f"E_SPLIT_OVERLAP: expected populations that the checkpoint has not seen, found its own in {name!r} "
                f"({own}); give the population another seed"
            )


def _digest(name: str, files: Sequence[str]) -> str:
    folder = checkpoint_folder(name)
    return "-".join(digest_of_files(folder, file)[:8] for file in files if (folder / file).is_file())
