"""Category of a code by longest prefix: a table small enough to travel with a tokenizer."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from claim_transformers.codes.systems import SYSTEM_TITLES, split_code

_FORMAT_VERSION = 1


@dataclass(frozen=True)
class CategoryRules:
    """Which category a code belongs to.

    The longest key of `prefixes` that the code begins with gives the category. Where none does, the rule of the code's
    system in `prefix_lengths` makes one from the first characters of the code. Where there is no rule either, the code
    has no category.

    Args:
        prefixes (`Mapping[str, str]`): `SYSTEM/PREFIX` to category.
        prefix_lengths (`Mapping[str, tuple[str, int]]`): System to the name of its categories and the number of
            characters kept.
        wider (`Mapping[str, str]`): Category to a wider one, to which a vocabulary without the first backs off. A key
            that ends with `*` stands for all categories that begin so.

    Examples:
        >>> rules = CategoryRules({"ICD9CM/493": "CCS/128"}, {"HCPCS": ("HCPCSGROUP", 3)})
        >>> rules.category("ICD9CM/49392"), rules.category("HCPCS/99213"), rules.category("DRG/470")
        ('CCS/128', 'HCPCSGROUP/992', None)
    """

    prefixes: Mapping[str, str] = field(default_factory=dict)
    prefix_lengths: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    wider: Mapping[str, str] = field(default_factory=dict)

    def prefix_category(self, code: str) -> str | None:
        """Return the category of `SYSTEM/CODE` by longest prefix alone, none where no prefix matches."""
        shortest = code.find("/") + 1
        for length in range(len(code), shortest, -1):
            category = self.prefixes.get(code[:length])
            if category is not None:
                return category
        return None

    def category(self, code: str) -> str | None:
        """Return the category of `SYSTEM/CODE`, if it has one.

        Raises:
            ValueError: If the text is not `SYSTEM/CODE` of a known system.

        Examples:
            >>> CategoryRules(prefix_lengths={"NDC": ("NDC9", 9)}).category("NDC/00093014505")
            'NDC9/000930145'
        """
        system, bare = split_code(code)
        category = self.prefix_category(code)
        if category is None and system in self.prefix_lengths:
            name, length = self.prefix_lengths[system]
            category = f"{name}/{bare[:length]}"
        return category

    def wider_category(self, category: str) -> str | None:
        """Return what is wider than a category, if anything is.

        Examples:
            >>> rules = CategoryRules(wider={"CCSR/RSP*": "BODYSYSTEM/RSP", "DRUG/METFORMIN": "EPC/BIGUANIDE"})
            >>> [rules.wider_category(name) for name in ("CCSR/RSP009", "DRUG/METFORMIN", "DRG/470")]
            ['BODYSYSTEM/RSP', 'EPC/BIGUANIDE', None]
        """
        found = self.wider.get(category)
        for length in range(len(category), category.find("/"), -1) if found is None else ():
            if (found := self.wider.get(f"{category[:length]}*")) is not None:
                break
        return found

    def category_of_token(self, token: str) -> str | None:
        """Return the category of a token of a record, whether it is a code or not, if it has one.

        Records of a model's own form hold more than codes: categories in the place of codes (`CCS/128`), bins of
        numbers (`LOS/1`), `UNK/ICD9CM`. Each of them is its own category.

        Raises:
            ValueError: If there is no slash, or nothing follows it.

        Examples:
            >>> rules = CategoryRules({"ICD9CM/493": "CCS/128"})
            >>> [rules.category_of_token(token) for token in ("ICD9CM/49392", "CCS/128", "LOS/1", "DRG/470")]
            ['CCS/128', 'CCS/128', 'LOS/1', None]
        """
        kind, slash, value = token.partition("/")
        is_code = not (kind and slash and value) or kind in SYSTEM_TITLES
        return self.category(token) if is_code else token

    def to_dict(self) -> dict[str, Any]:
        """Return the rules in a form for JSON, prefixes grouped by system and category, a quarter of the plain table.

        Returns:
            `dict[str, Any]`: `version`, `prefixes` (system to category to prefixes joined by blanks, sorted),
            `prefix_lengths` and, where there are any, `wider`.

        Examples:
            >>> CategoryRules({"ICD9CM/493": "CCS/128"}).to_dict()["prefixes"]
            {'ICD9CM': {'CCS/128': '493'}}
        """
        grouped: dict[str, dict[str, list[str]]] = {}
        for prefix, category in sorted(self.prefixes.items()):
            system, bare = split_code(prefix)
            grouped.setdefault(system, {}).setdefault(category, []).append(bare)
        return {
            "version": _FORMAT_VERSION,
            "prefixes": {
                system: {category: " ".join(bare) for category, bare in categories.items()}
                for system, categories in grouped.items()
            },
            "prefix_lengths": {system: list(rule) for system, rule in sorted(self.prefix_lengths.items())},
            **({"wider": dict(sorted(self.wider.items()))} if self.wider else {}),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "CategoryRules":
        """Read what [`~CategoryRules.to_dict`] wrote.

        Raises:
            ValueError: If the version is not the one this package writes.

        Examples:
            >>> rules = CategoryRules({"ICD9CM/493": "CCS/128"}, {"NDC": ("NDC9", 9)})
            >>> CategoryRules.from_dict(rules.to_dict()) == rules
            True
        """
        if content.get("version") != _FORMAT_VERSION:
            raise ValueError(
                f"expected category rules of version {_FORMAT_VERSION}, found another version; write them again"
            )
        prefixes = {
            f"{system}/{bare}": category
            for system, categories in content["prefixes"].items()
            for category, joined in categories.items()
            for bare in joined.split(" ")
        }
        lengths = {system: (name, length) for system, (name, length) in content["prefix_lengths"].items()}
        return cls(prefixes, lengths, dict(content.get("wider", {})))


def compact_prefixes(categories: Mapping[str, str], *, min_length: int) -> dict[str, str]:
    """Replace codes by the shortest prefixes below which all codes of the table share one category.

    Looking up a code of the table by longest prefix gives back exactly its category. A code that the table does not
    list gets the category of its relatives where they all agree, and none where they differ.

    A prefix has at least `min_length` characters of the bare code, so that an unlisted code never gets a category from
    distant relatives; shorter codes stand for themselves.
    """
    below: defaultdict[str, set[str]] = defaultdict(set)
    for code, category in categories.items():
        for prefix in _prefixes_of(code, min_length):
            below[prefix].add(category)
    compact = {}
    for code, category in sorted(categories.items()):
        # A listed code may have listed codes of other categories below it: then it stands for itself.
        shortest = next((prefix for prefix in _prefixes_of(code, min_length) if len(below[prefix]) == 1), code)
        compact[shortest] = category
    return compact


def nearest_prefixes(categories: Mapping[str, str], *, min_length: int) -> dict[str, str]:
    """Replace codes by prefixes below which an unlisted code has the category of its nearest relatives.

    Looking up a code of the table by longest prefix gives back exactly its category. Another code has the category of
    most codes that share its longest listed beginning; of two that as many have, that of the first code.
    """
    below: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for code, category in sorted(categories.items()):
        for prefix in _prefixes_of(code, min_length):
            below[prefix][category] += 1
    prefixes: dict[str, str] = {}
    nearest = CategoryRules(prefixes)
    # In this order a prefix comes before all that it begins.
    for prefix in sorted(below):
        category = categories.get(prefix) or below[prefix].most_common(1)[0][0]
        if nearest.prefix_category(prefix) != category:
            prefixes[prefix] = category
    return prefixes


def _prefixes_of(code: str, min_length: int) -> Iterator[str]:
    """Yield the prefixes of a code, shortest first, the code itself last."""
    shortest = min(code.find("/") + 1 + min_length, len(code))
    return (code[:length] for length in range(shortest, len(code) + 1))
