"""Resources in memory to rows: what `extraction` does in the engine, for the few resources of one request.

The dialect files are the same. Planning the statement of the engine takes longer than reading a bundle, so here the
paths are followed in Python; tests hold the two to equal rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from claim_transformers.sources.formats.fhir_eob.mapping import (
    CLAIM_COLUMNS,
    DRUG_COLUMNS,
    LINE_COLUMNS,
    ClaimTypeRule,
    Dialect,
    read_dialects,
)
from claim_transformers.sources.formats.fhir_eob.paths import Seen, text_of

Resource = Mapping[str, Any]
Row = dict[str, Any]
_DATES = ("admission", "discharge", "paid")
_LINE_DATES = ("line_start", "line_end")
_DRUG = "RX"
_BILL_PARTS = ("bill_facility", "bill_class", "bill_frequency")
_BILL_LENGTH = 4


def _find_dialect(resource: Resource) -> Dialect | None:
    """The one dialect that a resource speaks, none where it bears the marks of none or of two."""
    dialects = read_dialects()
    marked = [dialect for dialect in dialects.values() if dialect.told_by.read(resource) is not None]
    covered = {name for dialect in marked for name in dialect.over}
    spoken = [dialect for dialect in marked if dialect.name not in covered]
    return spoken[0] if len(spoken) == 1 else None


def read_claim_rows(resource: Resource) -> list[Row]:
    """Turn an ExplanationOfBenefit into rows, one for each line, at least one."""
    dialect = _find_dialect(resource)
    items = resource.get("item")
    lines = items if isinstance(items, list) and items else [None]
    has_lines = lines[0] is not None or len(lines) > 1
    if dialect is None:
        nothing = dict.fromkeys(("dialect", "claim_type", *CLAIM_COLUMNS, *LINE_COLUMNS, *DRUG_COLUMNS))
        rows = [{**nothing, "has_codes": "no", **_no_lists()} for _ in lines]
    else:
        claim = _read_claim(dialect, resource, lines)
        rows = [{**claim, **_read_line(dialect, resource, line, claim["claim_type"])} for line in lines]
    for number, row in enumerate(rows):
        row |= {"has_lines": has_lines, "is_first_row": number == 0}
    return rows


def _no_lists() -> Row:
    names = ("diagnoses", "procedures", "modifiers", "detail_ndcs", "detail_quantities", "unknown_systems")
    return {"admitting": None, **{name: [] for name in names}}


def _read_claim(dialect: Dialect, resource: Resource, lines: Sequence[Any]) -> Row:
    choices, seen = dialect.claim, Seen()
    row: Row = {name: choices[name].read(resource, seen=seen) if name in choices else None for name in CLAIM_COLUMNS}
    for name in _DATES:
        row[name] = row[name] and row[name][:10]
    for name, of_line, bound in (("start", "line_start", min), ("end", "line_end", max)):
        if row[name] is None:
            days = [day for line in lines if line and (day := dialect.lines[of_line].read(resource, line)) is not None]
            row[name] = bound(day[:10] for day in days) if days else None
        else:
            row[name] = row[name][:10]
    row["patient"] = last_of_reference(row["patient"])
    row["bill_type"] = _bill_type(dialect, resource, row["bill_type"])
    row["dialect"] = dialect.name
    row["claim_type"] = next((found for rule in dialect.claim_types if (found := _claim_type(rule, resource))), None)
    listed, row["admitting"] = _diagnoses(dialect, resource)
    row["diagnoses"], row["procedures"] = listed, _procedures(dialect, resource)
    has_codes = bool(listed or row["procedures"] or row["drg"]) or any(
        _has_code(dialect, resource, line) for line in lines if line
    )
    row["has_codes"] = "yes" if has_codes else "no"
    row["unknown_systems"] = list(_unknown_systems(dialect, resource))
    return row


def _read_line(dialect: Dialect, resource: Resource, line: Any, claim_type: str | None) -> Row:
    # A resource without lines has a line without elements.
    entry = line if isinstance(line, dict) else {}
    row: Row = {name: choice.read(resource, entry) for name, choice in dialect.lines.items()}
    for name in LINE_COLUMNS:
        row.setdefault(name, None)
    for name in _LINE_DATES:
        row[name] = row[name] and row[name][:10]
    row["modifiers"] = _modifiers(dialect, entry)
    is_drug = claim_type == _DRUG
    for name in DRUG_COLUMNS:
        row[name] = dialect.drugs[name].read(resource, entry) if is_drug and name in dialect.drugs else None
    row["detail_ndcs"], row["detail_quantities"] = _details(dialect, entry) if is_drug else ([], [])
    return row


def last_of_reference(text: str | None) -> str | None:
    """Id in a reference to a resource; one inside the resource itself names nobody."""
    if text is None or text.startswith("#"):
        return None
    return text.rpartition("/")[2] or None


def _bill_type(dialect: Dialect, resource: Resource, stated: str | None) -> str | None:
    if stated is not None:
        return stated[1:] if len(stated) == _BILL_LENGTH and stated.startswith("0") else stated
    choices = [dialect.claim.get(name) for name in _BILL_PARTS]
    parts = [None if choice is None else choice.read(resource) for choice in choices]
    return None if None in parts else "".join(part for part in parts if part is not None)


def _claim_type(rule: ClaimTypeRule, resource: Resource) -> str | None:
    if rule.only_if is not None and rule.only_if.read(resource) is None:
        return None
    text = rule.path.read(resource)
    if text is None:
        return None
    if not rule.is_bill:
        return rule.values.get(text)
    bill = text.lstrip("0")
    starts = sorted(rule.values, key=len, reverse=True)
    return next((rule.values[start] for start in starts if bill.startswith(start)), None)


def _entries(resource: Resource, dotted: str) -> list[Any]:
    found: Any = resource
    for name in dotted.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, list) else []


def _known_coding(entry: Resource, dotted: str, systems: Mapping[str, str]) -> tuple[str, str] | None:
    """System and code of the first coding of a known system."""
    for coding in _entries(entry, dotted):
        if isinstance(coding, dict) and (system := text_of(coding.get("system")) or "") in systems:
            code = text_of(coding.get("code"))
            return None if code is None else (systems[system], code)
    return None


def _order(entry: Resource) -> tuple[bool, int]:
    """Place of an entry by its sequence; one without comes last."""
    try:
        return False, round(float(text_of(entry.get("sequence")) or ""))
    except (ValueError, OverflowError):
        return True, 0


def _diagnoses(dialect: Dialect, resource: Resource) -> tuple[list[Row], tuple[str, str] | None]:
    """The diagnoses of a claim, the principal first, and the admitting one."""
    columns, found = dialect.diagnoses, []
    for entry in _entries(resource, dialect.lists["diagnoses"]):
        if not isinstance(entry, dict):
            continue
        coding = _known_coding(entry, dialect.lists["diagnoses.coding"], dialect.systems["diagnosis"])
        if coding is None:
            continue
        is_principal = columns["principal"].read(entry) is not None
        if columns["admitting"].read(entry) is not None and not is_principal:
            kind = "A"
        elif is_principal:
            kind = "P"
        else:
            kind = "X" if columns["left_out"].read(entry) is not None else "O"
        row: Row = {"kind": kind, "system": coding[0], "code": coding[1], "poa": columns["poa"].read(entry)}
        found.append((_order(entry), kind, coding, row["poa"] is None, row["poa"] or "", row))
    ordered = [row for *_, row in sorted(found, key=lambda one: one[:5])]
    principal = next((row for row in ordered if row["kind"] == "P"), None)
    admitting = next(((row["system"], row["code"]) for row in ordered if row["kind"] == "A"), None)
    listed = [row for row in ordered if row["kind"] in "PO"]
    if principal is None:
        return listed, admitting
    same = [row for row in listed if (row["system"], row["code"]) == (principal["system"], principal["code"])]
    of_code = (row["poa"] for row in listed if row["code"] == principal["code"])
    poa = principal["poa"] or next((flag for flag in of_code if flag is not None), None)
    return [{**principal, "poa": poa}, *(row for row in listed if all(row is not one for one in same))], admitting


def _procedures(dialect: Dialect, resource: Resource) -> list[Row]:
    found = []
    for entry in _entries(resource, dialect.lists["procedures"]):
        if not isinstance(entry, dict):
            continue
        coding = _known_coding(entry, dialect.lists["procedures.coding"], dialect.systems["procedure"])
        if coding is not None:
            date = dialect.procedures["date"].read(entry)
            row = {"system": coding[0], "code": coding[1], "date": date and date[:10]}
            found.append((_order(entry), coding, row["date"] is None, row["date"] or "", row))
    return [row for *_, row in sorted(found, key=lambda one: one[:4])]


def _has_code(dialect: Dialect, resource: Resource, line: Any) -> bool:
    codes = (dialect.lines["hcpcs"], dialect.lines["revenue"], dialect.drugs["ndc"])
    return any(choice.read(resource, line) is not None for choice in codes) or bool(_details(dialect, line)[0])


def _modifiers(dialect: Dialect, line: Resource) -> list[str]:
    codes = [
        str(text_of(coding["code"]))
        for entry in _entries(line, dialect.lists["modifiers"])
        for coding in _entries(entry, "coding")
        if isinstance(coding, dict) and coding.get("code") is not None
        if (text_of(coding.get("system")) or "") not in dialect.no_modifiers
    ]
    return list(dict.fromkeys(codes))


def _details(dialect: Dialect, line: Any) -> tuple[list[str], list[str | None]]:
    """Drugs and quantities of the parts of a compound."""
    ndcs, quantities = [], []
    for part in _entries(line, "detail") if isinstance(line, dict) else ():
        if (ndc := dialect.drugs["detail_ndc"].read(part)) is not None:
            ndcs.append(ndc)
            quantities.append(dialect.drugs["detail_quantity"].read(part))
    return ndcs, quantities


def _unknown_systems(dialect: Dialect, resource: Resource) -> Iterable[str]:
    places: list[tuple[str, str, Iterable[str]]] = [
        (dialect.lists["diagnoses"], dialect.lists["diagnoses.coding"], dialect.systems["diagnosis"]),
        (dialect.lists["procedures"], dialect.lists["procedures.coding"], dialect.systems["procedure"]),
        (dialect.lists["lines"], dialect.lists["lines.service"], dialect.services),
    ]
    for of_list, dotted, known in places:
        for entry in _entries(resource, of_list):
            for coding in _entries(entry, dotted) if isinstance(entry, dict) else ():
                if isinstance(coding, dict) and coding.get("code") is not None:
                    system = text_of(coding.get("system"))
                    if system is None or system not in known:
                        yield system or ""
