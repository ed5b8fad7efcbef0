"""Fetching from a server on this machine that misbehaves in known ways."""

import http.server
import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.synpuf.download import _synpuf_urls, download_synpuf
from claim_transformers.sources.pipeline.downloads import fetch_zip


def _zip_bytes(content: bytes = bytes(range(256)) * 400) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("a.csv", content)
    return sink.getvalue()


class _Server(http.server.ThreadingHTTPServer):
    """Serves one content; `cuts` are the numbers of bytes after which the first answers break off."""

    content = _zip_bytes()
    cuts: list[int]
    statuses: list[int]
    ranges: list[str | None]
    knows_ranges = True


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if self.server.statuses:
            self.send_error(self.server.statuses.pop(0))
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.knows_ranges else 0
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.cuts.pop(0)] if self.server.cuts else body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[_Server]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.cuts, server.statuses, server.ranges = [], [], []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def _url(server: _Server) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def test_a_sample_is_eight_files_and_is_fetched_once(server: _Server, tmp_path: Path) -> None:
    download_synpuf(tmp_path, sample=3, base_url=_url(server))
    assert len(server.ranges) == 8
    assert sorted(path.name.lower() for path in tmp_path.iterdir()) == sorted(
        url.rsplit("/", 1)[1].lower() for url in _synpuf_urls(3)
    )
    download_synpuf(tmp_path, sample=3, base_url=_url(server))
    assert len(server.ranges) == 8


def test_a_broken_connection_is_resumed_where_it_stopped(server: _Server, tmp_path: Path) -> None:
    server.cuts = [1000, 2000]
    fetch_zip(f"{_url(server)}/a.zip", tmp_path / "a.zip", pause_seconds=0)
    assert server.ranges == [None, "bytes=1000-", "bytes=3000-"]
    assert (tmp_path / "a.zip").read_bytes() == server.content


def test_a_server_without_ranges_sends_the_whole_file_again(server: _Server, tmp_path: Path) -> None:
    server.cuts = [1000]
    server.knows_ranges = False
    fetch_zip(f"{_url(server)}/a.zip", tmp_path / "a.zip", pause_seconds=0)
    assert (tmp_path / "a.zip").read_bytes() == server.content


def test_a_busy_server_is_asked_again(server: _Server, tmp_path: Path) -> None:
    server.statuses = [503, 429]
    fetch_zip(f"{_url(server)}/a.zip", tmp_path / "a.zip", pause_seconds=0)
    assert len(server.ranges) == 3


def test_a_missing_file_is_not_asked_for_again(server: _Server, tmp_path: Path) -> None:
    server.statuses = [404] * 9
    with pytest.raises(ClaimDataError, match=r"E_DOWNLOAD.*404"):
        fetch_zip(f"{_url(server)}/a.zip", tmp_path / "a.zip", pause_seconds=0)
    assert len(server.ranges) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_error_page_in_place_of_a_zip_is_refused(server: _Server, tmp_path: Path) -> None:
    server.content = b"<html>please log in</html>"
    with pytest.raises(ClaimDataError, match=r"E_DOWNLOAD.*no whole zip"):
        fetch_zip(f"{_url(server)}/a.zip", tmp_path / "a.zip", pause_seconds=0)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_never_finishes_is_given_up(server: _Server, tmp_path: Path) -> None:
    server.cuts = [0] * 9
    with pytest.raises(ClaimDataError, match="E_DOWNLOAD"):
        fetch_zip(f"{_url(server)}/a.zip", tmp_path / "a.zip", pause_seconds=0)
    assert list(tmp_path.iterdir()) == []


def test_more_than_a_file_may_hold_is_not_kept(server: _Server, tmp_path: Path) -> None:
    with pytest.raises(ClaimDataError, match=r"E_DOWNLOAD.*more than 1,000 bytes came"):
        fetch_zip(f"{_url(server)}/a.zip", tmp_path / "a.zip", pause_seconds=0, max_bytes=1000)
    assert len(server.ranges) == 1
    assert list(tmp_path.iterdir()) == []


def test_addresses_follow_the_page_of_cms() -> None:
    urls = _synpuf_urls(1)
    assert all(url.startswith(("https://www.cms.gov/", "https://downloads.cms.gov/files/")) for url in urls)
    assert sum("beneficiary" in url.lower() for url in urls) == 3
    assert sum("carrier" in url.lower() for url in urls) == 2
