"""Demographic codes of CMS files."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from claim_transformers.claims.quality import RowCheck

if TYPE_CHECKING:
    import ibis.expr.types as ir

# CCW codebook: the sex is not known, which null says as well.
_UNKNOWN_SEX = "0"


def fix_sex(column: str, known: Collection[str]) -> RowCheck:
    """`F_SEX_NULL`: a sex that the codebook does not have becomes null.

    Args:
        column (`str`): Raw column.
        known (`Collection[str]`): Values with a meaning; an empty field and `0` say that it is unknown.

    Returns:
        `RowCheck`: Counts the rows.

    Examples:
        >>> fix_sex("BENE_SEX_IDENT_CD", ("1", "2")).reason_code
        'F_SEX_NULL'
    """

    def fails(rows: ir.Table) -> ir.BooleanValue:
        return ~rows[column].strip().isin(("", _UNKNOWN_SEX, *known)).fill_null(True)

    return RowCheck("F_SEX_NULL", f"{column} is no value of the codebook and becomes null", fails)
