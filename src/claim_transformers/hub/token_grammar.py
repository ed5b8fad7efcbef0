"""Grammar of the tokens that may leave: public codes and bins, since any other text may name a person."""

import re

# Codes, and the beginnings of codes that stand for their group, as `codes.forms` writes them: canonical, without dots.
_CODES = {
    "ICD9CM": "[0-9]{1,5}|V[0-9]{0,4}|E[0-9]{0,4}",
    "ICD10CM": "[A-Z]|[A-Z]([0-9]|[0-9][0-9A-Z]{1,5}|[A-Z][0-9][0-9A-Z]{0,4})",
    "ICD9PCS": "[0-9]{1,4}",
    "ICD10PCS": "[0-9A-HJ-NP-Z]{1,7}",
    "HCPCS": "[0-9A-Z][0-9]{0,4}|[0-9]{4}[A-Z]|[0-9A-Z]{4}[0-9]|[1-5][A-Z]{3}[S-X]|[0-9A-Z]{1,3}",
    "NDC": "[0-9]{1,9}|[0-9]{11}",
    # A run of digits is in no name of an ingredient.
    "DRUG": "(?!.*[0-9]{5})[A-Z0-9]([A-Z0-9_-]{0,62}[A-Z0-9])?",
    "REV": "[0-9]{1,4}",
    "DRG": "[0-9]{1,3}",
    "APRDRG": "[0-9]{3,4}",
    "POS": "[0-9]{2}",
    "DISP": "[0-9]{2}",
    # Systems of MEDS extracts, by their publishers' rules.
    "SNOMED": "[1-9][0-9]{5,17}",
    "RXNORM": "[1-9][0-9]{0,7}",
    "LOINC": "[0-9]{1,5}-[0-9]",
    "CVX": "[0-9]{1,3}",
}
_GROUPS = {
    "CCS": "[0-9]{1,4}",
    "CCSR": "[A-Z]{3}([0-9]{3})?",
    "CCSPR": "[0-9]{1,3}",
    "BODYSYSTEM": "[A-Z]{3}",
    "CCSPRSECTION": "[0-9]{1,2}",
    "ICD9PCSGROUP": "[0-9]{2}",
    "ICD10PCSGROUP": "[0-9A-HJ-NP-Z]{1,3}",
    "HCPCSGROUP": "[0-9A-Z]{1,3}",
    "NDC9": "[0-9]{9}",
    # Pharmacologic classes, which the FDA calls by several words.
    "EPC": "(?!.*[0-9]{5})[A-Z0-9]([A-Z0-9_-]{0,126}[A-Z0-9])?",
    "REVGROUP": "[0-9]{3}",
    "ICD9CHAPTER": "[0-9]{1,2}|[EV]",
    "ICD10CHAPTER": "[0-9]{1,2}",
    "ICD9PCSCHAPTER": "[0-9]{1,2}[AB]?",
    "ICD10PCSSECTION": "[0-9A-HJ-NP-Z]",
    "HCPCSSECTION": "[A-Z0-9_]{1,24}",
    "MDC": "[0-9]{2}|ALL|PRE",
}
_RACE_WORD = (
    "AFRICAN|ALASKAN?|AMERICAN|AND|ASIAN|BLACK|DECLINED|HAWAIIAN|HISPANIC|INDIAN|ISLANDER|LATINO|MIXED|MORE|"
    "MULTIPLE|NATIVE|NORTH|OF|OR|OTHER|PACIFIC|RACES?|TWO|UNKNOWN|WHITE"
)
_PATIENT = {
    "AGE": "[0-9]{1,3}",
    "SEX": "[FMU]",
    "RACE": f"({_RACE_WORD})(_({_RACE_WORD}))*",
    "ENTITLEMENT": "[0-9]",
    "DUAL": "[0-9]{2}|NA",
    "COUNTY": "[A-Z][A-Z_]{0,47}-[0-9]{1,2}",
}
_VISIT = {
    "TYPE": "IP|OP|CAR|DME|HHA|HOSP|SNF|RX|MEDS",
    "DAY": "[0-9]{1,5}",
    "GAP": "START|[0-9]{1,4}",
    "PAID": "[0-9]{1,2}",
    "LOS": "[0-9]{1,2}",
}
_SYSTEMS = {name: re.compile(text) for name, text in {**_CODES, **_GROUPS, **_PATIENT, **_VISIT}.items()}
_SPECIAL = re.compile(r"(\[|<\|?)(PAD|UNK|MASK|CLS|SEP|BOS|EOS)(\]|\|?>)", re.IGNORECASE)

# A class of outcomes is called by a word or two in lower case; a person is written otherwise, or has a number.
_LABEL = re.compile(r"LABEL_[0-9]{1,4}|[0-9]{1,3}|(?!.*[0-9]{4})[a-z][a-z0-9 _-]{0,63}")


def is_special(token: str) -> bool:
    """Whether a token is a special one by one of the names that every tokenizer has."""
    return _SPECIAL.fullmatch(token) is not None


def is_token(token: str) -> bool:
    """Whether a token of a vocabulary says nothing but a public code, a group of codes, or a bin."""
    system, slash, text = token.partition("/")
    if not slash:
        return is_special(token)
    if system == "UNK":
        return text in _SYSTEMS or text == "PRINCIPAL"
    if system == "PRINCIPAL":
        return text.partition("/")[0] in {**_CODES, **_GROUPS} and is_token(text)
    return system in _SYSTEMS and _SYSTEMS[system].fullmatch(text) is not None


def is_label(name: str) -> bool:
    """Whether the name of a class of outcomes names no person: `no readmission`, `CCS/128`, `LABEL_1`."""
    return _LABEL.fullmatch(name) is not None or is_token(name)


def is_system(name: str) -> bool:
    """Whether a code system or a group of one is known."""
    return name in _CODES or name in _GROUPS


def is_county_measure(name: str) -> bool:
    """Whether a text is the name of a county measure."""
    return is_token(f"COUNTY/{name}-0")
