"""Files of a tokenizer that may leave: tokens of the grammar, rules of public tables, bins, and options."""

import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from transformers.tokenization_utils_base import VERY_LARGE_INTEGER

from claim_transformers.hub.checkpoint_files import read_strict_json, refusal
from claim_transformers.hub.token_grammar import is_county_measure, is_special, is_system, is_token
from claim_transformers.models.claim import ClaimForm
from claim_transformers.models.claim.categories_claim import CodeCategories

_MOST_EDGES, _LARGEST_OPTION, _LONGEST_CODE = 100, 1_000_000, 64
_FORM_KEYS = {"version", "depth", "depth_of_system", "bins", "county_bins", "hide", "chapters"}
_RULE_KEYS = {"prefixes", "prefix_lengths", "last_characters", "wider", "category_ids"}
_ADDED_TOKEN_KEYS = {"content", "lstrip", "normalized", "rstrip", "single_word", "special"}


def check_vocabulary(path: Path) -> None:
    """Stop at a vocabulary with a token outside the grammar, or with counts in place of ids."""
    tokens = read_strict_json(path)
    if not _are_ids(tokens.values()):
        raise refusal(
            path,
            f"ids from 0 to {len(tokens) - 1}",
            "other numbers",
            "how often a code occurs must not leave, so save the tokenizer again",
        )
    _refuse_outside_grammar(path, tokens)


def check_categories(path: Path) -> None:
    """Stop at rules of categories that name anything but codes and their groups."""
    content = read_strict_json(path)
    ids = content.get("category_ids", {})
    if not isinstance(ids, dict) or not _are_ids(ids.values()):
        raise refusal(path, "ids of categories from 0", "other numbers", "save the tokenizer again")
    _refuse_outside_grammar(path, ids)
    _check_rules(path, content, _RULE_KEYS)


def check_form(path: Path) -> None:
    """Stop at a form that holds more than depths, edges of a few bins and rules of chapters."""
    content = read_strict_json(path)
    try:
        form = ClaimForm.from_dict(content) if content.keys() == _FORM_KEYS else None
    except ValueError:
        form = None
    if form is None:
        raise refusal(path, "a form of the tokenizer", "other content", "save the tokenizer again")
    edges = {**form.bins, **form.county_bins}
    is_finite = all(math.isfinite(edge) for column in edges.values() for edge in column)
    if not is_finite or any(len(column) > _MOST_EDGES for column in edges.values()):
        raise refusal(path, f"at most {_MOST_EDGES} finite edges of bins", "others", "learn fewer bins")
    if not all(map(is_county_measure, form.county_bins)):
        cure = "name measures by words in capitals, such as IS_RURAL"
        raise refusal(path, "names of county measures", "others", cure)
    if content["chapters"] is not None:
        _check_rules(path, content["chapters"], _RULE_KEYS - {"wider", "category_ids"})


def check_tokenizer_config(path: Path, auto_map: Any) -> None:
    """Stop at an option that the tokenizer does not have, or at a value that is none."""
    content = read_strict_json(path)
    unknown = content.keys() - _OPTIONS.keys() - {"auto_map"}
    if unknown:
        cure = "remove them, or save it again with save_pretrained"
        raise refusal(path, "only options of ClaimTokenizer", f"{len(unknown)} others", cure)
    if "auto_map" in content and content["auto_map"] != auto_map:
        raise refusal(path, "auto_map to the files of the package", "other entries", "save it with save_with_code")
    for name in content.keys() - {"auto_map"}:
        if not _OPTIONS[name](content[name]):
            raise refusal(path, f"an option {name!r} of ClaimTokenizer", "another value", "save it again")


def check_provenance(path: Path) -> None:
    """Stop at a note on pretraining that holds more than the names of simulations, one or a list of them."""
    content = read_strict_json(path)
    given = content.get("simulation")
    simulations = given if isinstance(given, list) and given else [given]
    if content.keys() != {"simulation"} or not all(
        isinstance(simulation, dict)
        and all(name in _SIMULATION and _SIMULATION[name](value) for name, value in simulation.items())
        for simulation in simulations
    ):
        raise refusal(path, "the population, size and seed of a simulation", "more", "remove it")


def _refuse_outside_grammar(path: Path, tokens: Iterable[str]) -> None:
    """Stop at tokens that are no codes, groups or bins."""
    if outside := sum(not is_token(token) for token in tokens):
        raise refusal(
            path,
            "tokens of the grammar (SYSTEM/CODE of a known system, see the page on sharing)",
            f"{outside} of another form",
            "roll them up or leave them out, and train the tokenizer again",
        )


def _check_rules(path: Path, content: Any, keys: set[str]) -> None:
    """Stop at rules that lead from anything but a code, or to anything but a group of codes."""
    try:
        rules = CodeCategories.parse(content) if isinstance(content, dict) and content.keys() <= keys else None
    except ValueError:
        rules = None
    if rules is None:
        raise refusal(path, "rules of categories", "other content", "save the tokenizer again")
    beginnings = (name.removesuffix("*") for name in rules.wider)
    words = {*rules.prefixes, *rules.prefixes.values(), *beginnings, *rules.wider.values()}
    _refuse_outside_grammar(path, words)
    cuts = all(
        is_system(system) and is_system(name) and 1 <= characters <= _LONGEST_CODE
        for system, (name, characters) in rules.prefix_lengths.items()
    )
    ends = all(
        is_system(system) and all(len(end) == 1 and is_token(category) for end, category in rule.items())
        for system, rule in rules.last_characters.items()
    )
    if not cuts or not ends:
        raise refusal(path, "rules of known code systems", "others", "save the tokenizer again")


def _are_ids(numbers: Any) -> bool:
    """Whether numbers are 0, 1, 2, ... in some order."""
    found = list(numbers)
    return all(type(number) is int for number in found) and sorted(found) == list(range(len(found)))


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value <= _LARGEST_OPTION)


def _is_special(value: Any) -> bool:
    return isinstance(value, str) and is_special(value)


def _one_of(*choices: str | int) -> Callable[[Any], bool]:
    return lambda value: value in choices and not isinstance(value, bool)


def _are_added_tokens(value: Any) -> bool:
    """Whether added tokens, by id, are tokens of the grammar with the switches of every tokenizer."""
    return isinstance(value, dict) and all(
        number.isdecimal()
        and isinstance(added, dict)
        and added.keys() == _ADDED_TOKEN_KEYS
        and isinstance(added["content"], str)
        and is_token(added["content"])
        and all(isinstance(added[name], bool) for name in _ADDED_TOKEN_KEYS - {"content"})
        for number, added in value.items()
    )


_OPTIONS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("backoff", "mark_principal", "clean_up_tokenization_spaces", "split_special_tokens"), _is_bool),
    **dict.fromkeys(("format_version", "max_age_years", "max_codes_per_visit", "max_day", "max_visits"), _is_count),
    **dict.fromkeys(("pad_token", "unk_token", "mask_token"), _is_special),
    **dict.fromkeys(("padding_side", "truncation_side"), _one_of("left", "right")),
    "added_tokens_decoder": _are_added_tokens,
    "backend": _one_of("custom"),
    "model_max_length": lambda value: value == VERY_LARGE_INTEGER or (value is not None and _is_count(value)),
    "time_tokens": _one_of("day", "gap", "none"),
    "tokenizer_class": _one_of("ClaimTokenizer"),
}


def _is_date(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", value) is not None


_SIMULATION: dict[str, Callable[[Any], bool]] = {
    "population": _one_of("medicare", "pediatric"),
    "institution": lambda value: isinstance(value, str) and len(value) == 1,
    # Of a simulation, whose window and switch are no patient's.
    **dict.fromkeys(("start", "end", "icd10_from"), _is_date),
    **dict.fromkeys(
        ("patients", "seed", "simulation_version", "version"), lambda value: type(value) is int and 0 <= value <= 10**8
    ),
}
