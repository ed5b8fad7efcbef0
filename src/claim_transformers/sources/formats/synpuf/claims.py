"""Claims of DE-SynPUF: inpatient, outpatient, carrier, prescription drug events."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.engine import materialize
from claim_transformers.claims.fields import (
    DateFormat,
    clean_id,
    clean_number,
    parse_amount,
    parse_date,
    parse_number,
    subtract_share,
)
from claim_transformers.claims.planning import build
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
from claim_transformers.sources.formats.synpuf import SOURCE
from claim_transformers.sources.pipeline.contract import CodeColumns, StagedTable
from claim_transformers.sources.pipeline.layout_files import FileLayout
from claim_transformers.sources.pipeline.lines import (
    code_name,
    list_diagnoses,
    one_diagnosis,
    unfold_claims,
    unfold_lines,
)
from claim_transformers.sources.pipeline.reading import stage_files

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

DATES: DateFormat = "YYYYMMDD"
LAYOUTS = SOURCE.read_layouts()
_STAY = ("CLM_ADMSN_DT", "NCH_BENE_DSCHRG_DT", "CLM_DRG_CD")
_ADMITTING = "ADMTNG_ICD9_DGNS_CD"
# Inpatient and outpatient rows number the same codes alike.
_DIAGNOSES, _PROCEDURES, _HCPCS = (
    LAYOUTS["inpatient"].series(stem) for stem in ("ICD9_DGNS_CD", "ICD9_PRCDR_CD", "HCPCS_CD")
)
_CARRIER = LAYOUTS["carrier"]
_CARRIER_DIAGNOSES, _LINE_DIAGNOSES, _CARRIER_HCPCS = (
    _CARRIER.series(stem) for stem in ("ICD9_DGNS_CD", "LINE_ICD9_DGNS_CD", "HCPCS_CD")
)

_CARRIER_AMOUNTS = _CARRIER.series("LINE_NCH_PMT_AMT"), _CARRIER.series("LINE_ALOWD_CHRG_AMT")


def _segment(rows: ir.Table) -> ir.NumericValue:
    return parse_number(rows.SEGMENT, "int32", within=(1, 99))


def _header_of_segments(connection: Backend, rows: ir.Table, columns: Sequence[str]) -> ir.Table | None:
    """Header columns of the claims that go on in another segment; few if any, so the join costs nothing."""
    name = rows.get_name()
    continued, number = materialize(connection, f"continued_{name}", build(_continued, rows))
    if not number:
        return None
    return materialize(connection, f"headers_{name}", build(_headers, rows, continued, columns))[0]


def _continued(rows: ir.Table) -> ir.Table:
    return rows.filter(_segment(rows) > 1).select(CLM_ID=clean_number(rows.CLM_ID)).distinct()


def _headers(rows: ir.Table, continued: ir.Table, columns: Sequence[str]) -> ir.Table:
    rows = rows.mutate(DESYNPUF_ID=clean_id(rows.DESYNPUF_ID), CLM_ID=clean_number(rows.CLM_ID))
    headers = rows.filter(_segment(rows) == 1).semi_join(continued, "CLM_ID")
    return headers.group_by("DESYNPUF_ID", "CLM_ID").aggregate(**{name: headers[name].max() for name in columns})


def _with_headers(rows: ir.Table, headers: ir.Table | None, columns: Sequence[str]) -> ir.Table:
    """Add `CLAIM_...` columns: of segment 1 where the row is a later segment, else its own."""
    if headers is None:
        return rows.mutate(**{f"CLAIM_{name}": rows[name] for name in columns})
    joined = rows.left_join(
        headers,
        [rows.CLM_ID == headers.CLM_ID, rows.DESYNPUF_ID == headers.DESYNPUF_ID, _segment(rows) > 1],
        rname="header_{name}",
    )
    added = {f"CLAIM_{name}": ibis.coalesce(joined[f"header_{name}"], joined[name]) for name in columns}
    return joined.mutate(**added).select(*rows.columns, *added)


def stage_institutional(
    connection: Backend, paths: Sequence[Path], scratch: Path, *, is_inpatient: bool
) -> StagedTable:
    """Stage inpatient or outpatient claims: one line per HCPCS code, numbered by its column."""
    layout = LAYOUTS["inpatient" if is_inpatient else "outpatient"]
    name, claim_type = layout.name, layout.claim_type
    rows, raw_files = stage_files(connection, [(path, layout.to_layout()) for path in paths], scratch, name=name)
    carried = ("CLM_FROM_DT", "CLM_THRU_DT", *(_STAY if is_inpatient else ()))
    headers = _header_of_segments(connection, rows, carried)
    checks = (check_line_number("SEGMENT", most=99), *_claim_checks("CLAIM_CLM_FROM_DT", "CLAIM_CLM_THRU_DT"))
    codes = [
        CodeColumns((*_DIAGNOSES, _ADMITTING), "ICD9CM"),
        CodeColumns(_PROCEDURES, "ICD9PCS", tolerant=True),
        CodeColumns(_HCPCS, "HCPCS"),
    ]
    warnings = [warn_amount(("CLM_PMT_AMT", None)), fix_amount("CLM_PMT_AMT"), warn_diagnosis_gap(_DIAGNOSES)]
    if is_inpatient:
        admitted, discharged = "CLAIM_CLM_ADMSN_DT", "CLAIM_NCH_BENE_DSCHRG_DT"
        checks += (
            check_date(admitted, DATES, required=False),
            check_date(discharged, DATES, required=False),
            check_order(admitted, discharged, DATES),
        )
        codes.append(CodeColumns(("CLAIM_CLM_DRG_CD",), "DRG"))
        warnings.append(fix_dates((admitted, discharged), DATES))
    return StagedTable(
        name=name,
        target="claim_line",
        rows=rows,
        files=raw_files,
        patient_column="DESYNPUF_ID",
        row_key=("DESYNPUF_ID", "CLM_ID", "SEGMENT"),
        derive=lambda rows: _with_headers(rows, headers, carried),
        to_canonical=lambda rows: unfold_claims(_fold_institutional(rows, claim_type)),
        to_folded=lambda rows: _fold_institutional(rows, claim_type),
        claim_type=claim_type,
        kinds=layout.kinds,
        claim_column="CLM_ID",
        service_date=lambda rows: parse_date(rows.CLAIM_CLM_FROM_DT, DATES),
        checks=checks,
        code_columns=tuple(codes),
        reversal=Reversal(_facts(layout), ("CLM_ID", "SEGMENT"), ("CLM_PMT_AMT",)),
        warnings=tuple(warnings),
    )


def _fold_institutional(rows: ir.Table, claim_type: str) -> ir.Table:
    codes = {("diagnoses", "ICD9CM"): _DIAGNOSES, ("procedures", "ICD9PCS"): _PROCEDURES, ("hcpcs_code", ""): _HCPCS}
    stay = {}
    if claim_type == "IP":
        stay = {
            "admission_date": parse_date(rows.CLAIM_CLM_ADMSN_DT, DATES),
            "discharge_date": parse_date(rows.CLAIM_NCH_BENE_DSCHRG_DT, DATES),
            "drg_code": rows.CLAIM_CLM_DRG_CD,
            "drg_code_type": ibis.ifelse(rows.CLAIM_CLM_DRG_CD.notnull(), "ms-drg", ibis.null("string")),
        }
    start, end = parse_date(rows.CLAIM_CLM_FROM_DT, DATES), parse_date(rows.CLAIM_CLM_THRU_DT, DATES)
    return rows.select(
        "source_file",
        "row_no",
        patient_id=rows.DESYNPUF_ID,
        claim_id=rows.CLM_ID,
        claim_line_number=(_segment(rows) - 1) * len(_HCPCS),
        claim_type=ibis.literal(claim_type),
        claim_start_date=start,
        claim_end_date=end,
        claim_line_start_date=start,
        claim_line_end_date=end,
        admitting_diagnosis=one_diagnosis("ICD9CM", rows[_ADMITTING]),
        rendering_npi=clean_id(rows.AT_PHYSN_NPI),
        # The amount is of the segment, so it stands on its first line only.
        paid_amount=parse_amount(rows.CLM_PMT_AMT),
        **stay,
        **{
            code_name(*of_codes, number): rows[column]
            for of_codes, columns in codes.items()
            for number, column in enumerate(columns, start=1)
        },
    )


def _facts(layout: FileLayout) -> tuple[str, ...]:
    """What a charge and its reversal share: patient, dates and procedures."""
    days = tuple(name for name in layout.find_kind("date") if name in ("CLM_FROM_DT", "CLM_THRU_DT"))
    return ("DESYNPUF_ID", *days, *layout.series("HCPCS_CD"))


def _claim_checks(start: str, end: str) -> tuple[RowCheck, ...]:
    return (
        check_id("DESYNPUF_ID"),
        check_id("CLM_ID"),
        check_date(start, DATES),
        check_date(end, DATES),
        check_order(start, end, DATES),
    )


def stage_carrier(
    connection: Backend, paths: Sequence[Path], scratch: Path, *, keep_denied: bool = False
) -> StagedTable:
    """Stage carrier claims: one line for each of the 13 numbered groups that has a HCPCS code or a diagnosis."""
    denied = () if keep_denied else _CARRIER.rules[0].values
    rows, raw_files = stage_files(
        connection, [(path, _CARRIER.to_layout()) for path in paths], scratch, name="carrier"
    )
    return StagedTable(
        name="carrier",
        target="claim_line",
        rows=rows,
        files=raw_files,
        patient_column="DESYNPUF_ID",
        row_key=("DESYNPUF_ID", "CLM_ID"),
        to_canonical=lambda rows: _carrier_lines(rows, denied),
        claim_type="CAR",
        kinds=_CARRIER.kinds,
        claim_column="CLM_ID",
        service_date=lambda rows: parse_date(rows.CLM_FROM_DT, DATES),
        checks=(
            RowCheck(
                "D_DENIED",
                "every line of the claim is denied",
                lambda rows: _has_line(rows, denied, is_denied=True) & ~_has_line(rows, denied, is_denied=False),
            ),
            *_claim_checks("CLM_FROM_DT", "CLM_THRU_DT"),
        ),
        code_columns=(
            CodeColumns((*_CARRIER_DIAGNOSES, *_LINE_DIAGNOSES), "ICD9CM"),
            CodeColumns(_CARRIER_HCPCS, "HCPCS"),
        ),
        reversal=Reversal(
            _facts(_CARRIER),
            ("CLM_ID",),
            tuple(itertools.chain(*_CARRIER_AMOUNTS)),
        ),
        warnings=(
            warn_amount(*zip(*_CARRIER_AMOUNTS, strict=True)),
            fix_amount(*itertools.chain(*_CARRIER_AMOUNTS)),
            warn_diagnosis_gap(_CARRIER_DIAGNOSES),
            RowCheck(
                "F_DENIED_LINE",
                "some lines of the claim are denied and leave it",
                lambda rows: _has_line(rows, denied, is_denied=True),
            ),
        ),
        denials=_CARRIER.series("LINE_PRCSG_IND_CD"),
    )


def _has_line(rows: ir.Table, denied: tuple[str, ...], *, is_denied: bool) -> ir.BooleanValue:
    """Whether a carrier claim has a line that was denied, or one that was not."""
    return ibis.or_(
        *(
            ibis.coalesce(rows[hcpcs], rows[diagnosis]).notnull() & (_is_denied(rows[status], denied) == is_denied)
            for hcpcs, diagnosis, status in zip(
                _CARRIER_HCPCS, _LINE_DIAGNOSES, _CARRIER.series("LINE_PRCSG_IND_CD"), strict=True
            )
        )
    )


def _is_denied(status: ir.StringValue, denied: tuple[str, ...]) -> ir.BooleanValue:
    return status.isin(denied).fill_null(False)


_CARRIER_LINE = {
    "hcpcs": "HCPCS_CD",
    "diagnosis": "LINE_ICD9_DGNS_CD",
    "paid": "LINE_NCH_PMT_AMT",
    "allowed": "LINE_ALOWD_CHRG_AMT",
    "npi": "PRF_PHYSN_NPI",
    "status": "LINE_PRCSG_IND_CD",
}


def _carrier_lines(rows: ir.Table, denied: tuple[str, ...]) -> ir.Table:
    entries = [
        {name: rows[f"{stem}_{number}"] for name, stem in _CARRIER_LINE.items()}
        for number in range(1, len(_CARRIER_HCPCS) + 1)
    ]
    lines = unfold_lines(
        rows,
        entries,
        lambda line: (line.hcpcs.notnull() | line.diagnosis.notnull()) & ~_is_denied(line.status, denied),
    )
    start, end = parse_date(lines.CLM_FROM_DT, DATES), parse_date(lines.CLM_THRU_DT, DATES)
    return lines.select(
        "source_file",
        "row_no",
        "is_first_line",
        patient_id=lines.DESYNPUF_ID,
        claim_id=lines.CLM_ID,
        claim_line_number=lines.line.position,
        claim_type=ibis.literal("CAR"),
        claim_start_date=start,
        claim_end_date=end,
        claim_line_start_date=start,
        claim_line_end_date=end,
        hcpcs_code=lines.line.hcpcs,
        diagnoses=list_diagnoses("ICD9CM", [*(lines[name] for name in _CARRIER_DIAGNOSES), lines.line.diagnosis]),
        rendering_npi=clean_id(lines.line.npi),
        paid_amount=parse_amount(lines.line.paid),
        allowed_amount=parse_amount(lines.line.allowed),
    )


def stage_prescriptions(connection: Backend, paths: Sequence[Path], scratch: Path) -> StagedTable:
    """Stage prescription drug events."""
    rows, raw_files = stage_files(
        connection, [(path, LAYOUTS["prescription"].to_layout()) for path in paths], scratch, name="prescription"
    )

    def to_canonical(rows: ir.Table) -> ir.Table:
        cost = parse_amount(rows.TOT_RX_CST_AMT)
        return rows.select(
            "source_file",
            "row_no",
            patient_id=rows.DESYNPUF_ID,
            claim_id=rows.PDE_ID,
            claim_line_number=ibis.literal(1, "int32"),
            dispensing_date=parse_date(rows.SRVC_DT, DATES),
            ndc_code=rows.PROD_SRVC_ID,
            quantity=parse_number(rows.QTY_DSPNSD_NUM, "float32"),
            days_supply=parse_number(rows.DAYS_SUPLY_NUM, "int16"),
            # Codebook: the total cost of the drug, of which the patient pays a part.
            paid_amount=subtract_share(cost, parse_amount(rows.PTNT_PAY_AMT)),
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
        kinds=LAYOUTS["prescription"].kinds,
        claim_column="PDE_ID",
        service_date=lambda rows: parse_date(rows.SRVC_DT, DATES),
        checks=(check_id("DESYNPUF_ID"), check_id("PDE_ID"), check_date("SRVC_DT", DATES)),
        code_columns=(CodeColumns(("PROD_SRVC_ID",), "NDC"),),
        reversal=Reversal(
            ("DESYNPUF_ID", "SRVC_DT", "PROD_SRVC_ID"),
            ("PDE_ID",),
            ("TOT_RX_CST_AMT", "PTNT_PAY_AMT"),
            ("QTY_DSPNSD_NUM", "DAYS_SUPLY_NUM"),
        ),
        warnings=(
            warn_amount(("PTNT_PAY_AMT", "TOT_RX_CST_AMT"), ("TOT_RX_CST_AMT", None)),
            fix_amount("TOT_RX_CST_AMT", "PTNT_PAY_AMT"),
        ),
    )
