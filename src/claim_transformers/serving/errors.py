"""Errors of a request: a status of HTTP, a code and a sentence, never an empty set of cards."""

from claim_transformers.codes.errors import ClaimDataError


class ServiceError(ClaimDataError):
    """A request that is answered with a code: `status` of HTTP, and `retry_after` seconds where asking again helps."""

    def __init__(self, status: int, reason_code: str, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(reason_code, message)
        self.status, self.retry_after = status, retry_after
