"""Fetching from a server on this machine that misbehaves in known ways."""

import http.client
import http.server
import io
import socket
import threading
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.synpuf.download import _synpuf_urls, download_synpuf
from claim_transformers.sources.pipeline import downloads
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
    tags: list[str]
    lie = 0
    location = ""
    wrong_part = False


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if self.server.statuses:
            self.send_error(self.server.statuses.pop(0))
            return
        if self.server.location:
            self.send_response(302)
            self.send_header("Location", self.server.location)
            self.end_headers()
            return
        tag = self.server.tags.pop(0) if self.server.tags else '"v1"'
        is_same = self.headers.get("If-Range") == tag and self.server.knows_ranges
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and is_same else 0
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            part = f"{start - self.server.wrong_part}-{len(self.server.content) - 1}/{len(self.server.content)}"
            self.send_header("Content-Range", f"bytes {part}")
        if tag:
            self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(body) + self.server.lie))
        self.end_headers()
        self.wfile.write(body[: self.server.cuts.pop(0)] if self.server.cuts else body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[_Server]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.cuts, server.statuses, server.ranges, server.tags = [], [], [], []
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
        ["downloads.json", *(url.rsplit("/", 1)[1].lower() for url in _synpuf_urls(3))]
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


def test_another_version_of_the_file_is_fetched_from_its_start(server: _Server, tmp_path: Path) -> None:
    server.cuts, server.tags = [1000], ['"v0"']
    fetch_zip(f"{_url(server)}/a.zip", tmp_path / "a.zip", pause_seconds=0)
    assert server.ranges == [None, "bytes=1000-"]
    assert (tmp_path / "a.zip").read_bytes() == server.content


@pytest.mark.parametrize("tag", ["", 'W/"v1"'])
def test_a_server_that_vouches_for_no_version_is_asked_for_all_of_it(
    server: _Server, tmp_path: Path, tag: str
) -> None:
    server.cuts, server.tags = [1000], [tag, tag]
    fetch_zip(f"{_url(server)}/a.zip", tmp_path / "a.zip", pause_seconds=0)
    assert server.ranges == [None, None]
    assert (tmp_path / "a.zip").read_bytes() == server.content


def test_another_part_than_asked_for_is_refused(server: _Server, tmp_path: Path) -> None:
    server.cuts, server.wrong_part = [1000], True
    with pytest.raises(ClaimDataError, match=r"E_DOWNLOAD.*another part"):
        fetch_zip(f"{_url(server)}/a.zip", tmp_path / "a.zip", pause_seconds=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lie", [-40, 40])
def test_a_length_that_is_not_true_leaves_no_file(server: _Server, tmp_path: Path, lie: int) -> None:
    server.lie = lie
    with pytest.raises(ClaimDataError, match="E_DOWNLOAD"):
        fetch_zip(f"{_url(server)}/a.zip", tmp_path / "a.zip", pause_seconds=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_said", [True, False])
def test_a_file_larger_than_any_is_not_fetched(server: _Server, tmp_path: Path, is_said: bool) -> None:
    most = len(server.content) - (not is_said)
    server.lie = is_said
    with pytest.raises(ClaimDataError, match=r"E_DOWNLOAD.*larger than"):
        fetch_zip(f"{_url(server)}/a.zip", tmp_path / "a.zip", pause_seconds=0, max_bytes=most)
    assert len(server.ranges) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("location", ["http://example.invalid/a.zip", "ftp://127.0.0.1/a.zip", "file:///etc/hostname"])
def test_a_redirect_leads_to_tls_or_nowhere(server: _Server, tmp_path: Path, location: str) -> None:
    server.location = location
    with pytest.raises(ClaimDataError, match=r"E_DOWNLOAD.*(without TLS|answered 302)"):
        fetch_zip(f"{_url(server)}/a.zip", tmp_path / "a.zip", pause_seconds=0)
    assert len(server.ranges) == 1


def test_tls_is_never_left_not_even_for_this_machine() -> None:
    asked = urllib.request.Request("https://www.cms.gov/a.zip")
    redirects = downloads._Redirects()
    with pytest.raises(downloads._FetchError, match="without TLS"):
        redirects.redirect_request(asked, io.BytesIO(), 302, "", http.client.HTTPMessage(), "http://127.0.0.1/a.zip")
    assert redirects.redirect_request(
        asked, io.BytesIO(), 302, "", http.client.HTTPMessage(), "https://downloads.cms.gov/a.zip"
    )


def test_only_web_servers_are_asked(tmp_path: Path) -> None:
    with pytest.raises(ClaimDataError, match=r"E_DOWNLOAD.*no address of a web server"):
        fetch_zip("file:///etc/hostname", tmp_path / "a.zip", pause_seconds=0)


def test_a_server_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.zip"
        with pytest.raises(ClaimDataError, match=r"E_DOWNLOAD.*(TimeoutError|URLError)"):
            fetch_zip(url, tmp_path / "a.zip", pause_seconds=0)


def test_a_server_that_sends_for_ever_is_given_up(
    server: _Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_MOST_SECONDS", -1)
    with pytest.raises(ClaimDataError, match=r"E_DOWNLOAD.*within"):
        fetch_zip(f"{_url(server)}/a.zip", tmp_path / "a.zip", pause_seconds=0)
    assert len(server.ranges) == 1


def test_a_file_that_changed_is_said_at_the_server_and_in_the_folder(server: _Server, tmp_path: Path) -> None:
    download_synpuf(tmp_path, base_url=_url(server))
    old = next(tmp_path.glob("*2009*.zip"))
    content = old.read_bytes()
    old.write_bytes(content + b"x")
    with pytest.raises(ClaimDataError, match=r"E_DOWNLOAD.*first fetched.*in the folder"):
        download_synpuf(tmp_path, base_url=_url(server))
    old.unlink()
    server.content = _zip_bytes(b"another")
    with pytest.raises(ClaimDataError, match=r"E_DOWNLOAD.*first fetched.*at the server"):
        download_synpuf(tmp_path, base_url=_url(server))
    assert not list(tmp_path.glob("*.part*"))
    assert not old.exists()
    server.content = content
    download_synpuf(tmp_path, base_url=_url(server))
    assert old.read_bytes() == content


def test_a_file_that_cannot_be_written_is_one_sentence_and_leaves_no_part(server: _Server, tmp_path: Path) -> None:
    (tmp_path / "a.zip").mkdir()
    with pytest.raises(ClaimDataError, match="E_WRITE"):
        fetch_zip(f"{_url(server)}/a.zip", tmp_path / "a.zip", pause_seconds=0)
    assert not list(tmp_path.glob("*.part*"))


def test_addresses_follow_the_page_of_cms() -> None:
    urls = _synpuf_urls(1)
    assert all(url.startswith(("https://www.cms.gov/", "https://downloads.cms.gov/files/")) for url in urls)
    assert sum("beneficiary" in url.lower() for url in urls) == 3
    assert sum("carrier" in url.lower() for url in urls) == 2
