"""Where readers take staged rows from: the raw files, or whoever has staged them before.

A reader that runs over the rows of some patients is the very function that runs over raw files; what differs is who
answers when it asks for the rows of a file, given the connection, the files and the name of the rows.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

# Of rows that a source stages by itself, the patient whose they are.
KEY_PATIENT = "key_patient"
_elsewhere: ContextVar[Callable[..., tuple[Any, Any]] | None] = ContextVar("staging_elsewhere", default=None)


def staging_elsewhere() -> Callable[..., tuple[Any, Any]] | None:
    """Who answers in place of the raw files, if anybody."""
    return _elsewhere.get()


@contextmanager
def stage_elsewhere(stage: Callable[..., tuple[Any, Any]]) -> Iterator[None]:
    """Let readers take their rows from `stage` while the block runs."""
    token = _elsewhere.set(stage)
    try:
        yield
    finally:
        _elsewhere.reset(token)
