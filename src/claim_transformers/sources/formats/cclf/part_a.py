"""Part A claims: the header, and each line, procedure and diagnosis, become lines of one claim.

The rows of the four files become lines of their own, as nothing else keeps every row accounted for. Numbers of lines
tell them apart: a revenue center keeps its own, the others follow far behind.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import ibis

from claim_transformers.claims.fields import clean_id, parse_amount, parse_date, parse_number
from claim_transformers.claims.quality import (
    RowCheck,
    check_date,
    check_id,
    check_line_number,
    check_order,
    fix_amount,
    fix_dates,
    warn_amount,
)
from claim_transformers.sources.formats.cclf.fields import (
    ADJUSTMENT,
    CLAIM,
    DATES,
    ICD,
    PATIENT,
    claim_type_of,
    delivery_order,
    diagnosis_system,
    hcpcs_modifiers,
    kinds_of,
    known_date,
    says_icd10,
    version_order,
    warn_code_version,
)
from claim_transformers.sources.formats.cclf.headers import (
    add_fate,
    add_header,
    check_fates,
    header_of,
)
from claim_transformers.sources.pipeline.contract import CodeColumns, StagedTable, Versions
from claim_transformers.sources.pipeline.lines import list_diagnoses, list_procedures, one_diagnosis
from claim_transformers.sources.pipeline.qualifiers import Qualifiers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from claim_transformers.sources.pipeline.contract import RawFile
    from claim_transformers.sources.pipeline.layout_files import FileLayout

# Bills have a few hundred lines at most.
_MOST_LINES = 999_999
_HEADER, _PROCEDURES, _DIAGNOSES = 1_000_000, 2_000_000, 3_000_000
_MOST_CODES = 99
# CMS: E is the code of an accident and 1 the first of the external causes; all others are diagnoses.
_EXTERNAL = ("E", "1")
_STAYS = ("IP", "SNF")
# NUBC: still a patient when the bill was written, so the end of the claim is no discharge.
_STILL_A_PATIENT = "30"
_DRG = "DRG_OF_CLAIM"
_HEADER_CODES = {_DRG: "DRG", "BENE_PTNT_STUS_CD": "DISP"}
_LINE_DATES = ("CLM_LINE_FROM_DT", "CLM_LINE_THRU_DT", "CLM_LINE_INSTNL_REV_CTR_DT")


def stage_headers(
    connection: Backend, rows: ir.Table, files: Sequence[RawFile], layout: FileLayout, headers: ir.Table
) -> StagedTable:
    """Say what the rows of CCLF1 mean."""
    qualifiers = Qualifiers.read(connection, rows, (ICD,))
    system = partial(diagnosis_system, qualifiers=qualifiers)
    diagnoses = ("PRNCPL_DGNS_CD", "ADMTG_DGNS_CD")
    return StagedTable(
        name=layout.name,
        target="claim_line",
        rows=rows,
        files=tuple(files),
        patient_column=PATIENT,
        row_key=(PATIENT, CLAIM, ADJUSTMENT),
        kinds=kinds_of(layout),
        derive=lambda rows: _with_drg(add_fate(connection, layout.name, rows, headers)),
        to_canonical=partial(_to_header_lines, qualifiers=qualifiers),
        claim_type=claim_type_of,
        claim_column=CLAIM,
        service_date=lambda rows: parse_date(rows.CLM_FROM_DT, DATES),
        checks=(
            *_check_claim(layout, lambda name: name),
            check_order("CLM_FROM_DT", "CLM_THRU_DT", DATES),
            *layout.checks(("D_",)),
        ),
        code_columns=(
            CodeColumns(diagnoses, system_of=system, systems=("ICD9CM", "ICD10CM")),
            *(CodeColumns((column,), code) for column, code in _HEADER_CODES.items()),
        ),
        versions=Versions((PATIENT, CLAIM, ADJUSTMENT), version_order),
        warnings=(
            warn_amount(("CLM_PMT_AMT", None)),
            fix_amount("CLM_PMT_AMT", "CLM_MDCR_INSTNL_TOT_CHRG_AMT"),
            fix_dates(("CLM_EFCTV_DT", "CLM_IDR_LD_DT"), DATES),
            warn_code_version(qualifiers, *diagnoses),
            *layout.checks(("W_",)),
        ),
        denials=layout.denials,
    )


class _Part(NamedTuple):
    """What one kind of rows that are a part of a claim has of its own."""

    row_key: tuple[str, ...]
    to_canonical: Callable[[ir.Table], ir.Table]
    checks: tuple[RowCheck, ...]
    codes: tuple[CodeColumns, ...]
    warnings: tuple[RowCheck, ...]


def stage_part(
    connection: Backend, rows: ir.Table, files: Sequence[RawFile], layout: FileLayout, headers: ir.Table
) -> StagedTable:
    """Say what the rows of CCLF2, 3 or 4 mean: they leave with their claim, and have its dates."""
    part = PARTS[layout.name](connection, rows)
    start, end = header_of("CLM_FROM_DT"), header_of("CLM_THRU_DT")
    return StagedTable(
        name=layout.name,
        target="claim_line",
        rows=rows,
        files=tuple(files),
        patient_column=PATIENT,
        row_key=part.row_key,
        kinds=kinds_of(layout),
        derive=lambda rows: add_header(connection, layout.name, rows, headers),
        to_canonical=part.to_canonical,
        claim_type=claim_type_of,
        claim_column=CLAIM,
        service_date=lambda rows: parse_date(rows[start], DATES),
        checks=(*_check_claim(layout, header_of), check_order(start, end, DATES), *part.checks),
        code_columns=part.codes,
        # They have no day of their own but that of their delivery: the later one corrects the earlier.
        versions=Versions(part.row_key, delivery_order),
        warnings=(*part.warnings, *layout.checks(("W_",))),
        denials=(),
    )


def _revenue_centers(connection: Backend, rows: ir.Table) -> _Part:
    return _Part(
        row_key=(PATIENT, CLAIM, "CLM_LINE_NUM"),
        to_canonical=_to_revenue_lines,
        checks=(
            check_line_number("CLM_LINE_NUM", most=_MOST_LINES),
            *(check_date(name, DATES, required=False) for name in _LINE_DATES),
        ),
        codes=(CodeColumns(("CLM_LINE_PROD_REV_CTR_CD",), "REV"), CodeColumns(("CLM_LINE_HCPCS_CD",), "HCPCS")),
        warnings=(fix_dates(_LINE_DATES, DATES),),
    )


def _procedures(connection: Backend, rows: ir.Table) -> _Part:
    qualifiers = Qualifiers.read(connection, rows, (ICD,))
    system = partial(_procedure_system, qualifiers=qualifiers)
    return _Part(
        row_key=(PATIENT, CLAIM, "CLM_VAL_SQNC_NUM"),
        to_canonical=partial(_to_procedure_lines, qualifiers=qualifiers),
        checks=(
            check_line_number("CLM_VAL_SQNC_NUM", most=_MOST_CODES),
            check_date("CLM_PRCDR_PRFRM_DT", DATES, required=False),
        ),
        codes=(CodeColumns(("CLM_PRCDR_CD",), system_of=system, systems=("ICD9PCS", "ICD10PCS")),),
        warnings=(fix_dates(("CLM_PRCDR_PRFRM_DT",), DATES), warn_code_version(qualifiers, "CLM_PRCDR_CD")),
    )


def _diagnoses(connection: Backend, rows: ir.Table) -> _Part:
    qualifiers = Qualifiers.read(connection, rows, (ICD,))
    system = partial(diagnosis_system, qualifiers=qualifiers)
    return _Part(
        row_key=(PATIENT, CLAIM, "CLM_PROD_TYPE_CD", "CLM_VAL_SQNC_NUM"),
        to_canonical=partial(_to_diagnosis_lines, qualifiers=qualifiers),
        checks=(
            check_line_number("CLM_VAL_SQNC_NUM", most=_MOST_CODES),
            RowCheck("R_LINE_NUMBER", "CLM_PROD_TYPE_CD is no sign", lambda rows: rows.CLM_PROD_TYPE_CD.length() > 1),
        ),
        codes=(CodeColumns(("CLM_DGNS_CD",), system_of=system, systems=("ICD9CM", "ICD10CM")),),
        warnings=(warn_code_version(qualifiers, "CLM_DGNS_CD"),),
    )


# The files behind the headers.
PARTS = {"cclf2": _revenue_centers, "cclf3": _procedures, "cclf4": _diagnoses}


def _check_claim(layout: FileLayout, name_of: Callable[[str], str]) -> tuple[RowCheck, ...]:
    return (
        check_id(PATIENT),
        check_id(CLAIM),
        *check_fates(),
        *layout.checks(("R_",)),
        RowCheck("R_CLAIM_TYPE", "CLM_TYPE_CD is missing", lambda rows: claim_type_of(rows).isnull()),
        check_date(name_of("CLM_FROM_DT"), DATES),
        check_date(name_of("CLM_THRU_DT"), DATES),
    )


# ---- Lines ----


def _with_drg(rows: ir.Table) -> ir.Table:
    """Add the group in three digits: the field has room for four, and some senders fill it with a zero."""
    return rows.mutate(**{_DRG: rows.DGNS_DRG_CD.re_replace("^0([0-9]{3})$", r"\1")})


def _to_header_lines(rows: ir.Table, qualifiers: Qualifiers) -> ir.Table:
    icd = diagnosis_system(rows, qualifiers)
    drg = rows[_DRG]
    return rows.select(
        "source_file",
        "row_no",
        **_claim_of(rows, ibis.literal(_HEADER, "int32"), lambda name: name),
        discharge_disposition_code=rows.BENE_PTNT_STUS_CD,
        admit_source_code=rows.CLM_ADMSN_SRC_CD,
        admit_type_code=rows.CLM_ADMSN_TYPE_CD,
        bill_type_code=rows.CLM_BILL_FAC_TYPE_CD + rows.CLM_BILL_CLSFCTN_CD + rows.CLM_BILL_FREQ_CD,
        drg_code_type=ibis.ifelse(drg.notnull(), "ms-drg", ibis.null("string")),
        drg_code=drg,
        diagnoses=list_diagnoses(icd, [rows.PRNCPL_DGNS_CD]),
        admitting_diagnosis=one_diagnosis(icd, rows.ADMTG_DGNS_CD),
        rendering_npi=ibis.coalesce(clean_id(rows.CLM_ATNDG_PRVDR_NPI_NUM), clean_id(rows.ATNDG_PRVDR_NPI_NUM)),
        paid_amount=parse_amount(rows.CLM_PMT_AMT),
        charge_amount=parse_amount(rows.CLM_MDCR_INSTNL_TOT_CHRG_AMT),
    )


def _to_revenue_lines(rows: ir.Table) -> ir.Table:
    day = [parse_date(rows[name], DATES) for name in _LINE_DATES]
    start = ibis.coalesce(day[2], day[0])
    return rows.select(
        "source_file",
        "row_no",
        **_claim_of(rows, parse_number(rows.CLM_LINE_NUM, "int32")),
        claim_line_start_date=start,
        claim_line_end_date=ibis.coalesce(day[2], day[1], start),
        revenue_center_code=rows.CLM_LINE_PROD_REV_CTR_CD,
        hcpcs_code=rows.CLM_LINE_HCPCS_CD,
        hcpcs_modifiers=hcpcs_modifiers(rows),
        service_unit_quantity=parse_number(rows.CLM_LINE_SRVC_UNIT_QTY, "float32"),
    )


def _to_procedure_lines(rows: ir.Table, qualifiers: Qualifiers) -> ir.Table:
    day = parse_date(rows.CLM_PRCDR_PRFRM_DT, DATES)
    return rows.select(
        "source_file",
        "row_no",
        **_claim_of(rows, _PROCEDURES + parse_number(rows.CLM_VAL_SQNC_NUM, "int32")),
        procedures=list_procedures(_procedure_system(rows, qualifiers), [rows.CLM_PRCDR_CD], [day]),
    )


def _to_diagnosis_lines(rows: ir.Table, qualifiers: Qualifiers) -> ir.Table:
    number = parse_number(rows.CLM_VAL_SQNC_NUM, "int32", within=(1, _MOST_CODES))
    kind = rows.CLM_PROD_TYPE_CD.fill_null("")
    # One number for each kind and place, so that no two diagnoses of a claim share one.
    place = kind.ascii_str().fill_null(0) * (_MOST_CODES + 1) + number
    is_principal = (_bare(rows.CLM_DGNS_CD) == _bare(rows[header_of("PRNCPL_DGNS_CD")])).fill_null(False)
    # The principal diagnosis stands among the others again; the external causes follow them.
    behind = ibis.ifelse(kind.isin(_EXTERNAL), number + _MOST_CODES // 2, number)
    rank = ibis.ifelse(is_principal, 1, ibis.least(behind + 1, 127)).cast("int8")
    system = diagnosis_system(rows, qualifiers)
    return rows.select(
        "source_file",
        "row_no",
        **_claim_of(rows, (_DIAGNOSES + place).cast("int32")),
        diagnoses=list_diagnoses(system, [rows.CLM_DGNS_CD], [rows.CLM_POA_IND], ranks=[rank]),
    )


def _bare(code: ir.StringValue) -> ir.StringValue:
    return code.strip().upper().replace(".", "")


def _claim_of(rows: ir.Table, number: ir.IntegerValue, name_of: Callable[[str], str] = header_of) -> dict[str, Any]:
    """Say which claim a row belongs to, and when it was, as the header has it."""
    start, end = (parse_date(rows[name_of(name)], DATES) for name in ("CLM_FROM_DT", "CLM_THRU_DT"))
    claim_type = claim_type_of(rows)
    is_stay = claim_type.isin(_STAYS)
    has_left = is_stay & (rows[name_of("BENE_PTNT_STUS_CD")] != _STILL_A_PATIENT).fill_null(True)
    return {
        "patient_id": rows[PATIENT],
        "claim_id": rows[CLAIM],
        "claim_line_number": number,
        "claim_type": claim_type,
        "claim_start_date": start,
        "claim_end_date": end,
        "admission_date": ibis.ifelse(is_stay, start, ibis.null("date")),
        "discharge_date": ibis.ifelse(has_left, end, ibis.null("date")),
        "paid_date": known_date(rows, name_of),
        "billing_npi": clean_id(rows[name_of("CLM_BLG_PRVDR_NPI_NUM")]),
        "facility_npi": clean_id(rows[name_of("FAC_PRVDR_NPI_NUM")]),
    }


def _procedure_system(rows: ir.Table, qualifiers: Qualifiers) -> ir.StringValue:
    return ibis.ifelse(says_icd10(rows, qualifiers), "ICD10PCS", "ICD9PCS")
