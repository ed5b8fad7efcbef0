"""Claim lines and drug fills of a mapping: what its rows mean, in the terms of every source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import ibis

from claim_transformers.claims.fields import DateFormat, clean_id, parse_amount, parse_date, parse_number
from claim_transformers.claims.quality import (
    RowCheck,
    check_date,
    check_id,
    check_line_number,
    check_order,
    fix_amount,
    fix_dates,
    warn_amount,
)
from claim_transformers.claims.reversals import Reversal
from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.sources.formats.tables.codes import (
    CODING_DAY,
    code_columns,
    dates_of_procedures,
    lists_of_codes,
    map_codes,
    read_qualifiers,
    warn_codes,
)
from claim_transformers.sources.formats.tables.dates import version_order
from claim_transformers.sources.formats.tables.expressions import (
    FIELD_KINDS,
    is_in,
    kinds_of,
    mapped,
    plain_amount,
    text_of,
    warn_values,
)
from claim_transformers.sources.formats.tables.mapping import (
    BY_BILL_TYPE,
    MODIFIERS,
    FieldMap,
    RuleMap,
    TableMap,
    Where,
)
from claim_transformers.sources.pipeline.contract import CodeColumns, RawFile, StagedTable, Versions
from claim_transformers.sources.pipeline.institutional import (
    drg_type_of,
    read_bill_type,
    system_of_drg,
    type_of_facility,
)
from claim_transformers.sources.pipeline.lines import list_modifiers
from claim_transformers.sources.pipeline.qualifiers import coding_day

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

COMPACT: DateFormat = "YYYYMMDD"
_AMOUNTS = ("paid_amount", "allowed_amount", "charge_amount")
_COUNTS = ("service_unit_quantity", "quantity", "days_supply")
_NUMBERS: Mapping[str, Literal["float32", "int16"]] = {
    "service_unit_quantity": "float32",
    "quantity": "float32",
    "days_supply": "int16",
    "refills": "int16",
}
_NPIS = ("rendering_npi", "billing_npi", "facility_npi")
_CODES = {
    "hcpcs_code": "HCPCS",
    "revenue_center_code": "REV",
    "place_of_service_code": "POS",
    "discharge_disposition_code": "DISP",
    "ndc_code": "NDC",
}
_REVERSED, _DRG_TYPE = mapped("reversed"), mapped("drg_code_type")
_BY_BILL = mapped("by_bill_type")
_NOTHING = FieldMap()
_OTHER_DATES = ("claim_end_date", "claim_line_start_date", "claim_line_end_date")
_STAY = ("admission_date", "discharge_date")
# What a charge shares with what takes it back.
_SHARED = ("claim_start_date", "claim_end_date", "claim_line_start_date", "dispensing_date")
_DONE = ("revenue_center_code", "hcpcs_code", "ndc_code")


def map_claims(connection: Backend, rows: ir.Table, table: TableMap) -> ir.Table:
    """Add what the mapping makes of each row, beside it."""
    texts = {name: text_of(rows, field) for name, field in table.fields.items() if name != MODIFIERS}
    texts |= {name: plain_amount(texts[name]) for name in _AMOUNTS if name in texts}
    nothing = ibis.null("string")
    if table.rows == "claim_line":
        bill, drg = texts.get("bill_type_code", nothing), texts.get("drg_code", nothing)
        if "bill_type_code" in texts:
            bill = texts["bill_type_code"] = read_bill_type(bill)
        stated = texts["claim_type"]
        facility = type_of_facility(bill, texts.get("admission_date", nothing), drg)
        texts["claim_type"] = ibis.ifelse(stated == BY_BILL_TYPE, facility, stated)
        if "drg_code" in texts:
            drg_type = drg_type_of(drg, texts.get("drg_code_type", nothing))
            texts["drg_code_type"] = drg_type
            texts["drg_code"] = ibis.ifelse(drg_type.notnull(), drg, nothing)
    added: dict[str, ir.Value] = {mapped(name): text for name, text in texts.items()}
    if table.reversals is not None:
        added[_REVERSED] = ibis.ifelse(is_in(rows, table.reversals), "-1", "1")
    if table.rows == "claim_line":
        added[_BY_BILL] = (stated == BY_BILL_TYPE).fill_null(False)
        ends = [texts[name] for name in ("discharge_date", "claim_end_date") if name in texts]
        added[CODING_DAY] = coding_day(texts["claim_start_date"], ends, COMPACT)
    if table.rows != "claim_line":
        return rows.mutate(**added)
    words, rows = read_qualifiers(connection, rows, table), rows.mutate(**added)
    return rows.mutate(**map_codes(rows, table, words))


def stage_claims(rows: ir.Table, files: Sequence[RawFile], table: TableMap) -> StagedTable:
    """Say what mapped rows of claim lines or fills mean."""
    is_rx = table.rows == "rx_claim"
    patient, claim, number = (mapped(name) for name in ("patient_id", "claim_id", "claim_line_number"))
    start = mapped("dispensing_date" if is_rx else "claim_start_date")
    source = (mapped("data_source"),) if "data_source" in table.fields else ()
    of_claim, is_numbered = (*source, patient, claim), "claim_line_number" in table.fields
    kinds = {name: kind for name, kind in kinds_of(table).items() if name in rows.columns}
    # Lines without numbers are told apart by all that stands in them.
    row_key = (*of_claim, number) if is_numbered else tuple(kinds)
    compared = [name for name in ("claim_line_number", *_DONE) if name in table.fields]
    return StagedTable(
        name=table.name,
        target="rx_claim" if is_rx else "claim_line",
        rows=rows,
        files=tuple(files),
        patient_column=patient,
        row_key=row_key,
        to_canonical=lambda rows: _to_lines(rows, table, kinds),
        claim_type="RX" if is_rx else lambda rows: rows[mapped("claim_type")],
        kinds=kinds | {mapped(name): FIELD_KINDS[name] for name in compared},
        source_column=source[0] if source else None,
        claim_column=claim,
        service_date=lambda rows: parse_date(rows[start], COMPACT),
        checks=(*check_rules(table, "D_"), *_checks(table), *check_rules(table, "R_")),
        code_columns=_code_columns(table),
        reversal=_reversal(table, source),
        versions=_versions(table, of_claim, row_key),
        warnings=(*_warnings(table), *check_rules(table, "W_")),
        denials=tuple(rule.column for rule in table.rules if rule.verdict == "D_DENIED"),
    )


# ---- What leaves, and what counts ----


def check_rules(table: TableMap, verdict: str) -> tuple[RowCheck, ...]:
    """The checks of the rules with a verdict, such as `D_`."""
    return tuple(_check_rule(rule) for rule in table.rules if rule.verdict.startswith(verdict))


def _check_rule(rule: RuleMap) -> RowCheck:
    def fails(rows: ir.Table) -> ir.BooleanValue:
        is_listed = is_in(rows, Where(rule.column, rule.values))
        return is_listed if rule.is_listed else ~is_listed & rows[rule.column].notnull()

    return RowCheck(rule.verdict, rule.because, fails)


def _checks(table: TableMap) -> tuple[RowCheck, ...]:
    checks = [check_id(mapped("patient_id")), check_id(mapped("claim_id"))]
    if "claim_line_number" in table.fields:
        checks.append(check_line_number(mapped("claim_line_number"), name="claim_line_number"))
    if table.rows == "rx_claim":
        return (*checks, check_date(mapped("dispensing_date"), COMPACT))
    claim_type, start = mapped("claim_type"), mapped("claim_start_date")
    others = [mapped(name) for name in (*_OTHER_DATES, *_STAY) if name in table.fields]
    pairs = [("claim_start_date", "claim_end_date"), ("claim_line_start_date", "claim_line_end_date"), _STAY]
    checks += [
        RowCheck("R_CLAIM_TYPE", "no canonical claim type", lambda rows: rows[claim_type].isnull()),
        check_date(start, COMPACT),
        *(check_date(name, COMPACT, required=False) for name in others),
        *(
            check_order(mapped(first), mapped(last), COMPACT)
            for first, last in pairs
            if first in table.fields and last in table.fields
        ),
    ]
    return tuple(checks)


def _code_columns(table: TableMap) -> tuple[CodeColumns, ...]:
    plain = tuple(CodeColumns((mapped(name),), system) for name, system in _CODES.items() if name in table.fields)
    drg = CodeColumns(
        (mapped("drg_code"),), system_of=lambda rows: system_of_drg(rows[_DRG_TYPE]), systems=("DRG", "APRDRG")
    )
    return (*code_columns(table), *plain, *((drg,) if "drg_code" in table.fields else ()))


def _reversal(table: TableMap, source: tuple[str, ...]) -> Reversal | None:
    """A charge and what takes it back share patient, dates and what was done; any amount or count tells them apart."""
    amounts, counts = (tuple(mapped(name) for name in names if name in table.fields) for names in (_AMOUNTS, _COUNTS))
    if table.reversals is not None:
        # The mark of a reversal is a count of its own, so that one that finds no charge does not stay.
        counts = (*counts, _REVERSED)
    if not table.nets or not (amounts or counts):
        return None
    shared = tuple(mapped(name) for name in (*_SHARED, *_DONE) if name in table.fields)
    numbers = tuple(mapped(name) for name in ("claim_id", "claim_line_number") if name in table.fields)
    return Reversal((*source, mapped("patient_id"), *shared), numbers, amounts, counts)


def _versions(table: TableMap, of_claim: tuple[str, ...], row_key: tuple[str, ...]) -> Versions | None:
    if table.versions is None:
        return None
    latest, dates = table.versions.latest, table.versions.dates
    is_line = not table.versions.of_claims and "claim_line_number" in table.fields
    return Versions(row_key if is_line else of_claim, lambda rows: version_order(rows[latest], dates))


def _warnings(table: TableMap) -> tuple[RowCheck, ...]:
    found: list[RowCheck] = [*warn_values(table.fields)]
    amounts = [mapped(name) for name in _AMOUNTS if name in table.fields]
    if "paid_amount" in table.fields:
        allowed = mapped("allowed_amount") if "allowed_amount" in table.fields else None
        found.append(warn_amount((mapped("paid_amount"), allowed)))
    if amounts:
        found += [_fix_money(table), fix_amount(*amounts)]
    needed = ("claim_start_date", "dispensing_date")
    secondary = [mapped(name) for name, field in table.fields.items() if field.dates and name not in needed]
    if secondary := [*secondary, *dates_of_procedures(table)]:
        found.append(fix_dates(secondary, COMPACT))
    found += warn_codes(table)
    if bill := table.fields.get("bill_type_code"):
        found.append(_nulled("F_BILL_TYPE_NULL", "a type of bill that is none", bill, mapped("bill_type_code")))
    stated = table.fields.get("claim_type", _NOTHING)
    if BY_BILL_TYPE in (*stated.values.values(), stated.constant):
        bill_type = mapped("bill_type_code")
        found.append(
            RowCheck(
                "W_BILL_TYPE",
                "a facility claim without a type of bill: admission date and DRG decide whether it is inpatient",
                lambda rows: rows[_BY_BILL] & (rows[bill_type].isnull() if bill else ibis.literal(True)),
            )
        )
    if drg := table.fields.get("drg_code"):
        found.append(_nulled("F_DRG_TYPE", "a DRG of another grouper than MS-DRG and APR-DRG", drg, _DRG_TYPE))
    return tuple(found)


def _nulled(code: str, what: str, field: FieldMap, name: str) -> RowCheck:
    return RowCheck(code, f"{what} becomes null", lambda rows: text_of(rows, field).notnull() & rows[name].isnull())


def _fix_money(table: TableMap) -> RowCheck:
    fields = {mapped(name): table.fields[name] for name in _AMOUNTS if name in table.fields}
    return RowCheck(
        "F_AMOUNT_FORM",
        "an amount as accounts and databases write it, with a dollar sign or in parentheses, is a plain decimal",
        lambda rows: ibis.or_(*((text_of(rows, fields[name]) != rows[name]).fill_null(False) for name in fields)),
    )


# ---- Lines ----


def _to_lines(rows: ir.Table, table: TableMap, kinds: Mapping[str, str]) -> ir.Table:
    columns: dict[str, ir.Value] = {"claim_line_number": _line_number(rows, table, kinds)}
    for name in SCHEMAS[table.rows].names:
        if mapped(name) in rows.columns and name not in columns and name not in table.codes:
            columns[name] = _value_of(rows, name)
    if table.rows == "claim_line":
        of_columns = table.fields[MODIFIERS].columns if MODIFIERS in table.fields else ()
        columns[MODIFIERS] = list_modifiers(rows, mapped("hcpcs_code"), of_columns)
        columns |= lists_of_codes(rows, table)
    return rows.select("source_file", "row_no", **columns)


def _value_of(rows: ir.Table, name: str) -> ir.Value:
    text = rows[mapped(name)]
    if name.endswith("_date"):
        return parse_date(text, COMPACT)
    if name in _AMOUNTS:
        return parse_amount(text)
    if name in _NUMBERS:
        return parse_number(text, _NUMBERS[name])
    return clean_id(text) if name in _NPIS else text


def _line_number(rows: ir.Table, table: TableMap, kinds: Mapping[str, str]) -> ir.IntegerValue:
    """The number that the line has, or its place among those of its claim by what stands in them."""
    if "claim_line_number" in table.fields:
        return parse_number(rows[mapped("claim_line_number")], "int32")
    content = ibis.struct({name: rows[name] for name in kinds}).hash()
    keys = [rows[mapped(name)] for name in ("data_source", "patient_id", "claim_id") if name in table.fields]
    number = ibis.row_number().over(group_by=keys, order_by=[content, rows.source_file, rows.row_no])
    return (number + 1).cast("int32")
