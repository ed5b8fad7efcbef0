"""Rolling codes up: from a code to its category or chapter, to a depth that can differ between systems.

The Medicare claim encoder rolls diagnoses and procedures up to chapters to keep its vocabulary small (Lahlou et al.,
2021, section 3.1.3). What is lost by it can be measured by asking for another depth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from claim_transformers.codes.backoff import UNKNOWN_SYSTEM
from claim_transformers.codes.chapters import code_chapter
from claim_transformers.codes.groupers import category_rules
from claim_transformers.codes.normalize import as_dictionary
from claim_transformers.codes.rules import CategoryRules
from claim_transformers.codes.systems import SYSTEM_TITLES, check_system

CODE, CATEGORY, CHAPTER = "code", "category", "chapter"
DEPTHS = (CODE, CATEGORY, CHAPTER)


@dataclass(frozen=True)
class RollUp:
    """How far codes are rolled up.

    A code takes the place of itself (`code`), its category (`category`, see [`category_rules`]) or its chapter
    (`chapter`, see [`code_chapter`]). A system without chapters stops at its categories. A code that no group of its
    system holds becomes `UNK/SYSTEM`, so that rolling up never loses that something was billed. Tokens that are no
    codes, such as `PAID/5`, stay as they are.

    Args:
        depth (`str`, *optional*, defaults to `"chapter"`): `"code"`, `"category"` or `"chapter"`.
        depth_of_system (`Mapping[str, str]`, *optional*): Another depth for single systems.
        rules (`CategoryRules`, *optional*, defaults to `category_rules()`): The categories.

    Raises:
        ValueError: If a depth or a system is unknown.

    Examples:
        >>> codes = ["ICD9CM/49392", "HCPCS/99213", "DRG/470", "NDC/00093014505", "ICD9CM/00000", "PAID/5"]
        >>> RollUp("chapter", {"HCPCS": "category"}).codes(codes).to_pylist()
        ['ICD9CHAPTER/8', 'HCPCSGROUP/992', 'MDC/08', 'NDC9/000930145', 'UNK/ICD9CM', 'PAID/5']
        >>> RollUp("category").code("ICD9CM/49392")
        'CCS/128'
        >>> RollUp("leaf")
        Traceback (most recent call last):
            ...
        ValueError: expected one of the depths code, category, chapter, found 'leaf'
    """

    depth: str = CHAPTER
    depth_of_system: Mapping[str, str] = field(default_factory=dict)
    rules: CategoryRules = field(default_factory=category_rules)

    def __post_init__(self) -> None:
        for system in self.depth_of_system:
            check_system(system)
        for depth in (self.depth, *self.depth_of_system.values()):
            if depth not in DEPTHS:
                raise ValueError(f"expected one of the depths {', '.join(DEPTHS)}, found {depth!r}")

    def code(self, code: str) -> str:
        """Roll one code up.

        Args:
            code (`str`): `SYSTEM/CODE`, or a token of another kind.

        Returns:
            `str`: What takes its place.
        """
        system = code.partition("/")[0]
        depth = self.depth_of_system.get(system, self.depth)
        if depth == CODE or system not in SYSTEM_TITLES:
            return code
        category = self.rules.category(code)
        group = (code_chapter(code) or self._above(system, category)) if depth == CHAPTER else category
        return group or f"{UNKNOWN_SYSTEM}/{system}"

    def codes(self, codes: Sequence[str] | pa.Array | pa.ChunkedArray) -> pa.Array:
        """Roll a column of codes up, working on its distinct values.

        Args:
            codes (`Sequence[str]`, `pa.Array` or `pa.ChunkedArray`): Codes; null stays null.

        Returns:
            `pa.Array` of string: What takes their places, in their order.
        """
        array = codes if isinstance(codes, pa.Array | pa.ChunkedArray) else pa.array(codes, pa.string())
        encoded = as_dictionary(array)
        groups = pa.array([self.code(code) for code in encoded.dictionary.to_pylist()], pa.string())
        return groups.take(encoded.indices)

    @staticmethod
    def _above(system: str, category: str | None) -> str | None:
        """The category where a system has no chapters; a code of another system that is in no chapter has nothing."""
        return category if system in _WITHOUT_CHAPTERS else None


_WITHOUT_CHAPTERS = ("NDC", "DRUG", "REV", "POS", "DISP")
