"""Resources to rows, as one SQL statement made of the dialect files: a row for each claim line, every column a text.

Of a resource without lines one row remains. Codes of a claim stand on each of its rows as lists, by system and rank.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from claim_transformers.sources.formats.fhir_eob.mapping import (
    CLAIM_COLUMNS,
    DRUG_COLUMNS,
    LINE_COLUMNS,
    Choice,
    ClaimTypeRule,
    Dialect,
    read_dialects,
)
from claim_transformers.sources.formats.fhir_eob.paths import Elements, quote_text, to_structure

_DATES = ("start", "end", "admission", "discharge", "paid", "line_start", "line_end")
_SPAN = {"start": ("list_min", "line_start"), "end": ("list_max", "line_end")}
_LISTS = ("diagnoses_9", "diagnoses_10", "poa", "procedures_9", "procedures_10", "procedure_dates", "modifiers")
# A resource that refers to one inside itself, or to nobody, names no patient.
_PATIENT = "nullif(CASE WHEN NOT starts_with({0}, '#') THEN regexp_replace({0}, '^.*/', '') END, '')"
_BILL = "CASE WHEN length({0}) = 4 AND starts_with({0}, '0') THEN substr({0}, 2) ELSE {0} END"


# Of the diagnoses of a claim the principal one stands first, once, and the admitting one apart.
_RANKED = """), ranked AS (
    SELECT *, list_filter(ds, lambda d: d.kind = 'P')[1] AS principal,
        list_filter(ds, lambda d: d.kind = 'A')[1] AS admitting,
        list_filter(ds, lambda d: d.kind IN ('P', 'O')) AS listed
    FROM claims
), coded AS (
    SELECT * EXCLUDE (ds, listed, principal), CASE
        WHEN principal IS NULL THEN listed
        ELSE list_concat([struct_update(principal, poa := coalesce(principal.poa, list_filter(listed,
            lambda d: d.code = principal.code AND d.poa IS NOT NULL)[1].poa))],
            list_filter(listed, lambda d: d.code <> principal.code OR d.system <> principal.system))
        END AS ds,
        coalesce(len(listed) > 0 OR len(ps) > 0 OR drg IS NOT NULL, false) AS has_claim_codes
    FROM ranked
"""


def claim_rows_sql(resources: str, names: Iterable[str]) -> str:
    """Write the statement that turns resources into rows.

    `resources` is a subquery with `document`, `line_no`, `resource_no`, `next_page`, `kind` and `resource` (JSON), of
    the dialects `names`. What is no ExplanationOfBenefit gives one row; Patient and Coverage keep their text as
    `person`. `counted_lines` are the lines that the text of a resource has.
    """
    dialects = [dialect for name, dialect in read_dialects().items() if name in {*names}]
    elements: Elements = {"item": {"": {}}}
    for dialect in read_dialects().values():
        dialect.told_by.add_to(elements)
    for dialect in dialects:
        _merge(elements, dialect.elements())
    structure = quote_text(json.dumps(to_structure(elements)))
    claim = [f"{_by_dialect(dialects, _ClaimSql(name))} AS {_name(name)}" for name in CLAIM_COLUMNS]
    line = [f"{_by_dialect(dialects, _LineSql(name))} AS {_name(name)}" for name in LINE_COLUMNS]
    drug = [f"{_by_dialect(dialects, _DrugSql(name))} AS {_name(name)}" for name in DRUG_COLUMNS]
    kept = ", ".join(_name(name) for name in ("claim_type", *CLAIM_COLUMNS))
    origin = "document, line_no, resource_no, next_page, kind, person, counted_lines"
    return f"""
WITH parsed AS (
    SELECT document, line_no, resource_no, next_page, kind,
        CASE WHEN kind IN ('Patient', 'Coverage') THEN resource END AS person,
        CASE WHEN eob IS NOT NULL THEN greatest(json_array_length(eob, '$.item'), 1) END AS counted_lines,
        json_transform(eob, {structure}) AS r
    FROM (SELECT *, CASE WHEN kind = 'ExplanationOfBenefit' THEN resource END AS eob FROM {resources})
), told AS (
    SELECT *, {_dialect_sql()} AS dialect FROM parsed
), claims AS (
    SELECT {origin}, dialect, r, {", ".join(claim)},
        {_by_dialect(dialects, _claim_type_sql)} AS claim_type,
        {_by_dialect(dialects, _diagnoses_sql, "NULL")} AS ds,
        {_by_dialect(dialects, _procedures_sql, "NULL")} AS ps,
        {_by_dialect(dialects, _unknown_systems_sql, "NULL")} AS unknown_systems,
        CASE WHEN len(r.item) > 0 THEN r.item ELSE [NULL] END AS lines
    FROM told
{_RANKED}), headers AS (
    SELECT {origin}, dialect, {kept}, unknown_systems, r, lines,
        {_list_sql("ds", "ICD9CM")} AS diagnoses_9, {_list_sql("ds", "ICD10CM")} AS diagnoses_10,
        list_transform(ds, lambda d: d.poa) AS poa,
        {_list_sql("ps", "ICD9PCS")} AS procedures_9, {_list_sql("ps", "ICD10PCS")} AS procedures_10,
        list_transform(ps, lambda d: d.date) AS procedure_dates,
        CASE WHEN admitting.system = 'ICD9CM' THEN admitting.code END AS admitting_9,
        CASE WHEN admitting.system = 'ICD10CM' THEN admitting.code END AS admitting_10,
        CASE WHEN has_claim_codes OR {_any_line_sql(dialects)} THEN 'yes' ELSE 'no' END AS has_codes
    FROM coded
), unfolded AS (
    SELECT * EXCLUDE (lines, unknown_systems), unnest(lines) AS l,
        unnest(range(1, len(lines) + 1)) AS place_of_line, len(r.item) > 0 AS has_lines,
        unknown_systems FROM headers
)
SELECT {origin}, dialect, has_codes, {kept},
    {", ".join(f"{name}" for name in ("admitting_9", "admitting_10", *_LISTS[:-1]))},
    {", ".join(line)}, {", ".join(drug)},
    {_by_dialect(dialects, _modifiers_sql, "NULL")} AS modifiers,
    {_by_dialect(dialects, _details_sql("detail_ndc"), "NULL")} AS detail_ndcs,
    {_by_dialect(dialects, _details_sql("detail_quantity"), "NULL")} AS detail_quantities,
    coalesce(has_lines, false) AS has_lines,
    place_of_line, CASE WHEN place_of_line = 1 THEN unknown_systems END AS unknown_systems
FROM unfolded"""


def _name(column: str) -> str:
    return f'"{column}"'


def _merge(into: Elements, other: Elements) -> None:
    for name, below in other.items():
        _merge(into.setdefault(name, {}), below)


def _dialect_sql() -> str:
    """SQL of the one dialect that a resource speaks, null where it bears the marks of none or of two."""
    marks = {name: f"{dialect.told_by.to_sql('r')} IS NOT NULL" for name, dialect in read_dialects().items()}
    covered = {name: [one.name for one in read_dialects().values() if name in one.over] for name in marks}
    speaks = {
        name: " AND ".join([f"({mark})", *(f"NOT ({marks[other]})" for other in covered[name])])
        for name, mark in marks.items()
    }
    branches = " ".join(
        f"WHEN {is_spoken} THEN CASE WHEN {' OR '.join(f'({speaks[other]})' for other in speaks if other != name)} "
        f"THEN NULL ELSE '{name}' END"
        for name, is_spoken in speaks.items()
    )
    return f"CASE {branches} END"


def _by_dialect(dialects: Sequence[Dialect], sql_of: object, otherwise: str = "CAST(NULL AS VARCHAR)") -> str:
    """SQL of a value that each dialect has in its own place; the engine reckons only that of the dialect spoken."""
    assert callable(sql_of)
    branches = [f"WHEN '{dialect.name}' THEN {sql_of(dialect)}" for dialect in dialects]
    return f"CASE dialect {' '.join(branches)} END" if branches else otherwise


class _ClaimSql:
    """SQL of a column of the claim."""

    def __init__(self, column: str) -> None:
        self.column = column

    def __call__(self, dialect: Dialect) -> str:
        sql = _value(dialect.claim.get(self.column), "r")
        if self.column in _SPAN:
            aggregate, of_line = _SPAN[self.column]
            # A claim that does not say when it was is as long as its lines.
            days = f"list_transform(r.item, lambda l: left({_value(dialect.lines.get(of_line), 'r', 'l')}, 10))"
            return f"coalesce(left({sql}, 10), {aggregate}({days}))"
        if self.column in _DATES:
            return f"left({sql}, 10)"
        if self.column == "patient":
            return _PATIENT.format(sql)
        if self.column == "bill_type":
            parts = [
                _value(dialect.claim.get(name), "r") for name in ("bill_facility", "bill_class", "bill_frequency")
            ]
            return f"coalesce({_BILL.format(sql)}, {' || '.join(parts)})"
        return sql


class _LineSql:
    """SQL of a column of the line."""

    def __init__(self, column: str) -> None:
        self.column = column

    def __call__(self, dialect: Dialect) -> str:
        sql = _value(dialect.lines.get(self.column), "r", "l")
        return f"left({sql}, 10)" if self.column in _DATES else sql


class _DrugSql:
    """SQL of a column of a drug event, which no other line has."""

    def __init__(self, column: str) -> None:
        self.column = column

    def __call__(self, dialect: Dialect) -> str:
        return f"CASE WHEN claim_type = 'RX' THEN {_value(dialect.drugs.get(self.column), 'r', 'l')} END"


def _value(choice: Choice | None, base: str, line: str = "") -> str:
    return "CAST(NULL AS VARCHAR)" if choice is None else choice.to_sql(base, line)


def _claim_type_sql(dialect: Dialect) -> str:
    return f"coalesce({', '.join(_rule_sql(rule) for rule in dialect.claim_types)})"


def _rule_sql(rule: ClaimTypeRule) -> str:
    text = rule.path.to_sql("r")
    if rule.is_bill:
        bill = f"ltrim({text}, '0')"
        branches = [
            f"WHEN starts_with({bill}, {quote_text(start)}) THEN '{claim_type}'"
            for start, claim_type in sorted(rule.values.items(), key=lambda pair: -len(pair[0]))
        ]
        found = f"CASE {' '.join(branches)} END"
    else:
        branches = [f"WHEN {quote_text(value)} THEN '{claim_type}'" for value, claim_type in rule.values.items()]
        found = f"CASE {text} {' '.join(branches)} END"
    return found if rule.only_if is None else f"CASE WHEN {rule.only_if.to_sql('r')} IS NOT NULL THEN {found} END"


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(map(quote_text, texts))


def _path(base: str, dotted: str) -> str:
    return base + "".join(f'."{name}"' for name in dotted.split("."))


def _coding_sql(dialect: Dialect, kind: str, of_list: str, entry: str) -> str:
    """SQL of the first coding of an entry that is of a known system."""
    codings = _path(entry, dialect.lists[f"{of_list}.coding"])
    return f"list_filter({codings}, lambda c: c.system IN ({_listed(dialect.systems[kind])}))[1]"


def _system_sql(dialect: Dialect, kind: str, coding: str) -> str:
    branches = [f"WHEN {quote_text(text)} THEN '{system}'" for text, system in dialect.systems[kind].items()]
    return f"CASE {coding}.system {' '.join(branches)} END"


def _diagnoses_sql(dialect: Dialect) -> str:
    """SQL of the diagnoses of a claim in their order: `P`rincipal, `A`dmitting, `O`ther, without those left out."""
    coding = _coding_sql(dialect, "diagnosis", "diagnoses", "d")
    columns = dialect.diagnoses
    kind = (
        f"CASE WHEN {columns['admitting'].to_sql('d')} IS NOT NULL AND {columns['principal'].to_sql('d')} IS NULL "
        f"THEN 'A' WHEN {columns['principal'].to_sql('d')} IS NOT NULL THEN 'P' "
        f"WHEN {columns['left_out'].to_sql('d')} IS NOT NULL THEN 'X' ELSE 'O' END"
    )
    transformed = (
        f"list_transform({_path('r', dialect.lists['diagnoses'])}, lambda d: struct_pack("
        f'"order" := try_cast(d.sequence AS INTEGER), kind := {kind}, coding := {coding}, '
        f"poa := {columns['poa'].to_sql('d')}))"
    )
    plain = (
        f'list_transform({transformed}, lambda d: struct_pack("order" := d."order", kind := d.kind, '
        f"system := {_system_sql(dialect, 'diagnosis', 'd.coding')}, code := d.coding.code, poa := d.poa))"
    )
    return f"list_sort(list_filter({plain}, lambda d: d.code IS NOT NULL AND d.kind <> 'X'))"


def _procedures_sql(dialect: Dialect) -> str:
    coding = _coding_sql(dialect, "procedure", "procedures", "d")
    transformed = (
        f"list_transform({_path('r', dialect.lists['procedures'])}, lambda d: struct_pack("
        f'"order" := try_cast(d.sequence AS INTEGER), coding := {coding}, '
        f"date := left({dialect.procedures['date'].to_sql('d')}, 10)))"
    )
    plain = (
        f'list_transform({transformed}, lambda d: struct_pack("order" := d."order", '
        f"system := {_system_sql(dialect, 'procedure', 'd.coding')}, code := d.coding.code, date := d.date))"
    )
    return f"list_sort(list_filter({plain}, lambda d: d.code IS NOT NULL))"


def _list_sql(entries: str, system: str) -> str:
    return f"list_transform({entries}, lambda d: CASE WHEN d.system = '{system}' THEN d.code END)"


def _unknown_systems_sql(dialect: Dialect) -> str:
    """SQL of the code systems that nothing of the file knows, once for each coding."""
    parts = []
    for kind, of_list in (("diagnosis", "diagnoses"), ("procedure", "procedures")):
        codings = _path("d", dialect.lists[f"{of_list}.coding"])
        parts.append(_foreign(_path("r", dialect.lists[of_list]), codings, dialect.systems[kind]))
    parts.append(_foreign("r.item", _path("d", dialect.lists["lines.service"]), dialect.services))
    return f"list_concat({', '.join(parts)})"


def _foreign(entries: str, codings: str, known: Iterable[str]) -> str:
    flat = f"flatten(list_transform({entries}, lambda d: coalesce({codings}, [])))"
    return (
        f"list_transform(list_filter({flat}, lambda c: c.code IS NOT NULL AND coalesce(c.system NOT IN "
        f"({_listed(known)}), true)), lambda c: coalesce(c.system, ''))"
    )


def _any_line_sql(dialects: Sequence[Dialect]) -> str:
    def any_of(dialect: Dialect) -> str:
        codes = [dialect.lines["hcpcs"], dialect.lines["revenue"], dialect.drugs["ndc"]]
        has_code = " OR ".join(f"{choice.to_sql('r', 'l')} IS NOT NULL" for choice in codes)
        details = f"len(list_filter(l.detail, lambda t: {dialect.drugs['detail_ndc'].to_sql('t')} IS NOT NULL)) > 0"
        return f"len(list_filter(lines, lambda l: {has_code} OR {details})) > 0"

    return f"coalesce({_by_dialect(dialects, any_of, 'false')}, false)"


def _modifiers_sql(dialect: Dialect) -> str:
    codings = f"flatten(list_transform({_path('l', dialect.lists['modifiers'])}, lambda m: coalesce(m.coding, [])))"
    is_modifier = f"c.code IS NOT NULL AND coalesce(c.system, '') NOT IN ({_listed(dialect.no_modifiers)})"
    kept = f"list_filter({codings}, lambda c: {is_modifier})"
    codes = f"list_transform({kept}, lambda c: c.code)"
    # One modifier can stand in the writing of several systems.
    return f"list_filter({codes}, lambda m, i: list_position({codes}, m) = i)"


def _details_sql(column: str) -> object:
    """SQL of the parts of a compound drug, which are no lines of their own."""

    def sql_of(dialect: Dialect) -> str:
        parts = f"list_filter(l.detail, lambda t: {dialect.drugs['detail_ndc'].to_sql('t')} IS NOT NULL)"
        found = f"list_transform({parts}, lambda t: {dialect.drugs[column].to_sql('t')})"
        return f"CASE WHEN claim_type = 'RX' THEN {found} END"

    return sql_of
