"""Facility bills: what a type of bill and the type of a DRG say, for every layout that has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

if TYPE_CHECKING:
    import ibis.expr.types as ir

# First two digits of the type of bill. CMS, Medicare Claims Processing Manual (Pub. 100-04), chapters 1, 3, 6, 10, 11:
# facility and classification; 12x, 22x and 23x are paid under Part B and count as outpatient, as in CMS's own files.
_BILL_TYPES = {"11": "IP", "41": "IP", "18": "SNF", "21": "SNF", "28": "SNF", "81": "HOSP", "82": "HOSP"}
_HOME_HEALTH = "3"
# Facility, classification and, where it was not cut off, frequency (a digit or letter).
_BILL_TYPE = "^0?[1-9][0-9][0-9A-Z]?$"
# DRGs of three digits, with the severity of APR-DRG. Their types without hyphens and blanks; the older generation,
# which has no type, names its column after MS-DRG.
_DRG = "^[0-9]{1,3}(-?[0-4])?$"
_DRG_TYPES = {"msdrg": "ms-drg", "ms": "ms-drg", "aprdrg": "apr-drg", "apr": "apr-drg"}


def read_bill_type(text: ir.StringValue) -> ir.StringValue:
    """Trim the type of bill; what is none, such as a number in scientific notation, is null."""
    text = text.upper().re_replace(r"\.0+$", "")
    return ibis.ifelse(text.re_search(_BILL_TYPE), text, ibis.null("string"))


def type_of_facility(bill: ir.StringValue, admission: ir.StringValue, drg: ir.StringValue) -> ir.StringValue:
    """Claim type of a facility by its type of bill as `read_bill_type` gives it; without one, admission and DRG."""
    # Four digits begin with a zero that says nothing.
    bill = ibis.ifelse(bill.startswith("0"), bill.substr(1), bill)
    # Either alone is on other claims too: nursing facilities admit, and some payers group outpatient claims.
    is_stay = admission.notnull() & drg.re_search(_DRG)
    return ibis.ifelse(
        bill.isnull(),
        ibis.ifelse(is_stay, "IP", "OP"),
        bill.substr(0, 2).cases(*_BILL_TYPES.items(), else_=ibis.ifelse(bill.startswith(_HOME_HEALTH), "HHA", "OP")),
    )


def drg_type_of(code: ir.StringValue, word: ir.StringValue) -> ir.StringValue:
    """Name the grouper of a DRG; null for one whose numbers mean other groups than those of MS-DRG and APR-DRG."""
    word = word.lower()
    for sign in "-_ ":
        word = word.replace(sign, "")
    nothing = ibis.null("string")
    known = ibis.ifelse(word.isnull(), "ms-drg", word.cases(*_DRG_TYPES.items(), else_=nothing))
    # Few lines have a DRG, and the engine reads the type of those only.
    return ibis.ifelse(code.isnull(), nothing, known)


def system_of_drg(drg_type: ir.StringValue) -> ir.StringValue:
    """Code system of a DRG by the type that `drg_type_of` gives."""
    return drg_type.cases(("ms-drg", "DRG"), ("apr-drg", "APRDRG"), else_=ibis.null("string"))
