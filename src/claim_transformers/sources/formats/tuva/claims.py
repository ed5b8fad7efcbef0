"""Medical and pharmacy claims of the Tuva input layer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.fields import DateFormat, clean_id, parse_amount, parse_date, parse_number
from claim_transformers.claims.quality import (
    RowCheck,
    check_date,
    check_id,
    check_line_number,
    check_order,
    fix_amount,
    fix_dates,
    warn_amount,
    warn_diagnosis_gap,
)
from claim_transformers.claims.reversals import Reversal
from claim_transformers.claims.schema import CLAIM_TYPES
from claim_transformers.codes.systems import ICD10_START_DATE
from claim_transformers.sources.formats.tuva import SOURCE
from claim_transformers.sources.pipeline.contract import CodeColumns, RawFile, StagedTable, Versions
from claim_transformers.sources.pipeline.institutional import (
    drg_type_of,
    read_bill_type,
    system_of_drg,
    type_of_facility,
)
from claim_transformers.sources.pipeline.layout_files import FileLayout
from claim_transformers.sources.pipeline.lines import list_diagnoses, list_modifiers, list_procedures
from claim_transformers.sources.pipeline.qualifiers import Qualifiers, coding_day

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

DATES: DateFormat = "YYYY-MM-DD"
LAYOUTS = SOURCE.read_layouts()
_MEDICAL_CLAIM, _PHARMACY_CLAIM = LAYOUTS["medical_claim"], LAYOUTS["pharmacy_claim"]
_MODIFIERS = _MEDICAL_CLAIM.series("hcpcs_modifier")
_DIAGNOSES, _DIAGNOSES_POA = (_MEDICAL_CLAIM.series(stem) for stem in ("diagnosis_code", "diagnosis_poa"))
_PROCEDURES, _PROCEDURE_DATES = (_MEDICAL_CLAIM.series(stem) for stem in ("procedure_code", "procedure_date"))
_INSTITUTIONAL = "institutional"
_SYSTEM_OF_DIAGNOSES, _SYSTEM_OF_PROCEDURES = "system of diagnoses", "system of procedures"
_DIAGNOSIS_TYPE, _PROCEDURE_TYPE = "diagnosis_code_type", "procedure_code_type"
_WORDS = {"inpatient": "IP", "outpatient": "OP", "professional": "CAR", "pharmacy": "RX"}
_DATES_OF_CLAIM = ("claim_start_date", "claim_end_date", "claim_line_start_date", "claim_line_end_date")
_DATES_OF_STAY = ("admission_date", "discharge_date")
_LINE = ("data_source", "person_id", "claim_id", "claim_line_number")
_AMOUNTS = ("paid_amount", "allowed_amount", "charge_amount")


def _claim_type_of(rows: ir.Table) -> ir.StringValue:
    """Map `claim_type` and `bill_type_code` to a canonical claim type."""
    word = rows.claim_type.lower()
    facility = type_of_facility(_bill_type_of(rows), rows.admission_date, rows.drg_code)
    return ibis.cases(
        (word == _INSTITUTIONAL, facility),
        (word.upper().isin(CLAIM_TYPES), word.upper()),
        else_=word.cases(*_WORDS.items(), else_=ibis.null("string")),
    )


def _bill_type_of(rows: ir.Table) -> ir.StringValue:
    return read_bill_type(rows.bill_type_code)


def _drg_type_of(rows: ir.Table) -> ir.StringValue:
    return drg_type_of(rows.drg_code, rows.drg_code_type)


def _drg_system(rows: ir.Table) -> ir.StringValue:
    return system_of_drg(_drg_type_of(rows))


def _warn_bill_type() -> RowCheck:
    return RowCheck(
        "W_BILL_TYPE",
        "an institutional claim without a type of bill: admission date and DRG decide whether it is inpatient",
        lambda rows: (rows.claim_type.lower() == _INSTITUTIONAL) & _bill_type_of(rows).isnull(),
    )


def _fix_bill_type() -> RowCheck:
    return RowCheck(
        "F_BILL_TYPE_NULL",
        "a type of bill that is none becomes null",
        lambda rows: rows.bill_type_code.notnull() & _bill_type_of(rows).isnull(),
    )


def _is_icd10(rows: ir.Table, qualifiers: Qualifiers, *columns: str) -> ir.BooleanValue:
    """Whether codes are ICD-10: the first qualifier is trusted, else the date of discharge or service decides."""
    day = coding_day(rows.claim_start_date, (rows.discharge_date, rows.claim_end_date), DATES)
    return ibis.coalesce(*(qualifiers.says_icd10(rows[name]) for name in columns), day >= ibis.date(ICD10_START_DATE))


def _diagnosis_system(rows: ir.Table, qualifiers: Qualifiers) -> ir.StringValue:
    """Name the system of the diagnosis codes of each row."""
    return ibis.ifelse(_is_icd10(rows, qualifiers, _DIAGNOSIS_TYPE), "ICD10CM", "ICD9CM")


def _procedure_system(rows: ir.Table, qualifiers: Qualifiers) -> ir.StringValue:
    """Name the system of the procedure codes of each row."""
    return ibis.ifelse(_is_icd10(rows, qualifiers, _PROCEDURE_TYPE, _DIAGNOSIS_TYPE), "ICD10PCS", "ICD9PCS")


def _warn_code_type(qualifiers: Qualifiers) -> RowCheck:
    def fails(rows: ir.Table) -> ir.BooleanValue:
        return ibis.or_(
            *(
                qualifiers.is_none(rows[name]) & ibis.coalesce(*(rows[code] for code in codes)).notnull()
                for name, codes in ((_DIAGNOSIS_TYPE, _DIAGNOSES), (_PROCEDURE_TYPE, _PROCEDURES))
            )
        )

    return RowCheck("W_CODE_TYPE", "a qualifier that says neither ICD-9 nor ICD-10: the date decides", fails)


def stage_medical_claims(connection: Backend, rows: ir.Table, files: Sequence[RawFile]) -> StagedTable:
    """Say what the rows of `medical_claim` mean."""
    secondary_dates = (*_DATES_OF_CLAIM[1:], *_DATES_OF_STAY, "paid_date", *_PROCEDURE_DATES)
    qualifiers = Qualifiers.read(connection, rows, (_DIAGNOSIS_TYPE, _PROCEDURE_TYPE))
    diagnosis_system = partial(_diagnosis_system, qualifiers=qualifiers)
    procedure_system = partial(_procedure_system, qualifiers=qualifiers)
    return StagedTable(
        name="medical_claim",
        target="claim_line",
        rows=rows,
        files=tuple(files),
        patient_column="person_id",
        row_key=_LINE,
        to_canonical=partial(_to_claim_lines, qualifiers=qualifiers),
        claim_type=_claim_type_of,
        kinds=_MEDICAL_CLAIM.kinds,
        source_column="data_source",
        claim_column="claim_id",
        service_date=lambda rows: parse_date(rows.claim_start_date, DATES),
        checks=(
            check_id("person_id"),
            check_id("claim_id"),
            check_line_number("claim_line_number"),
            RowCheck("R_CLAIM_TYPE", "claim_type has no canonical type", lambda rows: _claim_type_of(rows).isnull()),
            check_date("claim_start_date", DATES),
            *(check_date(name, DATES, required=False) for name in (*_DATES_OF_CLAIM[1:], *_DATES_OF_STAY)),
            check_order("claim_start_date", "claim_end_date", DATES),
            check_order("claim_line_start_date", "claim_line_end_date", DATES),
            check_order("admission_date", "discharge_date", DATES),
        ),
        code_columns=(
            CodeColumns(_DIAGNOSES, system_of=diagnosis_system, systems=("ICD9CM", "ICD10CM")),
            CodeColumns(_PROCEDURES, system_of=procedure_system, systems=("ICD9PCS", "ICD10PCS")),
            CodeColumns(("hcpcs_code",), "HCPCS"),
            CodeColumns(("drg_code",), system_of=_drg_system, systems=("DRG", "APRDRG")),
            CodeColumns(("revenue_center_code",), "REV"),
            CodeColumns(("place_of_service_code",), "POS"),
            CodeColumns(("discharge_disposition_code",), "DISP"),
        ),
        reversal=Reversal(
            (*_LINE[:2], *_DATES_OF_CLAIM[:3], "revenue_center_code", "hcpcs_code"),
            _LINE[2:],
            _AMOUNTS,
            ("service_unit_quantity",),
        ),
        versions=_versions(_MEDICAL_CLAIM),
        warnings=(
            warn_amount(("paid_amount", "allowed_amount")),
            fix_amount(*_AMOUNTS),
            warn_diagnosis_gap(_DIAGNOSES),
            fix_dates(secondary_dates, DATES),
            _warn_code_type(qualifiers),
            _warn_bill_type(),
            _fix_bill_type(),
            RowCheck(
                "F_DRG_TYPE",
                "a DRG of another grouper than MS-DRG and APR-DRG becomes null",
                lambda rows: rows.drg_code.notnull() & _drg_type_of(rows).isnull(),
            ),
        ),
    )


def stage_pharmacy_claims(connection: Backend, rows: ir.Table, files: Sequence[RawFile]) -> StagedTable:
    """Say what the rows of `pharmacy_claim` mean."""
    return StagedTable(
        name="pharmacy_claim",
        target="rx_claim",
        rows=rows,
        files=tuple(files),
        patient_column="person_id",
        row_key=_LINE,
        to_canonical=_to_rx_claims,
        claim_type="RX",
        kinds=_PHARMACY_CLAIM.kinds,
        source_column="data_source",
        claim_column="claim_id",
        service_date=lambda rows: parse_date(rows.dispensing_date, DATES),
        checks=(
            check_id("person_id"),
            check_id("claim_id"),
            check_line_number("claim_line_number"),
            check_date("dispensing_date", DATES),
        ),
        code_columns=(CodeColumns(("ndc_code",), "NDC"),),
        reversal=Reversal(
            (*_LINE[:2], "dispensing_date", "ndc_code"), _LINE[2:], _AMOUNTS, ("quantity", "days_supply")
        ),
        versions=_versions(_PHARMACY_CLAIM),
        warnings=(
            warn_amount(("paid_amount", "allowed_amount")),
            fix_amount("paid_amount", "allowed_amount"),
            fix_dates(("paid_date",), DATES),
        ),
    )


def _to_claim_lines(rows: ir.Table, qualifiers: Qualifiers) -> ir.Table:
    # What every code of a row is joined with is computed, and planned, once.
    rows = rows.mutate(
        **{
            _SYSTEM_OF_DIAGNOSES: _diagnosis_system(rows, qualifiers),
            _SYSTEM_OF_PROCEDURES: _procedure_system(rows, qualifiers),
        }
    )
    return rows.select(
        "source_file",
        "row_no",
        patient_id=rows.person_id,
        claim_id=rows.claim_id,
        claim_line_number=parse_number(rows.claim_line_number, "int32"),
        claim_type=_claim_type_of(rows),
        **{name: parse_date(rows[name], DATES) for name in (*_DATES_OF_CLAIM, *_DATES_OF_STAY, "paid_date")},
        discharge_disposition_code=rows.discharge_disposition_code,
        admit_source_code=rows.admit_source_code,
        admit_type_code=rows.admit_type_code,
        place_of_service_code=rows.place_of_service_code,
        bill_type_code=_bill_type_of(rows),
        drg_code_type=_drg_type_of(rows),
        drg_code=ibis.ifelse(_drg_type_of(rows).notnull(), rows.drg_code, ibis.null("string")),
        revenue_center_code=rows.revenue_center_code,
        hcpcs_code=rows.hcpcs_code,
        hcpcs_modifiers=list_modifiers(rows, "hcpcs_code", _MODIFIERS),
        diagnoses=list_diagnoses(
            rows[_SYSTEM_OF_DIAGNOSES], [rows[name] for name in _DIAGNOSES], [rows[name] for name in _DIAGNOSES_POA]
        ),
        procedures=list_procedures(
            rows[_SYSTEM_OF_PROCEDURES],
            [rows[name] for name in _PROCEDURES],
            [parse_date(rows[name], DATES) for name in _PROCEDURE_DATES],
        ),
        rendering_npi=clean_id(rows.rendering_npi),
        billing_npi=clean_id(rows.billing_npi),
        facility_npi=clean_id(rows.facility_npi),
        service_unit_quantity=parse_number(rows.service_unit_quantity, "float32"),
        **{name: parse_amount(rows[name]) for name in _AMOUNTS},
        data_source=rows.data_source,
    )


def _to_rx_claims(rows: ir.Table) -> ir.Table:
    return rows.select(
        "source_file",
        "row_no",
        patient_id=rows.person_id,
        claim_id=rows.claim_id,
        claim_line_number=parse_number(rows.claim_line_number, "int32"),
        dispensing_date=parse_date(rows.dispensing_date, DATES),
        ndc_code=rows.ndc_code,
        quantity=parse_number(rows.quantity, "float32"),
        days_supply=parse_number(rows.days_supply, "int16"),
        refills=parse_number(rows.refills, "int16"),
        paid_amount=parse_amount(rows.paid_amount),
        allowed_amount=parse_amount(rows.allowed_amount),
        paid_date=parse_date(rows.paid_date, DATES),
        data_source=rows.data_source,
    )


def _versions(layout: FileLayout) -> Versions:
    """Of a line that stands more than once, the one that was paid last counts."""
    return Versions(_LINE, lambda rows: parse_date(rows[layout.version_day], DATES))
