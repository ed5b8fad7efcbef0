"""Tables of county measures, by FIPS code, from files that the user gives.

Such are the Social Vulnerability Index of CDC/ATSDR (from the American Community Survey), the County Health Rankings
(many of their measures from the Behavioral Risk Factor Surveillance System), or any other CSV or parquet file with a
FIPS column. Lahlou et al. (2021, section 3.1.1) enrich claims with BRFSS and ACS by county.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from claim_transformers.claims.inputs import check_file
from claim_transformers.codes.errors import ClaimDataError

_FIPS_LENGTH = 5
_SVI_MISSING = -999  # CDC/ATSDR SVI documentation: no data.
_SVI_COLUMNS = ("RPL_THEME1", "RPL_THEME2", "RPL_THEME3", "RPL_THEME4", "RPL_THEMES")
_FIPS_NAMES = ("FIPS", "FIPSTXT", "FIPS CODE", "COUNTY_FIPS", "FIPSCOUNTY")
_STATE_TOTAL = "000"
_SEPARATOR = re.compile("[^A-Z0-9]+")


@dataclass(frozen=True)
class CountyFeatures:
    """Measures of counties."""

    county_fips: pa.Array  # Five digits, each once.
    values: Mapping[str, NDArray[np.float64]]  # Measure of each county by name, NaN where the file has none.

    def of_counties(self, county_fips: pa.Array | pa.ChunkedArray) -> dict[str, NDArray[np.float64]]:
        """Look counties up."""
        places = pc.fill_null(pc.index_in(county_fips, value_set=self.county_fips), len(self.county_fips))
        numbers = places.to_numpy() if isinstance(places, pa.ChunkedArray) else places.to_numpy(zero_copy_only=False)
        # `index_in` finds a null among the values as well, but a county that is not known has no measures.
        return {name: np.append(column, np.nan)[numbers] for name, column in self.values.items()}

    def join(self, other: "CountyFeatures") -> "CountyFeatures":
        """Measures of two files side by side, for every county that either has."""
        if both := sorted(set(self.values) & set(other.values)):
            raise ValueError(f"expected different names of county measures, found {both} twice")
        counties = pc.unique(pa.chunked_array([self.county_fips, other.county_fips]))
        return CountyFeatures(counties, self.of_counties(counties) | other.of_counties(counties))


def read_county_features(path: str | Path, columns: Sequence[str] | None = None) -> CountyFeatures:
    r"""Read the measures of counties from a CSV or parquet file with a FIPS column.

    Lines above the header are skipped, rows of states and of the nation left out, blanks and, in the Social
    Vulnerability Index, -999 read as unknown. Names become upper case, with `SVI_` or `CHR_` in front where the layout
    is one of the two, so that `% Smokers` is `CHR_SMOKERS`.

    `columns` are read, by their names in the file: without them the percentile ranks of the four themes and of all in
    the Social Vulnerability Index, else every column that holds numbers alone.
    """
    path = Path(path)
    check_file(path, "county measures, CSV or parquet")
    table = pq.read_table(path) if path.suffix == ".parquet" else _read_csv(path, _header_line(path))
    fips_column = _fips_column(table.column_names)
    if fips_column is None:
        raise ClaimDataError("E_COLUMN", f"expected a column such as FIPS in {path.name}, found none")
    fips = pc.utf8_lpad(pc.utf8_trim_whitespace(table[fips_column].cast(pa.string())), _FIPS_LENGTH, "0")
    is_county = pc.fill_null(pc.match_substring_regex(fips, f"^[0-9]{{{_FIPS_LENGTH}}}$"), False)
    is_county = pc.and_(is_county, pc.invert(pc.ends_with(fips, _STATE_TOTAL)))
    table, fips = table.filter(is_county), fips.filter(is_county).combine_chunks()
    if repeated := len(fips) - len(pc.unique(fips)):
        raise ClaimDataError("E_LAYOUT", f"expected each county once in {path.name}, found {repeated} rows too many")
    is_svi = set(_SVI_COLUMNS) <= set(table.column_names)
    prefix = "SVI_" if is_svi else "CHR_" if "% Fair or Poor Health" in table.column_names else ""
    wanted = columns if columns is not None else _SVI_COLUMNS if is_svi else None
    values = _measures(table, wanted, fips_column, path)
    if is_svi:
        values = {name: np.where(column == _SVI_MISSING, np.nan, column) for name, column in values.items()}
    return CountyFeatures(fips, {prefix + _token_name(name): column for name, column in values.items()})


def _measures(
    table: pa.Table, wanted: Sequence[str] | None, fips_column: str, path: Path
) -> dict[str, NDArray[np.float64]]:
    missing = [name for name in wanted or () if name not in table.column_names]
    if missing:
        raise ClaimDataError("E_COLUMN", f"expected columns {missing} in {path.name}, found none of that name")
    every = [name for name in table.column_names if name.strip() and table.column_names.count(name) == 1]
    names = [name for name in every if name != fips_column] if wanted is None else wanted
    values = {}
    for name in names:
        numbers = _numbers(table[name])
        if numbers is not None:
            values[name] = numbers
        elif wanted is not None:
            raise ClaimDataError("E_COLUMN", f"expected numbers in the column {name!r} of {path.name}, found text")
    return values


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64] | None:
    """A column as numbers, with or without commas between thousands; nothing if it holds text."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        try:
            column = column.cast(pa.float64())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return None
    else:
        text = pc.replace_substring(pc.utf8_trim_whitespace(column), ",", "")
        text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
        try:
            column = text.cast(pa.float64())
        except pa.ArrowInvalid:
            return None
    numbers: NDArray[np.float64] = pc.fill_null(column, np.nan).to_numpy()
    return None if np.isnan(numbers).all() else numbers


def _token_name(name: str) -> str:
    return _SEPARATOR.sub("_", name.upper()).strip("_")


def _fips_column(names: Sequence[str]) -> str | None:
    return next((name for name in names if name.strip().upper() in _FIPS_NAMES), None)


def _header_line(path: Path) -> int:
    """How many lines stand above the header."""
    with path.open(encoding="latin-1", newline="") as file:
        for number, line in enumerate(file):
            if _fips_column([cell.strip('" \r\n') for cell in line.split(",")]) is not None:
                return number
    raise ClaimDataError("E_COLUMN", f"expected a header with a column such as FIPS in {path.name}, found none")


def _read_csv(path: Path, header_line: int) -> pa.Table:
    """All columns as strings, so that leading zeros stay."""
    reading = pa_csv.ReadOptions(skip_rows=header_line, encoding="latin-1")
    try:
        head = pa_csv.open_csv(path, read_options=reading).schema.names
        types = pa_csv.ConvertOptions(column_types=dict.fromkeys(head, pa.string()), strings_can_be_null=False)
        return pa_csv.read_csv(path, read_options=reading, convert_options=types)
    except pa.ArrowInvalid:
        # Arrow quotes the row, so its message does not leave.
        raise ClaimDataError("E_LAYOUT", f"expected a CSV table in {path.name}, found rows of other lengths") from None
