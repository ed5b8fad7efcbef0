"""CMS DE-SynPUF: the synthetic Medicare claims of 2008 to 2010, in the layout in which CMS publishes them.

Beneficiary summaries of each year, inpatient, outpatient and carrier claims, prescription drug events; as CSV, zipped
CSV or parquet. Source of the column meanings: CMS, *DE-SynPUF Data Users Document and Codebook* (2013). The table of
raw and canonical columns is `docs/sources/synpuf.md`.

Three things are particular to these files:

* A claim too long for one row goes on in a second one, `SEGMENT` 2, without dates; it gets those of segment 1.
* `ICD9_PRCDR_CD_n` holds diagnoses too. The column decides the system; all are kept, those that doubt it counted.
* Enrolment is a number of months in a year, see [`_derive_enrollment`].
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.fields import YEARS, parse_date, parse_number
from claim_transformers.claims.quality import RowCheck, check_id
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.synpuf.claims import (
    DATES,
    LAYOUTS,
    stage_carrier,
    stage_institutional,
    stage_prescriptions,
)
from claim_transformers.sources.formats.synpuf.download import CMS_URL, download_synpuf
from claim_transformers.sources.pipeline.contract import RawLocation, StagedSource, StagedTable
from claim_transformers.sources.pipeline.demographics import (
    check_life_date,
    fix_life_dates,
    fix_sex,
    map_sex,
    read_county_crosswalk,
)
from claim_transformers.sources.pipeline.reading import Layout, describe_place, stage_files

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

_SUFFIXES = (".csv", ".csv.gz", ".zip", ".parquet")
# In the order in which the name of a file is tried.
_TABLES = ("beneficiary", "inpatient", "outpatient", "carrier", "prescription")
_BENEFICIARY = LAYOUTS["beneficiary"]
_COVERED = ("BENE_HI_CVRAGE_TOT_MONS", "BENE_SMI_CVRAGE_TOT_MONS")
_MONTHS_OF_YEAR = 0, 12
_GENDERS, _RACES = (_BENEFICIARY.values[column] for column in ("BENE_SEX_IDENT_CD", "BENE_RACE_CD"))


def read_synpuf(
    path: RawLocation,
    connection: Backend,
    *,
    scratch: Path,
    sample: int = 1,
    base_url: str = CMS_URL,
    county_crosswalk: str | Path | None = None,
    keep_denied: bool = False,
) -> StagedSource:
    """Stage the files of a DE-SynPUF sample."""
    if path is None:
        path = download_synpuf(scratch / "download", sample=sample, base_url=base_url)
    if not isinstance(path, (str, Path)):
        raise ClaimDataError("E_NO_FILE", "expected a folder of DE-SynPUF files as path, found a connection")
    files = _find_files(Path(path))
    tables = []
    if "beneficiary" in files:
        tables.append(_stage_beneficiaries(connection, files["beneficiary"], scratch, county_crosswalk))
    if "inpatient" in files:
        tables.append(stage_institutional(connection, files["inpatient"], scratch, is_inpatient=True))
    if "outpatient" in files:
        tables.append(stage_institutional(connection, files["outpatient"], scratch, is_inpatient=False))
    if "carrier" in files:
        tables.append(stage_carrier(connection, files["carrier"], scratch, keep_denied=keep_denied))
    if "prescription" in files:
        tables.append(stage_prescriptions(connection, files["prescription"], scratch))
    return StagedSource("synpuf", tuple(tables))


def _find_files(path: Path) -> dict[str, list[Path]]:
    """Find the files of each raw table by their names."""
    candidates = [path] if path.is_file() else sorted(path.iterdir()) if path.is_dir() else []
    found: dict[str, list[Path]] = {}
    for candidate in candidates:
        if not candidate.is_file() or not candidate.name.lower().endswith(_SUFFIXES):
            continue
        for table in _TABLES:
            if re.search(LAYOUTS[table].files, candidate.name, re.IGNORECASE):
                found.setdefault(table, []).append(candidate)
                break
    if not set(found) - {"beneficiary"}:
        place = describe_place(path, sum(one.is_file() for one in candidates))
        raise ClaimDataError(
            "E_NO_FILE",
            f"expected DE-SynPUF files at {path}, such as DE1_0_2008_to_2010_Inpatient_Claims_Sample_1.zip, "
            f"found {'beneficiary files without claims' if found else place}",
        )
    return found


def find_deliveries(path: Path) -> list[tuple[str, Path, Layout]]:
    """List raw table, file and layout of each file for the store of deliveries."""
    # A year of beneficiaries may come alone, as a correction.
    is_year = path.is_file() and "beneficiary" in path.name.lower()
    found = {"beneficiary": [path]} if is_year else _find_files(path)
    return [(table, file, LAYOUTS[table].to_layout(file.name)) for table, files in found.items() for file in files]


def _year(rows: ir.Table) -> ir.NumericValue:
    return parse_number(rows.YEAR, "int32", within=YEARS)


def _derive_enrollment(rows: ir.Table) -> ir.Table:
    """Turn months of coverage into months of the year: `first_month`, `last_month`, null in years without coverage."""
    # Few patients have a broken year, so only their years are put in order.
    broken = rows.filter(rows.covered_months.between(1, 11)).select("patient_id").distinct()
    of_broken = rows.semi_join(broken, "patient_id")
    few = of_broken.group_by("patient_id", "YEAR").aggregate(
        covered_months=of_broken.covered_months.max(), calendar_year=of_broken.calendar_year.max()
    )
    years = ibis.window(group_by=few.patient_id, order_by=few.calendar_year)
    before, after = few.covered_months.lag().over(years), few.covered_months.lead().over(years)
    # A year without a row between others is one without coverage.
    before = ibis.ifelse(few.calendar_year.lag().over(years) < few.calendar_year - 1, 0, before)
    after = ibis.ifelse(few.calendar_year.lead().over(years) > few.calendar_year + 1, 0, after)
    few = few.select(
        patient=few.patient_id,
        of_year=few.YEAR,
        starts_late=ibis.ifelse(before.isnull(), (after > 0).fill_null(False), before == 0),
    )
    few = few.filter(few.starts_late)
    rows = rows.left_join(few, [few.patient == rows.patient_id, few.of_year == rows.YEAR])
    death, year = rows.death_date, rows.calendar_year
    starts_late = rows.starts_late.notnull() & death.isnull()
    last_month = ibis.ifelse(starts_late, 12, rows.covered_months)
    last_month = ibis.ifelse(
        (death.year() == year).fill_null(False), ibis.least(last_month, death.month()), last_month
    )
    has_span = (rows.covered_months > 0) & (death.year() >= year).fill_null(True)
    no_month = ibis.null("int16")
    return rows.mutate(
        first_month=ibis.ifelse(has_span, ibis.ifelse(starts_late, 13 - rows.covered_months, 1), no_month),
        last_month=ibis.ifelse(has_span, last_month, no_month),
    )


def _to_eligibility(rows: ir.Table, counties: ir.Table | None) -> ir.Table:
    if counties is not None:
        county = rows.SP_STATE_CODE.lpad(2, "0") + rows.BENE_COUNTY_CD.lpad(3, "0")
        rows = rows.left_join(counties, county == counties.ssacounty)
    months = [parse_number(rows[name], "int16", within=_MONTHS_OF_YEAR).fill_null(0) for name in _COVERED]
    # What texts say is read before the joins, behind which the engine no longer knows which of them are the same.
    rows = rows.select(
        "source_file",
        "row_no",
        "YEAR",
        patient_id=rows.DESYNPUF_ID,
        payer=ibis.literal("medicare"),
        gender=map_sex(rows.BENE_SEX_IDENT_CD, _GENDERS),
        race=rows.BENE_RACE_CD.cases(*_RACES.items(), else_=ibis.literal("unknown")),
        birth_date=parse_date(rows.BENE_BIRTH_DT, DATES),
        death_date=parse_date(rows.BENE_DEATH_DT, DATES),
        county_fips=ibis.null("string") if counties is None else rows.fipscounty,
        calendar_year=_year(rows),
        covered_months=ibis.greatest(*months),
    )
    derived = _derive_enrollment(rows)
    first_of_next = ibis.date(
        derived.calendar_year + derived.last_month // 12, derived.last_month % 12 + 1, ibis.literal(1)
    )
    return derived.select(
        *(name for name in rows.columns if name not in ("YEAR", "calendar_year", "covered_months")),
        enrollment_start_date=ibis.date(derived.calendar_year, derived.first_month, ibis.literal(1)),
        enrollment_end_date=(first_of_next.cast("timestamp") - ibis.interval(days=1)).date(),
    )


def _check_months(name: str) -> RowCheck:
    """`R_SPAN`: months that a year has not; none at all is no coverage."""

    def fails(rows: ir.Table) -> ir.BooleanValue:
        return rows[name].notnull() & parse_number(rows[name], "int16", within=_MONTHS_OF_YEAR).isnull()

    return RowCheck("R_SPAN", f"{name} is no whole number from 0 to 12", fails)


def _stage_beneficiaries(
    connection: Backend, paths: Sequence[Path], scratch: Path, county_crosswalk: str | Path | None
) -> StagedTable:
    files = [(path, _BENEFICIARY.to_layout(path.name)) for path in paths]
    rows, raw_files = stage_files(connection, files, scratch, name="beneficiary")
    counties = read_county_crosswalk(connection, county_crosswalk, scratch)
    return StagedTable(
        name="beneficiary",
        target="eligibility",
        rows=rows,
        files=raw_files,
        patient_column="DESYNPUF_ID",
        row_key=("DESYNPUF_ID", "YEAR"),
        kinds=_BENEFICIARY.kinds,
        to_canonical=lambda rows: _to_eligibility(rows, counties),
        checks=(
            check_id("DESYNPUF_ID"),
            RowCheck("R_DATE", "YEAR is no year", lambda rows: _year(rows).isnull()),
            *(_check_months(name) for name in _COVERED),
            check_life_date("BENE_BIRTH_DT", DATES),
            check_life_date("BENE_DEATH_DT", DATES),
        ),
        warnings=(
            fix_sex("BENE_SEX_IDENT_CD", _GENDERS),
            fix_life_dates(("BENE_BIRTH_DT", "BENE_DEATH_DT"), DATES),
        ),
    )
