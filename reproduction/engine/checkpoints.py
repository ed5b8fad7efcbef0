"""Pretrained checkpoints as the benchmark reads them: quietly, from a folder, and named by a digest of their files."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from claim_transformers.models.claim import ClaimForPreTraining, ClaimTokenizer
from claim_transformers.models.claim.names_claim import checkpoint_hint, resolve_checkpoint
from reproduction.engine.silence import quiet
from reproduction.engine.steps import digest_of_files

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
    """Digest what a checkpoint is made of: configuration, weights and tokenizer.

    Args:
        name (`str`): A folder, or a name such as `"claim-pt-base"`.

    Returns:
        `str`: 8 hexadecimal digits for each file.
    """
    return _digest(name, ("config.json", "model.safetensors", *_TOKENIZER_FILES))


@lru_cache(maxsize=64)
def tokenizer_digest(name: str) -> str:
    """Digest the tokenizer of a checkpoint, for models that read its tokens and nothing else of it.

    Args:
        name (`str`): A folder, or a name such as `"claim-pt-base"`.

    Returns:
        `str`: 8 hexadecimal digits for each file.
    """
    return _digest(name, _TOKENIZER_FILES)


@lru_cache(maxsize=4)
def load_tokenizer(name: str) -> ClaimTokenizer:
    """Load the tokenizer of a checkpoint.

    Args:
        name (`str`): A folder, or a name such as `"claim-pt-base"`.

    Returns:
        [`ClaimTokenizer`]: The tokenizer.
    """
    tokenizer: ClaimTokenizer = ClaimTokenizer.from_pretrained(str(checkpoint_folder(name)))
    return tokenizer


@lru_cache(maxsize=2)
def load_pretrained(name: str) -> tuple[ClaimForPreTraining, ClaimTokenizer]:
    """Load a checkpoint with its pretraining heads.

    Args:
        name (`str`): A folder, or a name such as `"claim-pt-base"`.

    Returns:
        `tuple[ClaimForPreTraining, ClaimTokenizer]`: Model in evaluation mode, and tokenizer.
    """
    with quiet():
        return ClaimForPreTraining.from_pretrained(str(checkpoint_folder(name))), load_tokenizer(name)


def _digest(name: str, files: Sequence[str]) -> str:
    folder = checkpoint_folder(name)
    return "-".join(digest_of_files(folder, file)[:8] for file in files if (folder / file).is_file())
