"""Free text that may not leave: what a model card says is prose and measured numbers, never rows of patients."""

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

# A path of the machine that made the checkpoint tells who trained it, and on what; `/` inside a URL does not match.
_LOCAL_PATH = re.compile(
    r"(?<![\w:/.-])(/(home|Users|root|mnt|media|tmp|var|work|data|scratch|srv|opt|private)/[^\s\"']|~/|file://)"
    r"|(?<!\w)[A-Za-z]:\\"
)
_ACCESS_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{20,}")
_REMOVE = "remove it"
_EVERYWHERE = (
    (_LOCAL_PATH, "a path of this machine", "use relative paths"),
    (_ACCESS_TOKEN, "what looks like an access token", "remove it, and revoke the token"),
)

_DATE = (
    r"(?<!\d)(?:(?:19|20)\d\d([-/.])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])"
    r"|(?:0?[1-9]|[12]\d|3[01])([-/.])(?:0?[1-9]|[12]\d|3[01])\2(?:19|20)\d\d"
    r"|(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))(?!\d)"
)
_HOLDS_DATE = re.compile(_DATE)
# Medicare Beneficiary Identifier (CMS, MBI format): 11 characters, none of the letters S, L, O, I, B and Z.
_LETTER, _MIXED = "[AC-HJKMNP-RT-Y]", "[AC-HJKMNP-RT-Y0-9]"
_MBI = re.compile(rf"\b[1-9]{_LETTER}{_MIXED}\d-?{_LETTER}{_MIXED}\d-?{_LETTER}{{2}}\d\d\b", re.IGNORECASE)
_SOCIAL_SECURITY = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")
_PHONE = re.compile(r"(?<![\w.-])(?:\+?1[-. ])?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}(?![\w-])")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.\w{2,}")
# A word that calls somebody by a number: `patient ZZ1234`, `member_id: 77301`. `--patients 60000` calls nobody.
_NAMED_PERSON = re.compile(
    r"(?<![A-Za-z])(?:patient|member|beneficiary|bene|subscriber|person|subject|mrn)"
    r"(?:[ _-]?(?:id|number|no|nr))?[\"'`*]*[\s:=#.]{1,3}[\"'`]?[A-Za-z_-]{0,12}\d{3,}",
    re.IGNORECASE,
)
_IN_CARD = (
    (_MBI, "what looks like a Medicare beneficiary identifier", _REMOVE),
    (_SOCIAL_SECURITY, "what looks like a social security number", _REMOVE),
    (_PHONE, "what looks like a telephone number", _REMOVE),
    (_EMAIL, "an e-mail address", "name a page in its place"),
    (_NAMED_PERSON, "what looks like the number of a person", _REMOVE),
)
_WORD = re.compile(r"\w+")
_DIGEST = re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}")
_HARMLESS = re.compile(r"\d*\.\d+(?:[eE][+-]?\d+)?|\bNDC9?/\d+")
_LONG_NUMBER = re.compile(r"\d{9,}")

# Kinds of cells that a row of a patient is made of; a row of results has at most one of them.
_CELLS = (
    re.compile(_DATE),
    re.compile(r"[A-Za-z_-]{0,12}\d{6,}\w*|(?=\w*\d\w*\d)(?=\w*[A-Za-z])\w{7,}"),
    re.compile("[FMfm]|female|male", re.IGNORECASE),
    re.compile(r"[A-Z0-9]{2,12}/[A-Z0-9_.-]{2,}|[A-Z]\d[0-9A-Z](?:\.?[0-9A-Z]{1,4})?|[VE]?\d{3}\.\d{1,2}"),
)
_PERSON_COLUMN = re.compile(
    r"(patient|person|member|subscriber|beneficiary|bene|subject|claim)_?(id|digest|number|sk)|mbi|ssn|mrn|hicn?|dob|"
    r"(patient_?|first_?|last_?|given_?|sur)name|birth_?(date|day)|(visit|service|admission|discharge)_?(date|day)"
)

_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
# Keys that the Hub knows in the front matter of a card; widgets and free keys are left out, since they hold examples.
_CARD_KEYS = frozenset({
    "license", "license_name", "license_link", "library_name", "tags", "datasets", "metrics", "language", "base_model",
    "base_model_relation", "model_name", "pipeline_tag", "new_version", "inference", "model-index", "name", "results",
    "task", "type", "dataset", "config", "split", "revision", "args", "value", "confidence_interval",
    "confidence_level", "num_examples", "verified",
})  # fmt: skip
_CARD_TEXT = re.compile(r"(?!.*\d{5})[\w .,:;()%+/'-]{1,200}")


def find_private(text: str) -> tuple[str, str] | None:
    """Find a path of this machine or an access token: what was found, and its cure."""
    return next(((what, cure) for pattern, what, cure in _EVERYWHERE if pattern.search(text)), None)


def find_person(text: str) -> tuple[str, str] | None:
    """Find what tells of a person in a model card."""
    for pattern, what, cure in _IN_CARD:
        if pattern.search(text):
            return what, cure
    for line in text.splitlines():
        cells = [cell.strip(" `*\"'") for cell in re.split(r"\||\t|;|(?<!\d),|,(?!\d{3}\b)", line)]
        if any(_PERSON_COLUMN.fullmatch(cell.lower().replace(" ", "_")) for cell in cells) and len(cells) > 2:
            return "a table with a column about persons", _REMOVE
        if len(cells) > 2 and sum(any(map(kind.fullmatch, cells)) for kind in _CELLS) > 1:
            return "a row that looks like a patient", _REMOVE
        words = [word for word in _WORD.findall(_HARMLESS.sub(" ", line)) if not _DIGEST.fullmatch(word)]
        if any(map(_LONG_NUMBER.search, words)):
            return "a number as long as an identifier", _REMOVE
        if _HOLDS_DATE.search(line) and any(map(_CELLS[1].fullmatch, _WORD.findall(_HOLDS_DATE.sub(" ", line)))):
            return "a date beside an identifier", _REMOVE
    return _find_in_front_matter(text)


def _find_in_front_matter(text: str) -> tuple[str, str] | None:
    """Find a key or a value in the front matter that no card needs."""
    found = _FRONT_MATTER.match(text)
    if not found:
        return None
    try:
        content = yaml.safe_load(found[1])
    except yaml.YAMLError:
        return "front matter that is no YAML", "write the card again"
    if not isinstance(content, dict):
        return "front matter that is no mapping", "write the card again"
    for key, value in _entries(content):
        if key not in _CARD_KEYS:
            return "a key in the front matter that is not on the list", _REMOVE
        if not _may_stand_in_card(value):
            return "a value in the front matter that is neither a short text nor a measured number", _REMOVE
    return None


def _entries(content: Any, key: Any = "name") -> Iterator[tuple[Any, Any]]:
    """Every value of a nested mapping with the nearest key; a mapping itself is listed as an empty value."""
    if isinstance(content, dict):
        for inner, value in content.items():
            yield inner, None
            yield from _entries(value, inner)
    elif isinstance(content, list):
        for value in content:
            yield from _entries(value, key)
    else:
        yield key, content


def _may_stand_in_card(value: Any) -> bool:
    """Whether a value is nothing, a choice, a finite number, or a short text without long numbers."""
    if isinstance(value, str):
        return _CARD_TEXT.fullmatch(value) is not None
    return value is None or (isinstance(value, int | float) and math.isfinite(value))
