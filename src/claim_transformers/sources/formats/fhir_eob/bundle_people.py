"""Patient and Coverage of a bundle in memory to lines of `eligibility`: what `eligibility` does in the engine."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache

from claim_transformers.claims.plain_fields import is_filler_date, read_date, read_whole, tidy_id, tidy_word
from claim_transformers.sources.formats.fhir_eob.bundle_rows import Resource, Row, last_of_reference
from claim_transformers.sources.formats.fhir_eob.claims import LAYOUTS
from claim_transformers.sources.formats.fhir_eob.eligibility import read_enrollment
from claim_transformers.sources.formats.fhir_eob.mapping import Choice, read_choice

_LAYOUT = LAYOUTS["people"]
_DATES = ("birth", "death", "period_start", "period_end")
_MONTHS = range(1, 13)
_SOURCE = "fhir-eob"
_END_OF_TIME = dt.date.max
_Span = tuple[dt.date, dt.date]
_YEARS = 1900, 2099


@cache
def _columns() -> Mapping[str, Mapping[str, Choice]]:
    content = read_enrollment()
    prefixes = content["prefixes"]
    months = {f"{stem}_{n}": text.format(n) for stem, text in content["months"].items() for n in _MONTHS}
    entries = {"Patient": content["patient"], "Coverage": {**content["coverage"], **months}}
    return {
        kind: {name: read_choice(entry, prefixes) for name, entry in of_kind.items()}
        for kind, of_kind in entries.items()
    }


def read_people(resources: Iterable[Resource]) -> tuple[list[Row], dict[str, int], bool]:
    """Give the lines of `eligibility`, how many rows leave by reason, and whether any tells of enrolment."""
    rows, left, seen = [], dict[str, int](), set[tuple[str | None, ...]]()
    for resource in resources:
        row = _read(resource)
        content = tuple(tidy_word(row[name]) for name in _LAYOUT.names)
        reason = "D_DUPLICATE" if content in seen else _fault(row)
        seen.add(content)
        if reason is None:
            rows.append(row)
        else:
            left[reason] = left.get(reason, 0) + 1
    knows = any(row["period_start"] is not None or any(row[f"buyin_{n}"] for n in _MONTHS) for row in rows)
    hidden: dict[str, list[_Span]] = {}
    for row in rows:
        if row["part"] in read_enrollment()["managed"]:
            hidden.setdefault(row["patient"], []).extend(_spans(row, "hmo", _LAYOUT.enrollment["not_observed"]))
    lines = []
    for row in rows:
        spans = list(_spans(row, "buyin", _LAYOUT.enrollment["entitled"])) if _is_medical(row) else []
        if row["part"] in read_enrollment()["medicare"] and row["patient"] in hidden:
            spans = [left_over for span in spans for left_over in _less_hidden(span, sorted(hidden[row["patient"]]))]
        lines += [_to_line(row, span) for span in spans] or [_to_line(row, None)]
    return lines, left, knows


def _read(resource: Resource) -> Row:
    kind = resource["resourceType"]
    row: Row = dict.fromkeys((*_LAYOUT.names, "kind"))
    row |= {name: choice.read(resource) or None for name, choice in _columns()[kind].items()}
    row["kind"] = kind
    row["patient"] = tidy_id(row["patient"] if kind == "Patient" else last_of_reference(row["patient"]))
    for name in _DATES:
        row[name] = row[name] and row[name][:10]
    row["year"] = row["year"] and row["year"][:4]
    return row


def _fault(row: Row) -> str | None:
    for rule in _LAYOUT.rules:
        if rule.reason_code.startswith("D_") and rule.is_met_by(row[rule.column]):
            return rule.reason_code
    if row["patient"] is None:
        return "R_NO_ID"
    if any(row[name] and read_date(row[name]) is None and not is_filler_date(row[name]) for name in _DATES):
        return "R_DATE"
    start, end = read_date(row["period_start"]), read_date(row["period_end"])
    return "R_SPAN" if start is not None and end is not None and end < start else None


def _is_medical(row: Row) -> bool:
    content = read_enrollment()
    others = {str(value) for value in (*content["managed"], *content["not_medical"])}
    return (
        row["kind"] == "Coverage"
        and row["part"] not in others
        and row["coverage"] not in set(map(str, content["not_medical"]))
    )


def _spans(row: Row, months: str, values: Sequence[str]) -> Iterator[_Span]:
    """The period of a Coverage, else the months that have one of some values."""
    start = read_date(row["period_start"])
    if start is not None:
        yield start, read_date(row["period_end"]) or _END_OF_TIME
        return
    year = read_whole(row["year"], 32)
    if year is None or not _YEARS[0] <= year <= _YEARS[1]:
        return
    for month in _MONTHS:
        if (row[f"{months}_{month}"] or "").upper() in values:
            following = dt.date(year + month // 12, month % 12 + 1, 1)
            yield dt.date(year, month, 1), following - dt.timedelta(days=1)


def _less_hidden(span: _Span, hidden: Iterable[_Span]) -> Iterator[_Span]:
    """What is left of a span between those that are hidden, which are in order and may overlap."""
    begin, end = span
    for first, last in hidden:
        if last < begin or first > end:
            continue
        if first > begin:
            yield begin, first - dt.timedelta(days=1)
        if last >= end:
            return
        begin = max(begin, last + dt.timedelta(days=1))
    yield begin, end


def _to_line(row: Row, span: _Span | None) -> Row:
    start, end = span or (None, None)
    dual = row[f"dual_{start.month}"] if start is not None and row["year"] is not None else None
    race = _LAYOUT.values["race"]
    return {
        "patient_id": row["patient"],
        "source_member_id": row["member"],
        "payer": "medicare" if (row["part"] or "").startswith("Part ") else None,
        "plan": row["part"],
        "gender": _LAYOUT.values["gender"].get(tidy_word(row["gender"]) or ""),
        "race": race.get(row["race"] or ""),
        "birth_date": read_date(row["birth"]),
        "death_date": read_date(row["death"]),
        "enrollment_start_date": start,
        "enrollment_end_date": None if end == _END_OF_TIME else end,
        "original_reason_entitlement_code": row["entitlement_reason"],
        "dual_status_code": None if dual == "**" else dual,
        "medicare_status_code": row["medicare_status"],
        "data_source": _SOURCE,
    }
