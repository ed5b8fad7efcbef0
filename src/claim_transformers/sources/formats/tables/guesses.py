"""Guesses which column is which: the name of a column, and what its values look like, each counted for half.

A guess is a proposal. What a wrong one would change without a word is not guessed but left to a person: which of day
and month comes first, what the numbers of a sex or of a claim type mean, which claims were denied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow.compute as pc

from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.sources.formats.tables.forms import Profile
from claim_transformers.sources.formats.tables.samples import Sample

_LEAST = 0.35
_NUMBERED = re.compile(r"(.*?)(\d+)(\D{0,12})")


@dataclass(frozen=True)
class _Rule:
    """How a field is known: its column's name, and the forms of which one must fit; `DATE` is any format of dates."""

    names: str
    forms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Guess:
    """A column, or a range of numbered ones, for a field."""

    field: str  # The canonical field.
    columns: tuple[str, ...]  # Columns in order.
    confidence: float  # From 0 to 1.
    seen: Profile  # What was seen of the first of them.
    form: str  # The form that counts for it, empty if only its name does.
    shared: tuple[str, ...] = ()  # Other tables with the same values.


DATE = "date"
_AMOUNT, _DATE = ("amount",), (DATE,)
_END = r"(thru|through|end|last|^lst|stop|(^|_)to(_|d|$)|^tsvc)"
_NO_END = rf"^(?!.*{_END}).*"
# What a patient owes is no part of what was paid for one.
_PAID = _Rule(r"^(?!.*(co_?pay|coins|deduct|patient|ptnt|pat_|mem|mbr|bene(?!fit))).*(paid|pmt|pay)", _AMOUNT)
_ALLOWED = r"allow|alow|^pay$|^totpay"
_PATIENT = _Rule(
    r"(enroll?(ee)?|mem(b(e?r)?)?|mbr|pat(ient)?|bene(ficiary)?|person|subscr(iber)?|insured)"
    r"_?(id|no|num|number|nbr|key|sk)?$"
)
_RULES: Mapping[str, Mapping[str, _Rule]] = {
    "claim_line": {
        "diagnoses": _Rule(r"^(i?cd)?_?(dx|diag|dgns|dgn|icd(9|10)?_?d)", ("icd10", "icd9")),
        "procedures": _Rule(r"(prcdr|surg|icd.*pro?c|^op\d|pcs|^proc_?code_?\d)", ("icd10pcs", "icd9pcs")),
        "hcpcs_code": _Rule(r"(hcpcs?|cpt|^proc(_?1|_?cde?|edure)?$|proc.*code$)", ("hcpcs",)),
        "hcpcs_modifiers": _Rule(r"(^|_)(mdfr|modifier|mod|procmod)", ("modifier",)),
        "patient_id": _PATIENT,
        "claim_id": _Rule(r"(cl(ai)?m|msclm)_?(id|no|num|number|nbr|key|control.*)?$"),
        "claim_line_number": _Rule(r"(line|ln|seq)_?(no|num|number|nbr|seq)?$", ("number",)),
        "admission_date": _Rule(r"adm", _DATE),
        "discharge_date": _Rule(r"^(dis|dsch|dschrg)", _DATE),
        "claim_start_date": _Rule(_NO_END + r"(from|beg|start|first|^fst|svc|serv|dos)", _DATE),
        "claim_end_date": _Rule(_END, _DATE),
        "claim_line_start_date": _Rule(_NO_END + r"((svc|serv|line).*(d(a)?te?|beg|from)|^dos)", _DATE),
        "claim_line_end_date": _Rule(r"(svc|serv|line).*" + _END, _DATE),
        "paid_date": _Rule(r"(pd|paid|pay|adjud|proces)", _DATE),
        "bill_type_code": _Rule(r"(bill|tob)", ("bill_type",)),
        "drg_code": _Rule(r"drg", ("drg",)),
        "revenue_center_code": _Rule(r"^rev", ("revenue",)),
        "place_of_service_code": _Rule(r"(^pos$|place|plac|plcsrvc|stdplac)", ("place",)),
        "discharge_disposition_code": _Rule(r"(dstat|disch.*st|stus|dispos)", ("disposition",)),
        "rendering_npi": _Rule(r"(rend|prov|perf|phys|npi)", ("npi",)),
        "service_unit_quantity": _Rule(r"(qty|unit|quant)", ("number",)),
        "allowed_amount": _Rule(_ALLOWED, _AMOUNT),
        "paid_amount": _PAID,
        "charge_amount": _Rule(r"(chrg|charg|bill(ed)?|sbmt)", _AMOUNT),
    },
    "rx_claim": {
        "ndc_code": _Rule(r"(ndc|drug|prod)", ("ndc",)),
        "patient_id": _PATIENT,
        "claim_id": _Rule(r"(cl(ai)?m|rx|pde|script|fill)_?(id|no|num|number|nbr|key)?$"),
        "claim_line_number": _Rule(r"(line|ln|seq)_?(no|num|number|nbr|seq)?$", ("number",)),
        "dispensing_date": _Rule(r"(fill|disp|svc|serv|dos)", _DATE),
        "paid_date": _Rule(r"(pd|paid|pay|adjud|proces)", _DATE),
        "days_supply": _Rule(r"(day|supp)", ("number",)),
        "quantity": _Rule(r"(qty|quant)", ("number",)),
        "refills": _Rule(r"refill", ("number",)),
        "allowed_amount": _Rule(_ALLOWED + "|cst|cost", _AMOUNT),
        "paid_amount": _PAID,
    },
    "eligibility": {
        "patient_id": _PATIENT,
        "gender": _Rule(r"(sex|gender|gndr|^gdr)", ("sex_word", "sex_digit")),
        "birth_date": _Rule(r"(dob|birth|brth)", (DATE, "year")),
        "death_date": _Rule(r"(dod|death|dth|deceas)", _DATE),
        "enrollment_start_date": _Rule(r"(dtstart|start|eff|beg|from)", _DATE),
        "enrollment_end_date": _Rule(r"(dtend|end|term|exp|thru|to)", _DATE),
        "payer": _Rule(r"(payer|payor|carrier|insurer|lob)"),
        "plan": _Rule(r"(plan|plntyp|product)"),
        "race": _Rule(r"(race|ethn)"),
    },
}
# Of whom a policy is: often a family, and a patient only where no column is named after one.
_HOLDER = re.compile(r"subscr|insured", re.IGNORECASE)
# Fields whose columns are numbered.
_MANY = ("diagnoses", "procedures", "hcpcs_modifiers")
_QUALIFIER = re.compile(r"(ver|vers|type|typ|ind|qual|icd)")
_OF_CODES = re.compile(r"(dx|diag|dgns|icd|^op|prcdr|surg|pcs)")
_TYPE_BY_NAME = {"IP": r"inpat|^ip|_ip", "OP": r"outpat|^op|_op", "CAR": r"prof|phys|carrier", "SNF": "snf|nursing",
                 "HHA": "home|hha", "HOSP": "hospice", "DME": "dme|equipment"}  # fmt: skip
TYPE_COLUMN = re.compile(r"(cl(ai)?m_?typ|claim_?type|form_?typ|setting)", re.IGNORECASE)
STATUS_COLUMN = re.compile(r"(stat(us)?$|stat(us)?_?c(o)?de?|denied|denial|disp(osition)?_?ind)", re.IGNORECASE)
VERSION_COLUMN = re.compile(r"(adj|version|revers|void|replac)", re.IGNORECASE)


def kind_of_rows(sample: Sample) -> str:
    """What the rows of a table are: drugs, claims or people; empty if they look like none of them."""
    sure = {
        kind: {
            one.field: one.confidence for one in guess_fields(sample, kind, ()) if one.form and one.confidence >= 0.5
        }
        for kind in _RULES
    }
    # Drugs that are given stand beside diagnoses; numbers of fills can look like codes of one, but are not named so.
    if sure["rx_claim"].get("ndc_code", 0) > sure["claim_line"].get("diagnoses", 0):
        return "rx_claim"
    if {"diagnoses", "hcpcs_code", "drg_code", "revenue_center_code"} & sure["claim_line"].keys():
        return "claim_line"
    if {"birth_date", "gender", "enrollment_start_date"} & sure["eligibility"].keys():
        return "eligibility"
    return ""


def guess_fields(sample: Sample, kind: str, others: Sequence[Sample]) -> list[Guess]:
    """The best column for each field of a kind of rows; a column has one field, the one that it suits best."""
    found: list[Guess] = []
    for field, rule in _RULES[kind].items():
        candidates = [_judge(field, rule, column, sample, others) for column in sample.columns]
        found += [guess for guess in candidates if guess is not None]
    taken: set[str] = set()
    chosen: dict[str, Guess] = {}
    for guess in sorted(found, key=lambda guess: (bool(_HOLDER.search(guess.columns[0])), -guess.confidence)):
        if guess.columns[0] in taken or guess.field in chosen:
            continue
        if guess.field in _MANY:
            guess = _with_family(guess, sample, found, taken)
        chosen[guess.field] = guess
        taken |= {*guess.columns}
    return [chosen[field] for field in SCHEMAS[kind].names if field in chosen]


def _judge(field: str, rule: _Rule, column: Profile, sample: Sample, others: Sequence[Sample]) -> Guess | None:
    """How well a column suits a field, none if it does not."""
    is_named = re.search(rule.names, re.sub(r"[\s-]+", "_", column.name.lower())) is not None
    share, form = 1.0, ""
    if rule.forms:
        shares = {one: (_share_of_dates(column) if one == DATE else column.share(one)) for one in rule.forms}
        form = max(shares, key=lambda one: shares[one])
        share = shares[form]
        if column.filled and share < 0.6:
            return None
    shared: tuple[str, ...] = ()
    if field in ("patient_id", "claim_id"):
        if not column.filled or column.distinct < 2:
            return None
        shared = tuple(other.name for other in others if other is not sample and _is_shared(column, other))
        share = 0.5 + 0.5 * bool(shared) if field == "patient_id" else min(1.0, 0.4 + column.distinct / column.filled)
    # Few forms are of one system alone, and codes are said again: what differs in every row is a number of something.
    is_telling = form in ("icd10", "ndc") and column.filled >= max(20, 2 * column.distinct) and not is_named
    confidence = 0.5 * is_named + 0.5 * share * (is_named or is_telling or 0.0)
    if not column.filled:
        confidence = 0.4 * is_named
    if confidence < _LEAST:
        return None
    return Guess(field, (column.name,), round(confidence, 2), column, form if column.filled else "", shared)


def _share_of_dates(column: Profile) -> float:
    return 1.0 if column.is_typed_date else max((column.share(one) for one in column.formats()), default=0.0)


def _is_shared(column: Profile, other: Sample) -> bool:
    """Whether some column of another table has a part of the same values."""
    least = max(1, min(20, column.distinct // 20))
    return any(
        pc.sum(pc.is_in(column.values, value_set=one.values)).as_py() >= least
        for one in other.columns
        if one.distinct > 2 and len(column.values) and len(one.values)
    )


def _with_family(guess: Guess, sample: Sample, found: Iterable[Guess], taken: set[str]) -> Guess:
    """The guess with all columns that are numbered as its own is."""
    match = _NUMBERED.fullmatch(guess.columns[0])
    if match is None:
        return guess
    before, _, behind = match.groups()
    same_field = {other.columns[0] for other in found if other.field == guess.field}
    numbers: dict[int, str] = {}
    for column in sample.columns:
        other = _NUMBERED.fullmatch(column.name)
        if other is None or (other[1], other[3]) != (before, behind) or column.name in taken:
            continue
        if column.name in same_field or not column.filled:
            numbers[int(other[2])] = column.name
    return Guess(
        guess.field,
        tuple(numbers[number] for number in sorted(numbers)) or guess.columns,
        guess.confidence,
        guess.seen,
        guess.form,
        guess.shared,
    )


def find_qualifier(sample: Sample, codes: Guess, taken: Iterable[str]) -> Profile | None:
    """The column that says of which system codes are: named for them, with nothing but versions in it."""
    stem = re.sub(r"\d.*", "", codes.columns[0].lower())
    candidates = [
        column
        for column in sample.columns
        if column.filled
        and column.name not in {*taken}
        and column.share("version") >= 0.95
        and _QUALIFIER.search(column.name.lower())
        and (column.name.lower().startswith(stem) or _OF_CODES.search(column.name.lower()))
    ]
    return max(candidates, key=lambda column: column.name.lower().startswith(stem), default=None)


def find_dates(sample: Sample, codes: Guess, taken: Iterable[str]) -> list[str]:
    """Columns with the dates of procedures: named as the codes and a word for a day; none unless all have one."""
    found = []
    for code in codes.columns:
        pattern = re.compile(rf"{re.escape(code)}_?(d|dt|date)", re.IGNORECASE)
        found += [column.name for column in sample.columns if pattern.fullmatch(column.name)][:1]
    return found if len(found) == len(codes.columns) and not {*found} & {*taken} else []


def type_by_name(name: str) -> str:
    """Claim type that the name of a table tells, empty if it tells none."""
    found = [claim_type for claim_type, pattern in _TYPE_BY_NAME.items() if re.search(pattern, name.lower())]
    return found[0] if len(found) == 1 else ""


def as_range(columns: Sequence[str]) -> list[str]:
    """Columns as a mapping writes them: those whose numbers follow each other as one range."""
    if len(columns) < 2:
        return [*columns]
    parts = [_NUMBERED.fullmatch(column) for column in columns]
    numbers = [int(part[2]) for part in parts if part is not None]
    if numbers == list(range(numbers[0], numbers[0] + len(columns))) and len(numbers) == len(columns):
        return [f"{columns[0]}..{columns[-1]}"]
    return [*columns]
