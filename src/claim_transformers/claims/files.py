"""What is written stands whole or not at all, for its owner's eyes alone.

One place for every room that writes: a hidden name beside the target, flushed, then one rename. The folder under the
hidden name is locked by whoever writes it, and the kernel lets go of the lock when that process dies, however it dies:
so the next run tells what a dead one left (raw rows, too) from what a living one is still writing.
"""

import errno
import fcntl
import hashlib
import json
import math
import os
import re
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from claim_transformers.codes.errors import ClaimDataError

_FOLDER_MODE, _FILE_MODE = 0o700, 0o600
_WRITING, _REPLACED = "writing", "replaced"
_LEFT_FILE = re.compile(rf"\..+\.{_WRITING}-[0-9a-f]{{12}}(\.\w+)?")
_WRITE_ERRORS = frozenset(
    getattr(errno, name)
    for name in (
        *("ENOSPC", "EDQUOT", "EROFS", "EFBIG", "EIO", "EACCES", "EPERM"),
        *("ENOTDIR", "EISDIR", "EEXIST", "ENAMETOOLONG", "EMFILE"),
    )
)
# What the umask was before each block that is open; threads may leave theirs in any order.
_UMASK_LOCK, _umasks = threading.Lock(), list[int]()
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


@contextmanager
def publish_folder(out: str | Path, *, check: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Give a folder to write into that becomes `out` when the block ends well and vanishes when it does not.

    An old `out` is moved away first and deleted last; if the process dies between the two renames, the next run puts
    it back. What dead runs left beside `out` is removed at the start.

    `check` raises where `out` may not be replaced. It is asked at the start and again right before the rename, since
    another run may have published in between. Without it only an empty or absent `out` is taken.

    Raises:
        ClaimDataError: `E_EXISTS` without `check` if `out` is there; `E_WRITE` if the disk is full or cannot be
            written, `E_MEMORY` if memory is full; then the old `out` stands as it was.
    """
    out = Path(out).absolute()
    may_take = check or _refuse_any
    with write_errors(out):
        _make_parents(out.parent)
        remove_leftovers(out)
        may_take(out)
        with scratch_folder(out) as temporary:
            yield temporary
            _make_private(temporary)
            flush(temporary)
            _exchange(temporary, out, may_take)


@contextmanager
def scratch_folder(beside: str | Path) -> Iterator[Path]:
    """Give a hidden folder beside a path for what is needed for a while; what dead runs left there goes first."""
    beside = Path(beside).absolute()
    remove_leftovers(beside)
    folder, lock = _claim_folder(beside)
    try:
        yield folder
    finally:
        os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def private_umask() -> Iterator[None]:
    """Make every file that is new while the block runs its owner's alone, for writers that name files themselves.

    The umask is one for all threads: what others write meanwhile is private, too.
    """
    with _UMASK_LOCK:
        _umasks.append(os.umask(0o077))
    try:
        yield
    finally:
        with _UMASK_LOCK:
            first = _umasks[0]
            _umasks.pop()
            if not _umasks:
                os.umask(first)


@contextmanager
def replacing_file(path: str | Path) -> Iterator[Path]:
    """Give a hidden file beside `path` that replaces it when the block ends well, readable by its owner only.

    Where the disk or memory is full, the old file stands as it was.
    """
    path = Path(path).absolute()
    temporary = path.parent / f".{path.stem}.{_WRITING}-{uuid.uuid4().hex[:12]}{path.suffix}"
    with write_errors(path):
        try:
            lock = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _FILE_MODE)
            try:
                _try_lock(lock)
                yield temporary
                temporary.chmod(_FILE_MODE)
                flush_entry(temporary)
                temporary.replace(path)
            finally:
                os.close(lock)
            flush_entry(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_file(path: str | Path, content: str | bytes) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    with replacing_file(path) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file of any size, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def to_json(content: Any, *, indent: int | None = 1, sort_keys: bool = False, nan_to_null: bool = False) -> str:
    """Write JSON as the standard has it, with a line end: other readers refuse `NaN` and `Infinity`.

    A number that is not finite is refused with its place, or written as `null` where `nan_to_null` says so.
    """
    plain = _finite(content, "", nan_to_null)
    return json.dumps(plain, indent=indent, sort_keys=sort_keys, ensure_ascii=False, allow_nan=False) + "\n"


def _make_private(path: str | Path) -> None:
    """Take a file, or a folder and all in it, from everybody but its owner, whatever the umask was."""
    path = Path(path)
    for one in [path, *path.rglob("*")] if path.is_dir() else [path]:
        if not one.is_symlink():
            one.chmod(_FOLDER_MODE if one.is_dir() else _FILE_MODE)


def private_folder(path: str | Path) -> Path:
    """Make a folder that only its owner can enter; one that stands already is left as its owner made it."""
    path = Path(path)
    with write_errors(path):
        _make_parents(path)
    return path


def remove_leftovers(out: str | Path) -> int:
    """Remove what runs that died left beside `out`; an `out` that one of them had moved away is put back."""
    out, removed = Path(out).absolute(), 0
    for left in sorted(out.parent.glob(f".{_glob_text(out.name)}.*-*")):
        kind = left.name.removeprefix(f".{out.name}.").partition("-")[0]
        if kind not in (_WRITING, _REPLACED) or left.is_symlink() or not left.is_dir():
            continue
        with lock_folder(left) as is_mine:
            if not is_mine:
                continue
            if kind == _REPLACED and not out.exists():
                left.rename(out)
            else:
                shutil.rmtree(left, ignore_errors=True)
                removed += 1
    return removed


def remove_left_files(folder: str | Path) -> int:
    """Remove the hidden files that dead runs left where [`replacing_file`] wrote."""
    removed = 0
    for left in sorted(Path(folder).glob(f".*.{_WRITING}-*")):
        if not _LEFT_FILE.fullmatch(left.name) or left.is_symlink() or not left.is_file():
            continue
        lock = os.open(left, os.O_RDONLY)
        try:
            if _try_lock(lock):
                left.unlink(missing_ok=True)
                removed += 1
        finally:
            os.close(lock)
    return removed


@contextmanager
def lock_folder(folder: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold the lock of a folder, and give whether it is ours: `False` where a living process holds it."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, PermissionError):
        yield False
        return
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            # Held, or no locks here: then nobody is known to be dead.
            yield False
        else:
            yield True
    finally:
        os.close(lock)


def flush(path: str | Path) -> None:
    """Wait until a file, or a folder with all in it, is on the disk."""
    path = Path(path)
    for one in [*sorted(path.rglob("*"), reverse=True), path]:
        if not one.is_symlink():
            flush_entry(one)


@contextmanager
def write_errors(out: str | Path) -> Iterator[None]:
    """Turn a full or closed disk (`E_WRITE`) and full memory (`E_MEMORY`) into one line with a code."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise _memory_error(out) from error
        if error.errno is None or error.errno not in _WRITE_ERRORS or _is_elsewhere(error, Path(out)):
            raise
        cure = "free space there" if error.errno in _FULL else "name a place that may be written to"
        message = (
            f"could not write {out}: {os.strerror(error.errno)}. Nothing was published, and what stood there stands: "
            f"{cure}"
        )
        raise ClaimDataError("E_WRITE", message) from error
    except MemoryError as error:
        raise _memory_error(out) from error


def _is_elsewhere(error: OSError, out: Path) -> bool:
    """Whether the error is of an input; an error of what is written names no file, or one at or above `out`."""
    if not isinstance(error.filename, str) or error.errno in _FULL:
        return False
    folder, named = out.absolute().parent, Path(error.filename).absolute()
    return folder != named and folder not in named.parents and named not in folder.parents


def _try_lock(descriptor: int) -> bool:
    """Lock without waiting; on a file system without locks nothing is ever known to be dead."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _memory_error(out: str | Path) -> ClaimDataError:
    message = f"memory is full while writing {out}. Nothing was published: take smaller batches or a larger machine"
    return ClaimDataError("E_MEMORY", message)


def _refuse_any(out: Path) -> None:
    if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
        raise ClaimDataError("E_EXISTS", f"expected no folder at {out}, found one: choose another")


def _make_parents(folder: Path) -> None:
    # `mkdir(parents=True)` gives parents the mode of the umask; each that is new holds patient data.
    for one in [*reversed(folder.parents), folder]:
        if not one.is_dir():
            one.mkdir(_FOLDER_MODE, exist_ok=True)


def _claim_folder(out: Path) -> tuple[Path, int]:
    """Make a hidden folder and lock it; another process may take it for a dead one's before it is locked."""
    while True:
        folder = out.parent / f".{out.name}.{_WRITING}-{uuid.uuid4().hex[:12]}"
        folder.mkdir(_FOLDER_MODE)
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        except OSError as error:
            # A file system without locks: leftovers are never removed there, which loses nothing.
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL):
                raise
        if folder.is_dir():
            return folder, lock
        os.close(lock)


def _exchange(temporary: Path, out: Path, may_take: Callable[[Path], None]) -> None:
    # One publisher at a time in a folder, so that the target cannot change between the check and the rename.
    with lock_folder(out.parent, wait=True):
        may_take(out)
        replaced: Path | None = None
        if out.exists():
            replaced = out.parent / f".{out.name}.{_REPLACED}-{uuid.uuid4().hex[:12]}"
            out.rename(replaced)
        try:
            temporary.rename(out)
        except OSError:
            if replaced is not None:
                replaced.rename(out)
            raise
        flush_entry(out.parent)
    if replaced is not None:
        shutil.rmtree(replaced, ignore_errors=True)


def flush_entry(path: Path) -> None:
    """Wait until one file, or the names in one folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _glob_text(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _finite(content: Any, where: str, nan_to_null: bool) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value, f"{where}.{key}".lstrip("."), nan_to_null) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value, f"{where}.{row}".lstrip("."), nan_to_null) for row, value in enumerate(content)]
    if isinstance(content, float) and not math.isfinite(content):
        if nan_to_null and math.isnan(content):
            return None
        raise ValueError(f"expected finite numbers in JSON, found {content} at {where or 'the top'}")
    return content
