"""Patients one at a time, as plain values, into tokens: a single prediction's way, and the oracle of the bulk path."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .canonical_claim import (
    DAY_COLUMNS,
    OLDEST_YEARS,
    canonical_sex,
    canonical_type,
    day_number,
    has_system,
    impossible_age,
    no_principal,
    refuse_other_keys,
    refuse_other_names,
    two_kinds_of_days,
    whole_number,
    without_system,
)
from .form_claim import ClaimForm
from .vocabulary_claim import GAP_BOUNDS_DAYS, GAP_START, ClaimVocabulary, EncodingOptions, gap_bucket

MAX_SPAN_DAYS = 2**31 - 1


class _Visit(NamedTuple):
    """The codes of one patient on one service date under one claim type, and those of them that are principal."""

    day: int
    type: str
    codes: frozenset[str]
    principal: frozenset[str]


@dataclass
class PatientHistory:
    """What the tokenizer knows of a patient, visits ordered by (day, type)."""

    age_years: int | None = None  # Age, when it is given rather than computed.
    sex: str = "U"  # `"F"`, `"M"` or `"U"`.
    birth_day: int | None = None  # Day of birth; this and the other days are days since 1970-01-01.
    index_day: int | None = None  # Day at which age is taken and before which every visit lies.
    codes: frozenset[str] = frozenset()  # Codes of the patient and of no visit, such as entitlement and county.
    visits: list[_Visit] = field(default_factory=list)  # Visits, at most one for each (day, type).


def age_in_years(birth_day: np.typing.ArrayLike, day: np.typing.ArrayLike) -> np.ndarray:
    """Ages in full calendar years, days since 1970-01-01; who is born on 29 February is a year older on 1 March."""
    born, now = (np.asarray(days, np.int64).astype("datetime64[D]") for days in (birth_day, day))
    months_born, months_now = (dates.astype("datetime64[M]") for dates in (born, now))
    is_short = (now - months_now) < (born - months_born)
    years: np.ndarray = (months_now.astype(np.int64) - months_born.astype(np.int64) - is_short) // 12
    return years


def read_history(
    patient: Mapping[str, Any], form: ClaimForm | None = None, *, mark_principal: bool = False
) -> PatientHistory:
    """Read a patient in either of the two layouts a caller may hold.

    A patient is `{"age": 9, "sex": "F", "visits": [{"day": 1, "type": "OP", "codes": [...]}]}`, or a row of the
    patients table (`visit_day`, `visit_type`, `codes`). `birth_day`, `index_day` and `patient_codes` may be in both;
    for a form also `length_of_stay_days`, `county_measures`, and the dollars of visits, `amount` of a visit or
    `visit_amount` of a row. Principal diagnoses are `principal` of a visit or `principal_codes` of a row. Visits of
    one day and type are joined, and all are ordered. What is refused is named by its position, never by a value.
    """
    refuse_other_names(patient)
    if "visit_day" in patient:
        raw = _visits_of_row(patient)
    elif "visits" in patient:
        raw = _visits_of_list(patient["visits"])
    else:
        raise ValueError("expected a patient with the key 'visits', or a row with the key 'visit_day', found neither")
    _refuse_two_kinds(patient)
    principal = _principal_codes(patient, len(raw)) if mark_principal else [[]] * len(raw)
    codes_of_patient = _known_codes(patient.get("patient_codes"), "patient_codes")
    is_hidden = False
    if form is not None:
        stay_length_days = _number(patient.get("length_of_stay_days"), "length_of_stay_days")
        written = form.write_visits([codes for _, _, codes in raw], _amounts(patient, len(raw)), stay_length_days)
        raw = [(day, visit_type, codes) for (day, visit_type, _), codes in zip(raw, written, strict=True)]
        codes_of_patient = form.write_patient_codes(codes_of_patient, patient.get("county_measures"))
        is_hidden = "sex" in form.hide
    joined: dict[tuple[int, str], tuple[set[str], set[str]]] = {}
    for (day, visit_type, codes), marked in zip(raw, principal, strict=True):
        for found, texts in zip(joined.setdefault((day, visit_type), (set(), set())), (codes, marked), strict=True):
            found.update(texts)
    history = PatientHistory(
        age_years=_age(patient.get("age")),
        sex="U" if is_hidden else canonical_sex(patient.get("sex")),
        birth_day=_optional_day(patient.get("birth_day"), "birth_day"),
        index_day=_optional_day(patient.get("index_day"), "index_day"),
        codes=frozenset(codes_of_patient),
        visits=[_Visit(day, kind, *map(frozenset, joined[day, kind])) for day, kind in sorted(joined)],
    )
    if history.visits and history.index_day is not None and history.visits[-1].day >= history.index_day:
        raise ValueError("E_LEAK: expected every visit before index_day, found a visit on or after it")
    return history


def encode_history(
    history: PatientHistory, vocabulary: ClaimVocabulary, options: EncodingOptions, max_visits: int | None
) -> dict[str, list[int]]:
    """Write one patient: `input_ids`, `visit_ids` and `category_ids` of one length, `visit_days` of one per slot."""
    visits = history.visits if max_visits is None else history.visits[max(0, len(history.visits) - max_visits) :]
    first_day = visits[0].day if visits else 0
    if visits and visits[-1].day - first_day > MAX_SPAN_DAYS:
        raise ValueError(f"expected the visits in view to span at most {MAX_SPAN_DAYS} days, found more")

    slots = [_patient_tokens(history, vocabulary, options, visits)]
    previous_day = None
    for visit in visits:
        head = [vocabulary.find_type(visit.type), _time_token(visit.day, first_day, previous_day, vocabulary, options)]
        slots.append([token for token in head if token >= 0] + _code_tokens(visit, vocabulary, options))
        previous_day = visit.day

    input_ids = [token for tokens in slots for token in tokens]
    return {
        "input_ids": input_ids,
        "visit_ids": [slot for slot, tokens in enumerate(slots) for _ in tokens],
        "visit_days": [_index_days(history, visits), *(visit.day - first_day for visit in visits)],
        "category_ids": vocabulary.category_of_token[input_ids].tolist(),
    }


def encode_within(
    history: PatientHistory,
    vocabulary: ClaimVocabulary,
    options: EncodingOptions,
    max_length: int,
    side: str = "left",
) -> dict[str, list[int]]:
    """Write one patient in a limited number of tokens: visits go first, then codes of the one that is left.

    The oldest visits go for the side `"left"`, of those in view the newest for `"right"`.
    """
    encoded = encode_history(history, vocabulary, options, options.max_visits)
    if len(encoded["input_ids"]) <= max_length:
        return encoded
    tokens_per_slot = np.bincount(encoded["visit_ids"], minlength=len(encoded["visit_days"]))
    if side == "right":
        slots = max(2, int((np.cumsum(tokens_per_slot) <= max_length).sum()))
        tokens = min(max_length, int(tokens_per_slot[:slots].sum()))
        return {key: values[: slots if key == "visit_days" else tokens] for key, values in encoded.items()}
    tokens_of_recent = np.cumsum(tokens_per_slot[:0:-1]) + tokens_per_slot[0]
    # Encoded again, because days, gaps and age follow from the first visit in view.
    encoded = encode_history(history, vocabulary, options, max(1, int((tokens_of_recent <= max_length).sum())))
    return {key: values if key == "visit_days" else values[:max_length] for key, values in encoded.items()}


def _patient_tokens(
    history: PatientHistory, vocabulary: ClaimVocabulary, options: EncodingOptions, visits: Sequence[_Visit]
) -> list[int]:
    """Tokens of slot 0: age, sex, codes of the patient; the unknown token where neither age nor sex is known."""
    age_years = history.age_years
    reference_day = history.index_day if history.index_day is not None else (visits[0].day if visits else None)
    if age_years is None and history.birth_day is not None and reference_day is not None:
        age_years = int(age_in_years(history.birth_day, reference_day))
        if age_years < 0:
            raise ValueError(impossible_age(1))
    tokens = [] if age_years is None else [vocabulary.find(f"AGE/{min(max(age_years, 0), options.max_age_years)}")]
    tokens.append(vocabulary.find(f"SEX/{history.sex}"))
    known = [token for token in tokens if token >= 0] or [vocabulary.unk_id]
    return known + sorted({vocabulary.resolve(code)[0] for code in history.codes})


def _index_days(history: PatientHistory, visits: Sequence[_Visit]) -> int:
    """Days from the first visit in view to the index date, 0 without either."""
    if history.index_day is None or not visits:
        return 0
    return min(history.index_day - visits[0].day, MAX_SPAN_DAYS)


def _time_token(
    day: int, first_day: int, previous_day: int | None, vocabulary: ClaimVocabulary, options: EncodingOptions
) -> int:
    """Id of the time token of a visit, -1 for none."""
    if options.time_tokens == "day":
        return vocabulary.find(f"DAY/{min(day - first_day, options.max_day)}")
    if options.time_tokens == "gap":
        if previous_day is None:
            return vocabulary.find(GAP_START)
        return vocabulary.find(f"GAP/{GAP_BOUNDS_DAYS[gap_bucket(day - previous_day)]}")
    return -1


def _code_tokens(visit: _Visit, vocabulary: ClaimVocabulary, options: EncodingOptions) -> list[int]:
    """Distinct ids of a visit's codes and principal diagnoses, in ascending order."""
    ids = {vocabulary.resolve(code)[0] for code in visit.codes}
    if options.max_codes_per_visit is not None and len(ids) > options.max_codes_per_visit:
        ids = set(sorted(ids, key=vocabulary.priority.__getitem__)[: options.max_codes_per_visit])
    return sorted(ids.union(map(vocabulary.find_principal, visit.principal)))


def _amounts(patient: Mapping[str, Any], num_visits: int) -> list[float | None]:
    """US dollars paid for each visit, in the order of the visits, `None` where unknown."""
    if "visit_day" not in patient:
        amounts = [visit.get("amount") for visit in patient["visits"] or ()]
    else:
        column = patient.get("visit_amount")
        amounts = [None] * num_visits if column is None else list(column)
    if len(amounts) != num_visits:
        raise ValueError("expected one visit_amount for each visit, found more or fewer")
    return [_number(amount, "the amount of a visit") for amount in amounts]


def _principal_codes(patient: Mapping[str, Any], num_visits: int) -> list[list[str]]:
    """Principal diagnoses of each visit, in the order of the visits."""
    if "visit_day" in patient:
        if "principal_codes" not in patient:
            raise ValueError(no_principal())
        column = list(patient["principal_codes"] if patient["principal_codes"] is not None else ())
    else:
        visits = patient["visits"] or ()
        if absent := sum("principal" not in visit for visit in visits):
            raise ValueError(
                "expected visits with the key 'principal', a list of codes, for a tokenizer with mark_principal, "
                f"found {absent} without; write None where unknown, or set mark_principal=False"
            )
        column = [visit["principal"] for visit in visits]
    if len(column) != num_visits:
        raise ValueError(
            f"expected visit_day and principal_codes of one length, found {num_visits} and {len(column)} entries"
        )
    return [
        _known_codes(codes, f"the principal diagnoses of visit {position}") for position, codes in enumerate(column)
    ]


def _visits_of_list(visits: Any) -> list[tuple[int, str, list[str]]]:
    """Visits of the structured form."""
    if visits is None:
        return []
    if not isinstance(visits, Sequence) or isinstance(visits, str):
        raise ValueError(f"expected 'visits' to be a list, found {type(visits).__name__}")
    found = []
    for position, visit in enumerate(visits):
        where = f"visits[{position}]"
        missing = [key for key in ("day", "type", "codes") if not isinstance(visit, Mapping) or key not in visit]
        if missing:
            raise ValueError(
                f"expected {where} to be a mapping with the keys 'day', 'type' and 'codes', found no "
                f"{', '.join(missing)}; write None for what is not known"
            )
        refuse_other_keys(visit, where)
        found.append(_visit(visit["day"], visit["type"], visit["codes"], where))
    return found


def _visits_of_row(row: Mapping[str, Any]) -> list[tuple[int, str, list[str]]]:
    """Visits of a row of the patients table."""
    columns = [row.get(name) for name in ("visit_day", "visit_type", "codes")]
    days, types, codes = ([] if column is None else column for column in columns)
    if not len(days) == len(types) == len(codes):
        raise ValueError(
            "expected visit_day, visit_type and codes of one length, "
            f"found {len(days)}, {len(types)} and {len(codes)} entries"
        )
    return [
        _visit(day, kind, visit_codes, f"visit {position}")
        for position, (day, kind, visit_codes) in enumerate(zip(days, types, codes, strict=True))
    ]


def _visit(day: Any, visit_type: Any, codes: Any, where: str) -> tuple[int, str, list[str]]:
    """One visit with its types checked; a null code is no code."""
    number = day_number(day, f"the day of {where}")
    if visit_type is not None and not isinstance(visit_type, str):
        raise ValueError(f"expected the type of {where} to be a string, found {type(visit_type).__name__}")
    return number, canonical_type(visit_type or ""), _known_codes(codes, f"the codes of {where}")


def _known_codes(codes: Any, what: str) -> list[str]:
    """Code strings; a null or blank code is no code."""
    if isinstance(codes, str):
        raise ValueError(f"expected {what} to be a list of strings, found one string")
    known = [code for code in (codes if codes is not None else ()) if code is not None]
    if not all(isinstance(code, str) for code in known):
        raise ValueError(f"expected {what} to be strings 'SYSTEM/CODE', found another type")
    known = [code for code in known if code.strip()]
    if bare := sum(not has_system(code) for code in known):
        raise ValueError(without_system(bare))
    return known


def _age(age_years: Any) -> int | None:
    """Completed years of a given age; `None` and NaN are unknown."""
    if age_years is None:
        return None
    number = whole_number(age_years)
    if number is None and not isinstance(age_years, (float, np.floating)):
        raise ValueError(f"expected the age to be a number of years, found {type(age_years).__name__}")
    if number is None:
        number = math.floor(age_years) if math.isfinite(age_years) else None
    if number is not None and not 0 <= number <= OLDEST_YEARS:
        raise ValueError(impossible_age(1))
    return number


def _optional_day(day: Any, name: str) -> int | None:
    """A day number or `None`."""
    return None if day is None else day_number(day, name)


def _refuse_two_kinds(patient: Mapping[str, Any]) -> None:
    """Refuse days of the calendar beside days that are counted from somewhere else."""
    days = [patient.get(name) for name in DAY_COLUMNS[1:]]
    of_visits = patient["visit_day"] if "visit_day" in patient else [one["day"] for one in patient["visits"] or ()]
    # A row of pandas holds arrays, which have no truth value.
    days += () if of_visits is None else list(of_visits)
    if len({whole_number(day) is None for day in days if day is not None}) > 1:
        raise ValueError(two_kinds_of_days())


def _number(value: Any, what: str) -> float | None:
    """A number, `None` where it is unknown."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ValueError(f"expected {what} to be a number, found {type(value).__name__}")
    return float(value)
