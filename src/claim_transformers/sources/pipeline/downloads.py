"""Download of public zip files, each checked before it counts as fetched."""

from __future__ import annotations

import http.client
import json
import logging
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from claim_transformers.claims.files import file_sha256, flush, to_json, write_errors, write_file
from claim_transformers.codes.errors import ClaimDataError

_logger = logging.getLogger(__name__)

_MAX_TRIES = 4
_TIMEOUT_SECONDS = 60
# The largest file has 250 MB, an hour at the speed of a telephone line.
_MOST_BYTES = 1 << 30
_MOST_SECONDS = 3600
_CHUNK = 1 << 16
_RECORD = "downloads.json"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_CURE = "Fetch the files with a browser and pass their folder as path"


def fetch_zip(
    url: str, target: Path, *, pause_seconds: float = 2.0, max_bytes: int = _MOST_BYTES, cure: str = _CURE
) -> None:
    """Fetch one zip file if it is not there yet, and leave nothing of it when that fails.

    It is written beside its final name, goes on where it stopped if the connection breaks and the server vouches that
    it still has the same file, and gets its name only when its size is right and its zip is whole. Its hash is
    recorded in the folder; a file that has another one later, here or at the server, is refused.
    """
    if target.is_file():
        _check_hash(target, target)
        return
    partial = target.with_name(target.name + ".part")
    try:
        with write_errors(target):
            _fetch_whole(url, partial, pause_seconds, max_bytes)
            _check_hash(partial, target)
            flush(partial)
            partial.replace(target)
    except _FetchError as error:
        raise ClaimDataError("E_DOWNLOAD", f"could not fetch {url}: {error}. {cure}") from None
    finally:
        _drop(partial)


class _FetchError(Exception):
    """Why a file could not be fetched."""


def _fetch_whole(url: str, partial: Path, pause_seconds: float, max_bytes: int) -> None:
    """Fetch one zip file, resuming and trying again."""
    fault = ""
    for attempt in range(_MAX_TRIES):
        if attempt:
            _logger.warning("Fetching %s again: %s", partial.stem, fault)
            time.sleep(pause_seconds * 2 ** (attempt - 1))
        try:
            _fetch_rest(url, partial, max_bytes)
        except urllib.error.HTTPError as error:
            fault = f"the server answered {error.code}"
            if error.code < 500 and error.code not in (408, 416, 429):
                break
            _drop(partial)
            continue
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            fault = f"{type(error).__name__} after {partial.stat().st_size if partial.exists() else 0} bytes"
            continue
        if zipfile.is_zipfile(partial):
            return
        fault = "what came is no whole zip file"
        _drop(partial)
    raise _FetchError(fault)


def _fetch_rest(url: str, partial: Path, max_bytes: int) -> None:
    """Append what is missing of a file; raise if fewer bytes come than announced, or another file than before."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise _FetchError("it is no address of a web server")
    tag_file = partial.with_name(partial.name + ".tag")
    headers = {"User-Agent": "claim-transformers"}
    # Without a mark of its version, the rest of a file may be that of another one: it is fetched from the start.
    if partial.exists() and tag_file.exists():
        headers |= {"Range": f"bytes={partial.stat().st_size}-", "If-Range": tag_file.read_text(encoding="utf-8")}
    deadline = time.monotonic() + _MOST_SECONDS
    opener = urllib.request.build_opener(_Redirects())
    with opener.open(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_SECONDS) as answer:
        is_rest = answer.status == http.client.PARTIAL_CONTENT
        start = partial.stat().st_size if is_rest else 0
        if is_rest and not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise _FetchError("the server sent another part than it was asked for")
        if not is_rest:
            _drop(partial)
            if mark := _mark(answer.headers):
                tag_file.write_text(mark, encoding="utf-8")
        announced = answer.headers.get("Content-Length", "")
        received = 0
        with partial.open("ab") as sink:
            while chunk := answer.read1(_CHUNK):
                received += len(chunk)
                if start + max(received, int(announced) if announced.isdecimal() else 0) > max_bytes:
                    raise _FetchError(f"it is larger than {max_bytes} bytes")
                if time.monotonic() > deadline:
                    raise _FetchError(f"it did not come within {_MOST_SECONDS} seconds")
                sink.write(chunk)
    if announced.isdecimal() and received != int(announced):
        raise http.client.IncompleteRead(b"", int(announced) - received)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to TLS, or on this machine."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """The request that follows."""
        if urlsplit(newurl).scheme != "https" and not (_is_here(newurl) and _is_here(req.full_url)):
            raise _FetchError("it leads to an address without TLS")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_here(url: str) -> bool:
    return urlsplit(url).scheme == "http" and urlsplit(url).hostname in _LOOPBACK


def _mark(headers: http.client.HTTPMessage) -> str | None:
    """What tells versions of a file apart, as `If-Range` takes it: a strong tag, else the time of the last change."""
    tag = headers.get("ETag", "")
    mark = tag if tag.startswith('"') else headers.get("Last-Modified")
    return mark or None


def _check_hash(path: Path, target: Path) -> None:
    """Record the hash of a file when it is first seen; refuse one that has another hash than the file of its name had.

    The record keeps until somebody removes it, so that a file that is fetched again is compared as well.
    """
    record_file = target.parent / _RECORD
    record = json.loads(record_file.read_text(encoding="utf-8")) if record_file.exists() else {}
    found = file_sha256(path)
    expected = record.setdefault(target.name, found)
    if expected != found:
        where = "in the folder" if path == target else "at the server"
        raise ClaimDataError(
            "E_DOWNLOAD",
            f"expected {target.name} as it was when first fetched (SHA-256 {expected[:12]}), found "
            f"another {where} ({found[:12]}...); to take that one, remove the name from {record_file}",
        )
    write_file(record_file, to_json(record, sort_keys=True))


def _drop(partial: Path) -> None:
    """Remove what came of a file so far."""
    for path in (partial, partial.with_name(partial.name + ".tag")):
        path.unlink(missing_ok=True)
