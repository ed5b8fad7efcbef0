"""Connection to the Hub over a network that fails: what is tried again, and what a failure means to the user."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from time import sleep
from typing import TypeVar

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

# The client renamed its HTTP library between two of its major versions; it exports the one in use under this name.
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

from claim_transformers.hub.errors import HubError, PushRefusedError

_ATTEMPTS = 5
_LONGEST_WAIT_SECONDS = 60.0
_TRANSIENT_STATUS = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
# The only place where an error of hf_xet tells the status.
_XET_STATUS = re.compile(r"HTTP status (?:client|server) error \((\d{3})\b")
_Answer = TypeVar("_Answer")


def retried(request: Callable[[], _Answer]) -> _Answer:
    """Send a request that may be repeated without harm, again after a wait when the Hub is busy or the line is cut."""
    for attempt in range(_ATTEMPTS - 1):
        try:
            return request()
        except (httpx.HTTPError, RuntimeError) as error:
            cause = _network_cause(error)
            if not _is_transient(cause):
                raise
            _wait_before_retry(cause, attempt)
    return request()


def _is_transient(error: Exception) -> bool:
    """Whether the same request may succeed a little later."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _TRANSIENT_STATUS
    return isinstance(error, httpx.TransportError)


def _wait_before_retry(error: Exception, attempt: int) -> None:
    """Wait as long as the Hub asks for, else 1, 2, 4, ... seconds."""
    seconds = float(2**attempt)
    if isinstance(error, HfHubHTTPError):
        asked = error.response.headers.get("Retry-After", "")
        seconds = float(asked) if asked.isdecimal() else seconds
    sleep(min(seconds, _LONGEST_WAIT_SECONDS))


@contextmanager
def explained(repo_id: str) -> Iterator[None]:
    """Turn the many errors of the Hub's client into one that says what to do."""
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise HubError(
            f"expected a connection for {repo_id!r}, found HF_HUB_OFFLINE set: unset it to reach the Hub"
        ) from error
    except LocalTokenNotFoundError as error:
        raise HubError(f"expected a token for {repo_id!r}, found none: set HF_TOKEN or run hf auth login") from error
    except (httpx.HTTPError, RuntimeError) as error:
        raise HubError(_explanation(_network_cause(error), repo_id)) from error
    except OSError as error:
        # Xet raises the bare classes, without a number, after retries of its own; a full disk has one.
        if isinstance(error, HubError) or (error.errno is not None and not isinstance(error, ConnectionError)):
            raise
        raise HubError(_xet_explanation(error, repo_id)) from error


def last_commit(
    api: HfApi, repo_id: str, *, private: bool, repo_type: str = "model", revision: str | None = None
) -> str:
    """Read the last commit of a branch, and stop a private push at a repository that everyone can read."""
    info = retried(lambda: api.repo_info(repo_id, repo_type=repo_type, revision=revision))
    if private and not info.private:
        raise PushRefusedError(
            f"expected a private repository, found {repo_id!r} to be public: make it private, or pass private=False"
        )
    return str(info.sha)


def _network_cause(error: Exception) -> Exception:
    """What went wrong on the line; the client hides it in a RuntimeError when it was sending weights."""
    return error.__cause__ if isinstance(error.__cause__, Exception) and isinstance(error, RuntimeError) else error


def _explanation(cause: Exception, repo_id: str) -> str:
    """Say what happened and what to do."""
    if isinstance(cause, HfHubHTTPError):
        status = cause.response.status_code
        return f"the Hub answered {repo_id!r} with status {status}: {_cure(status)}"
    if isinstance(cause, httpx.TransportError):
        return (
            f"the connection was cut {_ATTEMPTS} times while talking about {repo_id!r}; the repository is unchanged "
            "or holds the whole commit: try again later"
        )
    return f"the files for {repo_id!r} could not be sent ({type(cause).__name__}); nothing was written: try again"


def _xet_explanation(error: OSError, repo_id: str) -> str:
    """Say what happened to weights on their way to the storage behind the Hub, and what to do."""
    answered = _XET_STATUS.search(str(error))
    status = HTTPStatus.UNAUTHORIZED if isinstance(error, PermissionError) else int(answered[1]) if answered else 0
    found = (
        f"status {status}: {_cure(status)}" if status else f"{type(error).__name__}; nothing was written: try again"
    )
    return (
        f"the files for {repo_id!r} could not be sent through Xet, {found}; HF_HUB_DISABLE_XET=1 sends them without it"
    )


def _cure(status: int) -> str:
    """What to do about a refusal."""
    if status == HTTPStatus.UNAUTHORIZED:
        return "the token is missing or not valid; set HF_TOKEN or run hf auth login"
    if status == HTTPStatus.FORBIDDEN:
        return "the token may not write there; use one with write permission"
    if status == HTTPStatus.NOT_FOUND:
        return "the repository or branch is missing, or hidden from this token; check the name"
    if status == HTTPStatus.PRECONDITION_FAILED:
        return "somebody else committed meanwhile and nothing of this push was written; push again"
    if status in _TRANSIENT_STATUS:
        return f"it was busy {_ATTEMPTS} times; try again later"
    return "the request was refused; nothing was written"
