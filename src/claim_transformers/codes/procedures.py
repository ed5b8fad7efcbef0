"""AHRQ's CCS files of procedures, which the user downloads.

The grouping of ICD-9-CM procedures is public domain. The one of CPT codes comes under an agreement with the American
Medical Association, so neither is shipped, and both are read from a path.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.codes.normalize import normalize_code

# First column of the header -> code system and the column that holds the category.
_LAYOUTS = {"ICD-9-CM CODE": ("ICD9PCS", "CCS CATEGORY"), "CODE RANGE": ("HCPCS", "CCS")}
_RANGE_END = re.compile("([A-Z]?)([0-9]+)([A-Z]?)")
_PROCEDURE_CCS = "CCSPR"


def _cells(row: list[str]) -> list[str]:
    return [cell.strip().strip("'").strip() for cell in row]


def _find_layout(rows: Iterator[list[str]], path: Path) -> tuple[str, int]:
    """Read up to the header and return the code system and the position of the category."""
    for row in rows:
        header = [cell.upper() for cell in _cells(row)]
        system, column = _LAYOUTS.get(header[0] if header else "", ("", ""))
        if column in header[1:]:
            return system, header.index(column)
    expected = " or ".join(f"{code!r} with {column!r}" for code, (_, column) in _LAYOUTS.items())
    raise ClaimDataError("E_COLUMN", f"expected a header {expected} in {path.name}, found none; give AHRQ's CSV file")


def _expand(text: str) -> list[str]:
    """Return the codes of `00100-00222`, `A0021-A0999` or a single code; nothing if it is no range."""
    low, dash, high = text.partition("-")
    if not dash:
        return [text]
    begin, end = _RANGE_END.fullmatch(low), _RANGE_END.fullmatch(high)
    if begin is None or end is None or len(low) != len(high) or begin.group(1, 3) != end.group(1, 3):
        return []
    head, digits, tail = begin.groups()
    return [f"{head}{number:0{len(digits)}d}{tail}" for number in range(int(digits), int(end.group(2)) + 1)]


def read_procedure_ccs(path: str | Path) -> dict[str, str]:
    r"""Read a CCS file of procedures as AHRQ publishes it.

    Two layouts are known by their header: the single-level file of ICD-9-CM procedures (`prref_2015.csv`: a note line,
    then values in single quotes padded with blanks) and the file of services and procedures (a title line, then ranges
    of CPT and HCPCS codes such as `'00100-00222'`).

    Args:
        path (`str` or `Path`): The file.

    Returns:
        `dict[str, str]`: `ICD9PCS/...` or `HCPCS/...` to `CCSPR/...`, ranges written out.

    Raises:
        ClaimDataError: `E_COLUMN` if the header is not one of the two; `E_LAYOUT` if a row holds no code, range or
            category, or gives a code a second category. The message holds the number of the line, not its text.
        OSError: If the file cannot be read.

    Examples:
        >>> import tempfile
        >>> text = "NOTE\n'ICD-9-CM CODE','CCS CATEGORY'\n'     ','0  '\n'0101 ','1  '\n"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "prref.csv").write_text(text)
        ...     read_procedure_ccs(Path(folder) / "prref.csv")
        {'ICD9PCS/0101': 'CCSPR/1'}
    """
    path = Path(path)
    table: dict[str, str] = {}
    # Only the unread descriptions leave ASCII; latin-1 reads any byte, and a code outside ASCII is refused below.
    with path.open(encoding="latin-1", newline="") as file:
        rows = csv.reader(file)
        system, category_column = _find_layout(rows, path)
        for row in rows:
            cells = _cells(row)
            if not cells or not cells[0]:
                continue  # AHRQ's category 0, "invalid codes in user data", has a blank code.
            category = cells[category_column] if len(cells) > category_column else ""
            codes = _expand(cells[0].upper())
            if not category.isdigit() or not codes:
                raise ClaimDataError("E_LAYOUT", _fault(path, rows.line_num))
            for code in codes:
                key = f"{system}/{_check_code(system, code, path, rows.line_num)}"
                if table.setdefault(key, f"{_PROCEDURE_CCS}/{category}") != f"{_PROCEDURE_CCS}/{category}":
                    raise ClaimDataError("E_LAYOUT", _fault(path, rows.line_num))
    return table


def _fault(path: Path, line: int) -> str:
    return f"expected a code or a range of codes, and its one category, in line {line} of {path.name}, found neither"


def _check_code(system: str, code: str, path: Path, line: int) -> str:
    try:
        return normalize_code(system, code)
    except ClaimDataError as error:
        raise ClaimDataError("E_LAYOUT", _fault(path, line)) from error
