"""Code sets as a cohort file writes them: prefixes, with two wildcards and a way to take codes out again.

ICD-10-CM puts the intent of a poisoning in the sixth character and the encounter in the seventh, so a list of
prefixes alone cannot say "intentional self-harm, first encounter". An entry is `SYSTEM/PREFIX` and stands for every
code beneath it. In the prefix `?` stands for any one character and `[1-9]` for one out of several; `not SYSTEM/PREFIX`
takes codes out of the set. Only the distinct codes of a table are looked at, by one regular expression.
"""

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

NOT = "not "
# MEDS brings systems of its own, so the name of the system is open; claims have no dots, but some codes of MEDS do.
_ENTRY = re.compile(r"(not )?[A-Z0-9_]+/([A-Z0-9.,+/_?-]|\[[A-Z0-9-]+\])+")
_WILDCARD = re.compile(r"\?|\[[A-Z0-9-]+\]")
_DOTLESS = re.compile("(ICD9CM|ICD10CM|ICD9PCS|ICD10PCS|HCPCS|NDC)/.*[.-].*")


def is_entry(text: str) -> bool:
    """Whether a text can stand in a set of codes: `SYSTEM/PREFIX`, and no code of claims with a dot."""
    bare = _WILDCARD.sub("", text.removeprefix(NOT))
    return _ENTRY.fullmatch(text) is not None and _DOTLESS.fullmatch(bare) is None


def is_plain(text: str) -> bool:
    """Whether an entry is the beginning of codes and nothing else.

    Examples:
        >>> [is_plain(text) for text in ("ICD9CM/493", "ICD10CM/X7[1-9]", "not ICD10CM/T149")]
        [True, False, False]
    """
    return not text.startswith(NOT) and _WILDCARD.search(text) is None


def find_codes(codes: pa.Array, entries: Sequence[str]) -> NDArray[np.bool_]:
    """Which codes belong to a set: an entry stands for the code, and none takes it out."""
    inside = [entry for entry in entries if not entry.startswith(NOT)]
    outside = [entry.removeprefix(NOT) for entry in entries if entry.startswith(NOT)]
    found = _begin_with(codes, inside)
    return found & ~_begin_with(codes, outside) if outside else found


def _begin_with(codes: pa.Array, entries: Sequence[str]) -> NDArray[np.bool_]:
    pattern = "^(?:" + "|".join(map(_expression, entries)) + ")"
    matches: NDArray[np.bool_] = pc.match_substring_regex(codes, pattern).to_numpy(zero_copy_only=False)
    return matches


def _expression(entry: str) -> str:
    literals = map(re.escape, _WILDCARD.split(entry))
    wildcards = [found if found != "?" else "." for found in _WILDCARD.findall(entry)]
    return "".join(literal + wildcard for literal, wildcard in zip(literals, [*wildcards, ""], strict=True))
