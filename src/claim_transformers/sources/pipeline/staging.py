"""Where readers take staged rows from: the raw files, or whoever has staged them before.

A reader that runs over the rows of some patients is the very function that runs over raw files; what differs is who
answers when it asks for the rows of a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

# Of rows that a source stages by itself, the patient whose they are.
KEY_PATIENT = "key_patient"
_elsewhere: ContextVar[_StageElsewhere | None] = ContextVar("staging_elsewhere", default=None)


class _StageElsewhere(Protocol):
    """Answers for the function that stages raw files: the connection, what is to be staged, and its name."""

    def __call__(self, connection: Any, files: Any, name: str) -> Any:
        """Give what the function would."""


def staging_elsewhere() -> _StageElsewhere | None:
    """Who answers in place of the raw files, if anybody."""
    return _elsewhere.get()


@contextmanager
def stage_elsewhere(stage: _StageElsewhere) -> Iterator[None]:
    """Let readers take their rows from `stage` while the block runs."""
    token = _elsewhere.set(stage)
    try:
        yield
    finally:
        _elsewhere.reset(token)
