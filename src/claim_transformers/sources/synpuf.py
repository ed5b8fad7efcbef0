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
_CARRIER_LINES = 13


def _numbered(stem: str, count: int) -> tuple[str, ...]:
    return tuple(f"{stem}_{number}" for number in range(1, count + 1))


DIAGNOSES = _numbered("ICD9_DGNS_CD", 10)
PROCEDURES = _numbered("ICD9_PRCDR_CD", 6)
HCPCS = _numbered("HCPCS_CD", 45)
_CLAIM = ("DESYNPUF_ID", "CLM_ID", "SEGMENT", "CLM_FROM_DT", "CLM_THRU_DT", "CLM_PMT_AMT")
_UNUSED_INSTITUTIONAL = (
    ("PRVDR_NUM", "NCH_PRMRY_PYR_CLM_PD_AMT", "OP_PHYSN_NPI", "OT_PHYSN_NPI")
    + ("ADMTNG_ICD9_DGNS_CD", "NCH_BENE_BLOOD_DDCTBL_LBLTY_AM")
)
_UNUSED_INPATIENT = (
    ("CLM_PASS_THRU_PER_DIEM_AMT", "NCH_BENE_IP_DDCTBL_AMT", "NCH_BENE_PTA_COINSRNC_LBLTY_AM", "CLM_UTLZTN_DAY_CNT")
)
_STAY = ("CLM_ADMSN_DT", "NCH_BENE_DSCHRG_DT", "CLM_DRG_CD")
_IDS = ("DESYNPUF_ID", "CLM_ID", "PDE_ID")
_INPATIENT = Layout(
    required=(*_CLAIM, *_STAY, *DIAGNOSES),
    optional=("AT_PHYSN_NPI", *_UNUSED_INSTITUTIONAL, *_UNUSED_INPATIENT, *PROCEDURES, *HCPCS),
    id_columns=_IDS,
)
_OUTPATIENT = Layout(
    required=(*_CLAIM, *DIAGNOSES),
    optional=("AT_PHYSN_NPI", *_UNUSED_INSTITUTIONAL, "NCH_BENE_PTB_DDCTBL_AMT", "NCH_BENE_PTB_COINSRNC_AMT")
    + (*PROCEDURES, *HCPCS),
    id_columns=_IDS,
)
_CARRIER = Layout(
    required=("DESYNPUF_ID", "CLM_ID", "CLM_FROM_DT", "CLM_THRU_DT", *DIAGNOSES[:8], *HCPCS[:_CARRIER_LINES]),
    optional=tuple(
        name
        for stem in ("LINE_ICD9_DGNS_CD", "LINE_NCH_PMT_AMT", "LINE_ALOWD_CHRG_AMT", "PRF_PHYSN_NPI", "TAX_NUM")
        + ("LINE_BENE_PTB_DDCTBL_AMT", "LINE_BENE_PRMRY_PYR_PD_AMT", "LINE_COINSRNC_AMT", "LINE_PRCSG_IND_CD")
        for name in _numbered(stem, _CARRIER_LINES)
    ),
    id_columns=_IDS,
)
_PRESCRIPTION = Layout(
    required=("DESYNPUF_ID", "PDE_ID", "SRVC_DT", "PROD_SRVC_ID"),
    optional=("QTY_DSPNSD_NUM", "DAYS_SUPLY_NUM", "PTNT_PAY_AMT", "TOT_RX_CST_AMT"),
    id_columns=_IDS,
)
_BENEFICIARY_REQUIRED = ("DESYNPUF_ID", "BENE_BIRTH_DT", "BENE_DEATH_DT", "BENE_SEX_IDENT_CD", "BENE_RACE_CD") + (
    "SP_STATE_CODE",
    "BENE_COUNTY_CD",
    "BENE_HI_CVRAGE_TOT_MONS",
    "BENE_SMI_CVRAGE_TOT_MONS",
)
_BENEFICIARY_OPTIONAL = (
    ("BENE_ESRD_IND", "BENE_HMO_CVRAGE_TOT_MONS", "PLAN_CVRG_MOS_NUM")
    + ("SP_ALZHDMTA", "SP_CHF", "SP_CHRNKIDN", "SP_CNCR", "SP_COPD", "SP_DEPRESSN", "SP_DIABETES", "SP_ISCHMCHT")
    + ("SP_OSTEOPRS", "SP_RA_OA", "SP_STRKETIA", "MEDREIMB_IP", "BENRES_IP", "PPPYMT_IP", "MEDREIMB_OP", "BENRES_OP")
    + ("PPPYMT_OP", "MEDREIMB_CAR", "BENRES_CAR", "PPPYMT_CAR")
)


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
        tables.append(_stage_institutional(connection, "inpatient", "IP", files["inpatient"], _INPATIENT, scratch))
    if "outpatient" in files:
        tables.append(_stage_institutional(connection, "outpatient", "OP", files["outpatient"], _OUTPATIENT, scratch))
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


def _first_of_year(year: ir.IntegerValue) -> ir.DateValue:
    return ibis.date(year, ibis.literal(1), ibis.literal(1))


def derive_enrollment(rows: ir.Table) -> ir.Table:
    """Turn months of coverage into a span of enrolment: `covered_months`, `starts_late`.

    The files say how many months of a year were covered by Part A (`BENE_HI_CVRAGE_TOT_MONS`) or B
    (`BENE_SMI_CVRAGE_TOT_MONS`), not which. The larger of both counts. Twelve months are the whole year. Fewer are the
    *last* months if the patient was not covered in the year before but is in the year after, or was not covered before
    and no later year tells otherwise; else they are the *first*. A span ends with the month of death. Years without
    coverage have no span.

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
    years = ibis.window(group_by=rows.DESYNPUF_ID, order_by=rows.YEAR)
    before, after = rows.covered_months.lag().over(years), rows.covered_months.lead().over(years)
    starts_late = ibis.ifelse(before.isnull(), (after > 0).fill_null(False), before == 0)
    return rows.mutate(starts_late=starts_late & rows.BENE_DEATH_DT.isnull())


def _to_eligibility(rows: ir.Table, counties: ir.Table | None) -> ir.Table:
    if counties is not None:
        county = rows.SP_STATE_CODE.lpad(2, "0") + rows.BENE_COUNTY_CD.lpad(3, "0")
        rows = rows.left_join(counties, county == counties.ssacounty)
    year = rows.YEAR.try_cast("int32")
    death = parse_date(rows.BENE_DEATH_DT, _DATES)
    is_covered = rows.covered_months > 0
    first_month = ibis.ifelse(rows.starts_late, 13 - rows.covered_months, 1)
    last_month = ibis.ifelse(rows.starts_late, 12, rows.covered_months)
    last_month = ibis.ifelse(death.year() == year, ibis.least(last_month, death.month()), last_month)
    no_date = ibis.null("date")
    start = ibis.date(year, first_month, ibis.literal(1))
    next_month = ibis.date(
        year + ibis.ifelse(last_month == 12, 1, 0), ibis.ifelse(last_month == 12, 1, last_month + 1), ibis.literal(1)
    )
    is_alive = (death.year() >= year).fill_null(True)
    return rows.select(
        "source_file",
        "row_no",
        patient_id=clean_id(rows.DESYNPUF_ID),
        source_member_id=clean_id(rows.DESYNPUF_ID),
        payer=ibis.literal("medicare"),
        gender=rows.BENE_SEX_IDENT_CD.cases(*_GENDERS.items(), else_=ibis.null("string")),
        race=rows.BENE_RACE_CD.cases(*_RACES.items(), else_=ibis.literal("unknown")),
        birth_date=parse_date(rows.BENE_BIRTH_DT, _DATES),
        death_date=death,
        enrollment_start_date=ibis.ifelse(is_covered & is_alive, start, no_date),
        enrollment_end_date=ibis.ifelse(is_covered & is_alive, (next_month - ibis.interval(days=1)).cast("date"), no_date),
        county_fips=ibis.null("string") if counties is None else rows.fipscounty,
    )


def _stage_beneficiaries(
    connection: Backend, paths: Sequence[Path], scratch: Path, county_crosswalk: str | Path | None
) -> StagedTable:
    files = []
    for path in paths:
        year = _YEAR.search(path.name)
        constants = {} if year is None else {"YEAR": year.group()}
        required = _BENEFICIARY_REQUIRED + (() if constants else ("YEAR",))
        files.append((path, Layout(required, _BENEFICIARY_OPTIONAL, _IDS, constants=constants)))
    rows, raw_files = stage_files(connection, files, scratch, name="beneficiary")
    counties = None if county_crosswalk is None else _read_counties(connection, Path(county_crosswalk), scratch)
    return StagedTable(
        name="beneficiary",
        target="eligibility",
        rows=rows,
        files=raw_files,
        patient_column="DESYNPUF_ID",
        row_key=("DESYNPUF_ID", "YEAR"),
        derive=derive_enrollment,
        to_canonical=lambda rows: _to_eligibility(rows, counties),
        checks=(
            check_id("DESYNPUF_ID"),
            check_date("BENE_BIRTH_DT", _DATES),
            check_date("BENE_DEATH_DT", _DATES, required=False),
            check_order("BENE_BIRTH_DT", "BENE_DEATH_DT", _DATES),
        ),
    )


def _read_counties(connection: Backend, path: Path, scratch: Path) -> ir.Table:
    layout = Layout(("fipscounty", "ssacounty"), id_columns=("fipscounty", "ssacounty"))
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


def _unfold(rows: ir.Table, entries: Sequence[dict[str, ir.Value]], is_there: Callable[[ir.StructValue], ir.BooleanValue]) -> ir.Table:
    """One row per entry that is there, or the first entry where none is; adds `line`, `is_first_line`."""
    structs = [
        ibis.struct({"position": ibis.literal(position, "int32"), **entry})
        for position, entry in enumerate(entries, start=1)
    ]
    filled = ibis.array(structs).filter(is_there)
    rows = rows.mutate(lines=ibis.ifelse(filled.length() > 0, filled, ibis.array(structs[:1])))
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
    rows, raw_files = stage_files(connection, [(path, _CARRIER) for path in paths], scratch, name="carrier")
    diagnoses = DIAGNOSES[:8]
    of_line = {
        "hcpcs": "HCPCS_CD",
        "diagnosis": "LINE_ICD9_DGNS_CD",
        "paid": "LINE_NCH_PMT_AMT",
        "allowed": "LINE_ALOWD_CHRG_AMT",
        "npi": "PRF_PHYSN_NPI",
    }

    def to_canonical(rows: ir.Table) -> ir.Table:
        entries = [
            {name: rows[f"{stem}_{number}"] for name, stem in of_line.items()} for number in range(1, _CARRIER_LINES + 1)
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
            diagnoses=_coded("ICD9CM", [*(lines[column] for column in diagnoses), lines.line.diagnosis], ranked=True),
            rendering_npi=clean_id(lines.line.npi),
            paid_amount=parse_amount(lines.line.paid),
            allowed_amount=parse_amount(lines.line.allowed),
        )

    hcpcs = HCPCS[:_CARRIER_LINES]
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
            CodeColumns((*diagnoses, *_numbered("LINE_ICD9_DGNS_CD", _CARRIER_LINES)), "ICD9CM"),
            CodeColumns(hcpcs, "HCPCS"),
        ),
        reversal=Reversal(tuple(c for c in _CARRIER.columns if "AMT" not in c), "LINE_NCH_PMT_AMT_1"),
        warnings=(warn_amount("LINE_NCH_PMT_AMT_1", "LINE_ALOWD_CHRG_AMT_1"), warn_diagnosis_gap(diagnoses)),
    )


def _stage_prescriptions(connection: Backend, paths: Sequence[Path], scratch: Path) -> StagedTable:
    rows, raw_files = stage_files(connection, [(path, _PRESCRIPTION) for path in paths], scratch, name="prescription")

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
