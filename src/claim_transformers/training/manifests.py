"""Manifest of a checkpoint: size and SHA-256 of every file, so that a reader knows whether it has what was saved.

The files of a checkpoint have no checksums of their own: weights with a flipped byte or a zeroed half load without a
word, and so does a run whose optimizer state is gone. Needs no transformers.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from claim_transformers.claims.files import file_sha256, to_json
from claim_transformers.version import __version__

MANIFEST_NAME = "manifest.json"
_FORMAT = 1
_DIGEST = "manifest_sha256"
# A file that is not in the manifest and that a loader would read in place of one that is.
_READ_BY_LOADERS = (".safetensors", ".bin", ".pt", ".pth", ".index.json")


def json_sha256(content: Any) -> str:
    """Digest of what is written as JSON, whatever the order of its keys."""
    return hashlib.sha256(to_json(content, indent=None, sort_keys=True).encode()).hexdigest()


def _describe_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of all files of a folder but its manifest, by name."""
    return {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": file_sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST_NAME
    }


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the manifest of a folder that is written to its end and that nobody reads yet."""
    content = {**facts, "format": _FORMAT, "claim_transformers_version": __version__, "files": _describe_files(folder)}
    content[_DIGEST] = json_sha256(content)
    (folder / MANIFEST_NAME).write_text(to_json(content, indent=2, sort_keys=True), encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Read a manifest; `None` where there is none, or none that is whole."""
    path = folder / MANIFEST_NAME
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return None
    is_whole = isinstance(content, dict) and content.pop(_DIGEST, None) == json_sha256(content)
    return content if is_whole and isinstance(content.get("files"), dict) else None


def damage_of(folder: Path) -> str | None:
    """Say what is wrong with a folder, `None` if every file is what was saved. Contents are looked at last."""
    manifest = read_manifest(folder)
    if manifest is None:
        state = "damaged" if (folder / MANIFEST_NAME).exists() else "missing"
        return f"{MANIFEST_NAME} is {state}"
    files: dict[str, dict[str, Any]] = manifest["files"]
    for name, facts in files.items():
        path = folder / name
        if path.is_symlink() or not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != facts["size"]:
            return f"{name} has {path.stat().st_size:,} bytes, {facts['size']:,} were saved"
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name not in files and (name.endswith(_READ_BY_LOADERS) or path.is_symlink()):
            return f"{name} was not saved with the others"
    for name, facts in files.items():
        if file_sha256(folder / name) != facts["sha256"]:
            return f"{name} has another content than was saved"
    return None
