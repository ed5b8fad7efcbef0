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
_taken: ContextVar[set[str]] = ContextVar("names_taken")


def names_taken() -> set[str]:
    """Names of raw files that the reader which runs has staged; none outside of readers."""
    return _taken.get(set())


@contextmanager
def naming_apart() -> Iterator[None]:
    """Tell the raw files of all tables that a reader stages apart by their names."""
    token = _taken.set(set())
    try:
        yield
    finally:
        _taken.reset(token)


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
