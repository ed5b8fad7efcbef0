"""Files of a tokenizer that the base class reads itself: refused where they are damaged, with the name of the file.

The base class takes every key of `tokenizer_config.json` for an argument of the constructor, and fails on most other
content with errors that name no file.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .damage_claim import naming_file, read_json_object
from .vocabulary_claim import FORMAT_VERSION, EncodingOptions, complete_vocabulary, refuse_newer_files

_CONFIG_FILE = "tokenizer_config.json"
READ_FILES = (_CONFIG_FILE, "special_tokens_map.json", "added_tokens.json", "chat_template.jinja")
# No tokenizer writes these keys; each would stand for an argument of a constructor, or for another file.
_NEVER_WRITTEN = ("self", "cls", "vocab", "categories", "form")
_KINDS: dict[str, tuple[type, ...]] = {
    "added_tokens_decoder": (dict,),
    "additional_special_tokens": (list,),
    "auto_map": (dict, list),
    "backend": (str,),
    "chat_template": (str, dict),
    "extra_special_tokens": (dict, list),
    "model_input_names": (list,),
    "model_max_length": (int, float),
    "model_specific_special_tokens": (dict,),
    "tokenizer_class": (str,),
}
_LISTS_OF_TOKENS = ("additional_special_tokens", "extra_special_tokens", "model_specific_special_tokens")
# A saved `AddedToken` says so with this key, in a `tokenizer_config.json`.
_MARK, _FLAGS = "__type", ("lstrip", "normalized", "rstrip", "single_word", "special")
_NEVER_NULL = ("pad_token", "unk_token", "mask_token")
_MAY_BE_NULL = ("auto_map", "chat_template", "extra_special_tokens", "additional_special_tokens", "model_max_length")


def read_vocabulary(
    vocab: Mapping[str, int] | None, vocab_file: str | None, special_tokens: Iterable[str]
) -> dict[str, int]:
    """Token to id, of the one or the other, with the special tokens that it lacks."""
    if (vocab is None) == (vocab_file is None):
        raise ValueError("expected either vocab or vocab_file, found both or neither")
    with naming_file(vocab_file):
        return complete_vocabulary(read_json_object(str(vocab_file)) if vocab is None else vocab, special_tokens)


def check_tokenizer_files(files: Mapping[str, Any], own: Collection[str], tokens: Collection[str]) -> None:
    """Refuse files that the base class would read as arguments: by argument, with those of the tokenizer's own."""
    for argument in ("tokenizer_config_file", "special_tokens_map_file", "added_tokens_file"):
        if files.get(argument) is None:
            continue
        content = read_json_object(files[argument])
        with naming_file(files[argument]):
            if argument == "added_tokens_file":
                for number in content.values():
                    _check(type(number) is int, "an integer as the id of each token", number)
                continue
            refuse_newer_files(content.get("format_version", FORMAT_VERSION))
            for key in (*_NEVER_WRITTEN, *own):
                _check(key not in content, f"no key {key}", content.get(key))
            _check(content.get("init_inputs", []) == [], "no init_inputs", content.get("init_inputs"))
            _check_kinds(content, tokens, is_marked=argument == "tokenizer_config_file")
            EncodingOptions(**{key: content[key] for key in EncodingOptions.__dataclass_fields__ if key in content})


def refuse_displaced(vocab: Mapping[str, int], added: Mapping[str, int]) -> None:
    """Refuse added tokens that take the id of another token, or leave ids without one."""
    own = [number for token, number in added.items() if token not in vocab]
    is_displaced = any(vocab.get(token, number) != number for token, number in added.items())
    if is_displaced or sorted(own) != list(range(len(vocab), len(vocab) + len(own))):
        raise ValueError(
            f"expected added tokens in {_CONFIG_FILE} or added_tokens.json to keep their ids in vocab.json, or to "
            "follow the last one, found others; save the tokenizer again"
        )


def _check_kinds(content: Mapping[str, Any], tokens: Collection[str], *, is_marked: bool) -> None:
    for key, value in content.items():
        kinds = _KINDS.get(key)
        if kinds and not (value is None and key in _MAY_BE_NULL):
            what = " or ".join(kind.__name__ for kind in kinds)
            _check(isinstance(value, kinds) and not isinstance(value, bool), f"{key} to be {what}", value)
        if key == "added_tokens_decoder":
            for number, token in value.items():
                _check(number.isdecimal() and len(number) < 10, f"ids as keys of {key}", "other text")
                _check(isinstance(token, dict), f"tokens of {key} to be dict", token)
                _check_token(key, token, is_marked=False)
        elif key in _NEVER_NULL or (key in tokens and value is not None):
            _check_token(key, value, is_marked=is_marked)
        elif key in _LISTS_OF_TOKENS:
            _check(not isinstance(value, dict) or _MARK not in value, f"{key} to hold tokens", value)
            for token in value.values() if isinstance(value, dict) else value or ():
                _check_token(key, token, is_marked=is_marked)
        else:
            _check(not _holds_token(value), f"{key} without tokens in it", value)


def _check_token(key: str, token: Any, *, is_marked: bool) -> None:
    """Refuse what is neither text nor a saved `AddedToken`."""
    if isinstance(token, dict):
        flags = {name: value for name, value in token.items() if name not in (_MARK, "content")}
        is_known = all(name in _FLAGS and isinstance(value, bool) for name, value in flags.items())
        is_known &= not is_marked or token.get(_MARK) == "AddedToken"
        _check(is_known, f"tokens of {key} with flags that are true or false", token)
        token = token.get("content")
    _check(isinstance(token, str), f"tokens of {key} to be text", token)


def _holds_token(value: Any) -> bool:
    """Whether the base class would make a token of a value, or of a part of it."""
    parts = [value]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            if _MARK in part:
                return True
            parts += part.values()
        elif isinstance(part, list):
            parts += part
    return False


def _check(is_so: bool, expected: str, found: Any) -> None:
    if not is_so:
        raise ValueError(f"expected {expected}, found {type(found).__name__}; save the tokenizer again")
