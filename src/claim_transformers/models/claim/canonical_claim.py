"""Canonical writing of what people give: codes, sexes, claim types and days, one value at a time.

Claims that were ingested are written so already, so the bulk path asks for distinct values only. The rules for codes
are those of the room `codes`, which this folder cannot import; a test holds one against the other. What could mean two
things is refused or left as it is, never guessed.
"""

import datetime as dt
import difflib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

CODE_SYSTEMS = ("ICD9CM", "ICD10CM", "ICD9PCS", "ICD10PCS", "HCPCS", "NDC", "DRUG", "REV", "DRG", "POS", "DISP")
CLAIM_TYPES = ("IP", "OP", "CAR", "DME", "HHA", "HOSP", "SNF", "RX")

# Columns of the patients table that hold days and are read.
DAY_COLUMNS = ("visit_day", "birth_day", "index_day")
_EPOCH = dt.date(1970, 1, 1)
_ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
OLDEST_YEARS = 120
_REMEMBERED = 2**16

_SEXES = {
    **dict.fromkeys(("F", "FEMALE"), "F"),
    **dict.fromkeys(("M", "MALE"), "M"),
    **dict.fromkeys(("", "U", "UNKNOWN", "X", "O", "OTHER"), "U"),
}
_TYPE_WORDS = {
    "INPATIENT": "IP", "OUTPATIENT": "OP", "CARRIER": "CAR", "PROFESSIONAL": "CAR", "DURABLE MEDICAL EQUIPMENT": "DME",
    "HOME HEALTH": "HHA", "HOME HEALTH AGENCY": "HHA", "HOSPICE": "HOSP", "SKILLED NURSING FACILITY": "SNF",
    "PHARMACY": "RX",
}  # fmt: skip
# Systems whose codes are numbers of one width: zeros are lost on the left only and can be put back.
_WIDTHS = {"REV": 4, "DRG": 3, "POS": 2, "DISP": 2}
_NDC_SEGMENTS = {(5, 4, 2), (4, 4, 2), (5, 3, 2), (5, 4, 1)}
_HCPCS = re.compile(
    r"([0-9A-Z]{4}[0-9]|[0-9]{4}[A-Z]|[1-5][A-Z]{3}[S-X])(?:(?:[0-9A-Z]{2}){1,2}|(?:[ -][0-9A-Z]{2}){1,4})"
)

# Keys that mean one of ours: who writes them would lose what they hold.
_OTHER_NAMES = {
    "gender": "sex",
    "birth_date": "birth_day",
    "date_of_birth": "birth_day",
    "index_date": "index_day",
    "visit_date": "visit_day",
    "visit_days": "visit_day",
    "visit_types": "visit_type",
}
# What is read of a patient and of a visit, and what a row of claims or of a cohort holds beside it.
_READ = (
    "age", "sex", "birth_day", "index_day", "visits", "visit_day", "visit_type", "codes", "visit_amount",
    "principal_codes", "patient_codes", "length_of_stay_days", "county_measures",
)  # fmt: skip
_LEFT = (
    "patient_id", "death_day", "enrollment_start_day", "enrollment_end_day", "visit_end_day", "visit_paid_day",
    "admitting_codes", "visit_allowed_amount", "label", "labels",
)  # fmt: skip
_VISIT_KEYS = ("day", "type", "codes", "amount", "principal")
_ALIKE = 0.8
# Columns that hold one value for each row; a list there is a batch.
_ROW_KEYS = ("sex", "birth_day", "index_day", "age", "patient_id", "length_of_stay_days")


@lru_cache(maxsize=_REMEMBERED)
def canonical_code(code: str) -> str:
    """Write `SYSTEM/CODE` as ingested claims have it: trimmed, upper case, no dots, zeros kept, no modifiers.

    Text that has no canonical form stays, without the blanks around it.
    """
    system, slash, text = (part.strip() for part in code.partition("/"))
    # The upper case of some letters outside ASCII is a letter of ASCII; such text is no code.
    if not slash or not (system + text).isascii():
        return code.strip()
    system, text = system.upper(), text.upper()
    name = system.replace("-", "").replace("_", "").replace(" ", "")
    system = name if name in CODE_SYSTEMS else system
    if system in ("ICD9CM", "ICD10CM", "ICD9PCS"):
        dot = 2 if system == "ICD9PCS" else 4 if system == "ICD9CM" and text.startswith("E") else 3
        text = text.replace(".", "") if text.find(".") == dot and text.count(".") == 1 else text
    elif system == "NDC":
        segments = text.split("-")
        if all(map(str.isdigit, segments)) and tuple(map(len, segments)) in _NDC_SEGMENTS:
            text = "".join(segment.zfill(width) for segment, width in zip(segments, (5, 4, 2), strict=True))
    elif system == "DRUG":
        text = re.sub("[ ,/_]+", "_", text)
    elif system in _WIDTHS and text.isdigit():
        text = text.zfill(_WIDTHS[system])
    elif system == "HCPCS" and (found := _HCPCS.fullmatch(text)):
        text = found[1]
    return f"{system}/{text}"


def has_system(code: str) -> bool:
    """Whether a code says of which system it is."""
    system, slash, text = code.partition("/")
    return bool(slash and system.strip() and text.strip())


def canonical_type(visit_type: str) -> str:
    """Write a claim type as ingested claims have it; a type of somebody's own stays as it is.

    Examples:
        >>> canonical_type("Outpatient"), canonical_type(" op "), canonical_type("televisit")
        ('OP', 'OP', 'televisit')
    """
    word = " ".join(visit_type.upper().replace("_", " ").replace("-", " ").split())
    found = _TYPE_WORDS.get(word, word)
    return found if found in CLAIM_TYPES or not found else visit_type


def canonical_sex(sex: Any) -> str:
    """Write a sex as `F`, `M` or `U`, or refuse it: 1 and 2 mean one thing to one payer and another to the next.

    Examples:
        >>> canonical_sex("female"), canonical_sex(" m"), canonical_sex(None)
        ('F', 'M', 'U')
    """
    found = "U" if sex is None else _SEXES.get(sex.strip().upper()) if isinstance(sex, str) else None
    if found is None:
        raise ValueError(
            "expected sex to be F, M or U, or female, male or unknown, found another value; write it in one of these"
        )
    return found


def day_number(day: Any, what: str) -> int:
    """Read a day: an integer, a date, or text `YYYY-MM-DD`; dates become days since 1970-01-01.

    Examples:
        >>> day_number(dt.date(1970, 1, 8), "the day"), day_number("1970-01-08", "the day"), day_number(7, "the day")
        (7, 7, 7)
    """
    number = whole_number(day)
    if number is not None:
        return number
    if isinstance(day, np.datetime64):
        # In nanoseconds it becomes an integer, in days and microseconds a date.
        day = day.astype("datetime64[us]").item()
    if isinstance(day, str) and _ISO_DAY.fullmatch(day.strip()):
        try:
            day = dt.date.fromisoformat(day.strip())
        except ValueError:
            raise ValueError(f"expected {what} to be a day of the calendar, found none") from None
    if isinstance(day, dt.datetime):
        # A time of day, and more so a time zone, can move the date.
        day = day.date() if day.tzinfo is None and day.time() == dt.time() else None
    if isinstance(day, dt.date):
        return (day - _EPOCH).days
    found = "a time of day" if day is None else type(day).__name__
    raise ValueError(f"expected {what} to be an integer number of days, a date or text YYYY-MM-DD, found {found}")


def two_kinds_of_days() -> str:
    """What to say of a patient whose visits are counted from somewhere else than the calendar."""
    return (
        "expected all days of a patient as integers or all as dates, found both: integers may be counted from another "
        "day than 1970-01-01; write one kind"
    )


def no_principal() -> str:
    """What to say of patients whose principal diagnoses are to be marked and not told."""
    return (
        "expected principal_codes, the principal diagnoses of each visit, for a tokenizer with mark_principal, found "
        "no such column; ingest the claims and build the cohort again, or set mark_principal=False"
    )


def impossible_age(rows: int) -> str:
    """What to say of an age below 0, whether it was given or follows from a birth."""
    return (
        f"expected an age of 0 to {OLDEST_YEARS} years, and a birth before the index date or else the first visit, "
        f"found another in {rows} row{'s'[: rows != 1]}; leave the age or the birth out where it is not known"
    )


def without_system(codes: int) -> str:
    """What to say of codes whose system is not known."""
    return (
        f"expected codes as SYSTEM/CODE, found {codes} without a system; write the system before the code, such as "
        "ICD10CM/E119"
    )


def whole_number(value: Any) -> int | None:
    """A Python or numpy integer as `int`; `None` for anything else, and for truth values."""
    return int(value) if isinstance(value, (int, np.integer)) and not isinstance(value, bool) else None


def refuse_other_names(names: Any) -> None:
    """Refuse columns whose content the tokenizer would leave out because they go by another name.

    A patient who was written by hand, with a list of visits, has no columns beside those that are known.
    """
    meant = {name: ours for name, ours in _OTHER_NAMES.items() if name in names and ours not in names}
    unknown = sorted(str(name) for name in set(names) - set(_READ) - set(_LEFT) - set(_OTHER_NAMES))
    meant |= {name: near[0] for name in unknown if (near := _near(name, _READ)) and near[0] not in names}
    if meant:
        cures = ", ".join(f"{name} as {ours}" for name, ours in sorted(meant.items()))
        raise ValueError(
            f"expected the names of the patients table, found others that would be left out; write {cures}"
        )
    if "visits" in names and unknown:
        raise ValueError(
            f"expected keys out of {', '.join(_READ)} of a patient, found {', '.join(unknown[:3])}, which would be "
            "left out; remove what is not read"
        )


def refuse_other_keys(visit: Mapping[str, Any], where: str) -> None:
    """Refuse a visit with what the tokenizer would leave out."""
    unknown = sorted(str(name) for name in set(visit) - set(_VISIT_KEYS))
    if unknown:
        near = _near(unknown[0], _VISIT_KEYS)
        cure = f"; write {unknown[0]} as {near[0]}" if near else "; remove what is not read"
        raise ValueError(
            f"expected keys out of {', '.join(_VISIT_KEYS)} of {where}, found {', '.join(unknown[:3])}, which would "
            f"be left out{cure}"
        )


@lru_cache(maxsize=_REMEMBERED)
def _near(name: str, known: tuple[str, ...]) -> list[str]:
    return difflib.get_close_matches(name.lower(), known, n=1, cutoff=_ALIKE)


def patients_of(given: Any) -> tuple[list[Mapping[str, Any]], bool] | None:
    """Take what a tokenizer is given apart into patients, and say whether they are a batch; `None` for text."""
    if isinstance(given, Mapping):
        rows = _rows_of_batch(given)
        return ([given], False) if rows is None else (rows, True)
    is_batch = isinstance(given, (list, tuple)) and given and all(isinstance(row, Mapping) for row in given)
    return (list(given), True) if is_batch else None


def _rows_of_batch(columns: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """Take a batch of `datasets`, columns of lists, apart into rows; `None` where the mapping is one patient."""
    outer = columns.get("visit_day", columns.get("visits"))
    is_batch = any(_is_list(columns.get(name)) for name in _ROW_KEYS) or (
        _is_list(outer) and any(map(_is_list, outer))
    )
    if not is_batch:
        return None
    lengths = {len(column) for column in columns.values()}
    if len(lengths) != 1:
        raise ValueError(f"expected the columns of a batch to have one length, found {len(lengths)} lengths")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple, np.ndarray))
