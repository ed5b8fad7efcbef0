"""CMS Claim and Claim Line Feed (CCLF): monthly files of an accountable care organization, of fixed width or as CSV.

Columns, their places and their types are in layout files; the table of all columns is `docs/sources/cclf.md`. Several
months lie in one folder, and what is there again or was adjusted counts once. People are known by the number that they
have now, whatever number a claim has.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.cclf import SOURCE
from claim_transformers.sources.formats.cclf.current_numbers import read_current_numbers, with_current_numbers
from claim_transformers.sources.formats.cclf.eligibility import stage_demographics, stage_enrollment
from claim_transformers.sources.formats.cclf.fields import kinds_of
from claim_transformers.sources.formats.cclf.headers import settle_headers
from claim_transformers.sources.formats.cclf.part_a import PARTS, stage_headers, stage_part
from claim_transformers.sources.formats.cclf.part_b import stage_part_b
from claim_transformers.sources.formats.cclf.part_d import stage_part_d
from claim_transformers.sources.pipeline.contract import RawFile, RawLocation, StagedSource, StagedTable
from claim_transformers.sources.pipeline.layout_files import FileLayout, find_layout_files
from claim_transformers.sources.pipeline.reading import Layout, stage_files

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

_HEADERS, _NUMBERS, _DEMOGRAPHICS, _ENROLLMENT = "cclf1", "cclf9", "cclf8", "enrollment"
_PART_B, _PART_D = ("cclf5", "cclf6"), "cclf7"
_CLAIMS = (_HEADERS, *PARTS, *_PART_B, _PART_D)
# A month in which nothing changed has the content of the month before.
_REPEATABLE = SOURCE.stageable.repeatable if SOURCE.stageable else ()
_Staged = dict[str, "tuple[ir.Table, tuple[RawFile, ...]]"]


def read_cclf(
    path: RawLocation,
    connection: Backend,
    *,
    scratch: Path,
    layouts: str | Path | None = None,
    keep_denied: bool = False,
) -> StagedSource:
    """Stage the files of one or several deliveries."""
    if not isinstance(path, (str, Path)):
        raise ClaimDataError("E_NO_FILE", "expected a folder of CCLF files as path, found none or a connection")
    known = SOURCE.read_layouts(layouts)
    files = _find_files(Path(path), known)
    if not set(files) & set(_CLAIMS):
        raise ClaimDataError("E_NO_FILE", f"expected CCLF claims at {path}, found {', '.join(sorted(files))} alone")
    if _HEADERS not in files and (parts := sorted(set(files) & set(PARTS))):
        raise ClaimDataError(
            "E_NO_FILE",
            f"expected the headers of Part A claims (CCLF1) beside {', '.join(parts)}, found none: nobody can tell "
            "which of their claims count",
        )
    staged: _Staged = {
        name: stage_files(
            connection,
            [(file, known[name].to_layout(file.name)) for file in paths],
            scratch,
            name=name,
            may_repeat=name in _REPEATABLE,
        )
        for name, paths in files.items()
        if known[name].target != "none" or name == _NUMBERS
    }
    numbers, facts = None, None
    if _NUMBERS in staged:
        numbers, facts = read_current_numbers(connection, *staged.pop(_NUMBERS))
    staged = {
        name: (
            with_current_numbers(connection, rows, known[name], numbers),
            raw_files,
        )
        for name, (rows, raw_files) in staged.items()
    }
    not_read = sorted(
        file.name for name in files if known[name].target == "none" and name != _NUMBERS for file in files[name]
    )
    description = {
        "layouts": {name: known[name].source for name in sorted(files)},
        "files_not_read": not_read,
        "changes_of_numbers": facts,
    }
    tables = _stage_tables(connection, staged, known, keep_denied=keep_denied)
    return StagedSource("cclf", tuple(tables), description)


def _stage_tables(
    connection: Backend, staged: _Staged, known: Mapping[str, FileLayout], *, keep_denied: bool
) -> list[StagedTable]:
    tables: list[StagedTable] = []
    if _DEMOGRAPHICS in staged:
        has_enrollment = _ENROLLMENT in staged
        tables.append(stage_demographics(*staged[_DEMOGRAPHICS], known[_DEMOGRAPHICS], has_enrollment=has_enrollment))
    if _ENROLLMENT in staged:
        tables.append(stage_enrollment(*staged[_ENROLLMENT], known[_ENROLLMENT]))
    if _HEADERS in staged:
        rows, files = staged[_HEADERS]
        layout = known[_HEADERS]
        headers = settle_headers(connection, rows, kinds_of(layout))
        tables.append(stage_headers(connection, rows, files, layout, headers))
        tables += [stage_part(connection, *staged[name], known[name], headers) for name in PARTS if name in staged]
    tables += [
        stage_part_b(connection, *staged[name], known[name], keep_denied=keep_denied)
        for name in _PART_B
        if name in staged
    ]
    if _PART_D in staged:
        tables.append(stage_part_d(*staged[_PART_D], known[_PART_D]))
    return tables


def _find_files(path: Path, layouts: Mapping[str, FileLayout]) -> dict[str, list[Path]]:
    """Find the files of each layout by their names, which have no ending of their own."""
    examples = "P.A1234.ACO.ZC1Y23.D230118.T0912345, cclf1.csv or parta_claims_header.csv"
    return find_layout_files(path, layouts, expected=f"CCLF files at {path}, such as {examples}")


def find_deliveries(path: Path, layouts: str | Path | None = None) -> list[tuple[str, Path, Layout]]:
    """List raw table, file and layout of each file for the store of deliveries."""
    known = SOURCE.read_layouts(layouts)
    found = _find_files(path, known)
    return [
        (name, file, known[name].to_layout(file.name))
        for name, files in found.items()
        if known[name].target != "none" or name == _NUMBERS
        for file in files
    ]
