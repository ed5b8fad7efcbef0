"""Arguments of every script: flags, a YAML file, or a YAML file with flags that override it."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import yaml
from transformers import HfArgumentParser


def parse_arguments(*kinds: Any, arguments: Sequence[str] | None = None) -> tuple[Any, ...]:
    """Fill dataclasses from the command line.

    Args:
        kinds (dataclass types): What to fill, such as `ScriptArguments` and `ClaimTrainingArguments`.
        arguments (`list[str]`, *optional*): Arguments instead of those of the process.

    Returns:
        `tuple`: One instance per dataclass.

    Raises:
        ValueError: If the YAML file is no mapping, or a key of it or a flag is unknown.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Arguments:
        ...     claims: str = "claims"
        >>> parse_arguments(Arguments, arguments=["--claims", "here"])[0].claims
        'here'
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = HfArgumentParser(kinds)
    if given and given[0].endswith((".yaml", ".yml")):
        with open(given[0], encoding="utf-8") as file:  # noqa: PTH123  # the name comes from the command line
            content = yaml.safe_load(file)
        if not isinstance(content, dict):
            raise ValueError(f"{given[0]}: expected a mapping of keys, found {type(content).__name__}")
        known = {action.dest for action in parser._actions}
        unknown = sorted(set(content) - known)
        if unknown:
            raise ValueError(f"{given[0]}: expected keys that the script knows, found {unknown}")
        # Flags come last: the parser keeps the last value of a repeated flag.
        given = [part for key, value in content.items() for part in _as_flag(key, value)] + given[1:]
    parsed = parser.parse_args_into_dataclasses(args=given)
    return tuple(parsed)


def _as_flag(key: str, value: Any) -> list[str]:
    """Write one YAML entry as the parser reads it on a command line; an empty entry keeps the default."""
    if value is None:
        return []
    if isinstance(value, list):
        return [f"--{key}", *(str(entry) for entry in value)]
    if isinstance(value, dict):
        return [f"--{key}", json.dumps(value)]
    return [f"--{key}", str(value)]
