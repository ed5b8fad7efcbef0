"""Categories of codes: CCS, CCSR, groups of procedures or drugs, as rules that a tokenizer carries with it."""

from collections.abc import Iterable, Mapping
from typing import Any


class CodeCategories:
    """From a code to its category: the longest prefix in a table, else a fixed number of characters of the code.

    `prefixes` are `SYSTEM/PREFIX` to category; the form of [`to_dict`] is read too. `prefix_lengths` are of systems
    whose categories are cut, not listed: name of the categories and number of characters. `last_characters` are of
    systems where a code that begins with a digit and holds a letter is told by its end and has no other category: of
    HCPCS, `0001F` is a measure. `wider` leads from a category to a wider one, such as a drug's therapeutic class, to
    which codes back off; a key that ends with `*` stands for all categories that begin so.
    """

    def __init__(
        self,
        prefixes: Mapping[str, str] | None = None,
        prefix_lengths: Mapping[str, tuple[str, int]] | None = None,
        last_characters: Mapping[str, Mapping[str, str]] | None = None,
        wider: Mapping[str, str] | None = None,
    ) -> None:
        prefixes, prefix_lengths, last_characters = prefixes or {}, prefix_lengths or {}, last_characters or {}
        if not isinstance(prefixes, Mapping) or not isinstance(prefix_lengths, Mapping):
            raise ValueError("expected categories['prefixes'] and categories['prefix_lengths'] to be mappings")
        prefixes = _ungroup(prefixes)
        if not all(_is_prefix(prefix) and isinstance(category, str) for prefix, category in prefixes.items()):
            raise ValueError("expected categories['prefixes'] to map texts 'SYSTEM/PREFIX' to categories")
        if not all(isinstance(system, str) and _is_cut(rule) for system, rule in prefix_lengths.items()):
            raise ValueError("expected categories['prefix_lengths'] to map a system to [name, characters >= 1]")
        self.prefixes = dict(prefixes)
        self.prefix_lengths = {system: (name, characters) for system, (name, characters) in prefix_lengths.items()}
        if not isinstance(last_characters, Mapping) or not all(
            isinstance(rule, Mapping) and all(isinstance(category, str) for category in rule.values())
            for rule in last_characters.values()
        ):
            raise ValueError("expected categories['last_characters'] to map a system to {character: category}")
        if not isinstance(wider or {}, Mapping) or not all(isinstance(text, str) for text in (wider or {}).values()):
            raise ValueError("expected categories['wider'] to map a category to a wider one")
        self.wider = dict(wider or {})
        self.last_characters = {system: dict(rule) for system, rule in last_characters.items()}
        self._lengths = sorted({len(prefix) for prefix in self.prefixes}, reverse=True)

    @classmethod
    def parse(cls, rules: Any) -> "CodeCategories":
        """Read rules from any of the forms a user may hold: those of `to_dict`, a plain prefix table, or an object."""
        if rules is None:
            return cls()
        if hasattr(rules, "prefixes") and hasattr(rules, "prefix_lengths"):
            return cls(
                rules.prefixes,
                rules.prefix_lengths,
                getattr(rules, "last_characters", None),
                getattr(rules, "wider", None),
            )
        if not isinstance(rules, Mapping):
            raise ValueError(f"expected categories to be a mapping or category rules, found {type(rules).__name__}")
        if "prefixes" in rules or "prefix_lengths" in rules:
            return cls(
                rules.get("prefixes"), rules.get("prefix_lengths"), rules.get("last_characters"), rules.get("wider")
            )
        return cls(rules)

    @property
    def is_empty(self) -> bool:
        """Whether no code has a category."""
        return not self.prefixes and not self.prefix_lengths

    def category(self, code: str) -> str | None:
        """Look up the category of `SYSTEM/CODE`, none where no rule covers the code."""
        system, _, text = code.partition("/")
        if system in self.last_characters and text[:1].isdigit() and not text.isdigit():
            return self.last_characters[system].get(text[-1])
        for length in self._lengths:
            if length <= len(code) and (found := self.prefixes.get(code[:length])) is not None:
                return found
        if system not in self.prefix_lengths:
            return None
        name, characters = self.prefix_lengths[system]
        return f"{name}/{text[:characters]}" if text else None

    def wider_category(self, code: str) -> str | None:
        """Look up what is wider than the category of a code, or than the category that it is; `None` without it."""
        category = self.category(code) or code
        found = self.wider.get(category)
        for length in range(len(category), category.find("/"), -1) if found is None else ():
            if (found := self.wider.get(f"{category[:length]}*")) is not None:
                break
        return found

    def widest_category(self, code: str) -> str | None:
        """Look up what is wider than [`wider_category`], `None` where nothing is."""
        return self.wider.get(self.wider_category(code) or "")

    def to_dict(self) -> dict[str, Any]:
        """Write the rules as plain values, sorted; prefixes stand by system and category, in a quarter of the room."""
        grouped: dict[str, dict[str, list[str]]] = {}
        for prefix, category in sorted(self.prefixes.items(), key=lambda item: (item[1], item[0])):
            system, _, text = prefix.partition("/")
            grouped.setdefault(system, {}).setdefault(category, []).append(text)
        written: dict[str, Any] = {
            "prefixes": {
                system: {category: " ".join(texts) for category, texts in categories.items()}
                for system, categories in sorted(grouped.items())
            },
            "prefix_lengths": {system: list(rule) for system, rule in sorted(self.prefix_lengths.items())},
        }
        if self.last_characters:
            written["last_characters"] = {
                system: dict(sorted(rule.items())) for system, rule in sorted(self.last_characters.items())
            }
        if self.wider:
            written["wider"] = dict(sorted(self.wider.items()))
        return written


def _ungroup(prefixes: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """A plain prefix table out of either form."""
    if not prefixes or not all(isinstance(group, Mapping) for group in prefixes.values()):
        return prefixes
    groups = [(system, category, joined) for system, group in prefixes.items() for category, joined in group.items()]
    if not all(isinstance(joined, str) for _, _, joined in groups):
        raise ValueError("expected categories['prefixes'] to map systems to categories to texts, found other values")
    return {f"{system}/{text}": category for system, category, joined in groups for text in joined.split(" ")}


def _is_prefix(prefix: Any) -> bool:
    """Whether a key is `SYSTEM/PREFIX` without white space."""
    return isinstance(prefix, str) and "/" in prefix and not any(map(str.isspace, prefix))


def _is_cut(rule: Any) -> bool:
    """Whether a rule is a name and a positive number of characters."""
    if not isinstance(rule, (list, tuple)) or len(rule) != 2:
        return False
    name, characters = rule
    return (
        isinstance(name, str) and isinstance(characters, int) and not isinstance(characters, bool) and characters > 0
    )


def category_of_token(token: str, rules: CodeCategories, categories: Iterable[str]) -> str | None:
    """Find the category of a code token; a token that is a category belongs to itself."""
    return rules.category(token) or (token if token in categories else None)


def number_categories(tokens: Iterable[str], rules: CodeCategories) -> dict[str, int]:
    """Number the categories that a vocabulary can reach, sorted by name so that no frequency shows."""
    tokens = list(tokens)
    listed = {*rules.prefixes.values(), *rules.wider.values()}
    cut = {name for name, _ in rules.prefix_lengths.values()}
    own = {token for token in tokens if token in listed or token.partition("/")[0] in cut}
    found = {category for token in tokens if (category := category_of_token(token, rules, own))}
    return {category: number for number, category in enumerate(sorted(found))}
