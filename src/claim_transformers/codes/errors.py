"""Errors: the one family that bad claims raise.

It lives in the lowest room because every room above it reports bad input in the same words.
"""


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
            ...
        claim_transformers.codes.errors.ClaimDataError: E_COLUMN: expected the column 'CLM_ID', found 80 other columns
    """

    def __init__(self, reason_code: str, message: str) -> None:
        # Both arguments go to the base class: a process pool rebuilds an error from them.
        super().__init__(reason_code, message)
        self.reason_code = reason_code

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.args[1]}"
