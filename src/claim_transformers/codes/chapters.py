"""Chapters: the coarsest groups that code systems print themselves.

Diagnoses have the chapters of their ICD ([`chapter_of`]). Procedures of ICD-9-CM volume 3 have 18 chapters, told by
their first two digits; those of ICD-10-PCS have sections, their first character. HCPCS level II has a letter for each
section, level I the ranges of its sections, of which only the bounds are used here. A diagnosis-related group belongs
to a major diagnostic category (CMS, *MS-DRG Definitions Manual*, appendix A, public domain). Drugs, revenue centers,
places and dispositions have nothing above their category.
"""

import bisect

from claim_transformers.codes.groupers import chapter_of
from claim_transformers.codes.systems import split_code

# First two digits with which each chapter of ICD-9-CM volume 3 begins.
_ICD9PCS_CHAPTERS = (
    (0, "0"),
    (1, "1"),
    (6, "2"),
    (8, "3"),
    (17, "3A"),
    (18, "4"),
    (21, "5"),
    (30, "6"),
    (35, "7"),
    (40, "8"),
    (42, "9"),
    (55, "10"),
    (60, "11"),
    (65, "12"),
    (72, "13"),
    (76, "14"),
    (85, "15"),
    (87, "16"),
)
_ICD9PCS_STARTS = [start for start, _ in _ICD9PCS_CHAPTERS]

# First code of each run of MS-DRGs in one major diagnostic category; PRE before any category is chosen, ALL in all of
# them. Obstetrics and blood diseases were extended later and lie apart.
_DRG_CATEGORIES = (
    (1, "PRE"),
    (20, "01"),
    (113, "02"),
    (129, "03"),
    (163, "04"),
    (215, "05"),
    (326, "06"),
    (405, "07"),
    (453, "08"),
    (570, "09"),
    (614, "10"),
    (650, "11"),
    (707, "12"),
    (734, "13"),
    (765, "14"),
    (789, "15"),
    (796, "14"),
    (799, "16"),
    (805, "14"),
    (808, "16"),
    (817, "14"),
    (820, "17"),
    (831, "14"),
    (834, "17"),
    (853, "18"),
    (876, "19"),
    (894, "20"),
    (901, "21"),
    (927, "22"),
    (939, "23"),
    (955, "24"),
    (969, "25"),
    (981, "ALL"),
)
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
_LEVEL_I_SUFFIXES = {"F": "MEASURE", "T": "NEW", "U": "LABORATORY", "M": "LABORATORY"}


def code_chapter(code: str) -> str | None:
    """Return the chapter of a code of any system.

    | system | chapter |
    |---|---|
    | `ICD9CM`, `ICD10CM` | `ICD9CHAPTER/1` to `/19`, `ICD10CHAPTER/1` to `/22` |
    | `ICD9PCS` | `ICD9PCSCHAPTER/0` to `/16`, and `/3A` |
    | `ICD10PCS` | `ICD10PCSSECTION/` and the first character |
    | `HCPCS` | `HCPCSSECTION/` and the letter, or the section of level I |
    | `DRG` | `MDC/01` to `/25`, `/PRE`, `/ALL` |

    Args:
        code (`str`): `SYSTEM/CODE`.

    Returns:
        `str | None`: The chapter; `None` where the system has none or the code is in none.

    Raises:
        ValueError: If the text is not `SYSTEM/CODE` of a known system.
        ImportError: If a diagnosis is asked for and the package of its system is not installed.

    Examples:
        >>> [code_chapter(code) for code in ("ICD9CM/49392", "ICD9PCS/8154", "ICD10PCS/0SRD0J9", "DRG/470")]
        ['ICD9CHAPTER/8', 'ICD9PCSCHAPTER/14', 'ICD10PCSSECTION/0', 'MDC/08']
        >>> [code_chapter(code) for code in ("HCPCS/99213", "HCPCS/J1885", "HCPCS/0001F", "NDC/00093014505")]
        ['HCPCSSECTION/EVALUATION', 'HCPCSSECTION/J', 'HCPCSSECTION/MEASURE', None]
    """
    system, bare = split_code(code)
    match system:
        case "ICD9CM" | "ICD10CM":
            return chapter_of(code)
        case "ICD9PCS":
            return _icd9pcs_chapter(bare)
        case "ICD10PCS":
            return f"ICD10PCSSECTION/{bare[0]}"
        case "HCPCS":
            return _hcpcs_section(bare)
        case "DRG":
            return _drg_category(bare)
    return None


def _icd9pcs_chapter(bare: str) -> str | None:
    if not (len(bare) >= 2 and bare[:2].isascii() and bare[:2].isdigit()):
        return None
    place = bisect.bisect_right(_ICD9PCS_STARTS, int(bare[:2])) - 1
    return f"ICD9PCSCHAPTER/{_ICD9PCS_CHAPTERS[place][1]}"


def _hcpcs_section(bare: str) -> str | None:
    if bare[0].isalpha():
        return f"HCPCSSECTION/{bare[0]}"
    if bare[-1] in _LEVEL_I_SUFFIXES:
        return f"HCPCSSECTION/{_LEVEL_I_SUFFIXES[bare[-1]]}"
    if not bare.isdigit():
        return None
    section = "EVALUATION" if int(bare) in _EVALUATION else _LEVEL_I_SECTIONS[bare[0]]
    return f"HCPCSSECTION/{section}"


def _drg_category(bare: str) -> str | None:
    if not bare.isdigit() or not 0 < int(bare) < _FIRST_UNGROUPABLE_DRG:
        return None
    return f"MDC/{_DRG_CATEGORIES[bisect.bisect_right(_DRG_STARTS, int(bare)) - 1][1]}"
