"""Names of checkpoints, to the folder it is read from, so that `claim-pt-base` works without a network.

The file uses the standard library alone and never imports the package: it is copied beside a checkpoint as remote code
and has to work where the package is not installed.
"""

import difflib
import importlib.util
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STORE_VARIABLE = "CLAIM_TRANSFORMERS_HOME"
_PACKAGE = "claim_transformers"
# Two swapped letters in a name of thirteen leave 0.92; another name of the family, such as -large for -base, 0.81.
_MISSPELT_SIMILARITY = 0.9
_STORE_FOLDER = "checkpoints"
_PRESENT = "main"
_CHECKPOINT_FILES = ("config.json", "tokenizer_config.json", "vocab.json")
# One path component that starts with a letter or a digit: neither `..` nor a separator can leave the store.
_STORE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


def resolve_checkpoint(name: str | os.PathLike[str], revision: str | None = None) -> str:
    """Find where a checkpoint is read from: a local folder, then the store, then the Hub.

    Args:
        name (`str` or `os.PathLike`):
            A folder, a name in the store such as `"claim-pt-base"`, or a Hub name such as `"organisation/model"`. An
            existing folder wins only when it holds a `config.json` or a tokenizer file, so that an empty output folder
            of the same name does not hide a checkpoint.
        revision (`str`, *optional*):
            An older version of a name in the store, such as `"v1"`; without it, and for `"main"`, the present one.

    Returns:
        `str`: The folder, or `name` unchanged when it is to be looked up on the Hub.

    Raises:
        OSError: If the store has the name and not that version of it. The message names the versions it has.

    Examples:
        >>> resolve_checkpoint("organisation/model-that-lives-on-the-hub")
        'organisation/model-that-lives-on-the-hub'
    """
    text = os.fspath(name)
    if _is_checkpoint(Path(text)):
        return text
    if _STORE_NAME.fullmatch(text):
        for store in _store_folders():
            if _is_checkpoint(store / text):
                return str(_version_of(store / text, revision))
    return text


def name_for_others(name: str | os.PathLike[str]) -> str:
    """A checkpoint by the name that a process understands which stands in another folder."""
    text = os.fspath(name)
    return str(Path(text).absolute()) if _is_checkpoint(Path(text)) else text


def _version_of(folder: Path, revision: str | None) -> Path:
    """The folder of a version, which lies beside that of the present one as `NAME@VERSION`."""
    if revision in (None, _PRESENT):
        return folder
    older = sorted(path.name.partition("@")[2] for path in folder.parent.glob(f"{folder.name}@*"))
    if revision not in older:
        known = ", ".join(map(repr, [_PRESENT, *older]))
        raise OSError(f"expected a version of {folder.name!r} out of {known}, found another revision")
    return folder.with_name(f"{folder.name}@{revision}")


def _store_folders() -> list[Path]:
    """List the folders in which a bare name is looked up, the first match winning."""
    folders = []
    if home := os.environ.get(_STORE_VARIABLE):
        folders.append(Path(home).expanduser())
    if package := _package_folder():
        folders.append(package / _STORE_FOLDER)
    return [folder for folder in folders if folder.is_dir()]


def _list_checkpoints() -> list[str]:
    """List the names that [`resolve_checkpoint`] finds without a network."""
    names = {
        folder.name
        for store in _store_folders()
        for folder in store.iterdir()
        if _STORE_NAME.fullmatch(folder.name) and _is_checkpoint(folder)
    }
    return sorted(names)


def checkpoint_hint(name: str | os.PathLike[str]) -> str:
    """Say which checkpoints of the store a name may have meant, to end the message of a failed load with.

    There is nothing to say when the name has a slash and so cannot be a misspelt name of the store.
    """
    text = os.fspath(name)
    if not _STORE_NAME.fullmatch(text):
        return ""
    names = _list_checkpoints()
    close = difflib.get_close_matches(text, names, n=3, cutoff=0.6)
    if close:
        return f"Did you mean {' or '.join(repr(match) for match in close)}?"
    known = ", ".join(repr(known) for known in names) or "none"
    return f"Checkpoints that load without a network: {known}."


def is_misspelt(name: str | os.PathLike[str]) -> bool:
    """Say whether a name leads nowhere and is all but one of the store's."""
    text = resolve_checkpoint(name)
    if not _STORE_NAME.fullmatch(text) or Path(text).exists():
        return False
    return bool(difflib.get_close_matches(text, _list_checkpoints(), n=1, cutoff=_MISSPELT_SIMILARITY))


@contextmanager
def naming_alternatives(name: str | os.PathLike[str]) -> Iterator[None]:
    """End the message of a load that finds nothing with the checkpoints that may have been meant."""
    try:
        yield
    except OSError as error:
        hint = "" if Path(resolve_checkpoint(name)).exists() else checkpoint_hint(name)
        if not hint or hint in str(error):
            raise
        raise OSError(f"expected a checkpoint, found none named {os.fspath(name)!r}. {hint}") from error


def _is_checkpoint(folder: Path) -> bool:
    """Whether a folder holds a file that a configuration or a tokenizer is read from."""
    try:
        return any((folder / file).is_file() for file in _CHECKPOINT_FILES)
    except (OSError, ValueError):
        # A text too long for a path, or with a null character, names no folder.
        return False


def _package_folder() -> Path | None:
    """The folder of the installed package, found without running it; `None` where only this file is present."""
    try:
        spec = importlib.util.find_spec(_PACKAGE)
    except (ImportError, ValueError):
        # ValueError: a half-imported or hand-made module has no `__spec__`.
        return None
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent
