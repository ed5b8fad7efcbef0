"""Charlson comorbidities read off diagnosis codes.

The code prefixes are those of Quan et al., "Coding algorithms for defining comorbidities in ICD-9-CM and ICD-10
administrative data" (Medical Care 43:1130, 2005), table 1, enhanced ICD-9-CM and ICD-10. The ICD-10 list is that of
the WHO edition; ICD-10-CM codes begin alike, but its own additions (C4A, C7A, C7B among tumours) are not in the list.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from claim_transformers.codes import CategoryRules, category_of

_ICD9CM = {
    "myocardial infarction": "410 412",
    "congestive heart failure": "39891 40201 40211 40291 40401 40403 40411 40413 40491 40493 4254-4259 428",
    "peripheral vascular disease": "0930 4373 440 441 4431-4439 4471 5571 5579 V434",
    "cerebrovascular disease": "36234 430-438",
    "dementia": "290 2941 3312",
    "chronic pulmonary disease": "4168 4169 490-505 5064 5081 5088",
    "connective tissue disease": "4465 7100-7104 7140-7142 7148 725",
    "peptic ulcer disease": "531-534",
    "mild liver disease": "07022 07023 07032 07033 07044 07054 0706 0709 570 571 5733 5734 5738 5739 V427",
    "diabetes": "2500-2503 2508 2509",
    "diabetes with complications": "2504-2507",
    "paralysis": "3341 342 343 3440-3446 3449",
    "renal disease": "40301 40311 40391 40402 40403 40412 40413 40492 40493 582 5830-5837 585 586 5880 V420 V451 V56",
    "cancer": "140-172 174-194 1950-1958 200-208 2386",
    "severe liver disease": "4560-4562 5722-5728",
    "metastatic cancer": "196-199",
    "AIDS": "042-044",
}
_ICD10CM = {
    "myocardial infarction": "I21 I22 I252",
    "congestive heart failure": "I099 I110 I130 I132 I255 I420 I425-I429 I43 I50 P290",
    "peripheral vascular disease": "I70 I71 I731 I738 I739 I771 I790 I792 K551 K558 K559 Z958 Z959",
    "cerebrovascular disease": "G45 G46 H340 I60-I69",
    "dementia": "F00-F03 F051 G30 G311",
    "chronic pulmonary disease": "I278 I279 J40-J47 J60-J67 J684 J701 J703",
    "connective tissue disease": "M05 M06 M315 M32-M34 M351 M353 M360",
    "peptic ulcer disease": "K25-K28",
    "mild liver disease": "B18 K700-K703 K709 K713-K715 K717 K73 K74 K760 K762-K764 K768 K769 Z944",
    "diabetes": "E100 E101 E106 E108 E109 E110 E111 E116 E118 E119 E120 E121 E126 E128 E129 E130 E131 E136 E138 E139 "
    "E140 E141 E146 E148 E149",
    "diabetes with complications": "E102-E105 E107 E112-E115 E117 E122-E125 E127 E132-E135 E137 E142-E145 E147",
    "paralysis": "G041 G114 G801 G802 G81 G82 G830-G834 G839",
    "renal disease": "I120 I131 N032-N037 N052-N057 N18 N19 N250 Z490-Z492 Z940 Z992",
    "cancer": "C00-C26 C30-C34 C37-C41 C43 C45-C58 C60-C76 C81-C85 C88 C90-C97",
    "severe liver disease": "I850 I859 I864 I982 K704 K711 K721 K729 K765-K767",
    "metastatic cancer": "C77-C80",
    "AIDS": "B20-B22 B24",
}
_COMORBIDITIES = tuple(_ICD9CM)

# Charlson et al., 1987, table 3, on the 17 conditions of Quan et al.
CHARLSON_WEIGHTS: Mapping[str, int] = MappingProxyType(
    dict(zip(_COMORBIDITIES, (1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 6, 6), strict=True))
)
# The less severe condition does not count beside the more severe one.
_SUPERSEDED: Mapping[str, str] = MappingProxyType(
    {
        "diabetes": "diabetes with complications",
        "mild liver disease": "severe liver disease",
        "cancer": "metastatic cancer",
    }
)


def _charlson_prefixes() -> dict[str, list[str]]:
    """Return the code prefixes of every condition."""
    return {
        condition: [
            f"{system}/{prefix}"
            for system, lists in (("ICD9CM", _ICD9CM), ("ICD10CM", _ICD10CM))
            for part in lists[condition].split()
            for prefix in _expand(part)
        ]
        for condition in _COMORBIDITIES
    }


def comorbidities_of(codes: pa.Array) -> npt.NDArray[np.bool_]:
    """Say which conditions each code stands for."""
    flags = np.zeros((len(codes), len(_COMORBIDITIES)), bool)
    # One rule set for each condition, because a code may stand for two: hypertensive heart and kidney disease does.
    for column, prefixes in enumerate(_charlson_prefixes().values()):
        found = category_of(codes, CategoryRules(dict.fromkeys(prefixes, "CHARLSON/1")))
        flags[:, column] = found.is_valid().to_numpy(zero_copy_only=False)
    return flags


def charlson_scores(
    flags: npt.NDArray[np.bool_], weights: Mapping[str, int] = CHARLSON_WEIGHTS
) -> npt.NDArray[np.int64]:
    """Add up the weights of the conditions of each patient."""
    missing = [condition for condition in _COMORBIDITIES if condition not in weights]
    if missing:
        raise KeyError(f"expected a weight for every condition, missing {missing}")
    counted = flags.copy()
    for mild, severe in _SUPERSEDED.items():
        counted[:, _COMORBIDITIES.index(mild)] &= ~flags[:, _COMORBIDITIES.index(severe)]
    scores: npt.NDArray[np.int64] = counted @ np.array([weights[condition] for condition in _COMORBIDITIES])
    return scores


def _expand(part: str) -> list[str]:
    """The prefixes of a range such as `I60-I69`, or of a single one."""
    first, _, last = part.partition("-")
    if not last:
        return [first]
    matched = re.fullmatch(r"([A-Z]?)(\d+)", first)
    if matched is None:
        raise ValueError("expected a range of prefixes such as I60-I69, found another form")
    letter, digits = matched.groups()
    return [f"{letter}{number:0{len(digits)}d}" for number in range(int(digits), int(last.removeprefix(letter)) + 1)]
