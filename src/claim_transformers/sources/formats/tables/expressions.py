"""Fields of a mapping as expressions over raw rows, and what kind each raw column is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.fields import AMOUNT_PATTERN, clean_word
from claim_transformers.claims.quality import RowCheck
from claim_transformers.sources.formats.tables.dates import TIME, compact_date
from claim_transformers.sources.formats.tables.mapping import HEADER, MODIFIERS, FieldMap, TableMap, Where

if TYPE_CHECKING:
    import ibis.expr.types as ir

# An amount as accounts, spreadsheets and databases write it.
MONEY_PATTERN = (
    r"^(-?[$]?|[$]-|[(][$]?|[$][(])(([1-9][0-9]{0,2}(,[0-9]{3})+|[0-9]{1,10})([.][0-9]{1,4})?|[.][0-9]{1,4})[)-]?$"
)
# What the mapping makes of a row stands beside it, under the name of the canonical column.
_MAPPED = "mapped."
_PART = "part"
# What a canonical column loses by, as in layout files: the first of the list wins where a raw column feeds several.
_STRENGTH = ("id", "ndc", "icd", "code", "modifier", "amount", "number", "date", "time", "flag", "text", _PART)
FIELD_KINDS: Mapping[str, str] = {
    **dict.fromkeys(("patient_id", "claim_id", "source_member_id"), "id"),
    **dict.fromkeys(("rendering_npi", "billing_npi", "facility_npi"), "id"),
    **dict.fromkeys(("claim_line_number", "service_unit_quantity", "quantity", "days_supply", "refills"), "number"),
    **dict.fromkeys(("paid_amount", "allowed_amount", "charge_amount"), "amount"),
    **dict.fromkeys(("discharge_disposition_code", "place_of_service_code", "drg_code"), "code"),
    **dict.fromkeys(("revenue_center_code", "hcpcs_code", "dual_status_code", "medicare_status_code"), "code"),
    **dict.fromkeys(("county_fips", "claim_type"), "code"),
    **dict.fromkeys(("admit_source_code", "admit_type_code", "bill_type_code"), "flag"),
    "original_reason_entitlement_code": "flag",
    "ndc_code": "ndc",
    MODIFIERS: "modifier",
}


def mapped(field: str, *parts: object) -> str:
    """Name of the column that holds what a mapping makes of a row."""
    return _MAPPED + ".".join([field, *map(str, parts)])


def text_of(rows: ir.Table, field: FieldMap) -> ir.StringValue:
    """The text of a field, before anything is made of it; dates as `YYYYMMDD`."""
    if field.constant is not None:
        text: ir.StringValue = ibis.literal(field.constant)
    else:
        parts = [rows[name] for name in field.columns]
        text = parts[0]
        for part in parts[1:]:
            text = text + field.between + part
    if field.values:
        text = meaning_of(text, field.values)
    if field.day:
        year = text.re_replace(r"[.]0+$", "")
        text = ibis.ifelse(year.isnull(), year, year + field.day.replace("-", ""))
    elif field.dates:
        text = compact_date(text, field.dates)
    if field.prefix:
        text = ibis.literal(field.prefix) + text
    return text if field.where is None else ibis.ifelse(is_in(rows, field.where), text, ibis.null("string"))


def plain_amount(text: ir.StringValue) -> ir.StringValue:
    """An amount without the dollar sign and the commas between thousands; one in parentheses is negative."""
    is_whole = (text.contains("(") == text.endswith(")")) & ~text.re_search("-.*-")
    sign = ibis.ifelse(text.re_search("[-(]"), "-", "")
    number = text.re_replace("[^0-9.]", "").re_replace("^[.]", "0.")
    plain = ibis.ifelse(text.re_search(MONEY_PATTERN) & is_whole, sign + number, text)
    return ibis.ifelse(text.re_search(AMOUNT_PATTERN), text, plain)


def meaning_of(text: ir.StringValue, values: Mapping[str, str]) -> ir.StringValue:
    """The meaning of a raw value, in any case; null for a value that is not listed."""
    lowered = {value.strip().lower(): meaning for value, meaning in values.items()}
    return clean_word(text).cases(*lowered.items(), else_=ibis.null("string"))


def is_in(rows: ir.Table, where: Where) -> ir.BooleanValue:
    """Whether a column has one of some values, in any case; an empty one has none."""
    found = clean_word(rows[where.column]).isin([value.strip().lower() for value in where.values])
    return found.fill_null(False)


def warn_values(fields: Mapping[str, FieldMap]) -> tuple[RowCheck, ...]:
    """`F_VALUE_NULL`: a value that the mapping does not list; sex and claim type have codes of their own."""
    listed = [field for name, field in fields.items() if field.values and name not in ("gender", "claim_type")]
    if not listed:
        return ()

    def fails(rows: ir.Table) -> ir.BooleanValue:
        return ibis.or_(
            *(
                clean_word(rows[field.columns[0]]).notin([value.strip().lower() for value in field.values])
                for field in listed
                if field.columns
            )
        ).fill_null(False)

    return (RowCheck("F_VALUE_NULL", "a value that the mapping does not list becomes null", fails),)


def kinds_of(table: TableMap) -> dict[str, str]:
    """Kind of every raw column that a table names, those of its header as `header.NAME`."""
    found: dict[str, set[str]] = {}
    for name, kind in _uses(table):
        found.setdefault(name, set()).add(kind)
    strongest = {name: min(kinds, key=_STRENGTH.index) for name, kinds in found.items()}
    return {name: "id" if kind == _PART else kind for name, kind in strongest.items()}


def _uses(table: TableMap) -> Iterator[tuple[str, str]]:
    """Each use of a raw column, with the kind that it asks for."""
    for name, field in table.fields.items():
        kind = _kind_of_date(field.dates) if field.dates else FIELD_KINDS.get(name, "text")
        if len(field.columns) > 1 and name != MODIFIERS:
            kind = _PART
        elif field.values or field.is_number or field.day:
            kind = "flag"
        yield from ((column, kind) for column in field.columns)
        yield from _of_where(field.where)
    for groups in table.codes.values():
        for group in groups:
            yield from ((column, "icd") for column in group.columns)
            yield from ((column, "flag") for column in (*group.qualifiers, *group.flags))
            yield from ((column, _kind_of_date(table.dates)) for column in group.dates)
            yield from _of_where(group.where)
    yield from ((rule.column, "flag") for rule in table.rules)
    yield from _of_where(table.reversals)
    if table.versions is not None:
        yield table.versions.latest, _kind_of_date(table.versions.dates) if table.versions.dates else "number"
    if table.enrollment is not None:
        months = (table.enrollment.month, table.enrollment.year, *table.enrollment.months)
        yield from ((column, "flag") for column in months if column)
    if table.header is not None:
        yield from ((column, _PART) for column in table.header.on)
        yield from ((HEADER + column, _PART) for column in table.header.on.values())


def _kind_of_date(date_format: str) -> str:
    """A format that has a time of day may be a column of timestamps."""
    return "time" if date_format.endswith(TIME) else "date"


def _of_where(where: Where | None) -> Iterable[tuple[str, str]]:
    return [] if where is None else [(where.column, "flag")]
