"""Feedback: what became of a card, one line of JSON each, on the disk before it is confirmed.

The file belongs to its owner alone and may hold comments that clinicians wrote: it stays where the claims are.
"""

import datetime as dt
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from claim_transformers.serving.errors import ServiceError

_FILE_MODE = 0o600
_MOST_ITEMS = 1000
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class _Accepted(msgspec.Struct):
    """A suggestion that was taken."""

    id: _Text


class _Coding(msgspec.Struct, omit_defaults=True):
    """A code of a reason."""

    code: _Text
    system: _Text | None = None
    display: _Text | None = None


class _OverrideReason(msgspec.Struct, omit_defaults=True, rename="camel"):
    """Why a card was dismissed."""

    reason: _Coding | None = None
    user_comment: Annotated[str, msgspec.Meta(max_length=4096)] | None = None


class _Outcome(msgspec.Struct, omit_defaults=True, rename="camel"):
    """What became of one card."""

    card: _Text
    outcome: Literal["accepted", "overridden"]
    outcome_timestamp: Annotated[dt.datetime, msgspec.Meta(tz=True)]
    accepted_suggestions: Annotated[list[_Accepted], msgspec.Meta(max_length=100)] | None = None
    override_reason: _OverrideReason | None = None

    def __post_init__(self) -> None:
        if self.outcome == "accepted" and not self.accepted_suggestions:
            raise ValueError("expected acceptedSuggestions of an accepted card")


class _Feedback(msgspec.Struct):
    """The body of a call."""

    feedback: Annotated[list[_Outcome], msgspec.Meta(min_length=1, max_length=_MOST_ITEMS)]


class FeedbackLog:
    """A file that grows by whole lines, of one process or several.

    What a process that was killed left of a line was never confirmed, and is cut off before the next line.
    """

    def __init__(self, path: str | Path) -> None:
        self._lock, self._path = threading.Lock(), Path(path)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _FILE_MODE)
        with self._alone():
            os.ftruncate(self._file, self._whole_lines())
            os.fsync(self._file)

    def append(self, body: bytes, service_id: str) -> int:
        """Store the feedback of a call and return how many cards it is of; the disk has it when this returns."""
        try:
            items = msgspec.json.decode(body, type=_Feedback).feedback
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise ServiceError(
                400, "E_FEEDBACK", f"expected feedback as CDS Hooks 2.0 has it, found another body{where(error)}"
            ) from error
        received = {"service": service_id, "received": dt.datetime.now(dt.UTC).isoformat(timespec="seconds")}
        lines = b"".join(msgspec.json.encode({**received, **_plain(item)}) + b"\n" for item in items)
        with self._alone():
            self._write(lines)
        return len(items)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other threads and other processes from the file."""
        with self._lock:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _whole_lines(self) -> int:
        """Where the last whole line ends."""
        end, chunk = os.fstat(self._file).st_size, 4096
        while end > 0:
            begin = max(0, end - chunk)
            found = os.pread(self._file, end - begin, begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            end = begin
        return 0

    def _write(self, lines: bytes) -> None:
        end, size = self._whole_lines(), os.fstat(self._file).st_size
        if end < size:
            os.ftruncate(self._file, end)
        try:
            written = 0
            while written < len(lines):
                written += os.write(self._file, lines[written:])
            os.fsync(self._file)
        except OSError as error:
            # Half a line in the midst of the file would spoil the next one.
            os.ftruncate(self._file, end)
            raise ServiceError(
                503, "E_WRITE", "expected a disk that takes feedback, found that it does not: send it again later"
            ) from error


def where(error: BaseException) -> str:
    """The place in a body that an error of its reader names, which holds no value."""
    _, at, path = str(error).partition(" - at ")
    return f" at {path}" if at else ""


def _plain(item: _Outcome) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(item)
    return plain
