"""Headers of Part A claims: which claims count, and what their lines, procedures and diagnoses take from them.

A claim, its cancellation and its adjustment are three claims with numbers of their own. Those of one stay or service
share person, provider and days (the natural key of the CCLF Information Packet, section 5.1.2), but so do two claims
of one hospital on one day. So a cancellation, which is written like the claim that it takes back, is paired with one
claim of the same key and payment, the earliest; and a claim is an older version only where an adjustment names its
control number, or its own number is there again. Lines, procedures and diagnoses know their claim alone, so the fate
of each claim is settled here, before any of them is looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
from ibis import _

from claim_transformers.claims.engine import create_view, materialize
from claim_transformers.claims.fields import clean_id, clean_number
from claim_transformers.claims.quality import RowCheck
from claim_transformers.claims.reversals import Reversal, find_reversals
from claim_transformers.sources.formats.cclf.fields import (
    ADJUSTMENT,
    CANCELLATIONS,
    CLAIM,
    PATIENT,
    check_adjustment,
    version_order,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

_FATE = "FATE_OF_CLAIM"
_KEPT = "kept"
_REASONS = {
    "D_NETTED": "a claim and its cancellation leave together",
    "D_SUPERSEDED": "an adjustment takes the place of the claim",
    "R_ORPHAN_VOID": "a cancellation without the claim that it takes back",
    "R_ADJUSTMENT": "a claim that says neither original nor adjustment nor cancellation",
    "R_NO_HEADER": "a line, procedure or diagnosis of a claim that has no header",
}
# Of a number that stands for a claim and for its cancellation, the claim says what becomes of the rest.
_ORDER = (_KEPT, "D_NETTED", "D_SUPERSEDED", "R_ORPHAN_VOID", "R_ADJUSTMENT")
_PAIR = Reversal(
    (PATIENT, "PROVIDER", "CLM_FROM_DT", "CLM_THRU_DT"),
    ("CLM_CNTL_NUM",),
    ("CLM_PMT_AMT",),
    void_column=ADJUSTMENT,
    void_values=CANCELLATIONS,
)
# What the rest of a claim takes from its header.
_OF_HEADER = (
    *("CLM_FROM_DT", "CLM_THRU_DT", "BENE_PTNT_STUS_CD", "CLM_EFCTV_DT", "CLM_IDR_LD_DT", "PRNCPL_DGNS_CD"),
    *("FAC_PRVDR_NPI_NUM", "CLM_BLG_PRVDR_NPI_NUM"),
)


def settle_headers(connection: Backend, rows: ir.Table, kinds: Mapping[str, str]) -> ir.Table:
    """Settle which claims count, in one row per person, claim and kind of claim (`ADJUSTMENT`).

    It has its fate, the fate of its number as a whole (`FATE_OF_NUMBER`, on one of them, `IS_FIRST`), and what the
    rest of the claim takes from it.
    """
    rows = rows.mutate(
        **{
            PATIENT: clean_id(rows[PATIENT]),
            CLAIM: clean_number(rows[CLAIM]),
            "PROVIDER": ibis.coalesce(rows.CLM_BLG_PRVDR_OSCAR_NUM, rows.PRVDR_OSCAR_NUM),
            "VERSION": version_order(rows),
        }
    )
    names = (*_OF_HEADER, "CLM_CNTL_NUM", "CLM_ORG_CNTL_NUM", "CLM_PMT_AMT", "PROVIDER", "VERSION")
    # Of copies and later deliveries of one claim the last counts, as the rules of versions have it.
    last = ibis.row_number().over(
        group_by=[rows[PATIENT], rows[CLAIM], rows[ADJUSTMENT]],
        order_by=[rows.VERSION.desc(), ibis.struct({name: rows[name] for name in names}).hash()],
    )
    one_each = (
        rows.select("source_file", "row_no", PATIENT, CLAIM, ADJUSTMENT, *names, last=last)
        .filter(_.last == 0)
        .filter(_[PATIENT].notnull() & _[CLAIM].notnull())
    )
    claims, _number = materialize(connection, "cclf_claims", one_each.drop("last"))
    voids = claims.filter(_PAIR.is_void(claims)).select("source_file", "row_no")
    pairs = find_reversals(connection, claims, voids, _PAIR, kinds, claims.VERSION)
    paired = claims.semi_join(pairs, ("source_file", "row_no")).select("source_file", "row_no", is_paired=True)
    older = _older_versions(claims.anti_join(pairs, ("source_file", "row_no")))
    known = claims.left_join(paired, ["source_file", "row_no"]).left_join(older, ["source_file", "row_no"])
    fate = ibis.cases(
        (known.is_paired.fill_null(False), "D_NETTED"),
        (check_adjustment().fails(known), "R_ADJUSTMENT"),
        (_PAIR.is_void(known), "R_ORPHAN_VOID"),
        (known.is_older.fill_null(False), "D_SUPERSEDED"),
        else_=_KEPT,
    )
    fates = known.select(PATIENT, CLAIM, ADJUSTMENT, *_OF_HEADER, **{_FATE: fate})
    place = fates[_FATE].cases(*((one, number) for number, one in enumerate(_ORDER)), else_=len(_ORDER))
    ranked = fates.mutate(
        place=ibis.row_number().over(group_by=[fates[PATIENT], fates[CLAIM]], order_by=[place, fates[ADJUSTMENT]])
    )
    return materialize(connection, "cclf_headers", ranked.mutate(IS_FIRST=ranked.place == 0).drop("place"))[0]


def _older_versions(claims: ir.Table) -> ir.Table:
    """Claims that an adjustment names by their control number, and numbers of claims that are there again."""
    claims = claims.filter(~_PAIR.is_void(claims))
    again = ibis.window(group_by=[claims[PATIENT], claims[CLAIM]])
    repeated = claims.mutate(latest=claims.VERSION.max().over(again)).filter(_.latest > _.VERSION)
    later = claims.filter(claims.CLM_ORG_CNTL_NUM.notnull()).select(
        of_patient=claims[PATIENT],
        of_provider=claims.PROVIDER,
        of_control=claims.CLM_ORG_CNTL_NUM,
        later_claim=claims[CLAIM],
        later=claims.VERSION,
    )
    named = claims.join(
        later,
        [
            claims[PATIENT] == later.of_patient,
            later.of_provider == claims.PROVIDER,
            later.of_control == claims.CLM_CNTL_NUM,
            claims[CLAIM] != later.later_claim,
            later.later > claims.VERSION,
        ],
    )
    row = ("source_file", "row_no")
    return repeated.select(*row).union(named.select(*row), distinct=True).mutate(is_older=ibis.literal(True))


def add_fate(connection: Backend, name: str, rows: ir.Table, headers: ir.Table) -> ir.Table:
    """Add the fate of its claim to each row of CCLF1."""
    fates = headers.select(
        of_patient=headers[PATIENT], of_claim=headers[CLAIM], of_kind=headers[ADJUSTMENT], **{_FATE: headers[_FATE]}
    )
    joined = rows.left_join(
        fates,
        [
            rows[PATIENT] == fates.of_patient,
            rows[CLAIM] == fates.of_claim,
            rows[ADJUSTMENT].fill_null("") == fates.of_kind.fill_null(""),
        ],
    )
    return create_view(
        connection, f"fates_of_{name}", joined.select(*(joined[one] for one in rows.columns), joined[_FATE])
    )


def add_header(connection: Backend, name: str, rows: ir.Table, headers: ir.Table) -> ir.Table:
    """Add what a row takes from the header of its claim, as `HEADER_...`, and the fate of the claim."""
    first = headers.filter(headers.IS_FIRST)
    taken = first.select(
        of_patient=first[PATIENT],
        of_claim=first[CLAIM],
        **{_FATE: first[_FATE]},
        **{header_of(column): first[column] for column in _OF_HEADER},
    )
    joined = rows.left_join(taken, [rows[PATIENT] == taken.of_patient, rows[CLAIM] == taken.of_claim])
    columns = {column: joined[column] for column in (*rows.columns, *map(header_of, _OF_HEADER))}
    fate = joined[_FATE].fill_null("R_NO_HEADER")
    return create_view(connection, f"headers_of_{name}", joined.select(**columns, **{_FATE: fate}))


def header_of(column: str) -> str:
    """Name a column that is taken from the header."""
    return f"HEADER_{column}"


def check_fates() -> tuple[RowCheck, ...]:
    """The checks that let rows leave with their claim."""

    def check(reason: str, because: str) -> RowCheck:
        return RowCheck(reason, because, lambda rows: rows[_FATE] == reason)

    return tuple(check(reason, because) for reason, because in _REASONS.items())
