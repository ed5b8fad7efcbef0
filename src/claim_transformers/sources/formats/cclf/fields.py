"""Fields that all files of CCLF share: the person, the claim, its type, its version, and when it was known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.fields import DateFormat, parse_date
from claim_transformers.claims.quality import RowCheck
from claim_transformers.codes.systems import ICD10_START_DATE
from claim_transformers.sources.pipeline.layout_files import UNUSED, FileLayout
from claim_transformers.sources.pipeline.lines import list_modifiers
from claim_transformers.sources.pipeline.qualifiers import Qualifiers, coding_day

if TYPE_CHECKING:
    from collections.abc import Callable

    import ibis.expr.types as ir

DATES: DateFormat = "YYYY-MM-DD"
# The number of a person that all others lead to.
PATIENT = "CURRENT_NUM"
CLAIM, ADJUSTMENT, ICD = "CUR_CLM_UNIQ_ID", "CLM_ADJSMT_TYPE_CD", "DGNS_PRCDR_ICD_IND"
# CCLF Information Packet: 0 original, 1 cancellation, 2 adjustment.
CANCELLATIONS = ("1", "01")
_ADJUSTMENTS = ("0", "00", *CANCELLATIONS, "2", "02")
_DELIVERED = "FILE_DATE"
_MODIFIERS = tuple(f"HCPCS_{number}_MDFR_CD" for number in range(1, 6))
_CLAIM_TYPES = {"10": "HHA", "20": "SNF", "30": "SNF", "40": "OP", "50": "HOSP", "60": "IP", "61": "IP"}


def kinds_of(layout: FileLayout, *, with_day: bool = False) -> dict[str, str]:
    """Kinds of the columns by which copies are judged: those that are read, with or without the day of the delivery.

    Months repeat the rows of months before, at times without a former number of the person or a group of a code.
    """
    read = {column for one in layout.columns if one.feeds != UNUSED for column in one.names}
    return {name: kind for name, kind in layout.kinds.items() if name in read and (with_day or name != _DELIVERED)}


def claim_type_of(rows: ir.Table) -> ir.StringValue:
    """Claim type of a row of Part A."""
    return rows.CLM_TYPE_CD.cases(*_CLAIM_TYPES.items(), else_=ibis.null("string"))


def known_date(rows: ir.Table, name_of: Callable[[str], str] = str) -> ir.DateValue:
    """The day on which a claim was known: processed, else loaded by CMS."""
    return ibis.coalesce(*(parse_date(rows[name_of(name)], DATES) for name in ("CLM_EFCTV_DT", "CLM_IDR_LD_DT")))


def version_order(rows: ir.Table) -> ir.StringValue:
    """A text that sorts versions: by the day of processing, of loading, of the delivery."""
    days = [parse_date(rows[name], DATES).cast("string").fill_null("") for name in ("CLM_EFCTV_DT", "CLM_IDR_LD_DT")]
    return ibis.literal("").concat(days[0], "|", days[1], "|", delivery_order(rows).fill_null(""))


def delivery_order(rows: ir.Table) -> ir.StringValue:
    """A text that sorts deliveries, null without its day: `230118` in a name, `2023-01-18` in a column."""
    digits = rows.FILE_DATE.replace("-", "")
    return ibis.ifelse(digits.length() == len("20230118"), digits.substr(2), digits)


def check_adjustment(column: str = ADJUSTMENT) -> RowCheck:
    """`R_ADJUSTMENT`: the row says neither that it is an original nor an adjustment nor a cancellation."""
    return RowCheck(
        "R_ADJUSTMENT",
        f"{column} says neither original nor adjustment nor cancellation",
        lambda rows: ~rows[column].isin(_ADJUSTMENTS).fill_null(False),
    )


def says_icd10(rows: ir.Table, qualifiers: Qualifiers) -> ir.BooleanValue:
    """Whether the codes of a row are ICD-10: as it says, else by the last day of its claim."""
    day = coding_day(rows.CLM_FROM_DT, (rows.CLM_THRU_DT,), DATES)
    return ibis.coalesce(qualifiers.says_icd10(rows[ICD]), day >= ibis.date(ICD10_START_DATE))


def diagnosis_system(rows: ir.Table, qualifiers: Qualifiers) -> ir.StringValue:
    """The code system of the diagnoses of a row."""
    return ibis.ifelse(says_icd10(rows, qualifiers), "ICD10CM", "ICD9CM")


def hcpcs_modifiers(rows: ir.Table) -> ir.ArrayValue:
    """The modifiers of a line."""
    return list_modifiers(rows, "CLM_LINE_HCPCS_CD", _MODIFIERS)


def warn_code_version(qualifiers: Qualifiers, *codes: str) -> RowCheck:
    """`W_CODE_TYPE`: an indicator that says neither ICD-9 nor ICD-10, so that the date decides."""
    return RowCheck(
        "W_CODE_TYPE",
        "an indicator that says neither ICD-9 nor ICD-10: the date decides",
        lambda rows: qualifiers.is_none(rows[ICD]) & ibis.coalesce(*(rows[code] for code in codes)).notnull(),
    )
