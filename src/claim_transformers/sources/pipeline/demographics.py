"""Sex, birth, death and county of raw rows: what is not known is null and counted, and costs neither row nor span."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.engine import fetch_rows, materialize
from claim_transformers.claims.fields import DateFormat, clean_word, is_no_life_date, parse_date
from claim_transformers.claims.inputs import check_file
from claim_transformers.claims.quality import RowCheck
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.pipeline.reading import Layout, stage_files

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

# CCW codebook: the sex is not known, which null says as well.
_UNKNOWN_SEX = ("0",)


def map_sex(text: ir.StringValue, values: Mapping[str, str]) -> ir.StringValue:
    """Give the meaning of a sex by the values of its layout, without blanks around it and in any case, else null."""
    lowered = {value.lower(): meaning for value, meaning in values.items()}
    return clean_word(text).cases(*lowered.items(), else_=ibis.null("string"))


def fix_sex(column: str, values: Mapping[str, str], unknown: Collection[str] = _UNKNOWN_SEX) -> RowCheck:
    """`F_SEX_NULL`: a sex that the source does not document becomes null."""
    known = {value.lower() for value in (*values, *unknown)}
    return RowCheck(
        "F_SEX_NULL",
        f"{column} is no value that the source documents and becomes null",
        lambda rows: clean_word(rows[column]).notin(known),
    )


def check_life_date(column: str, date_format: DateFormat) -> RowCheck:
    """`R_DATE`: a birth or a death that is neither a date in the format nor a filler."""

    def fails(rows: ir.Table) -> ir.BooleanValue:
        text = rows[column]
        is_none = is_no_life_date(text, date_format).fill_null(False)
        return text.notnull() & parse_date(text, date_format).isnull() & ~is_none

    return RowCheck("R_DATE", f"{column} is no real date in the format {date_format}", fails)


def fix_life_dates(columns: Iterable[str], date_format: DateFormat) -> RowCheck:
    """`F_DATE_NULL`: a birth or a death that stands for none, such as 1900-01-01 or 9999-12-31, becomes null."""
    return RowCheck(
        "F_DATE_NULL",
        "a birth or a death that stands for none becomes null",
        lambda rows: ibis.or_(*(is_no_life_date(rows[column], date_format).fill_null(False) for column in columns)),
    )


def read_county_crosswalk(connection: Backend, path: str | Path | None, scratch: Path) -> ir.Table | None:
    """Read `ssacounty` and `fipscounty` from a CSV file as NBER publishes it, each county once; `None` without one."""
    if path is None:
        return None
    check_file(Path(path), "SSA and FIPS codes of counties, CSV")
    columns = ("fipscounty", "ssacounty")
    layout = Layout(columns, columns, kinds=dict.fromkeys(columns, "id"))
    rows, _ = stage_files(connection, [(Path(path), layout)], scratch, name="county_crosswalk")
    rows = rows.filter(rows.fipscounty.notnull() & rows.ssacounty.notnull())
    is_bad = ~(rows.fipscounty.re_search("^[0-9]{5}$") & rows.ssacounty.re_search("^[0-9]{5}$"))
    if bad := fetch_rows(connection, rows.aggregate(bad=is_bad.sum()))[0]["bad"]:
        raise ClaimDataError(
            "E_LAYOUT", f"expected codes of five digits in {Path(path).name}, found {bad} rows without"
        )
    one_each = rows.group_by("ssacounty").aggregate(fipscounty=rows.fipscounty.min())
    return materialize(connection, "ssa_counties", one_each)[0]
