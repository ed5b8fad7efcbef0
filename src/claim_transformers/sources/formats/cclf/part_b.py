"""Part B claims, of physicians and of equipment: one row is one line, and the claim stands again on each.

A claim, its cancellation and its adjustment share person, control number and line (the natural key of the CCLF
Information Packet, section 5.1.2); a row without a control number stands for itself.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

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
    warn_diagnosis_gap,
)
from claim_transformers.claims.reversals import Reversal
from claim_transformers.sources.formats.cclf.fields import (
    ADJUSTMENT,
    CANCELLATIONS,
    CLAIM,
    DATES,
    ICD,
    PATIENT,
    check_adjustment,
    diagnosis_system,
    hcpcs_modifiers,
    kinds_of,
    known_date,
    version_order,
    warn_code_version,
)
from claim_transformers.sources.pipeline.contract import CodeColumns, StagedTable, Versions
from claim_transformers.sources.pipeline.lines import list_diagnoses
from claim_transformers.sources.pipeline.qualifiers import Qualifiers

if TYPE_CHECKING:
    from collections.abc import Sequence

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from claim_transformers.sources.pipeline.contract import RawFile
    from claim_transformers.sources.pipeline.layout_files import FileLayout

_GROUP, _LINE = "GROUP_OF_CLAIM", "CLM_LINE_NUM"
_MOST_LINES = 999_999
_DIAGNOSES = tuple(f"CLM_DGNS_{number}_CD" for number in range(1, 13))
_LINE_DIAGNOSIS = "CLM_LINE_DGNS_CD"
_PAID, _ALLOWED = "CLM_LINE_CVRD_PD_AMT", "CLM_LINE_ALOWD_CHRG_AMT"
_DATES_OF_LINE = ("CLM_LINE_FROM_DT", "CLM_LINE_THRU_DT")


def stage_part_b(
    connection: Backend, rows: ir.Table, files: Sequence[RawFile], layout: FileLayout, *, keep_denied: bool
) -> StagedTable:
    """Say what the rows of CCLF5 or CCLF6 mean."""
    has_diagnoses = ICD in layout.names
    codes = [CodeColumns(("CLM_LINE_HCPCS_CD",), "HCPCS"), CodeColumns(("CLM_POS_CD",), "POS")]
    warnings = [
        warn_amount((_PAID, _ALLOWED)),
        fix_amount(_PAID, _ALLOWED),
        fix_dates((*_DATES_OF_LINE, "CLM_EFCTV_DT", "CLM_IDR_LD_DT"), DATES),
    ]
    qualifiers = None
    if has_diagnoses:
        qualifiers = Qualifiers.read(connection, rows, (ICD,))
        system = partial(diagnosis_system, qualifiers=qualifiers)
        codes.append(CodeColumns((*_DIAGNOSES, _LINE_DIAGNOSIS), system_of=system, systems=("ICD9CM", "ICD10CM")))
        warnings += [warn_diagnosis_gap(_DIAGNOSES), warn_code_version(qualifiers, *_DIAGNOSES, _LINE_DIAGNOSIS)]
    denied = () if keep_denied else layout.checks(("D_",))
    return StagedTable(
        name=layout.name,
        target="claim_line",
        rows=rows,
        files=tuple(files),
        patient_column=PATIENT,
        row_key=(PATIENT, CLAIM, _LINE),
        kinds=kinds_of(layout),
        derive=_with_group,
        to_canonical=partial(_to_lines, qualifiers=qualifiers, claim_type=layout.claim_type),
        claim_type=layout.claim_type,
        claim_column=CLAIM,
        service_date=lambda rows: parse_date(rows.CLM_FROM_DT, DATES),
        checks=(
            *denied,
            check_id(PATIENT),
            check_id(CLAIM),
            check_line_number(_LINE, most=_MOST_LINES),
            check_adjustment(),
            RowCheck("R_CLAIM_TYPE", "CLM_TYPE_CD is missing", lambda rows: rows.CLM_TYPE_CD.isnull()),
            check_date("CLM_FROM_DT", DATES),
            check_date("CLM_THRU_DT", DATES),
            *(check_date(name, DATES, required=False) for name in _DATES_OF_LINE),
            check_order("CLM_FROM_DT", "CLM_THRU_DT", DATES),
            *layout.checks(("R_",)),
        ),
        code_columns=tuple(codes),
        reversal=Reversal(
            (PATIENT, _GROUP, _LINE), (CLAIM,), (_PAID, _ALLOWED), void_column=ADJUSTMENT, void_values=CANCELLATIONS
        ),
        versions=Versions((PATIENT, _GROUP, _LINE), version_order),
        warnings=(*warnings, *layout.checks(("W_",))),
        denials=layout.denials,
    )


def _with_group(rows: ir.Table) -> ir.Table:
    """Add what a claim shares with its cancellation and its adjustment."""
    control = clean_id(rows.CLM_CNTL_NUM)
    return rows.mutate(**{_GROUP: ibis.ifelse(control.notnull(), "control " + control, "claim " + rows[CLAIM])})


def _to_lines(rows: ir.Table, qualifiers: Qualifiers | None, claim_type: str) -> ir.Table:
    start, end = (parse_date(rows[name], DATES) for name in _DATES_OF_LINE)
    columns: dict[str, ir.Value] = {}
    if qualifiers is None:
        columns["billing_npi"] = ibis.coalesce(*map(clean_id, (rows.CLM_BLG_PRVDR_NPI_NUM, rows.PAYTO_PRVDR_NPI_NUM)))
    else:
        columns = {
            "diagnoses": list_diagnoses(
                diagnosis_system(rows, qualifiers), [rows[name] for name in (*_DIAGNOSES, _LINE_DIAGNOSIS)]
            ),
            "hcpcs_modifiers": hcpcs_modifiers(rows),
            "service_unit_quantity": parse_number(rows.CLM_LINE_SRVC_UNIT_QTY, "float32"),
            "rendering_npi": ibis.coalesce(*map(clean_id, (rows.CLM_RNDRG_PRVDR_NPI_NUM, rows.RNDRG_PRVDR_NPI_NUM))),
        }
    return rows.select(
        "source_file",
        "row_no",
        patient_id=rows[PATIENT],
        claim_id=rows[CLAIM],
        claim_line_number=parse_number(rows[_LINE], "int32"),
        claim_type=ibis.literal(claim_type),
        claim_start_date=parse_date(rows.CLM_FROM_DT, DATES),
        claim_end_date=parse_date(rows.CLM_THRU_DT, DATES),
        claim_line_start_date=start,
        claim_line_end_date=ibis.coalesce(end, start),
        paid_date=known_date(rows),
        place_of_service_code=rows.CLM_POS_CD,
        hcpcs_code=rows.CLM_LINE_HCPCS_CD,
        paid_amount=parse_amount(rows[_PAID]),
        allowed_amount=parse_amount(rows[_ALLOWED]),
        **columns,
    )
