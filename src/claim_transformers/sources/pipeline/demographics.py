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
    """`F_SEX_NULL`: a sex that the codebook does not have becomes null."""

    def fails(rows: ir.Table) -> ir.BooleanValue:
        return ~rows[column].strip().isin(("", _UNKNOWN_SEX, *known)).fill_null(True)

    return RowCheck("F_SEX_NULL", f"{column} is no value of the codebook and becomes null", fails)
