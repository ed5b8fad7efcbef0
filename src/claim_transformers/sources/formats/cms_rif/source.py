"""CMS Research Identifiable Files (RIF): all seven Medicare claim types, Part D events and yearly beneficiary files.

Files are separated by pipes, one row per claim line, dates such as `27-OCT-1999`. What their columns mean is not in
the code but in layout files, see [`sources.pipeline.layout_files`]; those of the folder `layouts` are used unless
others are given. The table of all columns is `docs/sources/cms_rif.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.cms_rif import SOURCE
from claim_transformers.sources.formats.cms_rif.claims import stage_rif_claims
from claim_transformers.sources.formats.cms_rif.eligibility import stage_rif_beneficiaries
from claim_transformers.sources.pipeline.contract import RawLocation, StagedSource, StagedTable
from claim_transformers.sources.pipeline.demographics import read_county_crosswalk
from claim_transformers.sources.pipeline.layout_files import FileLayout, find_layout_files, read_layouts
from claim_transformers.sources.pipeline.reading import Layout, stage_files

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

_SUFFIXES = (".csv", ".txt", ".csv.gz", ".txt.gz", ".zip", ".parquet")


def read_cms_rif(
    path: RawLocation,
    connection: Backend,
    *,
    scratch: Path,
    layouts: str | Path | None = None,
    county_crosswalk: str | Path | None = None,
    keep_denied: bool = False,
) -> StagedSource:
    """Stage the files of a RIF delivery."""
    if not isinstance(path, (str, Path)):
        raise ClaimDataError("E_NO_FILE", "expected a folder of RIF files as path, found none or a connection")
    known = _known_layouts(layouts)
    files = _find_rif_files(Path(path), known)
    tables: list[StagedTable] = []
    read = [name for name in files if known[name].target != "none"]
    for name in sorted(read, key=lambda name: (known[name].target != "eligibility", name)):
        layout = known[name]
        columns, is_people = layout.to_layout(), layout.target == "eligibility"
        given = [(file, columns) for file in files[name]]
        # A year that is delivered twice is dropped row by row, and said.
        rows, raw_files = stage_files(connection, given, scratch, name=name, may_repeat=is_people)
        if is_people:
            counties = read_county_crosswalk(connection, county_crosswalk, scratch)
            tables.append(
                stage_rif_beneficiaries(connection, rows, raw_files, layout, scratch=scratch, counties=counties)
            )
        else:
            tables.append(
                stage_rif_claims(connection, rows, raw_files, layout, scratch=scratch, keep_denied=keep_denied)
            )
    unread = sorted(file.name for name, found in files.items() if known[name].target == "none" for file in found)
    sources = {name: known[name].source for name in sorted(files)}
    return StagedSource("cms-rif", tuple(tables), {"layouts": sources, "files_not_read": unread})


def _find_rif_files(path: Path, layouts: Mapping[str, FileLayout]) -> dict[str, list[Path]]:
    expected = f"RIF files at {path}, such as inpatient.csv or beneficiary_2015.csv"
    return find_layout_files(path, layouts, expected=expected, suffixes=_SUFFIXES)


def find_deliveries(path: Path, layouts: str | Path | None = None) -> list[tuple[str, Path, Layout]]:
    """List raw table, file and layout of each file for the store of deliveries."""
    known = _known_layouts(layouts)
    found = _find_rif_files(path, known)
    read = {name: known[name].to_layout() for name in found if known[name].target != "none"}
    return [(name, file, layout) for name, layout in read.items() for file in found[name]]


def _known_layouts(folder: str | Path | None) -> dict[str, FileLayout]:
    """The layouts of a folder, or those of the format; each column must say what it feeds."""
    known = SOURCE.read_layouts() if folder is None else read_layouts(folder)
    if unmapped := [name for name, layout in known.items() if not layout.is_mapped or layout.target == "patients"]:
        raise ClaimDataError(
            "E_LAYOUT_FILE", f"{unmapped[0]}.yaml: expected every column with what it feeds, found types alone"
        )
    return known
