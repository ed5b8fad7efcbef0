"""Plans of earlier processes: SQL of steps in files of the user's cache, so that a small input need not wait for it.

Building and compiling the steps of a source costs ten times what they take to run on a few hundred rows. A file holds
the SQL of one step, or the columns that it gives. Its name says what the step was built from, its folder the sources
of this package and the versions that compile: of another version none is read. Nothing of rows is in them, because
what can be of rows makes a step that does not outlast its process (`claims.planning`). A file that is not whole is
written again, and where nothing can be written every process plans for itself.

`CLAIM_TRANSFORMERS_PLANS` names another folder; if it is empty, nothing is read or kept.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import stat
from functools import cache
from importlib.metadata import version
from pathlib import Path

_VARIABLE = "CLAIM_TRANSFORMERS_PLANS"
_PACKAGES = ("duckdb", "ibis-framework", "sqlglot")
# Some sources in some shapes; what a process would add to so many is not kept.
_MOST_FILES = 20_000
_ROOMS = ("claims", "codes", "sources")


def read_plan(name: str) -> str | None:
    """Read a plan that an earlier process kept, none if it did not or the file is not whole."""
    folder = _folder()
    if folder is None:
        return None
    try:
        digest, _, content = (folder / name).read_bytes().partition(b"\n")
    except OSError:
        return None
    return content.decode("utf-8") if digest == _digest(content) else None


def keep_plan(name: str, text: str) -> None:
    """Keep a plan for later processes, where there is a place for it."""
    folder = _folder()
    if folder is None:
        return
    # Not flushed: a file that is cut off is none, and thousands of them would wait for the disk.
    hidden = folder / f".{name}.{os.getpid()}"
    content = text.encode("utf-8")
    try:
        hidden.write_bytes(_digest(content) + b"\n" + content)
        hidden.replace(folder / name)
    except OSError:
        hidden.unlink(missing_ok=True)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


@cache
def _folder() -> Path | None:
    """The folder of the plans of this version, none where they cannot be kept for the owner alone."""
    given = os.environ.get(_VARIABLE)
    # In an archive the sources that decide have no files.
    if given == "" or not Path(__file__).is_file():
        return None
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "claim_transformers"
        folder = Path(given) if given else home / "plans"
        own = folder / _name_version()
        is_new = not own.is_dir()
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = own.stat()
        # SQL of others would run with the rights of whoever reads it.
        if facts.st_uid != os.getuid() or facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return None
        if is_new:
            _forget_others(folder, own)
        return own if sum(1 for _ in os.scandir(own)) < _MOST_FILES else None
    # A user of a container can have no home.
    except (OSError, RuntimeError):
        return None


def _forget_others(folder: Path, own: Path) -> None:
    """Remove the plans of the versions that were used longest ago, all but two."""
    others = [one for one in folder.iterdir() if one.is_dir() and one != own and one.name.startswith("plans-")]
    for one in sorted(others, key=lambda one: one.stat().st_mtime)[:-2]:
        shutil.rmtree(one, ignore_errors=True)


def _name_version() -> str:
    """Name everything that decides what a step is compiled to."""
    digest = hashlib.sha256(platform.python_version().encode())
    for name in _PACKAGES:
        digest.update(f"{name} {version(name)}\n".encode())
    package = Path(__file__).parents[1]
    for room in _ROOMS:
        for file in sorted((package / room).rglob("*[!c]")):
            if not file.is_file():
                continue
            digest.update(str(file.relative_to(package)).encode())
            digest.update(file.read_bytes())
    return f"plans-{digest.hexdigest()[:16]}"
