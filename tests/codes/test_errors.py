"""The line that a program ends with."""

import errno

import pytest

from claim_transformers.codes.errors import ClaimDataError, error_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ClaimDataError("E_X", "expected a, found b"), "error: E_X: expected a, found b"),
        (ValueError("two\n  lines"), "error: two lines"),
        (ValueError("out of memory is no reason here"), "error: out of memory is no reason here"),
        (
            FileNotFoundError(errno.ENOENT, "No such file", "a.yaml"),
            "error: expected a file or folder at a.yaml, found none",
        ),
        (OSError(errno.EFBIG, "File too large"), "error: E_WRITE: could not write: "),
        (PermissionError(errno.EACCES, "Permission denied", "out"), "error: E_WRITE: could not write: "),
        (RuntimeError("Error while serializing: No space left on device (os error 28)"), "error: E_WRITE: "),
        (RuntimeError("[enforce fail] PytorchStreamWriter failed writing file data/0"), "error: E_WRITE: "),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "error: E_MEMORY: memory is full"),
        (MemoryError(), "error: E_MEMORY: memory is full (MemoryError)"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "error: E_MEMORY: "),
        (RuntimeError("DefaultCPUAllocator: not enough memory"), "error: E_MEMORY: "),
    ],
)
def test_an_error_of_the_user_is_one_line(error, line):
    found = error_line(error)
    assert found.startswith(line)
    assert "\n" not in found


@pytest.mark.parametrize("error", [IndexError("list index"), TypeError("int"), RuntimeError("shapes differ")])
def test_an_error_of_the_program_keeps_its_traceback(error):
    assert error_line(error) is None
