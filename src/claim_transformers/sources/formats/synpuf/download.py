"""Download of DE-SynPUF from CMS: eight zip files per sample, each checked before it counts as fetched."""

from __future__ import annotations

import http.client
import logging
import shutil
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from claim_transformers.codes.errors import ClaimDataError

_logger = logging.getLogger(__name__)

CMS_URL = "https://www.cms.gov"
# Carrier claims and drug events are served by another host.
_DOWNLOADS_URL = "https://downloads.cms.gov"
_PAGE = "research-statistics-data-and-systems/downloadable-public-use-files/synpufs/downloads"
# The one file that moved: the page of sample 1 links the 2010 summary of another sample in its old place.
_MOVED = {
    "DE1_0_2010_Beneficiary_Summary_File_Sample_1": (
        "sites/default/files/2020-09/DE1_0_2010_Beneficiary_Summary_File_Sample_1"
    )
}
# One archive has the suffix of its content in its name too.
_DOUBLED = {"DE1_0_2008_to_2010_Carrier_Claims_Sample_11A": ".csv"}
_NUM_SAMPLES = 20
_MAX_TRIES = 4
_TIMEOUT_SECONDS = 60
_CHUNK = 1 << 20


def _synpuf_urls(sample: int, *, base_url: str = CMS_URL) -> list[str]:
    """Addresses of the files of a sample, as linked on the DE-SynPUF page of CMS."""
    if not 1 <= sample <= _NUM_SAMPLES:
        raise ValueError(f"expected a DE-SynPUF sample from 1 to {_NUM_SAMPLES}, found {sample}")
    small = [f"DE1_0_{year}_Beneficiary_Summary_File_Sample_{sample}" for year in (2008, 2009, 2010)]
    small += [f"DE1_0_2008_to_2010_{kind}_Claims_Sample_{sample}" for kind in ("Inpatient", "Outpatient")]
    large = [f"DE1_0_2008_to_2010_Carrier_Claims_Sample_{sample}{half}" for half in "AB"]
    large.append(f"DE1_0_2008_to_2010_Prescription_Drug_Events_Sample_{sample}")
    server = _DOWNLOADS_URL if base_url == CMS_URL else base_url.rstrip("/")
    return [
        *(f"{base_url.rstrip('/')}/{_MOVED.get(name, f'{_PAGE}/{name.lower()}')}.zip" for name in small),
        *(f"{server}/files/{name}{_DOUBLED.get(name, '')}.zip" for name in large),
    ]


def download_synpuf(folder: Path, *, sample: int = 1, base_url: str = CMS_URL, pause_seconds: float = 2.0) -> Path:
    """Fetch the files of a sample that are not in a folder yet.

    A file is written beside its final name, goes on where it stopped if the connection breaks, and gets its name only
    when its size is right and its zip is whole.
    """
    urls = _synpuf_urls(sample, base_url=base_url)
    folder.mkdir(parents=True, exist_ok=True)
    for url in urls:
        target = folder / url.rsplit("/", 1)[1]
        if not target.exists():
            _fetch_file(url, target, pause_seconds=pause_seconds)
    return folder


def _fetch_file(url: str, target: Path, *, pause_seconds: float = 2.0) -> None:
    """Fetch one zip file, resuming and trying again."""
    partial = target.with_name(target.name + ".part")
    fault = ""
    for attempt in range(_MAX_TRIES):
        if attempt:
            _logger.warning("Fetching %s again: %s", target.name, fault)
            time.sleep(pause_seconds * 2 ** (attempt - 1))
        try:
            _fetch_rest(url, partial)
        except urllib.error.HTTPError as error:
            fault = f"the server answered {error.code}"
            if error.code < 500 and error.code not in (408, 416, 429):
                break
            partial.unlink(missing_ok=True)
            continue
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            fault = f"{type(error).__name__} after {partial.stat().st_size if partial.exists() else 0} bytes"
            continue
        if zipfile.is_zipfile(partial):
            partial.replace(target)
            return
        fault = "what came is no whole zip file"
        partial.unlink()
    partial.unlink(missing_ok=True)
    raise ClaimDataError(
        "E_DOWNLOAD", f"could not fetch {url}: {fault}. Fetch the files with a browser and pass their folder as path"
    )


def _fetch_rest(url: str, partial: Path) -> None:
    """Append what is missing of a file; raise if fewer bytes come than announced."""
    start = partial.stat().st_size if partial.exists() else 0
    headers = {"User-Agent": "claim-transformers"} | ({"Range": f"bytes={start}-"} if start else {})
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
        # A server that does not know ranges sends the whole file again.
        is_rest = answer.status == http.client.PARTIAL_CONTENT
        announced = answer.headers.get("Content-Length")
        with partial.open("ab" if is_rest else "wb") as sink:
            before = sink.tell()
            shutil.copyfileobj(answer, sink, _CHUNK)
            received = sink.tell() - before
    if announced is not None and received != int(announced):
        raise http.client.IncompleteRead(b"", int(announced) - received)
