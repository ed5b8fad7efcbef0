"""Chapters: the coarsest groups that code systems print themselves.

Diagnoses have the chapters of their ICD ([`chapter_of`]). Procedures of ICD-9-CM volume 3 have 18 chapters, told by
their first two digits; those of ICD-10-PCS have sections, their first character. HCPCS level II has a letter for each
section, level I the ranges of its sections, of which only the bounds are used here. A diagnosis-related group belongs
to a major diagnostic category (CMS, *MS-DRG Definitions Manual*, appendix A, public domain). Drugs, revenue centers,
places and dispositions have nothing above their category.
"""

import bisect
import functools
import itertools
import string
from typing import Any

from claim_transformers.codes.groupers import chapter_of
from claim_transformers.codes.rules import CategoryRules, compact_prefixes
from claim_transformers.codes.sections import LEVEL_I_SUFFIXES, drg_category, hcpcs_section
from claim_transformers.codes.systems import split_code

# First two digits with which each chapter of ICD-9-CM volume 3 begins.
_ICD9PCS_CHAPTERS = (
    (0, "0"), (1, "1"), (6, "2"), (8, "3"), (17, "3A"), (18, "4"), (21, "5"), (30, "6"), (35, "7"), (40, "8"),
    (42, "9"), (55, "10"), (60, "11"), (65, "12"), (72, "13"), (76, "14"), (85, "15"), (87, "16"),
)  # fmt: skip
_ICD9PCS_STARTS = [start for start, _ in _ICD9PCS_CHAPTERS]


def _code_chapter(code: str) -> str | None:
    """Return the chapter of a code of any system."""
    system, bare = split_code(code)
    match system:
        case "ICD9CM" | "ICD10CM":
            return chapter_of(code)
        case "ICD9PCS":
            return _icd9pcs_chapter(bare)
        case "ICD10PCS":
            return f"ICD10PCSSECTION/{bare[0]}"
        case "HCPCS":
            return hcpcs_section(bare)
        case "DRG":
            return drg_category(bare)
    return None


@functools.cache
def chapter_rules() -> dict[str, Any]:
    """Write the chapters of all codes as a table of prefixes, small enough to travel with a tokenizer.

    Looking a code of any public list up in the table gives what [`_code_chapter`] gives.
    """
    digits, letters = string.digits, string.ascii_uppercase
    # Categories of diagnoses (an E code of ICD-9-CM has one of four characters), two digits of ICD-9-CM procedures.
    candidates = [
        *(f"ICD9CM/{''.join(text)}" for text in itertools.product(digits + "V", digits, digits)),
        *(f"ICD9CM/E{''.join(text)}" for text in itertools.product(digits, repeat=3)),
        *(f"ICD10CM/{''.join(text)}" for text in itertools.product(letters, digits + letters, digits + letters)),
        *(f"ICD9PCS/{''.join(text)}" for text in itertools.product(digits, repeat=2)),
        *(f"DRG/{''.join(text)}" for text in itertools.product(digits, repeat=3)),
        *(f"HCPCS/{letter}" for letter in letters),
    ]
    prefixes = {code: chapter for code in candidates if (chapter := _code_chapter(code)) is not None}
    # The first digit tells the section of level I, but within the last thousand, where evaluation begins and ends.
    prefixes |= {f"HCPCS/{digit}": _code_chapter(f"HCPCS/{digit}0000") or "" for digit in digits}
    last_thousand = {f"HCPCS/{number}": _code_chapter(f"HCPCS/{number}") or "" for number in range(99_000, 100_000)}
    prefixes |= compact_prefixes(last_thousand, min_length=3)
    return {
        **CategoryRules(prefixes, {"ICD10PCS": ("ICD10PCSSECTION", 1)}).to_dict(),
        "last_characters": {
            "HCPCS": {letter: f"HCPCSSECTION/{name}" for letter, name in sorted(LEVEL_I_SUFFIXES.items())}
        },
    }


def _icd9pcs_chapter(bare: str) -> str | None:
    if not (len(bare) >= 2 and bare[:2].isascii() and bare[:2].isdigit()):
        return None
    place = bisect.bisect_right(_ICD9PCS_STARTS, int(bare[:2])) - 1
    return f"ICD9PCSCHAPTER/{_ICD9PCS_CHAPTERS[place][1]}"
