"""Archives that data come in: zip and gzip, with every reason to distrust an archive."""

from __future__ import annotations

import gzip
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from claim_transformers.codes.errors import ClaimDataError

# Claims are repetitive and compress 20:1; far more is an attack or a mistake.
MAX_EXPANSION = 100
_max_expansion = ContextVar("max_expansion", default=MAX_EXPANSION)
# Below this size the ratio says nothing: a file of one repeated row is small either way.
_FREE_BYTES = 1 << 26
_MAX_MEMBERS = 10_000
_ARCHIVES = (".zip", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".tar", ".rar")
_CHUNK = 1 << 20


@contextmanager
def allow_expansion(times: int) -> Iterator[None]:
    """Let archives that are unpacked in the block become so many times as large, all members together."""
    if times < 1:
        raise ValueError(f"expected max_expansion >= 1, found {times}")
    before = _max_expansion.set(times)
    try:
        yield
    finally:
        _max_expansion.reset(before)


def unpack(path: Path, scratch: Path) -> list[Path]:
    """Unpack a zip or gzip file; any other file is returned as it is."""
    if (kind := path.suffix.lower()) not in (".zip", ".gz"):
        return [path]
    scratch.mkdir(parents=True, exist_ok=True)
    # Archives of other folders may share its name.
    folder = Path(tempfile.mkdtemp(dir=scratch))
    return _unpack_zip(path, folder) if kind == ".zip" else [_unpack_gzip(path, folder)]


def _unpack_zip(path: Path, folder: Path) -> list[Path]:
    unpacked = []
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            _check_members(path, members)
            left = _limit(path)
            for member in sorted(members, key=lambda member: member.filename):
                name = PurePosixPath(member.filename).name
                if name.startswith(".") or member.filename.startswith("__MACOSX/"):
                    continue
                target = folder / name
                if target.exists():
                    raise ClaimDataError("E_ARCHIVE_PATH", f"{path.name} holds two files of the same name")
                with archive.open(member) as source, target.open("wb") as sink:
                    left -= _copy(source, sink, limit=left, name=path.name)
                unpacked.append(target)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise ClaimDataError(
            "E_ARCHIVE", f"expected a whole zip file, found a damaged or encrypted one: {path.name}. Fetch it again"
        ) from error
    return unpacked


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > _MAX_MEMBERS:
        raise ClaimDataError(
            "E_ARCHIVE_PATH",
            f"expected at most {_MAX_MEMBERS:,} files in {path.name}, found {len(members):,}: unpack it yourself",
        )
    for member in members:
        inside = PurePosixPath(member.filename.replace("\\", "/"))
        # Unix says of which kind a member is, other systems say nothing.
        kind = stat.S_IFMT(member.external_attr >> 16)
        if inside.is_absolute() or ".." in inside.parts or kind not in (0, stat.S_IFREG):
            raise ClaimDataError("E_ARCHIVE_PATH", f"{path.name} holds a link or a path that leaves its folder")
        _refuse_nested(path, inside.name)
    if sum(member.file_size for member in members) > _limit(path):
        raise _expands(path.name)


def _refuse_nested(path: Path, name: str) -> None:
    if name.lower().endswith(_ARCHIVES):
        raise ClaimDataError("E_ARCHIVE", f"expected files in {path.name}, found another archive: unpack it yourself")


def _limit(path: Path) -> int:
    """Bytes that an archive may become."""
    return max(_FREE_BYTES, _max_expansion.get() * path.stat().st_size)


def _expands(name: str) -> ClaimDataError:
    return ClaimDataError(
        "E_ARCHIVE_PATH",
        f"{name} expands more than {_max_expansion.get()} times: unpack it yourself, or allow more by max_expansion "
        "(--max-expansion)",
    )


def _unpack_gzip(path: Path, folder: Path) -> Path:
    _refuse_nested(path, path.stem)
    target = folder / path.stem
    try:
        with gzip.open(path) as source, target.open("wb") as sink:
            _copy(source, sink, limit=_limit(path), name=path.name)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ClaimDataError(
            "E_ARCHIVE", f"expected a whole gzip file, found a damaged one: {path.name}. Fetch it again"
        ) from error
    return target


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _copy(source: _Readable, sink: IO[bytes], *, limit: int, name: str) -> int:
    """Copy at most so many bytes, and say how many they were."""
    copied = 0
    while chunk := source.read(_CHUNK):
        copied += len(chunk)
        # The size in the header of an archive is a claim of its author, so the bytes are counted too.
        if copied > limit:
            raise _expands(name)
        sink.write(chunk)
    return copied
