"""Installation of a checkpoint for the Auto classes, offline: it is put where the client of the Hub caches it."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.file_download import repo_folder_name

from claim_transformers.claims.files import flush, write_errors
from claim_transformers.hub.checkpoint_files import file_sha256, is_allowed
from claim_transformers.models.claim.damage_claim import refuse_irregular
from claim_transformers.models.claim.names_claim import checkpoint_hint, resolve_checkpoint


def install_checkpoint(name: str, *, cache_dir: str | Path | None = None) -> Path:
    """Copy a checkpoint of the store into the cache of the Hub's client, under its own name.

    The classes of this package find `name` without this step. The Auto classes read the cache, and find it there with
    `HF_HUB_OFFLINE=1`; without that variable they first ask the Hub, which takes minutes where no network is.

    Args:
        name (`str`): Name in the store, such as `"claim-pt-base"`.
        cache_dir (`str` or `Path`, *optional*): The cache. Defaults to `HF_HUB_CACHE`, in `HF_HOME`.

    Returns:
        `Path`: The snapshot that now answers to `name`.

    Raises:
        FileNotFoundError: If the store has no checkpoint of that name.
        ValueError: If a file of the checkpoint is a pipe, a folder or a link to nothing.
        ClaimDataError: `E_WRITE` if the cache is full or cannot be written; what it held stands.

    Examples:
        >>> install_checkpoint("claim-pt-missing")
        Traceback (most recent call last):
        FileNotFoundError: expected a checkpoint of the store, found no 'claim-pt-missing'. ...
    """
    source = Path(resolve_checkpoint(name))
    if source == Path(name) or not source.is_dir():
        raise FileNotFoundError(f"expected a checkpoint of the store, found no {name!r}. {checkpoint_hint(name)}")
    cache = Path(cache_dir or constants.HF_HUB_CACHE)
    repository = cache / repo_folder_name(repo_id=name, repo_type="model")
    files = sorted(path for path in source.iterdir() if is_allowed(path.name, with_code=True))
    refuse_irregular(source, *(path.name for path in files))
    digest = hashlib.sha1(usedforsecurity=False)
    for path in files:
        digest.update(f"{path.name}\0{file_sha256(path)}\0".encode())
    snapshot = repository / "snapshots" / digest.hexdigest()
    # In the modes of the umask, unlike claims: a cache may be shared, and the checkpoint is public.
    with write_errors(snapshot):
        if not snapshot.is_dir():
            _copy_whole(files, snapshot)
        # Written last, so that the name never leads to a snapshot that is not complete.
        _replace_text(repository / "refs" / "main", snapshot.name)
    return snapshot


def _copy_whole(files: list[Path], snapshot: Path) -> None:
    """Fill a folder under another name and rename it, so that an interrupted copy is never taken for a snapshot."""
    snapshot.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=snapshot.parent.parent, prefix="install-") as parent:
        filling = Path(parent, snapshot.name)
        filling.mkdir()
        for path in files:
            shutil.copyfile(path, filling / path.name)
        flush(filling)
        filling.rename(snapshot)


def _replace_text(path: Path, text: str) -> None:
    """Write a small file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        written.write_text(text, encoding="utf-8")
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)
