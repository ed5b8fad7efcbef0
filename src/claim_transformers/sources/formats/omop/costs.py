"""Costs of a CDM: amounts, revenue centres and DRGs, lines of the claim of the row that they are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.engine import materialize
from claim_transformers.claims.fields import clean_word, parse_amount, parse_date
from claim_transformers.claims.quality import RowCheck, check_id, fix_amount, warn_amount
from claim_transformers.sources.formats.omop.events import ReadEvents
from claim_transformers.sources.formats.omop.tables import CdmTable
from claim_transformers.sources.formats.omop.visits import number_rows
from claim_transformers.sources.pipeline.contract import CodeColumns, StagedTable
from claim_transformers.sources.pipeline.visit_claims import (
    CLAIM,
    CLAIM_END,
    CLAIM_PARTS,
    CLAIM_START,
    CLAIM_TYPE,
    VISIT_DATES,
    claim_columns,
)

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

_DAY, _KEY, _DOMAIN = "event_day", "event_key", "event_domain"
_AMOUNTS = ("total_paid", "paid_by_payer", "amount_allowed", "total_charge")
_DOLLARS = ("44818668", "0")


def stage_costs(
    connection: Backend, table: CdmTable, claims: Mapping[str, ir.Table], events: Sequence[tuple[CdmTable, ReadEvents]]
) -> StagedTable:
    """Costs become lines with amounts; one of a row that is not there, or of a table that is not read, is dropped."""
    known = _events_of(connection, claims, events)
    rows = table.rows
    joined = rows.left_join(
        known, [clean_word(rows.cost_domain_id) == known[_DOMAIN], rows.cost_event_id == known[_KEY]]
    )
    columns = ("person_id", *CLAIM_PARTS, _DAY)
    rows = joined.select(*(rows[name] for name in rows.columns), **{name: known[name] for name in columns})

    def to_canonical(rows: ir.Table) -> ir.Table:
        day = rows[_DAY]
        return rows.select(
            "source_file",
            "row_no",
            **claim_columns(rows, "person_id", day),
            claim_line_number=number_rows(rows, "cost", "cost_id"),
            claim_line_start_date=parse_date(day, VISIT_DATES),
            claim_line_end_date=parse_date(day, VISIT_DATES),
            revenue_center_code=rows.revenue_code_source_value,
            drg_code=rows.drg_source_value,
            drg_code_type=ibis.ifelse(rows.drg_source_value.notnull(), "ms-drg", ibis.null("string")),
            paid_amount=ibis.coalesce(parse_amount(rows.paid_by_payer), parse_amount(rows.total_paid)),
            allowed_amount=parse_amount(rows.amount_allowed),
            charge_amount=parse_amount(rows.total_charge),
        )

    return StagedTable(
        name="cost",
        target="claim_line",
        rows=rows,
        files=table.files,
        patient_column="person_id",
        row_key=("cost_id",),
        to_canonical=to_canonical,
        claim_type=lambda rows: rows[CLAIM_TYPE],
        kinds=table.layout.kinds,
        service_date=lambda rows: parse_date(rows[_DAY], VISIT_DATES),
        checks=(
            RowCheck(
                "D_NO_EVENT",
                "the row that the cost is of is not there or is not read",
                lambda rows: rows[CLAIM].isnull(),
            ),
            check_id("cost_id"),
            check_id("person_id"),
            RowCheck("R_CURRENCY", "an amount in another currency than US dollars", _is_foreign),
        ),
        code_columns=(CodeColumns(("revenue_code_source_value",), "REV"), CodeColumns(("drg_source_value",), "DRG")),
        warnings=(
            warn_amount(("total_paid", "amount_allowed"), ("paid_by_payer", "amount_allowed")),
            fix_amount(*_AMOUNTS),
        ),
    )


def _events_of(
    connection: Backend, claims: Mapping[str, ir.Table], events: Sequence[tuple[CdmTable, ReadEvents]]
) -> ir.Table:
    """Person, claim and day of every row that a cost can be of."""
    parts = []
    for of_event, read in events:
        event = read.event
        if not event.is_era:
            rows = read.derive(of_event.rows)
            rows = rows.filter(parse_date(rows[event.day], VISIT_DATES).notnull())
            parts.append(_event(rows, event.domain, rows[event.key], rows[event.day]))
    for name, known in claims.items():
        stem = name.removesuffix("_occurrence")
        start = known[f"{stem}_start_date"]
        rows = known.mutate(
            **{
                CLAIM: known[f"{name}_id"],
                CLAIM_TYPE: known[f"{stem}_concept_id"],
                CLAIM_START: start,
                CLAIM_END: known[f"{stem}_end_date"],
            }
        )
        parts.append(_event(rows, stem.replace("_", " "), rows.key, start))
    every = ibis.union(*parts, distinct=False) if len(parts) > 1 else parts[0]
    others = {name: every[name].min() for name in ("person_id", *CLAIM_PARTS, _DAY)}
    one_each = every.filter(every[_KEY].notnull()).group_by(_DOMAIN, _KEY).aggregate(**others)
    return materialize(connection, "omop_events_of_costs", one_each)[0]


def _event(rows: ir.Table, domain: str, key: ir.StringValue, day: ir.StringValue) -> ir.Table:
    columns = ("person_id", *CLAIM_PARTS)
    return rows.select(*columns, **{_DOMAIN: ibis.literal(domain), _KEY: key, _DAY: day})


def _is_foreign(rows: ir.Table) -> ir.BooleanValue:
    return rows.currency_concept_id.notin(_DOLLARS)
