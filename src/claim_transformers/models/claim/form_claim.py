"""Form of the claims that a tokenizer reads: how far codes are rolled up, which numbers become bins, what is left out.

The Medicare claim encoder writes a stay in groups of codes and quantiles of amounts (Lahlou et al., 2021, section
3.1.3). The form is data and belongs to the tokenizer as its vocabulary does. This file writes one patient at a time;
`form_table_claim.py` writes tables, to the same codes.
"""

import json
import math
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .canonical_claim import CODE_SYSTEMS, canonical_code
from .categories_claim import CodeCategories
from .damage_claim import naming_file, read_json_object, refuse_irregular

FORM_FILE = "form.json"
_FORM_VERSION = 2
# Before version 2 a form was two files beside the tokenizer's, and its rules were those of the tokenizer.
OLD_FORM_FILE, OLD_COUNTY_FILE = "sequence_form.json", "county_bins.json"

_CODE, _CATEGORY, CHAPTER = "code", "category", "chapter"
DEPTHS = (_CODE, _CATEGORY, CHAPTER)
PAID, STAY_LENGTH, COUNTY = "PAID", "LOS", "COUNTY"
# The column behind each number, and the columns that a form reads beside those of every tokenizer.
NUMBER_COLUMNS = {PAID: "visit_amount", STAY_LENGTH: "length_of_stay_days"}
FORM_COLUMNS = (*NUMBER_COLUMNS.values(), "county_measures")
_HIDEABLE = ("sex", "race", "county", "disposition")
_HIDDEN_OF_PATIENT = {"race": "RACE/", "county": f"{COUNTY}/"}
_DISPOSITION = "DISP/"

# Groups that some form writes, with the depth that leads to them and the systems that they come from. Drugs, revenue
# centers, places and dispositions have no chapters and stop at their category.
_GROUPS = {
    "CCS": (_CATEGORY, ("ICD9CM",)),
    "CCSR": (_CATEGORY, ("ICD9CM", "ICD10CM")),
    "CCSPR": (_CATEGORY, ("ICD9PCS", "ICD10PCS", "HCPCS")),
    "ICD9PCSGROUP": (_CATEGORY, ("ICD9PCS",)),
    "ICD10PCSGROUP": (_CATEGORY, ("ICD10PCS",)),
    "HCPCSGROUP": (_CATEGORY, ("HCPCS",)),
    "NDC9": (_CATEGORY, ("NDC",)),
    "REVGROUP": (_CATEGORY, ("REV",)),
    "ICD9CHAPTER": (CHAPTER, ("ICD9CM",)),
    "ICD10CHAPTER": (CHAPTER, ("ICD10CM",)),
    "ICD9PCSCHAPTER": (CHAPTER, ("ICD9PCS",)),
    "ICD10PCSSECTION": (CHAPTER, ("ICD10PCS",)),
    "HCPCSSECTION": (CHAPTER, ("HCPCS",)),
    "MDC": (CHAPTER, ("DRG",)),
}
_WITHOUT_CHAPTERS = ("NDC", "DRUG", "REV", "POS", "DISP")

_Edges = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class ClaimForm:
    """How codes and numbers of claims are written before they become tokens.

    Writing is idempotent: patients that are written in this form already pass unchanged. Those of another form are
    refused, told by groups that this one does not write and by bins that their own amounts contradict.

    Args:
        depth (`str`, *optional*, defaults to `"chapter"`):
            `"code"`, `"category"` or `"chapter"`. A code that no group of its system holds becomes `UNK/SYSTEM`; a
            token of another kind stays.
        depth_of_system (`Mapping[str, str]`, *optional*): Another depth for single systems.
        bins (`Mapping[str, tuple[float, ...]]`, *optional*):
            Ascending edges of `PAID` (`visit_amount`, US dollars) and `LOS` (`length_of_stay_days`). A value on an
            edge lies above it.
        county_bins (`Mapping[str, tuple[float, ...]]`, *optional*): Edges of county measures by name.
        hide (`Collection[str]`, *optional*): What is left out: `"sex"`, `"race"`, `"county"`, `"disposition"`.
        categories (`CodeCategories` or what its `parse` reads, *optional*): From code to category.
        chapters (`CodeCategories` or what its `parse` reads, *optional*):
            From code to chapter. Without them a code that is to become a chapter is refused.

    Raises:
        ValueError: If a depth, a system, a number or something to hide is unknown, or edges do not ascend.

    Examples:
        >>> form = ClaimForm("category", bins={"LOS": (3.0,)}, categories={"ICD9CM/428": "CCS/108"})
        >>> form.write_visits([["ICD9CM/4280", "DISP/01"], ["CCS/108", "NDC/1"]], [None, None], 4)
        [['CCS/108', 'UNK/DISP'], ['CCS/108', 'UNK/NDC', 'LOS/1']]
        >>> form.write_visits([["ICD9CHAPTER/7"]], [None], None)
        Traceback (most recent call last):
        ValueError: expected claims, or claims in the form of the tokenizer (category), found codes of ICD9CHAPTER: ...
    """

    depth: str = CHAPTER
    depth_of_system: Mapping[str, str] = field(default_factory=dict)
    bins: _Edges = field(default_factory=dict)
    county_bins: _Edges = field(default_factory=dict)
    hide: Collection[str] = ()
    categories: CodeCategories = field(default_factory=CodeCategories, compare=False)
    chapters: CodeCategories | None = field(default=None, compare=False)

    def writes_like(self, other: "ClaimForm") -> bool:
        """Whether both give the same tokens to what neither hides."""
        return (self.depth, dict(self.depth_of_system), self.bins) == (
            other.depth,
            dict(other.depth_of_system),
            other.bins,
        )

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.hide) - set(_HIDEABLE)):
            raise ValueError(f"expected to hide some of {', '.join(_HIDEABLE)}, found {', '.join(unknown)}")
        if set(self.depth_of_system) - set(CODE_SYSTEMS):
            raise ValueError(f"expected one of the code systems {', '.join(CODE_SYSTEMS)}, found another name")
        for depth in (self.depth, *self.depth_of_system.values()):
            if depth not in DEPTHS:
                raise ValueError(f"expected one of the depths {', '.join(DEPTHS)}, found {depth!r:.40}")
        if unknown := sorted(set(self.bins) - set(NUMBER_COLUMNS)):
            raise ValueError(f"expected bins of {', '.join(NUMBER_COLUMNS)}, found {', '.join(unknown)}")
        parts = {
            "hide": tuple(sorted(set(self.hide))),
            "bins": _checked(self.bins),
            "county_bins": _checked(self.county_bins),
            "categories": CodeCategories.parse(self.categories),
            "chapters": None if self.chapters is None else CodeCategories.parse(self.chapters),
        }
        for name, value in parts.items():
            object.__setattr__(self, name, value)

    # ---- Codes ----

    def depth_of(self, system: str) -> str:
        """How far the codes of a system are rolled up."""
        return self.depth_of_system.get(system, self.depth)

    def group(self, code: str) -> str | None:
        """What takes the place of a code of a visit; `None` where it is left out."""
        code = canonical_code(code)
        if self.hides(code):
            return None
        system = code.partition("/")[0]
        if system not in CODE_SYSTEMS:
            self._refuse_foreign(code, system)
            return code
        depth = self._reach(system)
        if depth == _CODE:
            return code
        rules = self.categories if depth == _CATEGORY else self.chapters
        if rules is None or rules.is_empty:
            raise ValueError(
                f"expected a form with the {'categories' if depth == _CATEGORY else 'chapters'} of {system} to roll "
                "it up, found one without: the tokenizer is of an old format; write sequences by claim-transformers "
                "sequences COHORT OUT --form-of CHECKPOINT"
            )
        return rules.category(code) or f"UNK/{system}"

    def hides(self, code: str) -> bool:
        """Whether a code of a visit is left out."""
        return "disposition" in self.hide and code.startswith(_DISPOSITION)

    def systems_in_categories(self) -> frozenset[str]:
        """The systems whose codes become categories."""
        return frozenset(system for system in CODE_SYSTEMS if self._reach(system) == _CATEGORY)

    def _reach(self, system: str) -> str:
        """The depth that codes of a system end at."""
        depth = self.depth_of(system)
        return _CATEGORY if depth == CHAPTER and system in _WITHOUT_CHAPTERS else depth

    def number_words(self, name: str) -> list[str]:
        """Every token that a number can become, by bin."""
        return [f"{name}/{place}" for place in range(len(self.bins[name]) + 1)]

    def county_words(self, name: str) -> list[str]:
        """Every token that a county measure can become, by bin."""
        return [f"{COUNTY}/{name}-{place}" for place in range(len(self.county_bins[name]) + 1)]

    def hidden_prefixes(self) -> list[str]:
        """Beginnings of the codes of a patient that are left out."""
        return [prefix for name, prefix in _HIDDEN_OF_PATIENT.items() if name in self.hide]

    def _refuse_foreign(self, code: str, system: str) -> None:
        """Stop at a token that another form wrote."""
        if system in NUMBER_COLUMNS:
            is_own = system in self.bins and code in self.number_words(system)
        elif system in _GROUPS:
            depth, sources = _GROUPS[system]
            is_own = any(self._reach(source) == depth for source in sources)
        else:
            is_own = True
        if not is_own:
            raise ValueError(
                f"expected claims, or claims in the form of the tokenizer ({self.depth}), found codes of {system}: "
                "they are written in another form; give the cohort itself"
            )

    # ---- One patient ----

    def write_visits(
        self, codes: Sequence[Iterable[str]], amounts: Sequence[float | None], stay_length_days: float | None
    ) -> list[list[str]]:
        """Write the codes and numbers of a patient's visits.

        Args:
            codes (`Sequence[Iterable[str]]`): Codes of each visit, the last one of the index stay.
            amounts (`Sequence[float or None]`): US dollars paid for each visit, `None` where unknown.
            stay_length_days (`float` or `None`): Days of the index stay.

        Returns:
            `list[list[str]]`: Codes of each visit: groups sorted, then the bins of its numbers.

        Raises:
            ValueError: If codes are written in another form.
        """
        written = []
        for visit, (raw, amount) in enumerate(zip(codes, amounts, strict=True)):
            groups = {group for code in raw if (group := self.group(code)) is not None}
            # As a table holds amounts, in single precision: an edge is such a value.
            numbers = {PAID: None if amount is None else float(np.float32(amount))}
            numbers[STAY_LENGTH] = stay_length_days if visit == len(codes) - 1 else None
            given = {word for word in groups if word.partition("/")[0] in self.bins}
            written.append([*sorted(groups - given), *self._number_codes(numbers, given)])
        return written

    def write_patient_codes(self, codes: Iterable[str], county_measures: Mapping[str, Any] | None) -> list[str]:
        """Write the codes of a patient that belong to no visit; measures take the place of `COUNTY/` codes."""
        left_out = tuple(self.hidden_prefixes())
        bin_measures = county_measures is not None and bool(self.county_bins)
        kept = [
            code
            for code in map(canonical_code, codes)
            if not code.startswith(left_out) and not (bin_measures and code.startswith(f"{COUNTY}/"))
        ]
        if not bin_measures or county_measures is None or "county" in self.hide:
            return kept
        for name in sorted(self.county_bins):
            place = _place(self.county_bins[name], county_measures.get(name))
            kept += [] if place is None else [self.county_words(name)[place]]
        return kept

    def _number_codes(self, numbers: Mapping[str, float | None], given: set[str]) -> list[str]:
        """Bins of the numbers of a visit, and those that it brought, which must not differ."""
        words: list[str] = []
        for name in NUMBER_COLUMNS:
            if name not in self.bins:
                continue
            place = _place(self.bins[name], numbers[name])
            own = {word for word in given if word.startswith(f"{name}/")}
            own |= set() if place is None else {self.number_words(name)[place]}
            if len(own) > 1:
                raise ValueError(other_bins(name))
            words += own
        return words

    # ---- Files ----

    def to_dict(self) -> dict[str, Any]:
        """The form as plain values, without the categories, which the tokenizer saves for itself."""
        return {
            "version": _FORM_VERSION,
            "depth": self.depth,
            "depth_of_system": dict(sorted(self.depth_of_system.items())),
            "bins": {name: list(edges) for name, edges in sorted(self.bins.items())},
            "county_bins": {name: list(edges) for name, edges in sorted(self.county_bins.items())},
            "hide": list(self.hide),
            "chapters": None if self.chapters is None else self.chapters.to_dict(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], categories: Any = None) -> "ClaimForm":
        """Read what [`~ClaimForm.to_dict`] wrote, or the `sequence_form.json` of version 1.

        Raises:
            ValueError: If the content is no form, or newer than this code.
        """
        version = content.get("version")
        if version not in (1, _FORM_VERSION):
            raise ValueError(
                f"expected a form of version {_FORM_VERSION} or older, found {version!r:.40}; write it again"
            )
        try:
            bins = content["bins"] if version == _FORM_VERSION else content["bins"]["edges"]
            return cls(
                content["depth"],
                dict(content["depth_of_system"]),
                bins,
                content.get("county_bins", {}),
                tuple(content["hide"]),
                CodeCategories.parse(categories),
                content.get("chapters"),
            )
        except (AttributeError, KeyError, OverflowError, TypeError) as error:
            raise ValueError(
                f"expected a form with depth, bins and hide, found other content ({type(error).__name__})"
            ) from error

    def save(self, folder: str | Path) -> Path:
        """Write `form.json` into a folder of sequences or of a checkpoint."""
        path = Path(folder, FORM_FILE)
        path.write_text(json.dumps(self.to_dict(), indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, folder: str | Path, categories: Any = None) -> "ClaimForm":
        """Read the form of a folder of sequences or of a checkpoint, in the files of any version.

        Raises:
            ValueError: If the folder has none, or one that is not understood.
        """
        refuse_irregular(folder, FORM_FILE, OLD_FORM_FILE, OLD_COUNTY_FILE)
        form, old, counties = (Path(folder, name) for name in (FORM_FILE, OLD_FORM_FILE, OLD_COUNTY_FILE))
        if form.is_file():
            return read_form(form, None, None, categories)
        if not old.is_file():
            raise ValueError(
                f"expected {FORM_FILE} in the folder {Path(folder).name!r}, found none: it holds no sequences, and no "
                "checkpoint that learned from sequences"
            )
        return read_form(None, old, counties if counties.is_file() else None, categories)


def read_form(
    form_file: str | Path | None, old_file: str | Path | None, old_county_file: str | Path | None, categories: Any
) -> ClaimForm:
    """Read a form from `form.json`, or from the two files that it was before."""
    content = read_json_object(str(form_file or old_file))
    if form_file is None and old_county_file is not None:
        content["county_bins"] = read_json_object(old_county_file).get("edges", {})
    with naming_file(str(form_file or old_file)):
        return ClaimForm.from_dict(content, categories)


def form_by(form: Any, rules: CodeCategories) -> ClaimForm:
    """A form that rolls codes up by the rules of the tokenizer."""
    return replace(form, categories=rules) if isinstance(form, ClaimForm) else ClaimForm.from_dict(form, rules)


def other_bins(name: str) -> str:
    """What to say of a visit whose token of a number is not that of its number."""
    return (
        f"expected {name}/ codes in the bins of the tokenizer, found others: the claims are written in another form; "
        "give the cohort itself"
    )


def _checked(edges: Mapping[str, Iterable[float]]) -> dict[str, tuple[float, ...]]:
    """Edges as numbers, refused where they do not ascend."""
    found = {str(name): tuple(float(edge) for edge in column) for name, column in edges.items()}
    is_text = any(isinstance(column, str) for column in edges.values())
    is_endless = not all(math.isfinite(edge) for column in found.values() for edge in column)
    if is_text or is_endless or any(high <= low for column in found.values() for low, high in pairwise(column)):
        raise ValueError("expected ascending edges of bins, finite numbers, found others; learn them again")
    return found


def _place(edges: tuple[float, ...], value: Any) -> int | None:
    """Bin of a value, `None` for an unknown one."""
    return None if value is None or not np.isfinite(value) else bisect_right(edges, value)
