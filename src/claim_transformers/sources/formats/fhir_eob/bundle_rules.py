"""Rows of a bundle in memory to canonical lines, by the rules by which the engine settles files.

Duplicates, versions, the checks in their order, claims of two patients and repeated keys: the first reason counts. The
rules of the layout files are read from them; tests hold what is left of a bundle to what the ingest of it leaves.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from claim_transformers.claims.dates import DAYS_BEFORE_STAY, MAX_CLAIM_DAYS, MAX_DAYS_TO_PAYMENT
from claim_transformers.claims.plain_fields import (
    fit_amount,
    is_filler_date,
    read_amount,
    read_date,
    read_number,
    read_whole,
    tidy_id,
    tidy_number,
    tidy_word,
)
from claim_transformers.claims.quality import DAYS_AFTER_DEATH
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.codes.normalize import normalize_code, split_modifiers
from claim_transformers.sources.formats.fhir_eob.bundle_rows import Row
from claim_transformers.sources.formats.fhir_eob.claims import INSTITUTIONAL, LAYOUTS, PARTS_PER_LINE

_LINES, _DRUGS = LAYOUTS["claim_lines"], LAYOUTS["drug_events"]
_KINDS = {name: kind for layout in (_LINES, _DRUGS) for name, kind in layout.kinds.items()}
_SOURCE = "fhir-eob"
_SIMPLE = tuple(name for name in _KINDS if not name.rpartition("_")[2].isdigit() or name.startswith("admitting"))
_Lives = Mapping[str, tuple[dt.date | None, dt.date | None]]


def settle_rows(rows: Sequence[Row], lives: _Lives, extract_date: dt.date | None) -> tuple[list[Row], Counter[str]]:
    """Give the rows that stay, and of the others how many leave for which reason."""
    for row in rows:
        _add_keys(row)
    left: dict[int, str] = {}
    repeated = _groups(
        rows, lambda row: (row["patient"], row["claim_key"], _written("line_number", row["line_number"]))
    )
    _add_duplicates(rows, repeated, left)
    _add_superseded(rows, left)
    for number, row in enumerate(rows):
        if number not in left and (reason := _first_fault(row, lives, extract_date)) is not None:
            left[number] = reason
    patients = defaultdict(set)
    for row in rows:
        patients[row["claim_key"]].add(row["patient"])
    shared = {key for key, owners in patients.items() if key is not None and len(owners - {None}) > 1}
    left |= {n: "R_CLAIM_SHARED" for n, row in enumerate(rows) if n not in left and row["claim_key"] in shared}
    for numbers in repeated:
        staying = [number for number in numbers if number not in left]
        if len(staying) > 1:
            left |= dict.fromkeys(staying, "R_KEY_REPEATED")
    return [row for number, row in enumerate(rows) if number not in left], Counter(left.values())


def _add_keys(row: Row) -> None:
    """Add the keys of the claim and of its versions, in canonical writing."""
    for name, value in row.items():
        if isinstance(value, str) and not value.replace("\u00a0", " ").strip(" "):
            row[name] = None
    claim, group, claim_type = row["claim"], row["claim_group"], row["claim_type"]
    is_typed = claim is not None and claim_type is not None
    row["claim_key"] = tidy_number(f"{claim}-{claim_type}") if is_typed else None
    row["version_key"] = f"{group if group is not None else claim}-{claim_type}" if is_typed else None
    row["patient"] = tidy_id(row["patient"])
    counts = (row["status"] or "active") == "active" and row["final_action"] != "NotFinalAction"
    row["version"] = f"{row['paid'] or ''} {row['updated'] or ''}" if counts else None
    row["line_number"] = row["line"] if row["has_lines"] else "1"
    row["has_lines"] = "yes" if row["has_lines"] else "no"
    row["dispensed"] = row["line_start"] or row["start"]


def _groups(rows: Sequence[Row], key_of: Callable[[Row], Any]) -> list[list[int]]:
    """Numbers of the rows that share a key with another."""
    groups = defaultdict(list)
    for number, row in enumerate(rows):
        groups[key_of(row)].append(number)
    return [numbers for numbers in groups.values() if len(numbers) > 1]


def _written(name: str, text: str | None) -> Any:
    """A value in canonical writing, by which rows are compared."""
    kind = _KINDS.get(name, "text")
    if text is None:
        return None
    if kind == "id":
        return tidy_id(text)
    if kind in ("amount", "number"):
        try:
            return float(text)
        except ValueError:
            return tidy_word(text)
    return tidy_word(text.replace(".", "") if kind in ("code", "icd") else text)


def _content(row: Row) -> tuple[Any, ...]:
    """All that a row says, in canonical writing."""
    plain = [_written(name, row.get(name)) for name in _SIMPLE]
    codes = [(one["system"], _written("hcpcs", one["code"]), one.get("poa"), one.get("date"))
             for one in (*row["diagnoses"], *row["procedures"])]  # fmt: skip
    return (*plain, row["ndc"], row["quantity"], row["admitting"], *codes, *row["modifiers"], *row["detail_ndcs"])


def _add_duplicates(rows: Sequence[Row], repeated: Iterable[Sequence[int]], left: dict[int, str]) -> None:
    for numbers in repeated:
        seen = set()
        for number in numbers:
            content = _content(rows[number])
            if content in seen:
                left[number] = "D_DUPLICATE"
            seen.add(content)


def _add_superseded(rows: Sequence[Row], left: dict[int, str]) -> None:
    for numbers in _groups(rows, lambda row: (row["patient"], row["version_key"])):
        versions = [rows[number]["version"] for number in numbers if rows[number]["version"] is not None]
        for number in numbers:
            version = rows[number]["version"]
            if number not in left and version is not None and version < max(versions):
                left[number] = "D_SUPERSEDED"


def _first_fault(row: Row, lives: _Lives, extract_date: dt.date | None) -> str | None:
    """The reason of the first check that a row fails."""
    is_drug = row["claim_type"] == "RX"
    if row["dialect"] is None:
        return "R_DIALECT"
    for rule in (_DRUGS if is_drug else _LINES).rules:
        if rule.reason_code.startswith("D_") and rule.is_met_by(row[rule.column]):
            return rule.reason_code
    if row["claim_type"] is None:
        return "R_CLAIM_TYPE"
    if row["patient"] is None or row["claim_key"] is None:
        return "R_NO_ID"
    if read_whole(row["line_number"], 32) is None:
        return "R_LINE_NUMBER"
    service = read_date(row["dispensed" if is_drug else "start"])
    if service is None:
        return "R_DATE"
    if not is_drug and (reason := _date_fault(row, service)) is not None:
        return reason
    if row["has_codes"] == "no":
        return "R_NO_CODES"
    birth, death = lives.get(row["patient"], (None, None))
    if birth is not None and service < birth:
        return "R_BEFORE_BIRTH"
    if death is not None and service > death + dt.timedelta(days=DAYS_AFTER_DEATH):
        return "R_AFTER_DEATH"
    return "R_FUTURE" if extract_date is not None and service > extract_date else None


def _date_fault(row: Row, service: dt.date) -> str | None:
    end, admission, discharge = (read_date(row[name]) for name in ("end", "admission", "discharge"))
    if end is None and row["end"] is not None and not is_filler_date(row["end"]):
        return "R_DATE"
    if end is not None and end < service:
        return "R_DATE_ORDER"
    is_turned = admission is not None and discharge is not None and discharge < admission
    return "R_DATE_ORDER" if is_turned else None


@lru_cache(maxsize=1 << 16)
def _code(system: str, raw: str) -> str | None:
    try:
        return normalize_code(system, raw)
    except ClaimDataError:
        return None


@lru_cache(maxsize=1 << 12)
def _glued(raw: str) -> tuple[str, ...]:
    try:
        return split_modifiers(raw)[1]
    except ClaimDataError:
        return ()


def _coded(system: str, raw: str | None) -> str | None:
    return None if raw is None else _code(system, raw)


def to_lines(rows: Iterable[Row], extract_date: dt.date | None) -> list[Row]:
    """Lines of `claim_line`."""
    ordered = sorted(rows, key=lambda row: (row["patient"], row["claim_key"], read_whole(row["line_number"], 32)))
    lines, last = [], None
    for row in ordered:
        claim = row["patient"], row["claim_key"]
        lines.append(_to_line(row, extract_date, is_first=claim != last))
        last = claim
    return lines


def _to_line(row: Row, extract_date: dt.date | None, *, is_first: bool) -> Row:
    days = {name: read_date(row[name]) for name in ("start", "end", "line_start", "line_end")}
    days |= {name: read_date(row[name]) for name in ("admission", "discharge", "paid")}
    diagnoses = [
        {"system": one["system"], "code": code, "poa": one["poa"], "rank": rank}
        for rank, one in enumerate(row["diagnoses"], start=1)
        if (code := _code(one["system"], one["code"])) is not None
    ]
    procedures = [
        {"system": one["system"], "code": code, "date": read_date(one["date"])}
        for one in row["procedures"]
        if (code := _code(one["system"], one["code"])) is not None
    ]
    admitting = row["admitting"] and (row["admitting"][0], _code(*row["admitting"]))
    drg = _coded("DRG", row["drg"])
    hcpcs = row["hcpcs"]
    line = {
        "patient_id": row["patient"],
        "claim_id": row["claim_key"],
        "claim_line_number": read_whole(row["line_number"], 32),
        "claim_type": row["claim_type"],
        **_settled(days, procedures, extract_date),
        "discharge_disposition_code": _coded("DISP", row["discharge_status"]),
        "admit_source_code": row["admit_source"],
        "admit_type_code": row["admit_type"],
        "place_of_service_code": _coded("POS", row["place"]),
        "bill_type_code": row["bill_type"],
        "drg_code_type": None if drg is None else "ms-drg",
        "drg_code": drg,
        "revenue_center_code": _coded("REV", row["revenue"]),
        "hcpcs_code": _coded("HCPCS", hcpcs),
        "hcpcs_modifiers": [*(() if hcpcs is None else _glued(hcpcs)), *row["modifiers"]],
        "diagnoses": diagnoses,
        "admitting_diagnosis": {"system": admitting[0], "code": admitting[1]} if admitting and admitting[1] else None,
        "rendering_npi": tidy_id(row["rendering_npi"]),
        "billing_npi": tidy_id(row["billing_npi"]),
        "facility_npi": tidy_id(row["facility_npi"]),
        "service_unit_quantity": read_number(row["units"]),
        "allowed_amount": read_amount(row["allowed_amount"]),
        "data_source": _SOURCE,
    }
    for name, whole in (("paid_amount", "paid_of_claim"), ("charge_amount", "charge_of_claim")):
        stands_for_all = row["claim_type"] in INSTITUTIONAL and row[whole] is not None
        text = (row[whole] if is_first else None) if stands_for_all else row[name]
        line[name] = read_amount(text)
    return line


def _settled(days: Mapping[str, dt.date | None], procedures: list[Row], extract_date: dt.date | None) -> Row:
    """Dates of a line as `claims.dates` settles them, each held against the start of the claim."""
    service, end, discharge, admission = (days[name] for name in ("start", "end", "discharge", "admission"))
    assert service is not None

    def is_far(day: dt.date) -> bool:
        is_late = extract_date is not None and day > extract_date
        return is_late or (day - service).days > MAX_CLAIM_DAYS

    if end is not None and is_far(end):
        end = None
    if discharge is not None and (discharge < service or is_far(discharge)):
        discharge = None
    bound = discharge if discharge is not None else end
    if admission is not None and (
        (admission - service).days < -MAX_CLAIM_DAYS or (bound is not None and admission > bound) or is_far(admission)
    ):
        admission = None
    last = end if end is not None else discharge
    lines = {}
    for name, stands_in in (("line_start", service), ("line_end", end)):
        day = days[name]
        is_outside = day is not None and (day < service or (last is not None and day > last) or is_far(day))
        lines[name] = stands_in if is_outside else day
    first = service if admission is None else min(service, admission)
    final = last if discharge is None or last is None else max(last, discharge)
    for entry in procedures:
        day = entry["date"]
        if day is not None and (
            (day - first).days < -DAYS_BEFORE_STAY or (final is not None and day > final) or is_far(day)
        ):
            entry["date"] = None
    return {
        "claim_start_date": service,
        "claim_end_date": end,
        "claim_line_start_date": lines["line_start"],
        "claim_line_end_date": lines["line_end"],
        "admission_date": admission,
        "discharge_date": discharge,
        "paid_date": _paid(days["paid"], service, extract_date),
        "procedures": procedures,
    }


def _paid(paid: dt.date | None, service: dt.date, extract_date: dt.date | None) -> dt.date | None:
    if paid is None or paid < service or (extract_date is not None and paid > extract_date):
        return None
    return None if (paid - service).days > MAX_DAYS_TO_PAYMENT else paid


def to_fills(rows: Iterable[Row], extract_date: dt.date | None) -> list[Row]:
    """Lines of `rx_claim`; the parts of a compound are lines of their own."""
    fills = []
    for row in rows:
        is_parted = row["ndc"] is None and bool(row["detail_ndcs"])
        ndcs = row["detail_ndcs"] if is_parted else [row["ndc"]]
        quantities = row["detail_quantities"] if is_parted else [row["quantity"]]
        coded = [(place, _coded("NDC", ndc), quantity) for place, (ndc, quantity) in
                 enumerate(zip(ndcs, quantities, strict=True), start=1)]  # fmt: skip
        # A compound is one whose second part is a drug.
        is_compound = any(ndc is not None for _, ndc, _ in coded[1:])
        filled = [part for part in coded if part[1] is not None] or coded[:1]
        number, service = read_whole(row["line_number"], 32), read_date(row["dispensed"])
        assert number is not None
        assert service is not None
        cost, share = read_amount(row["cost"]), read_amount(row["patient_share"])
        paid = None if cost is None or share is None else fit_amount(cost - share)
        paid = read_amount(row["plan_paid"]) if paid is None else paid
        for order, (place, ndc, quantity) in enumerate(filled):
            fills.append(
                {
                    "patient_id": row["patient"],
                    "claim_id": row["claim_key"],
                    "claim_line_number": number * PARTS_PER_LINE + place if is_compound else number,
                    "dispensing_date": service,
                    "ndc_code": ndc,
                    "quantity": read_number(quantity),
                    "days_supply": read_whole(row["days_supply"], 16),
                    "refills": read_whole(row["refills"], 16),
                    "paid_amount": None if order else paid,
                    "allowed_amount": None if order else cost,
                    "paid_date": _paid(read_date(row["paid"]), service, extract_date),
                    "data_source": _SOURCE,
                }
            )
    return fills
