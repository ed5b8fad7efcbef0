"""Download of public zip files, each checked before it counts as fetched."""

from __future__ import annotations

import http.client
import logging
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from claim_transformers.codes.errors import ClaimDataError

_logger = logging.getLogger(__name__)

_MAX_TRIES = 4
_TIMEOUT_SECONDS = 60
_CHUNK = 1 << 20
_CURE = "Fetch the files with a browser and pass their folder as path"


def fetch_zip(
    url: str, target: Path, *, pause_seconds: float = 2.0, max_bytes: int | None = None, cure: str = _CURE
) -> None:
    """Fetch one zip file, resuming and trying again; one of more than `max_bytes` is refused."""
    partial = target.with_name(target.name + ".part")
    fault = ""
    for attempt in range(_MAX_TRIES):
        if attempt:
            _logger.warning("Fetching %s again: %s", target.name, fault)
            time.sleep(pause_seconds * 2 ** (attempt - 1))
        try:
            _fetch_rest(url, partial, max_bytes)
        except urllib.error.HTTPError as error:
            fault = f"the server answered {error.code}"
            if error.code < 500 and error.code not in (408, 416, 429):
                break
            partial.unlink(missing_ok=True)
            continue
        except _TooLargeError:
            fault = f"more than {max_bytes:,} bytes came"
            break
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            fault = f"{type(error).__name__} after {partial.stat().st_size if partial.exists() else 0} bytes"
            continue
        if zipfile.is_zipfile(partial):
            partial.replace(target)
            return
        fault = "what came is no whole zip file"
        partial.unlink()
    partial.unlink(missing_ok=True)
    raise ClaimDataError("E_DOWNLOAD", f"could not fetch {url}: {fault}. {cure}")


class _TooLargeError(Exception):
    """A server sends more than a file may hold."""


def _fetch_rest(url: str, partial: Path, max_bytes: int | None) -> None:
    """Append what is missing of a file; raise if fewer bytes come than announced, or more than a file may hold."""
    start = partial.stat().st_size if partial.exists() else 0
    headers = {"User-Agent": "claim-transformers"} | ({"Range": f"bytes={start}-"} if start else {})
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
        # A server that does not know ranges sends the whole file again.
        is_rest = answer.status == http.client.PARTIAL_CONTENT
        announced = answer.headers.get("Content-Length")
        with partial.open("ab" if is_rest else "wb") as sink:
            before = sink.tell()
            while block := answer.read(_CHUNK):
                sink.write(block)
                if max_bytes is not None and sink.tell() > max_bytes:
                    raise _TooLargeError
            received = sink.tell() - before
    if announced is not None and received != int(announced):
        raise http.client.IncompleteRead(b"", int(announced) - received)
