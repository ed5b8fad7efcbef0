"""Errors: the one family that bad claims raise, and the one line that a program says of any error of its user.

It lives in the lowest room because every room above it reports bad input in the same words.
"""

import difflib
import errno
from collections.abc import Iterable

_WRITE_ERRORS = tuple(
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EROFS", "EFBIG", "EIO", "EACCES", "EPERM", "EEXIST")
)
# How libraries in C++ and Rust say that a disk or the memory is full, in errors of no family.
_WRITE_SIGNS = (
    "os error 28",
    "No space left",
    "PytorchStreamWriter failed",
    "File too large",
    "Read-only file system",
)
_MEMORY_SIGNS = ("not enough memory", "out of memory", "Cannot allocate memory", "bad_alloc")


class ClaimDataError(ValueError):
    """Input that cannot be used as claims.

    The message says what was expected, what was found, where, and what to do. It never holds an identifier, a date of
    service or a cell value, so it can be logged and sent to a maintainer.

    Args:
        reason_code (`str`): Stable code of the fault, `E_...`, as listed in `docs/quality.md`.
        message (`str`): Expected and found, without a person in it.

    Examples:
        >>> raise ClaimDataError("E_COLUMN", "expected the column 'CLM_ID', found 80 other columns")
        Traceback (most recent call last):
        claim_transformers.codes.errors.ClaimDataError: E_COLUMN: expected the column 'CLM_ID', found 80 other columns
    """

    def __init__(self, reason_code: str, message: str) -> None:
        # Both arguments go to the base class: a process pool rebuilds an error from them.
        super().__init__(reason_code, message)
        self.reason_code = reason_code

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.args[1]}"


def error_line(error: BaseException) -> str | None:
    """Say in one line what a program ends with when an error is its user's to cure; every command and script does so.

    `None` is for an error of the program itself, whose traceback is wanted.
    """
    text = " ".join(str(error).split()) or type(error).__name__
    number = error.errno if isinstance(error, OSError) else None
    is_foreign = not isinstance(error, ValueError | OSError)
    if isinstance(error, MemoryError) or number == errno.ENOMEM or (is_foreign and _any_of(_MEMORY_SIGNS, text)):
        text = f"E_MEMORY: memory is full ({text[:300]}). Take smaller batches, fewer workers or a larger machine"
    elif number in _WRITE_ERRORS or (is_foreign and _any_of(_WRITE_SIGNS, text)):
        text = f"E_WRITE: could not write: {text[:300]}. Free space, ask for access or choose another folder"
    elif isinstance(error, FileNotFoundError) and error.filename:
        text = f"expected a file or folder at {error.filename}, found none"
    elif is_foreign:
        return None
    return f"error: {text}"


def did_you_mean(names: Iterable[str], known: Iterable[str], cutoff: float = 0.6) -> str:
    """The known names nearest to some, in any case, as the end of a sentence; a full stop if none is near."""
    written = {name.lower(): name for name in known}
    near = [difflib.get_close_matches(name.lower(), [*written], n=1, cutoff=cutoff) for name in names]
    close = dict.fromkeys(repr(written[name]) for found in near for name in found)
    return f", did you mean {' and '.join(close)}?" if close else "."


def _any_of(signs: tuple[str, ...], text: str) -> bool:
    return any(sign in text for sign in signs)
