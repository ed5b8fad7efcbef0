"""Arguments of every script: flags, a YAML file, or a YAML file with flags that override it; and how a script ends."""

import json
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

import yaml
from safetensors import SafetensorError
from transformers import HfArgumentParser

from claim_transformers.codes.errors import error_line

# Errors of no family stand for a full disk or memory, as libraries in C++ and Rust say it, or for a fault of ours.
_ENDINGS = (ValueError, OSError, MemoryError, RuntimeError, SafetensorError)


def run_script(main: Callable[..., None], *kinds: Any, arguments: Sequence[str] | None = None) -> None:
    """Run a script by its command line, and end as a command does when an error is its user's to cure.

    One line on standard error says the code, what happened and what to do. The status is 2 for arguments, 1 otherwise.

    Args:
        main (`Callable`): Takes one instance of each dataclass.
        kinds (dataclass types): What to fill, such as `ScriptArguments` and `ClaimTrainingArguments`.
        arguments (`list[str]`, *optional*): Arguments instead of those of the process.

    Raises:
        SystemExit: In place of an error of the user.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Arguments:
        ...     claims: str = "claims"
        >>> run_script(lambda given: print(given.claims), Arguments, arguments=["--claims", "here"])
        here
        >>> run_script(lambda given: print(given.claims), Arguments, arguments=["--clams", "here"])
        Traceback (most recent call last):
        SystemExit: 2
    """
    status = 2
    try:
        parsed = parse_arguments(*kinds, arguments=arguments)
        status = 1
        main(*parsed)
    except _ENDINGS as error:
        if (line := error_line(error)) is None:
            raise
        sys.stderr.write(line + "\n")
        raise SystemExit(status) from error


def parse_arguments(*kinds: Any, arguments: Sequence[str] | None = None) -> tuple[Any, ...]:
    """Fill dataclasses from the command line.

    Args:
        kinds (dataclass types): What to fill, such as `ScriptArguments` and `ClaimTrainingArguments`.
        arguments (`list[str]`, *optional*): Arguments instead of those of the process.

    Returns:
        `tuple`: One instance per dataclass.

    Raises:
        ValueError: If the YAML file is no mapping, a key of it or a flag is unknown, or one is absent or has no value
            that it can have.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Arguments:
        ...     claims: str = "claims"
        >>> parse_arguments(Arguments, arguments=["--claims", "here"])[0].claims
        'here'
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    # The beginning of a flag would be another flag's value.
    parser = _Parser(kinds, allow_abbrev=False)
    if given and given[0].endswith((".yaml", ".yml")):
        with open(given[0], encoding="utf-8") as file:  # noqa: PTH123  # the name comes from the command line
            try:
                content = yaml.safe_load(file)
            except (yaml.YAMLError, RecursionError, UnicodeDecodeError) as error:
                raise ValueError(f"{given[0]}: expected YAML in UTF-8, found text that is not; correct it") from error
        if not isinstance(content, dict):
            raise ValueError(f"{given[0]}: expected a mapping of keys, found {type(content).__name__}")
        known = {action.dest for action in parser._actions}
        unknown = sorted(set(content) - known)
        if unknown:
            raise ValueError(f"{given[0]}: expected keys that the script knows, found {unknown}")
        # Flags come last: the parser keeps the last value of a repeated flag.
        given = [part for key, value in content.items() for part in _as_flag(key, value)] + given[1:]
    *parsed, left = parser.parse_args_into_dataclasses(args=given, return_remaining_strings=True)
    if left:
        flags = [flag.partition("=")[0] for flag in left if flag.startswith("-")] or left[:1]
        close = get_close_matches(flags[0], [one for action in parser._actions for one in action.option_strings], n=1)
        parser.error(f"expected known arguments, found {flags}" + (f", did you mean {close[0]}?" if close else ""))
    return tuple(parsed)


class _Parser(HfArgumentParser):
    """Raises where the parser of the standard library would print pages of usage and exit."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments."""
        raise ValueError(f"{message}; --help lists what there is")


def _as_flag(key: str, value: Any) -> list[str]:
    """Write one YAML entry as the parser reads it on a command line; an empty entry keeps the default."""
    if value is None:
        return []
    if isinstance(value, list):
        return [f"--{key}", *(str(entry) for entry in value)]
    if isinstance(value, dict):
        return [f"--{key}", json.dumps(value)]
    return [f"--{key}", str(value)]
