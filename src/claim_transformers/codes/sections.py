"""Sections: what is wider than a category, so that a code of any list ends in something that a model has learned.

A CCSR category belongs to a body system, the letters of its name. The procedure categories of CCS have the 16 sections
of AHRQ's multi-level CCS, and so have procedures that no category lists, by the part of the body that they name. HCPCS
level II has a letter for each section, level I the ranges of its sections, of which only the bounds are used here. A
diagnosis-related group belongs to a major diagnostic category (CMS, *MS-DRG Definitions Manual*, appendix A, public
domain), an ingredient to a therapeutic class.
"""

import bisect
import itertools
import string
from collections.abc import Collection, Mapping

from claim_transformers.codes.normalize import normalize_code

# First code of each run of MS-DRGs in one major diagnostic category; PRE before any category is chosen, ALL in all of
# them. Obstetrics and blood diseases were extended later and lie apart.
_DRG_CATEGORIES = (
    (1, "PRE"), (20, "01"), (113, "02"), (129, "03"), (163, "04"), (215, "05"), (326, "06"), (405, "07"), (453, "08"),
    (570, "09"), (614, "10"), (650, "11"), (707, "12"), (734, "13"), (765, "14"), (789, "15"), (796, "14"),
    (799, "16"), (805, "14"), (808, "16"), (817, "14"), (820, "17"), (831, "14"), (834, "17"), (853, "18"),
    (876, "19"), (894, "20"), (901, "21"), (927, "22"), (939, "23"), (955, "24"), (969, "25"), (981, "ALL"),
)  # fmt: skip
_DRG_STARTS = [start for start, _ in _DRG_CATEGORIES]
_FIRST_UNGROUPABLE_DRG = 998

_EVALUATION = range(99201, 99500)
_LEVEL_I_SECTIONS = {
    "0": "ANESTHESIA",
    **dict.fromkeys("123456", "SURGERY"),
    "7": "RADIOLOGY",
    "8": "LABORATORY",
    "9": "MEDICINE",
}
LEVEL_I_SUFFIXES = {"F": "MEASURE", "T": "NEW", "U": "LABORATORY", "M": "LABORATORY"}

# First CCS category of each section of procedures, and how many categories there are.
_PROCEDURE_STARTS = (1, 10, 13, 22, 27, 34, 43, 64, 68, 100, 113, 119, 133, 142, 165, 176)
_PROCEDURE_CATEGORIES = 231
# Sections of CCS by the chapters of ICD-9-CM procedures (first two digits), and by what ICD-10-PCS says of the body:
# the first two characters, or the first of a section that is none of surgery.
_ICD9PCS_SECTIONS = (
    (0, 16), (1, 1), (6, 2), (8, 3), (17, 16), (18, 4), (21, 5), (30, 6), (35, 7), (40, 8), (42, 9), (55, 10),
    (60, 11), (65, 12), (72, 13), (76, 14), (85, 15), (87, 16),
)  # fmt: skip
_ICD10PCS_SECTIONS = {
    "00": 1, "01": 1, "02": 7, "03": 7, "04": 7, "05": 7, "06": 7, "07": 8, "08": 3, "0B": 6, "0C": 5, "0D": 9,
    "0F": 9, "0G": 2, "0H": 15, "0J": 15, "0K": 14, "0L": 14, "0M": 14, "0N": 14, "0P": 14, "0Q": 14, "0R": 14,
    "0S": 14, "0T": 10, "0U": 12, "0V": 11, "0": 16, "1": 13, **dict.fromkeys("23456789BCDFGHX", 16),
}  # fmt: skip
# An external cause stands for an injury where nothing is known of causes.
_STAND_IN = {"BODYSYSTEM/EXT": "BODYSYSTEM/INJ"}
_BODY_SYSTEMS = (
    "BLD", "CIR", "DIG", "DEN", "EAR", "END", "EXT", "EYE", "FAC", "GEN", "INF", "INJ", "MAL", "MBD", "MUS", "NEO",
    "NVS", "PNL", "PRG", "RSP", "SKN", "SYM",
)  # fmt: skip
_FIRST_CHARACTERS = string.digits + string.ascii_uppercase


def hcpcs_section(bare: str) -> str | None:
    """Name the section of a HCPCS code: the letter of level II, what level I calls the range of its number."""
    if bare[0].isalpha():
        return f"HCPCSSECTION/{bare[0]}"
    if bare[-1] in LEVEL_I_SUFFIXES:
        return f"HCPCSSECTION/{LEVEL_I_SUFFIXES[bare[-1]]}"
    if not bare.isdigit():
        return None
    section = "EVALUATION" if int(bare) in _EVALUATION else _LEVEL_I_SECTIONS[bare[0]]
    return f"HCPCSSECTION/{section}"


def drg_category(bare: str) -> str | None:
    """Name the major diagnostic category of a diagnosis-related group."""
    if not bare.isdigit() or not 0 < int(bare) < _FIRST_UNGROUPABLE_DRG:
        return None
    return f"MDC/{_DRG_CATEGORIES[bisect.bisect_right(_DRG_STARTS, int(bare)) - 1][1]}"


def wider_groups(systems: Collection[str], drug_classes: Mapping[str, str] | None) -> dict[str, str]:
    """Name what is wider than the categories of some systems; a key that ends with `*` is a beginning."""
    wider: dict[str, str] = {}
    if {"ICD9CM", "ICD10CM"} & set(systems):
        wider |= {f"CCSR/{letters}*": f"BODYSYSTEM/{letters}" for letters in _BODY_SYSTEMS} | _STAND_IN
    if {"ICD9PCS", "ICD10PCS", "HCPCS"} & set(systems):
        for number in range(1, _PROCEDURE_CATEGORIES + 1):
            section = bisect.bisect_right(_PROCEDURE_STARTS, number)
            wider[f"CCSPR/{number}"] = f"CCSPRSECTION/{section}"
    if "ICD9PCS" in systems:
        starts = [start for start, _ in _ICD9PCS_SECTIONS]
        for digits in range(100):
            section = _ICD9PCS_SECTIONS[bisect.bisect_right(starts, digits) - 1][1]
            wider[f"ICD9PCSGROUP/{digits:02d}"] = f"CCSPRSECTION/{section}"
    if "ICD10PCS" in systems:
        wider |= {
            f"ICD10PCSGROUP/{begins}*": f"CCSPRSECTION/{section}" for begins, section in _ICD10PCS_SECTIONS.items()
        }
    if "HCPCS" in systems:
        wider |= {f"HCPCSGROUP/{first}*": hcpcs_section(f"{first}0000") or "" for first in _FIRST_CHARACTERS}
        evaluation = sorted({str(code)[:3] for code in _EVALUATION})
        wider |= {f"HCPCSGROUP/{group}": hcpcs_section(f"{group}99") or "" for group in evaluation}
    if "DRG" in systems:
        numbers = map("".join, itertools.product(string.digits, repeat=3))
        wider |= {f"DRG/{number}": group for number in numbers if (group := drg_category(number)) is not None}
    if {"NDC", "DRUG"} & set(systems):
        classes = (drug_classes or {}).items()
        wider |= {f"DRUG/{normalize_code('DRUG', name)}": f"EPC/{group}" for name, group in classes}
    return wider
