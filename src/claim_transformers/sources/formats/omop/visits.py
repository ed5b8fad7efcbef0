"""Visits of a CDM and their details: the claims, and what their rows say.

A visit is a claim. A detail is a claim of its own, as insurers write them, unless it is a part of a stay: a ward of an
inpatient visit, whose codes count to that visit. Rows of other tables take type and dates of the claim that they name;
those that name none, or one that is not there, are a claim of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.engine import materialize
from claim_transformers.claims.fields import clean_number, clean_word, parse_date
from claim_transformers.claims.quality import RowCheck, check_date, check_id, check_order, fix_dates
from claim_transformers.sources.formats.omop.tables import CdmTable
from claim_transformers.sources.pipeline.contract import CodeColumns, StagedTable
from claim_transformers.sources.pipeline.visit_claims import (
    CLAIM,
    CLAIM_END,
    CLAIM_PARTS,
    CLAIM_START,
    CLAIM_TYPE,
    OTHER_TYPE,
    STAY,
    VISIT_DATES,
    claim_columns,
    number_lines,
)

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

# The order of the lines of a claim.
_TABLES = (
    *("visit_occurrence", "visit_detail", "condition_occurrence", "procedure_occurrence", "drug_exposure"),
    *("condition_era", "drug_era", "cost"),
)
_DISPOSITION = "^[0-9]{1,2}$"


def read_claims(connection: Backend, tables: Mapping[str, CdmTable]) -> dict[str, ir.Table]:
    """Read the claims of visits and details: by person and key, each with claim, type and dates."""
    claims: dict[str, ir.Table] = {}
    for name in ("visit_occurrence", "visit_detail"):
        if (table := tables.get(name)) is not None:
            claims[name] = _claims_of(
                connection, table, name, claim_of(table.rows, name), claims.get("visit_occurrence")
            )
    return claims


def claim_of(rows: ir.Table, name: str) -> ir.StringValue:
    """Number of the claim of a row that is one itself; those of other tables than visits say which they are of."""
    key = rows[f"{name}_id"]
    return (
        key
        if name == "visit_occurrence"
        else key + f"-{name.partition('_')[0] if name != 'visit_detail' else 'detail'}"
    )


def _claims_of(
    connection: Backend, table: CdmTable, name: str, claim: ir.StringValue, visits: ir.Table | None = None
) -> ir.Table:
    """One row for each visit or detail; its columns have the names of the raw columns behind them, for `lineage`."""
    rows, own_key, (concept, start, end) = table.rows, f"{name}_id", _columns_of(name)
    wanted = {own_key: claim, concept: _type_of(table, rows, concept), start: rows[start], end: rows[end]}
    kept = rows.select("person_id", key=clean_number(rows[own_key]), visit=rows.visit_occurrence_id, **wanted)
    if visits is not None:
        kept = _parts_of_stays(kept, visits, own_key, (concept, start, end))
    day, last = parse_date(kept[start], VISIT_DATES), parse_date(kept[end], VISIT_DATES)
    # What is screened out is no claim of any row.
    kept = kept.filter(kept.key.notnull() & day.notnull() & (last.isnull() | (last >= day)))
    grouped = kept.group_by("person_id", "key").aggregate(
        **{column: kept[column].min() for column in (own_key, concept, start)}, **{end: kept[end].max()}
    )
    return materialize(connection, f"omop_claims_of_{name}", grouped)[0]


def _parts_of_stays(rows: ir.Table, visits: ir.Table, own_key: str, columns: tuple[str, str, str]) -> ir.Table:
    """Give details that are a part of a stay its claim and its dates."""
    concept, start, end = columns
    of_visit = visits.rename(of_person="person_id", of_key="key")
    joined = rows.left_join(of_visit, [rows.person_id == of_visit.of_person, rows.visit == of_visit.of_key])
    is_part = ((joined[concept] == STAY) & (joined.visit_concept_id == STAY)).fill_null(False)
    pairs = ((own_key, "visit_occurrence_id"), (start, "visit_start_date"), (end, "visit_end_date"))
    return joined.select(
        "person_id", "key", concept, **{own: ibis.ifelse(is_part, joined[stay], joined[own]) for own, stay in pairs}
    )


def _columns_of(name: str) -> tuple[str, str, str]:
    """Columns of concept, start and end of visits or details."""
    stem = name.removesuffix("_occurrence")
    return f"{stem}_concept_id", f"{stem}_start_date", f"{stem}_end_date"


def _type_of(table: CdmTable, rows: ir.Table, concept: str) -> ir.StringValue:
    """Claim type of visits by their concept, outpatient where it names none."""
    return rows[concept].cases(*table.layout.values[concept].items(), else_=OTHER_TYPE)


def join_claims(rows: ir.Table, claims: Mapping[str, ir.Table], name: str) -> ir.Table:
    """Add claim, type and dates to rows; one that names no claim that is there has one of its own, without dates."""
    columns, found = list(rows.columns), []
    rows = rows.mutate(of_its_own=claim_of(rows, name))
    # A detail says more than its visit.
    for of_claim in ("visit_detail", "visit_occurrence"):
        key = f"{of_claim}_id"
        if of_claim in claims and key in columns:
            known = claims[of_claim].rename(of_person="person_id")
            parts = zip(CLAIM_PARTS, (key, *_columns_of(of_claim)), strict=True)
            joined = rows.left_join(known, [rows.person_id == known.of_person, rows[key] == known.key])
            rows = joined.select(
                *(rows[column] for column in rows.columns),
                **{f"{of_claim}_{part}": known[column] for part, column in parts},
            )
            found.append(of_claim)
    nothing = ibis.null("string")
    is_found = [(rows[f"{one}_{CLAIM}"].notnull(), one) for one in found]

    def pick(part: str, other: ir.StringValue) -> ir.StringValue:
        return ibis.cases(*((test, rows[f"{one}_{part}"]) for test, one in is_found), else_=other) if found else other

    return rows.select(
        *columns,
        **{
            CLAIM: pick(CLAIM, rows.of_its_own),
            CLAIM_TYPE: pick(CLAIM_TYPE, ibis.literal(OTHER_TYPE)),
            CLAIM_START: pick(CLAIM_START, nothing),
            CLAIM_END: pick(CLAIM_END, nothing),
        },
    )


# ---- Tables ----


def stage_visits(name: str, table: CdmTable, claims: Mapping[str, ir.Table]) -> StagedTable:
    """Visits, or details, become lines without codes: dates, how the patient came and where the patient went."""
    key, (concept, start, end), is_visit = f"{name}_id", _columns_of(name), name == "visit_occurrence"

    def derive(rows: ir.Table) -> ir.Table:
        if not is_visit:
            # A detail of a stay is a line of it.
            return join_claims(rows, {name: claims[name]}, name)
        own = (rows[key], _type_of(table, rows, concept), rows[start], rows[end])
        return rows.mutate(disposition=_disposition_of(table, rows), **dict(zip(CLAIM_PARTS, own, strict=True)))

    def to_canonical(rows: ir.Table) -> ir.Table:
        number = ibis.literal(1, "int32") if is_visit else number_rows(rows, name, key)
        codes = (
            {"discharge_disposition_code": rows.disposition, "admit_source_code": rows.admitted_from_source_value}
            if is_visit
            else {}
        )
        return rows.select(
            "source_file",
            "row_no",
            **claim_columns(rows, "person_id", rows[start]),
            claim_line_number=number,
            claim_line_start_date=parse_date(rows[start], VISIT_DATES),
            claim_line_end_date=parse_date(rows[end], VISIT_DATES),
            **codes,
        )

    return StagedTable(
        name=name,
        target="claim_line",
        rows=table.rows,
        files=table.files,
        patient_column="person_id",
        row_key=(key,),
        to_canonical=to_canonical,
        claim_type=lambda rows: rows[CLAIM_TYPE],
        derive=derive,
        kinds=table.layout.kinds,
        claim_column=key,
        service_date=lambda rows: parse_date(rows[start], VISIT_DATES),
        checks=(
            check_id("person_id"),
            check_id(key),
            check_date(start, VISIT_DATES),
            check_date(end, VISIT_DATES, required=False),
            check_order(start, end, VISIT_DATES),
        ),
        code_columns=(CodeColumns(("disposition",), "DISP"),) if is_visit else (),
        warnings=(
            fix_dates((end,), VISIT_DATES),
            RowCheck(
                "W_CLAIM_TYPE",
                "a visit of a concept that names no type of claim is an outpatient one",
                lambda rows: clean_word(rows[concept]).notin([*table.layout.values[concept]]).fill_null(True),
            ),
        ),
    )


def _disposition_of(table: CdmTable, rows: ir.Table) -> ir.StringValue:
    """Where the patient went: a code of the Uniform Billing form, by the source or by its concept."""
    text = rows.discharged_to_source_value
    is_code = text.re_search(_DISPOSITION) & (text != "0")
    concepts = table.layout.values["discharged_to_concept_id"]
    by_concept = rows.discharged_to_concept_id.cases(*concepts.items(), else_=ibis.null("string"))
    return ibis.ifelse(is_code.fill_null(False), text, by_concept)


def number_rows(rows: ir.Table, name: str, key: str) -> ir.IntegerValue:
    """Number the rows of each claim by their key, behind the lines of the other tables."""
    return number_lines(rows, _TABLES.index(name), [rows[key].try_cast("int64"), rows[key]])
