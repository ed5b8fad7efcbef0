"""CMS DE-SynPUF: the synthetic Medicare claims of 2008 to 2010, in the layout in which CMS publishes them.

Beneficiary summaries of each year, inpatient, outpatient and carrier claims, prescription drug events; as CSV, zipped
CSV or parquet. Source of the column meanings: CMS, *DE-SynPUF Data Users Document and Codebook* (2013). The table of
raw and canonical columns is `docs/sources/synpuf.md`.

Three things are particular to these files:

* A claim too long for one row goes on in a second one, `SEGMENT` 2, without dates; it gets those of segment 1.
* `ICD9_PRCDR_CD_n` mostly holds codes that are no ICD-9 procedures. The column decides the system and they are kept.
* Enrolment is a number of months in a year, see [`derive_enrollment`].
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import ibis

from ..claims.engine import materialize
from ..claims.fields import clean_id, parse_amount, parse_date, parse_number
from ..claims.quality import (
    RowCheck,
    check_date,
    check_id,
    check_order,
    fix_amount,
    warn_amount,
    warn_diagnosis_gap,
    warn_open_stay,
)
from ..codes.errors import ClaimDataError
from .contract import CodeColumns, Reversal, StagedSource, StagedTable
from .download import CMS_URL, download_synpuf
from .reading import Layout, stage_files
from .synpuf_columns import (
    CARRIER,
    CARRIER_DIAGNOSES,
    CARRIER_HCPCS,
    CARRIER_LINES,
    DIAGNOSES,
    HCPCS,
    INPATIENT,
    OUTPATIENT,
    PRESCRIPTION,
    PROCEDURES,
    STAY,
    beneficiary_layout,
    numbered,
)

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

_DATES = "YYYYMMDD"
_SUFFIXES = (".csv", ".csv.gz", ".zip", ".parquet")
_FILE_PATTERNS = {
    "beneficiary": r"beneficiary",
    "inpatient": r"inpatient",
    "outpatient": r"outpatient",
    "carrier": r"carrier",
    "prescription": r"prescription|pde",
}
_YEAR = re.compile(r"(?<!\d)20(?:08|09|10)(?!\d)")
# Codebook: 1 male, 2 female; 1 white, 2 black, 3 others, 5 Hispanic.
_GENDERS = {"1": "male", "2": "female"}
_RACES = {"1": "white", "2": "black or african american", "3": "other race", "5": "hispanic"}


def read_synpuf(
    path: str | Path | None,
    connection: Backend,
    *,
    scratch: Path,
    sample: int = 1,
    base_url: str = CMS_URL,
    county_crosswalk: str | Path | None = None,
) -> StagedSource:
    """Stage the files of a DE-SynPUF sample.

    Args:
        path (`str` or `Path`, *optional*):
            Folder or single file; files are known by `Beneficiary`, `Inpatient`, `Outpatient`, `Carrier`,
            `Prescription` or `pde` in their names. Without a path the sample is fetched from CMS.
        connection (`Backend`): Ibis connection on DuckDB.
        scratch (`Path`): Folder for unpacked files.
        sample (`int`, *optional*, defaults to 1): Which of the 20 samples to fetch.
        base_url (`str`, *optional*): Where to fetch it.
        county_crosswalk (`str` or `Path`, *optional*):
            CSV with the columns `fipscounty` and `ssacounty`. Without it `county_fips` is null, because the files
            hold counties of the Social Security Administration.

    Returns:
        `StagedSource`: Up to five tables.

    Raises:
        ClaimDataError: `E_NO_FILE` if no claims are found at `path`, and the errors of `stage_files`.
    """
    folder = download_synpuf(scratch / "download", sample=sample, base_url=base_url) if path is None else Path(path)
    files = find_files(folder)
    tables = []
    if "beneficiary" in files:
        tables.append(_stage_beneficiaries(connection, files["beneficiary"], scratch, county_crosswalk))
    if "inpatient" in files:
        tables.append(_stage_institutional(connection, "inpatient", "IP", files["inpatient"], INPATIENT, scratch))
    if "outpatient" in files:
        tables.append(_stage_institutional(connection, "outpatient", "OP", files["outpatient"], OUTPATIENT, scratch))
    if "carrier" in files:
        tables.append(_stage_carrier(connection, files["carrier"], scratch))
    if "prescription" in files:
        tables.append(_stage_prescriptions(connection, files["prescription"], scratch))
    return StagedSource("synpuf", tuple(tables))


def find_files(path: Path) -> dict[str, list[Path]]:
    """Find the files of each raw table by their names.

    Args:
        path (`Path`): Folder, or a single file.

    Returns:
        `dict[str, list[Path]]`: Files by raw table, in alphabetical order.

    Raises:
        ClaimDataError: `E_NO_FILE` if there is no file with claims.

    Examples:
        >>> find_files(Path("/nowhere"))
        Traceback (most recent call last):
            ...
        claim_transformers.codes.errors.ClaimDataError: E_NO_FILE: expected DE-SynPUF files at /nowhere, ...
    """
    candidates = [path] if path.is_file() else sorted(path.iterdir()) if path.is_dir() else []
    found: dict[str, list[Path]] = {}
    for candidate in candidates:
        if not candidate.is_file() or not candidate.name.lower().endswith(_SUFFIXES):
            continue
        for table, pattern in _FILE_PATTERNS.items():
            if re.search(pattern, candidate.name, re.IGNORECASE):
                found.setdefault(table, []).append(candidate)
                break
    if not set(found) - {"beneficiary"}:
        raise ClaimDataError(
            "E_NO_FILE",
            f"expected DE-SynPUF files at {path}, such as DE1_0_2008_to_2010_Inpatient_Claims_Sample_1.zip, "
            f"found {len(candidates)} files of other names",
        )
    return found


def derive_enrollment(rows: ir.Table) -> ir.Table:
    """Turn months of coverage into months of the year: `first_month`, `last_month`, null in years without coverage.

    The files say how many months of a year were covered by Part A (`BENE_HI_CVRAGE_TOT_MONS`) or B
    (`BENE_SMI_CVRAGE_TOT_MONS`), not which. The larger of both counts. Twelve months are the whole year. Fewer are the
    *last* months if the patient had no coverage in the year before or, in the first year of the files, has some in the
    year after; else, and for those who die, they are the *first*. A span ends with the month of death.

    Args:
        rows (`ir.Table`): Staged beneficiary rows of all years.

    Returns:
        `ir.Table`: The rows with both columns.
    """
    months = ibis.greatest(
        parse_number(rows.BENE_HI_CVRAGE_TOT_MONS, "int16").fill_null(0),
        parse_number(rows.BENE_SMI_CVRAGE_TOT_MONS, "int16").fill_null(0),
    )
    rows = rows.mutate(covered_months=months)
    # Few patients have a broken year, so only their years are put in order.
    broken = rows.filter(rows.covered_months.between(1, 11)).select("DESYNPUF_ID").distinct()
    few = rows.semi_join(broken, "DESYNPUF_ID").select("DESYNPUF_ID", "YEAR", "covered_months")
    years = ibis.window(group_by=few.DESYNPUF_ID, order_by=few.YEAR)
    before, after = few.covered_months.lag().over(years), few.covered_months.lead().over(years)
    few = few.select(
        patient=few.DESYNPUF_ID,
        of_year=few.YEAR,
        starts_late=ibis.ifelse(before.isnull(), (after > 0).fill_null(False), before == 0),
    ).distinct()
    few = few.filter(few.starts_late)
    rows = rows.left_join(few, [rows.DESYNPUF_ID == few.patient, rows.YEAR == few.of_year])
    death = parse_date(rows.BENE_DEATH_DT, _DATES)
    starts_late = rows.starts_late.notnull() & death.isnull()
    year = rows.YEAR.try_cast("int32")
    last_month = ibis.ifelse(starts_late, 12, rows.covered_months)
    last_month = ibis.ifelse(
        (death.year() == year).fill_null(False), ibis.least(last_month, death.month()), last_month
    )
    has_span = (rows.covered_months > 0) & (death.year() >= year).fill_null(True)
    no_month = ibis.null("int16")
    return rows.mutate(
        first_month=ibis.ifelse(has_span, ibis.ifelse(starts_late, 13 - rows.covered_months, 1), no_month),
        last_month=ibis.ifelse(has_span, last_month, no_month),
    ).drop("patient", "of_year", "starts_late", "covered_months")


def _to_eligibility(rows: ir.Table, counties: ir.Table | None) -> ir.Table:
    if counties is not None:
        county = rows.SP_STATE_CODE.lpad(2, "0") + rows.BENE_COUNTY_CD.lpad(3, "0")
        rows = rows.left_join(counties, county == counties.ssacounty)
    rows = derive_enrollment(rows)
    year = rows.YEAR.try_cast("int32")
    first_of_next = ibis.date(year + rows.last_month // 12, rows.last_month % 12 + 1, ibis.literal(1))
    return rows.select(
        "source_file",
        "row_no",
        patient_id=clean_id(rows.DESYNPUF_ID),
        payer=ibis.literal("medicare"),
        gender=rows.BENE_SEX_IDENT_CD.cases(*_GENDERS.items(), else_=ibis.null("string")),
        race=rows.BENE_RACE_CD.cases(*_RACES.items(), else_=ibis.literal("unknown")),
        birth_date=parse_date(rows.BENE_BIRTH_DT, _DATES),
        death_date=parse_date(rows.BENE_DEATH_DT, _DATES),
        enrollment_start_date=ibis.date(year, rows.first_month, ibis.literal(1)),
        enrollment_end_date=(first_of_next - ibis.interval(days=1)).cast("date"),
        county_fips=ibis.null("string") if counties is None else rows.fipscounty,
    )


def _stage_beneficiaries(
    connection: Backend, paths: Sequence[Path], scratch: Path, county_crosswalk: str | Path | None
) -> StagedTable:
    files = []
    for path in paths:
        year = _YEAR.search(path.name)
        files.append((path, beneficiary_layout(None if year is None else year.group())))
    rows, raw_files = stage_files(connection, files, scratch, name="beneficiary")
    counties = None if county_crosswalk is None else _read_counties(connection, Path(county_crosswalk), scratch)
    return StagedTable(
        name="beneficiary",
        target="eligibility",
        rows=rows,
        files=raw_files,
        patient_column="DESYNPUF_ID",
        row_key=("DESYNPUF_ID", "YEAR"),
        to_canonical=lambda rows: _to_eligibility(rows, counties),
        checks=(
            check_id("DESYNPUF_ID"),
            check_date("BENE_BIRTH_DT", _DATES),
            check_date("BENE_DEATH_DT", _DATES, required=False),
            check_order("BENE_BIRTH_DT", "BENE_DEATH_DT", _DATES),
        ),
    )


def _read_counties(connection: Backend, path: Path, scratch: Path) -> ir.Table:
    columns = ("fipscounty", "ssacounty")
    layout = Layout(columns, columns, id_columns=columns)
    rows, _ = stage_files(connection, [(path, layout)], scratch, name="county_crosswalk")
    one_each = rows.group_by("ssacounty").aggregate(fipscounty=rows.fipscounty.min())
    return materialize(connection, "ssa_counties", one_each)[0]


def _header_of_segments(connection: Backend, rows: ir.Table, columns: Sequence[str]) -> ir.Table:
    """Header columns of the claims that go on in another segment; few, so the join costs nothing."""
    continued = rows.filter(rows.SEGMENT != "1").select("CLM_ID").distinct()
    headers = rows.filter(rows.SEGMENT == "1").semi_join(continued, "CLM_ID")
    one_each = headers.group_by("DESYNPUF_ID", "CLM_ID").aggregate(**{name: headers[name].max() for name in columns})
    return materialize(connection, f"headers_{rows.get_name()}", one_each)[0]


def _with_headers(rows: ir.Table, headers: ir.Table, columns: Sequence[str]) -> ir.Table:
    """Add `CLAIM_...` columns: of segment 1 where the row is a later segment, else its own."""
    joined = rows.left_join(
        headers,
        [rows.CLM_ID == headers.CLM_ID, rows.DESYNPUF_ID == headers.DESYNPUF_ID, rows.SEGMENT != "1"],
        rname="header_{name}",
    )
    added = {f"CLAIM_{name}": ibis.coalesce(joined[f"header_{name}"], joined[name]) for name in columns}
    return joined.mutate(**added).select(*rows.columns, *added)


def _coded(system: str, columns: Sequence[ir.StringValue], *, ranked: bool) -> ir.ArrayValue:
    """Array of the codes that are there, as structs of `diagnoses` or `procedures`."""
    structs = []
    for position, code in enumerate(columns, start=1):
        fields: dict[str, ir.Value] = {"system": ibis.literal(system), "code": code}
        if ranked:
            fields |= {"poa": ibis.null("string"), "rank": ibis.literal(position, "int8")}
        else:
            fields |= {"date": ibis.null("date")}
        structs.append(ibis.struct(fields))
    return ibis.array(structs).filter(lambda entry: entry.code.notnull())


def _unfold(
    rows: ir.Table, entries: Sequence[dict[str, ir.Value]], is_there: Callable[[ir.StructValue], ir.BooleanValue]
) -> ir.Table:
    """One row per entry that is there, or the first entry where none is; adds `line`, `is_first_line`."""
    structs = [
        ibis.struct({"position": ibis.literal(position, "int32"), **entry})
        for position, entry in enumerate(entries, start=1)
    ]
    # Most rows of some tables have no entry at all; building the array for them would be most of the work.
    has_any = ibis.coalesce(*(value for entry in entries for value in entry.values())).notnull()
    filled = ibis.array(structs).filter(is_there)
    rows = rows.mutate(lines=ibis.ifelse(has_any & (filled.length() > 0), filled, ibis.array(structs[:1])))
    unfolded = rows.mutate(line=rows.lines.unnest(), first_line=rows.lines[0])
    return unfolded.mutate(is_first_line=unfolded.line.position == unfolded.first_line.position).drop(
        "lines", "first_line"
    )


def _stage_institutional(
    connection: Backend, name: str, claim_type: str, paths: Sequence[Path], layout: Layout, scratch: Path
) -> StagedTable:
    rows, raw_files = stage_files(connection, [(path, layout) for path in paths], scratch, name=name)
    is_inpatient = claim_type == "IP"
    carried = ("CLM_FROM_DT", "CLM_THRU_DT", *(_STAY if is_inpatient else ()))
    headers = _header_of_segments(connection, rows, carried)

    def to_canonical(rows: ir.Table) -> ir.Table:
        lines = _unfold(rows, [{"hcpcs": rows[column]} for column in HCPCS], lambda line: line.hcpcs.notnull())
        segment = parse_number(lines.SEGMENT, "int32").fill_null(1)
        stay = {}
        if is_inpatient:
            stay = {
                "admission_date": parse_date(lines.CLAIM_CLM_ADMSN_DT, _DATES),
                "discharge_date": parse_date(lines.CLAIM_NCH_BENE_DSCHRG_DT, _DATES),
                "drg_code": lines.CLAIM_CLM_DRG_CD,
                "drg_code_type": ibis.ifelse(lines.CLAIM_CLM_DRG_CD.notnull(), "ms-drg", ibis.null("string")),
            }
        start, end = parse_date(lines.CLAIM_CLM_FROM_DT, _DATES), parse_date(lines.CLAIM_CLM_THRU_DT, _DATES)
        # The amount is of the claim, so it stands on one line only.
        paid = ibis.ifelse(lines.is_first_line, lines.CLM_PMT_AMT, ibis.null("string"))
        return lines.select(
            "source_file",
            "row_no",
            "is_first_line",
            patient_id=clean_id(lines.DESYNPUF_ID),
            claim_id=clean_id(lines.CLM_ID),
            claim_line_number=(segment - 1) * len(HCPCS) + lines.line.position,
            claim_type=ibis.literal(claim_type),
            claim_start_date=start,
            claim_end_date=end,
            claim_line_start_date=start,
            claim_line_end_date=end,
            hcpcs_code=lines.line.hcpcs,
            diagnoses=_coded("ICD9CM", [lines[column] for column in DIAGNOSES], ranked=True),
            procedures=_coded("ICD9PCS", [lines[column] for column in PROCEDURES], ranked=False),
            rendering_npi=clean_id(lines.AT_PHYSN_NPI),
            paid_amount=parse_amount(paid),
            **stay,
        )

    codes = [
        CodeColumns(DIAGNOSES, "ICD9CM"),
        CodeColumns(PROCEDURES, "ICD9PCS", tolerant=True),
        CodeColumns(HCPCS, "HCPCS"),
    ]
    checks = _claim_checks("CLAIM_CLM_FROM_DT", "CLAIM_CLM_THRU_DT")
    warnings = [warn_amount("CLM_PMT_AMT"), fix_amount("CLM_PMT_AMT"), warn_diagnosis_gap(DIAGNOSES)]
    if is_inpatient:
        admitted, discharged = "CLAIM_CLM_ADMSN_DT", "CLAIM_NCH_BENE_DSCHRG_DT"
        codes.append(CodeColumns(("CLAIM_CLM_DRG_CD",), "DRG"))
        checks += (
            check_date(admitted, _DATES, required=False),
            check_date(discharged, _DATES, required=False),
            check_order(admitted, discharged, _DATES),
        )
        warnings.append(warn_open_stay(discharged, is_inpatient=lambda _: ibis.literal(True)))
    return StagedTable(
        name=name,
        target="claim_line",
        rows=rows,
        files=raw_files,
        patient_column="DESYNPUF_ID",
        row_key=("DESYNPUF_ID", "CLM_ID", "SEGMENT"),
        derive=lambda rows: _with_headers(rows, headers, carried),
        to_canonical=to_canonical,
        claim_type=claim_type,
        claim_column="CLM_ID",
        service_date=lambda rows: parse_date(rows.CLAIM_CLM_FROM_DT, _DATES),
        checks=checks,
        code_columns=tuple(codes),
        reversal=Reversal(tuple(c for c in layout.columns if "AMT" not in c and not c.endswith("_AM")), "CLM_PMT_AMT"),
        warnings=tuple(warnings),
    )


def _claim_checks(start: str, end: str) -> tuple[RowCheck, ...]:
    return (
        check_id("DESYNPUF_ID"),
        check_id("CLM_ID"),
        check_date(start, _DATES),
        check_date(end, _DATES),
        check_order(start, end, _DATES),
    )


def _stage_carrier(connection: Backend, paths: Sequence[Path], scratch: Path) -> StagedTable:
    rows, raw_files = stage_files(connection, [(path, CARRIER) for path in paths], scratch, name="carrier")
    of_line = {
        "hcpcs": "HCPCS_CD",
        "diagnosis": "LINE_ICD9_DGNS_CD",
        "paid": "LINE_NCH_PMT_AMT",
        "allowed": "LINE_ALOWD_CHRG_AMT",
        "npi": "PRF_PHYSN_NPI",
    }

    def to_canonical(rows: ir.Table) -> ir.Table:
        entries = [
            {name: rows[f"{stem}_{number}"] for name, stem in of_line.items()}
            for number in range(1, CARRIER_LINES + 1)
        ]
        lines = _unfold(rows, entries, lambda line: line.hcpcs.notnull() | line.diagnosis.notnull())
        start, end = parse_date(lines.CLM_FROM_DT, _DATES), parse_date(lines.CLM_THRU_DT, _DATES)
        return lines.select(
            "source_file",
            "row_no",
            "is_first_line",
            patient_id=clean_id(lines.DESYNPUF_ID),
            claim_id=clean_id(lines.CLM_ID),
            claim_line_number=lines.line.position,
            claim_type=ibis.literal("CAR"),
            claim_start_date=start,
            claim_end_date=end,
            claim_line_start_date=start,
            claim_line_end_date=end,
            hcpcs_code=lines.line.hcpcs,
            diagnoses=_coded(
                "ICD9CM", [*(lines[column] for column in CARRIER_DIAGNOSES), lines.line.diagnosis], ranked=True
            ),
            rendering_npi=clean_id(lines.line.npi),
            paid_amount=parse_amount(lines.line.paid),
            allowed_amount=parse_amount(lines.line.allowed),
        )

    return StagedTable(
        name="carrier",
        target="claim_line",
        rows=rows,
        files=raw_files,
        patient_column="DESYNPUF_ID",
        row_key=("DESYNPUF_ID", "CLM_ID"),
        to_canonical=to_canonical,
        claim_type="CAR",
        claim_column="CLM_ID",
        service_date=lambda rows: parse_date(rows.CLM_FROM_DT, _DATES),
        checks=_claim_checks("CLM_FROM_DT", "CLM_THRU_DT"),
        code_columns=(
            CodeColumns((*CARRIER_DIAGNOSES, *numbered("LINE_ICD9_DGNS_CD", CARRIER_LINES)), "ICD9CM"),
            CodeColumns(CARRIER_HCPCS, "HCPCS"),
        ),
        reversal=Reversal(tuple(c for c in CARRIER.columns if "AMT" not in c), "LINE_NCH_PMT_AMT_1"),
        warnings=(warn_amount("LINE_NCH_PMT_AMT_1", "LINE_ALOWD_CHRG_AMT_1"), warn_diagnosis_gap(CARRIER_DIAGNOSES)),
    )


def _stage_prescriptions(connection: Backend, paths: Sequence[Path], scratch: Path) -> StagedTable:
    rows, raw_files = stage_files(connection, [(path, PRESCRIPTION) for path in paths], scratch, name="prescription")

    def to_canonical(rows: ir.Table) -> ir.Table:
        cost = parse_amount(rows.TOT_RX_CST_AMT)
        return rows.select(
            "source_file",
            "row_no",
            patient_id=clean_id(rows.DESYNPUF_ID),
            claim_id=clean_id(rows.PDE_ID),
            claim_line_number=ibis.literal(1, "int32"),
            dispensing_date=parse_date(rows.SRVC_DT, _DATES),
            ndc_code=rows.PROD_SRVC_ID,
            quantity=parse_number(rows.QTY_DSPNSD_NUM, "float32"),
            days_supply=parse_number(rows.DAYS_SUPLY_NUM, "int16"),
            # Codebook: the total cost of the drug, of which the patient pays a part.
            paid_amount=cost - parse_amount(rows.PTNT_PAY_AMT),
            allowed_amount=cost,
        )

    return StagedTable(
        name="prescription",
        target="rx_claim",
        rows=rows,
        files=raw_files,
        patient_column="DESYNPUF_ID",
        row_key=("DESYNPUF_ID", "PDE_ID"),
        to_canonical=to_canonical,
        claim_type="RX",
        claim_column="PDE_ID",
        service_date=lambda rows: parse_date(rows.SRVC_DT, _DATES),
        checks=(check_id("DESYNPUF_ID"), check_id("PDE_ID"), check_date("SRVC_DT", _DATES)),
        code_columns=(CodeColumns(("PROD_SRVC_ID",), "NDC"),),
        reversal=Reversal(("DESYNPUF_ID", "PDE_ID", "SRVC_DT", "PROD_SRVC_ID"), "TOT_RX_CST_AMT"),
        warnings=(warn_amount("TOT_RX_CST_AMT"), fix_amount("TOT_RX_CST_AMT", "PTNT_PAY_AMT")),
    )
