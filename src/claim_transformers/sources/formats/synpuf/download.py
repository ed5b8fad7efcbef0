"""Download of DE-SynPUF from CMS: eight zip files per sample, each checked before it counts as fetched."""

from __future__ import annotations

from pathlib import Path

from claim_transformers.sources.pipeline.downloads import fetch_zip

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
    """Fetch the files of a sample that are not in a folder yet; one that is there must be as it was fetched."""
    urls = _synpuf_urls(sample, base_url=base_url)
    folder.mkdir(parents=True, exist_ok=True)
    for url in urls:
        fetch_zip(url, folder / url.rsplit("/", 1)[1], pause_seconds=pause_seconds)
    return folder
