"""Fetching DE-SynPUF from CMS."""

from __future__ import annotations

from pathlib import Path

CMS_URL = "https://www.cms.gov"


def download_synpuf(folder: Path, *, sample: int = 1, base_url: str = CMS_URL) -> Path:
    """Stub replaced below."""
    raise NotImplementedError
