"""Sex of raw rows: a closed map of values, and what the map does not know is counted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.fields import clean_word
from claim_transformers.claims.quality import RowCheck

if TYPE_CHECKING:
    import ibis.expr.types as ir

# CCW codebook: the sex is not known, which null says as well.
_UNKNOWN_SEX = ("0",)


def map_sex(text: ir.StringValue, values: Mapping[str, str]) -> ir.StringValue:
    """Give the meaning of a sex by the values of its layout, without blanks around it and in any case, else null."""
    lowered = {value.lower(): meaning for value, meaning in values.items()}
    return clean_word(text).cases(*lowered.items(), else_=ibis.null("string"))


def fix_sex(column: str, values: Mapping[str, str], unknown: Collection[str] = _UNKNOWN_SEX) -> RowCheck:
    """`F_SEX_NULL`: a sex that the source does not document becomes null."""
    known = {value.lower() for value in (*values, *unknown)}
    return RowCheck(
        "F_SEX_NULL",
        f"{column} is no value that the source documents and becomes null",
        lambda rows: clean_word(rows[column]).notin(known),
    )
