"""Archives that data come in: zip and gzip, with every reason to distrust an archive."""

from __future__ import annotations

import gzip
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from claim_transformers.codes.errors import ClaimDataError

# Claims are repetitive and compress 20:1; a thousand to one is an attack or a mistake.
_MAX_EXPANSION = 1000
# Below this size the ratio says nothing: a file of one repeated row is small either way.
_FREE_BYTES = 1 << 26
_CHUNK = 1 << 20


def unpack(path: Path, scratch: Path) -> list[Path]:
    """Unpack a zip or gzip file; any other file is returned as it is."""
    if path.suffix.lower() == ".zip":
        return _unpack_zip(path, scratch)
    if path.suffix.lower() == ".gz":
        return [_unpack_gzip(path, scratch)]
    return [path]


def _unpack_zip(path: Path, scratch: Path) -> list[Path]:
    unpacked = []
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            for member in members:
                _check_member(path, member)
            for member in sorted(members, key=lambda member: member.filename):
                name = PurePosixPath(member.filename).name
                if name.startswith(".") or member.filename.startswith("__MACOSX/"):
                    continue
                target = scratch / path.stem / name
                if target.exists():
                    raise ClaimDataError("E_ARCHIVE_PATH", f"{path.name} holds two files of the same name")
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, target.open("wb") as sink:
                    _copy(source, sink, limit=max(_FREE_BYTES, _MAX_EXPANSION * member.compress_size), name=path.name)
                unpacked.append(target)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise ClaimDataError(
            "E_ARCHIVE", f"expected a whole zip file, found a damaged or encrypted one: {path.name}. Fetch it again"
        ) from error
    return unpacked


def _check_member(path: Path, member: zipfile.ZipInfo) -> None:
    inside = PurePosixPath(member.filename.replace("\\", "/"))
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    if inside.is_absolute() or ".." in inside.parts or is_link:
        raise ClaimDataError("E_ARCHIVE_PATH", f"{path.name} holds a link or a path that leaves its folder")
    if member.file_size > max(_FREE_BYTES, _MAX_EXPANSION * member.compress_size):
        raise ClaimDataError("E_ARCHIVE_PATH", f"{path.name} expands more than {_MAX_EXPANSION} times")


def _unpack_gzip(path: Path, scratch: Path) -> Path:
    target = scratch / path.name / path.stem
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with gzip.open(path) as source, target.open("wb") as sink:
            _copy(source, sink, limit=max(_FREE_BYTES, _MAX_EXPANSION * path.stat().st_size), name=path.name)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ClaimDataError(
            "E_ARCHIVE", f"expected a whole gzip file, found a damaged one: {path.name}. Fetch it again"
        ) from error
    return target


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _copy(source: _Readable, sink: IO[bytes], *, limit: int, name: str) -> None:
    copied = 0
    while chunk := source.read(_CHUNK):
        copied += len(chunk)
        # The size in the header of an archive is a claim of its author, so the bytes are counted too.
        if copied > limit:
            raise ClaimDataError("E_ARCHIVE_PATH", f"{name} expands more than {_MAX_EXPANSION} times")
        sink.write(chunk)
