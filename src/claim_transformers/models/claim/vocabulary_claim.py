"""Vocabulary: the grammar of token strings, and the chain along which a rare code backs off.

The file holds no tensor and reads no table: both encoding paths ([`encode_history`] and [`TableEncoder`]) ask it what
a code string means, so that they cannot disagree about it.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from .canonical_claim import CLAIM_TYPES, CODE_SYSTEMS, canonical_code
from .categories_claim import CodeCategories, category_of_token, number_categories

FORMAT_VERSION = 2
IGNORE_INDEX = -100

_PRINCIPAL = "PRINCIPAL"
STRUCTURAL_SYSTEMS = ("AGE", "SEX", "TYPE", "DAY", "GAP", "UNK", _PRINCIPAL)
SEXES = ("F", "M", "U")
UNKNOWN_TYPE = "UNK/TYPE"
UNKNOWN_PRINCIPAL = f"UNK/{_PRINCIPAL}"

GAP_START = "GAP/START"
# Lower bounds of the buckets in days: 0, 1, 2-3, 4-7, ... 4096 and more (11 years).
GAP_BOUNDS_DAYS = (0, *(2**exponent for exponent in range(13)))

# A damaged or hostile tokenizer_config.json must not exhaust the memory; 36,525 days are a hundred years.
_OPTION_BOUNDS = {
    "max_day": (0, 36_525),
    "max_age_years": (0, 150),
    "max_visits": (1, 1_000_000),
    "max_codes_per_visit": (1, 1_000_000),
}

LEVELS = ("exact", "prefix", "category", "wider", "system", "unknown")
_STEP_LEVELS = ("prefix", "category", "wider", "wider")
TimeTokens = Literal["day", "gap", "none"]


@dataclass(frozen=True)
class EncodingOptions:
    """How patients are written as tokens; saved with the tokenizer, whose arguments these are."""

    time_tokens: TimeTokens = "gap"
    max_day: int = 365
    max_visits: int | None = 256
    max_codes_per_visit: int | None = None
    max_age_years: int = 90
    backoff: bool = True
    mark_principal: bool = False

    def __post_init__(self) -> None:
        if self.time_tokens not in ("day", "gap", "none"):
            raise ValueError(f"expected time_tokens to be one of 'day', 'gap', 'none', found {self.time_tokens!r:.40}")
        for name in ("backoff", "mark_principal"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"expected {name} to be true or false, found {getattr(self, name)!r:.40}")
        for name, (smallest, largest) in _OPTION_BOUNDS.items():
            value = getattr(self, name)
            if value is None and name in ("max_visits", "max_codes_per_visit"):
                continue
            if not isinstance(value, int) or isinstance(value, bool) or not smallest <= value <= largest:
                raise ValueError(f"expected {name} to be an integer from {smallest} to {largest}, found {value!r:.40}")


def code_system(code: str) -> str:
    """Read the system of a code string."""
    system, slash, _ = code.partition("/")
    return system if slash else ""


def parent_code(code: str) -> str | None:
    """Shorten a code to the prefix it backs off to; `None` for a system without prefixes.

    Diagnoses have a category of three characters; ICD-9-CM external causes (`E` codes) one of four (ICD-9-CM official
    guidelines). Nine digits of an 11-digit NDC are the labeler and the product, the last two only the package (FDA
    National Drug Code Directory).
    """
    system, _, text = code.partition("/")
    if system == "NDC":
        return code[: len("NDC/") + 9]
    if system not in ("ICD9CM", "ICD10CM"):
        return None
    length = 4 if system == "ICD9CM" and text.startswith("E") else 3
    return code[: len(system) + 1 + length]


def backoff_steps(rules: CodeCategories) -> tuple[Callable[[str], str | None], ...]:
    """What finds the stand-ins of a code, the nearest first; `_STEP_LEVELS` names the level of each."""
    return parent_code, rules.category, rules.wider_category, rules.widest_category


def principal_token(code: str, rules: CodeCategories) -> str:
    """Name the token of a principal diagnosis: of its category, else of its prefix, else of the code itself."""
    code = canonical_code(code)
    return f"{_PRINCIPAL}/{rules.category(code) or parent_code(code) or code}"


def gap_bucket(gap_days: int) -> int:
    """Find the bucket of the days between two visits."""
    return min(gap_days.bit_length(), len(GAP_BOUNDS_DAYS) - 1)


def time_vocabulary(time_tokens: TimeTokens, max_day: int) -> list[str]:
    """List the time tokens in their order."""
    if time_tokens == "day":
        return [f"DAY/{day}" for day in range(max_day + 1)]
    if time_tokens == "gap":
        return [GAP_START, *(f"GAP/{bound}" for bound in GAP_BOUNDS_DAYS)]
    return []


class ClaimVocabulary:
    """The meaning of every id: which tokens are codes, what an unseen code becomes, and each token's category.

    A code of the data is looked up among code tokens only. So a code whose text is `[MASK]`, `AGE/9` or `UNK/NDC` can
    never become that token.
    """

    def __init__(
        self,
        tokens: Mapping[str, int],
        special_tokens: Iterable[str],
        unk_token: str,
        rules: CodeCategories,
        category_ids: Mapping[str, int],
        *,
        backoff: bool,
    ) -> None:
        special = set(special_tokens)
        self.unk_id = tokens[unk_token]
        self._rules = rules
        self._category_ids = category_ids
        self._backoff = backoff
        self._tokens = sorted(tokens, key=tokens.__getitem__)
        self._structural: dict[str, int] = {}
        self.code_ids: dict[str, int] = {}
        for token in self._tokens:
            if token in special:
                continue
            part = self._structural if code_system(token) in STRUCTURAL_SYSTEMS else self.code_ids
            part[token] = tokens[token]

    def find(self, token: str) -> int:
        """Look up a token of the stream's structure (`AGE/9`, `TYPE/OP`, `UNK/NDC`)."""
        return self._structural.get(token, -1)

    def find_type(self, visit_type: str) -> int:
        """Look up the token of a visit's type."""
        found = self.find(f"TYPE/{visit_type}")
        return found if found >= 0 else self.find(UNKNOWN_TYPE)

    def find_principal(self, code: str) -> int:
        """Look up the token of a principal diagnosis."""
        found = self.find(principal_token(code, self._rules))
        return found if found >= 0 else self.find(UNKNOWN_PRINCIPAL)

    def is_foreign_type(self, visit_type: str) -> bool:
        """Whether a visit's type becomes `UNK/TYPE` although it is no claim type that a vocabulary may lack."""
        is_written = f"TYPE/{visit_type}" not in self._structural and UNKNOWN_TYPE in self._structural
        return is_written and visit_type not in ("", *CLAIM_TYPES)

    def resolve(self, code: str) -> tuple[int, str]:
        """Turn a code into the id of the nearest token, and say at which level of `LEVELS` it was found."""
        if (found := self.code_ids.get(code)) is not None:
            return found, "exact"
        code = canonical_code(code)
        if (found := self.code_ids.get(code)) is not None:
            return found, "exact"
        # A drug of ten digits has lost a zero in one of three places: a part of it names another one's product.
        if self._backoff and not (code.startswith("NDC/") and len(code) == len("NDC/") + 10):
            for level, find in zip(_STEP_LEVELS, backoff_steps(self._rules), strict=True):
                if (target := find(code)) is not None and (found := self.code_ids.get(target)) is not None:
                    return found, level
        system = code_system(code)
        # `UNK/TYPE` stands for visit types; a code that calls itself `TYPE/x` has no system.
        found = -1 if system in STRUCTURAL_SYSTEMS else self.find(f"UNK/{system}")
        return (found, "system") if found >= 0 else (self.unk_id, "unknown")

    @cached_property
    def stand_ins(self) -> np.ndarray:
        """`np.ndarray` of shape `(vocabulary, steps)`, int64: ids that a code backs off to, nearest first, else -1.

        The last ones are the unknown codes of the systems that the token may stand for.
        """
        sources: dict[str, set[str]] = {"DRUG": {"DRUG", "NDC"}}
        names = {name: system for system, (name, _) in self._rules.prefix_lengths.items() if name != system}
        groups = [(code_system(category), code_system(prefix)) for prefix, category in self._rules.prefixes.items()]
        for name, system in [*names.items(), *groups]:
            sources.setdefault(name, set()).add(system)
        rows = {}
        for token, token_id in self.code_ids.items():
            found = [self.code_ids.get(find(token) or "") for find in backoff_steps(self._rules)]
            systems = sorted(sources.get(code_system(token), {code_system(token)}))
            found += [self._structural.get(f"UNK/{system}") for system in systems]
            rows[token_id] = [step for step in dict.fromkeys(found) if step is not None and step != token_id]
        table = np.full((len(self._tokens), max(map(len, rows.values()), default=1) or 1), -1, dtype=np.int64)
        for token_id, steps in rows.items():
            table[token_id, : len(steps)] = steps
        return table

    @cached_property
    def unknown_ids(self) -> frozenset[int]:
        """`frozenset[int]`: tokens that stand for a code or a type that is not known."""
        return frozenset([self.unk_id, *(number for token, number in self._structural.items() if token[:4] == "UNK/")])

    @cached_property
    def principal_ids(self) -> np.ndarray:
        """`np.ndarray` of int64: tokens of principal diagnoses."""
        names = (f"{_PRINCIPAL}/", UNKNOWN_PRINCIPAL)
        return np.array([self._structural[name] for name in self._structural if name.startswith(names)], np.int64)

    @cached_property
    def target_mask(self) -> np.ndarray:
        """`np.ndarray` of shape `(vocabulary,)`, bool: tokens that stand for clinical codes."""
        mask = np.zeros(len(self._tokens), dtype=bool)
        mask[list(self.code_ids.values())] = True
        return mask

    @cached_property
    def category_of_token(self) -> np.ndarray:
        """`np.ndarray` of shape `(vocabulary,)`, int32: category id of each token, -100 where there is none."""
        categories = np.full(len(self._tokens), IGNORE_INDEX, dtype=np.int32)
        for token, token_id in self.code_ids.items():
            category = category_of_token(token, self._rules, self._category_ids)
            categories[token_id] = self._category_ids.get(category, IGNORE_INDEX) if category else IGNORE_INDEX
        return categories

    @cached_property
    def systems(self) -> list[str]:
        """`list[str]`: Systems that a back-off is counted under; every other one is `"OTHER"`."""
        return [*sorted({*CODE_SYSTEMS, *map(code_system, self.code_ids)} - {""}), "OTHER"]

    @cached_property
    def priority(self) -> np.ndarray:
        """`np.ndarray` of shape `(vocabulary,)`, int64: the order in which an over-long visit keeps its codes.

        A hash of the token decides, so the choice depends neither on the order of the codes nor on the ids, and no
        system or chapter is favoured; unknowns go last.
        """
        digests = [hashlib.blake2b(token.encode(), digest_size=16).digest() for token in self._tokens]
        order = sorted(range(len(digests)), key=lambda token: (not self.target_mask[token], digests[token]))
        ranks = np.empty(len(order), dtype=np.int64)
        ranks[order] = np.arange(len(order))
        return ranks


def _check_contiguous(ids: Mapping[str, int], what: str) -> None:
    """Refuse a mapping from text to id whose ids are not `0 .. n - 1`, each once."""
    _check_entries(ids, what)
    missing = sorted(set(range(len(ids))) - set(ids.values()))
    if missing:
        raise ValueError(
            f"expected the ids of {what} to be 0 to {len(ids) - 1}, each once, "
            f"found {len(missing)} missing, the first of them {missing[0]}"
        )


def _check_entries(ids: Mapping[str, int], what: str) -> None:
    """Refuse keys that are no tokens and values that are no ids."""
    for text, number in ids.items():
        if not isinstance(text, str) or text in ("", "|") or " " in text or not text.isprintable():
            raise ValueError(f"expected every key of {what} to be printable text without blanks and other than '|'")
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise ValueError(f"expected every id of {what} to be an integer >= 0, found {type(number).__name__}")


def complete_vocabulary(vocab: Mapping[str, int], special_tokens: Iterable[str]) -> dict[str, int]:
    """Give the special tokens that a vocabulary lacks an id, and check the result, which is ordered by id.

    Ids that the user chose never move: absent special tokens take the ids left free below the largest one, in order,
    then the next ids at the end. So `{code: id}` may start at 3 (padding is 0) or at 0 (special tokens come last).
    """
    _check_entries(vocab, "vocab")
    complete = dict(vocab)
    taken = set(complete.values())
    absent = [token for token in dict.fromkeys(special_tokens) if token not in complete]
    free = (number for number in range(len(complete) + len(absent)) if number not in taken)
    complete.update(zip(absent, free, strict=False))
    _check_contiguous(complete, "vocab")
    return dict(sorted(complete.items(), key=lambda item: item[1]))


def refuse_unknown_tokens(names: Mapping[str, Any], known: Iterable[str]) -> None:
    """The base class makes any keyword that ends in `_token` a special token: a misspelt option would be one."""
    given = {*names, *(names.get("model_specific_special_tokens") or {})}
    unknown = sorted(name for name in given - set(known) if name.endswith("_token"))
    if unknown:
        raise ValueError(
            f"expected options of ClaimTokenizer, found {', '.join(unknown)}; the option for time is time_tokens"
        )


def refuse_without_principal(vocab: Iterable[str]) -> None:
    """Refuse to mark principal diagnoses with a vocabulary that has no token for them."""
    if UNKNOWN_PRINCIPAL not in vocab:
        raise ValueError(
            f"expected a vocabulary with {UNKNOWN_PRINCIPAL} for mark_principal=True, found none: it was trained "
            "without that option; train one with ClaimTokenizer.train_from_dataset(..., mark_principal=True)"
        )


def category_ids_of(categories: Any, vocab: Iterable[str], rules: CodeCategories) -> dict[str, int]:
    """Category ids: those of the file when it has them, else numbered from the vocabulary."""
    saved = categories.get("category_ids") if isinstance(categories, Mapping) else None
    if saved is None:
        return number_categories(vocab, rules)
    if not isinstance(saved, Mapping):
        raise ValueError(f"expected categories['category_ids'] to be a mapping, found {type(saved).__name__}")
    _check_contiguous(saved, "categories['category_ids']")
    return dict(saved)


def refuse_newer_files(format_version: Any) -> None:
    """Refuse files of a tokenizer that a later version of the package wrote."""
    if type(format_version) is not int or not 1 <= format_version <= FORMAT_VERSION:
        raise ValueError(
            f"expected tokenizer files of format version {FORMAT_VERSION} or older, found {format_version!r:.40}; "
            "install a newer claim-transformers"
        )
