"""MEDS codes, and what each means here: a birth, a death, a sex, the ends of enrollment, or a code `SYSTEM/CODE`."""

import re
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.codes.forms import CODE_TEXT, R_CODE_TEXT
from claim_transformers.codes.normalize import normalize_code
from claim_transformers.codes.systems import SYSTEMS
from claim_transformers.sources.pipeline.numeric_codes import are_floats

BIRTH_CODE, DEATH_CODE = "MEDS_BIRTH", "MEDS_DEATH"
SEX_CODES = MappingProxyType({"F": "GENDER//F", "M": "GENDER//M"})
ENROLLMENT_START_CODE, ENROLLMENT_END_CODE = "ENROLLMENT//START", "ENROLLMENT//END"

# Names of the systems in OMOP vocabularies and in public MEDS extracts, without the signs between letters and digits.
_SYSTEM_ALIASES = MappingProxyType(
    {system: system for system in SYSTEMS}
    | {
        "ICD9PROC": "ICD9PCS",
        "CPT": "HCPCS",
        "CPT4": "HCPCS",
        "REVENUECODE": "REV",
        "MSDRG": "DRG",
        "APRDRG": "APRDRG",
    }
)
# MIMIC extracts write `DIAGNOSIS//ICD//10//E119`: the version follows the name of the system.
_ICD_SYSTEMS = MappingProxyType(
    {
        ("DIAGNOSIS", "9"): "ICD9CM",
        ("DIAGNOSIS", "10"): "ICD10CM",
        ("PROCEDURE", "9"): "ICD9PCS",
        ("PROCEDURE", "10"): "ICD10PCS",
    }
)
# The tokenizer writes tokens and categories under these names; a code of the data must not look like one of them.
_RESERVED_SYSTEMS = frozenset(
    {"AGE", "SEX", "TYPE", "DAY", "GAP", "UNK", "CCS", "CCSR", "CCSPR", "HCPCSGROUP", "NDC9"}
)
_SYSTEM_OF_BARE_CODES = "EVENT"
_SEX_OF_TEXT = MappingProxyType({"F": "F", "FEMALE": "F", "M": "M", "MALE": "M"})


class Role(IntEnum):
    """What an event is, decided by its code alone."""

    REFUSED = -1
    CODE = 0
    BIRTH = 1
    DEATH = 2
    FEMALE = 3
    MALE = 4
    UNKNOWN_SEX = 5
    ENROLLMENT_START = 6
    ENROLLMENT_END = 7


@dataclass(frozen=True)
class _ReadCodes:
    """Distinct MEDS codes, read."""

    roles: npt.NDArray[np.int8]
    systems: pa.Array
    codes: pa.Array
    reasons: list[str | None]
    numeric: list[str]


def read_codes(codes: pa.Array) -> _ReadCodes:
    """Read distinct MEDS codes; `numeric` names the systems whose codes are all written as floats."""
    roles, systems, bare, reasons = [], [], [], []
    texts_of: dict[str, list[str]] = {}
    for text in codes.to_pylist():
        role, system, code, reason = _role_of(text), None, None, None
        if role == Role.CODE:
            named, rest = _name_system(text)
            texts_of.setdefault(named, []).append(rest.strip())
            try:
                system, _, code = _read_code(named, rest).partition("/")
            except ClaimDataError as error:
                role, reason = Role.REFUSED, error.reason_code
        roles.append(role)
        systems.append(system)
        bare.append(code)
        reasons.append(reason)
    numeric = [
        system
        for system in sorted(texts_of.keys() & SYSTEMS)
        if are_floats(pa.array(texts_of[system]), may_have_dot=system.startswith("ICD"))
    ]
    return _ReadCodes(
        np.array(roles, np.int8), pa.array(systems, pa.string()), pa.array(bare, pa.string()), reasons, numeric
    )


def _role_of(text: str) -> Role:
    first, rest = _split(text)
    name = first.strip().upper()
    if name == BIRTH_CODE:
        return Role.BIRTH
    if name == DEATH_CODE:
        return Role.DEATH
    if text.strip().upper() == ENROLLMENT_START_CODE:
        return Role.ENROLLMENT_START
    if text.strip().upper() == ENROLLMENT_END_CODE:
        return Role.ENROLLMENT_END
    if name in {"GENDER", "SEX"}:
        sex = _SEX_OF_TEXT.get(rest.strip().upper())
        return {"F": Role.FEMALE, "M": Role.MALE, None: Role.UNKNOWN_SEX}[sex]
    return Role.CODE


def _name_system(text: str) -> tuple[str, str]:
    """Take a MEDS code apart into its system and the rest."""
    parts = text.split("//")
    if len(parts) == 4 and parts[1] == "ICD" and (parts[0], parts[2]) in _ICD_SYSTEMS:
        return _ICD_SYSTEMS[parts[0], parts[2]], parts[3]
    system, rest = _split(text)
    if not rest and "/" not in text:
        system, rest = _SYSTEM_OF_BARE_CODES, text
    system = re.sub("[^A-Z0-9]+", "_", system.strip().upper()).strip("_")
    return _SYSTEM_ALIASES.get(system.replace("_", ""), system), rest


def _read_code(system: str, rest: str) -> str:
    """Turn a MEDS code into `SYSTEM/CODE`."""
    if system in SYSTEMS:
        return f"{system}/{normalize_code(system, rest)}"
    if system in _RESERVED_SYSTEMS:
        system = f"MEDS_{system}"
    code = re.sub("//+|[^A-Z0-9.,+/_-]+", "_", rest.strip().upper()).strip("_")
    if not re.fullmatch("[A-Z0-9_]{1,32}", system) or not re.fullmatch(CODE_TEXT, code):
        raise ClaimDataError(R_CODE_TEXT, "expected SYSTEM//CODE of at most 64 letters, digits and signs")
    return f"{system}/{code}"


def _split(text: str) -> tuple[str, str]:
    system, _, rest = text.partition("//" if "//" in text else "/")
    return system, rest
