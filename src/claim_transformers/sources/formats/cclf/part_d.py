"""Part D events: one row is one fill.

A file holds the last version of each fill, so of several deliveries the latest counts (CCLF Information Packet,
sections 3.3 and 5.1.2): a fill is known again by its day, pharmacy, prescription and number of the fill.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.fields import clean_word, parse_date, parse_number
from claim_transformers.claims.quality import RowCheck, check_date, check_id, fix_dates
from claim_transformers.claims.reversals import Reversal
from claim_transformers.sources.formats.cclf.fields import (
    ADJUSTMENT,
    CANCELLATIONS,
    CLAIM,
    DATES,
    PATIENT,
    check_adjustment,
    kinds_of,
    known_date,
    version_order,
)
from claim_transformers.sources.pipeline.contract import CodeColumns, StagedTable, Versions

if TYPE_CHECKING:
    from collections.abc import Sequence

    import ibis.expr.types as ir

    from claim_transformers.sources.pipeline.contract import RawFile
    from claim_transformers.sources.pipeline.layout_files import FileLayout

_GROUP = "GROUP_OF_FILL"
_DAY = "CLM_LINE_FROM_DT"
_KEY = (_DAY, "CLM_SRVC_PRVDR_GNRC_ID_NUM", "CLM_LINE_RX_SRVC_RFRNC_NUM", "CLM_LINE_RX_FILL_NUM")
_FURTHER_KEY = ("PRVDR_SRVC_ID_QLFYR_CD", "CLM_DSPNSNG_STUS_CD")


def stage_part_d(rows: ir.Table, files: Sequence[RawFile], layout: FileLayout) -> StagedTable:
    """Say what the rows of CCLF7 mean."""
    return StagedTable(
        name=layout.name,
        target="rx_claim",
        rows=rows,
        files=tuple(files),
        patient_column=PATIENT,
        row_key=(PATIENT, CLAIM),
        kinds=kinds_of(layout),
        derive=_with_group,
        to_canonical=_to_rx_claims,
        claim_type=layout.claim_type,
        claim_column=CLAIM,
        service_date=lambda rows: parse_date(rows[_DAY], DATES),
        checks=(
            check_id(PATIENT),
            check_id(CLAIM),
            check_adjustment(),
            RowCheck("R_CLAIM_TYPE", "CLM_TYPE_CD is missing", lambda rows: rows.CLM_TYPE_CD.isnull()),
            check_date(_DAY, DATES),
            *layout.checks(("R_",)),
        ),
        code_columns=(CodeColumns(("CLM_LINE_NDC_CD",), "NDC"),),
        reversal=Reversal(
            (PATIENT, _GROUP), (CLAIM,), ("CLM_LINE_BENE_PMT_AMT",), void_column=ADJUSTMENT, void_values=CANCELLATIONS
        ),
        versions=Versions((PATIENT, _GROUP), version_order),
        warnings=(fix_dates(("CLM_EFCTV_DT", "CLM_IDR_LD_DT"), DATES), *layout.checks(("W_",))),
        denials=layout.denials,
    )


def _with_group(rows: ir.Table) -> ir.Table:
    """Add what the versions of a fill share; a fill that lacks a part of it stands for itself."""
    parts = [clean_word(rows[name]) for name in _KEY]
    further = [clean_word(rows[name]).fill_null("") for name in _FURTHER_KEY]
    # The number of a fill is written as `1` and as `01`.
    number = parse_number(rows[_KEY[-1]], "int32").cast("string")
    whole = ibis.literal("fill ").concat(*(f for one in (*parts[:-1], number, *further) for f in (one, "|")))
    is_known = ibis.and_(*(part.notnull() for part in (*parts[:-1], number)))
    return rows.mutate(**{_GROUP: ibis.ifelse(is_known, whole, "claim " + rows[CLAIM])})


def _to_rx_claims(rows: ir.Table) -> ir.Table:
    return rows.select(
        "source_file",
        "row_no",
        patient_id=rows[PATIENT],
        claim_id=rows[CLAIM],
        claim_line_number=ibis.literal(1, "int32"),
        dispensing_date=parse_date(rows[_DAY], DATES),
        ndc_code=rows.CLM_LINE_NDC_CD,
        quantity=parse_number(rows.CLM_LINE_SRVC_UNIT_QTY, "float32"),
        days_supply=parse_number(rows.CLM_LINE_DAYS_SUPLY_QTY, "int16"),
        refills=parse_number(rows.CLM_LINE_RX_FILL_NUM, "int16"),
        paid_date=known_date(rows),
    )
