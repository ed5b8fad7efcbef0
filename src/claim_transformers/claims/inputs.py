"""Inputs as they are given: what is no file is said before anybody waits for it, and YAML stays small and plain."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from claim_transformers.codes.errors import ClaimDataError

_MAX_BYTES, _MAX_DEPTH, _MAX_TEXT = 1 << 20, 20, 1000
_MAX_MESSAGE = 600
_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


def check_inputs(path: str | Path) -> Path:
    """Refuse as `E_INPUT` a path that is, or a folder that holds, what cannot be read as a file.

    A path that is not there passes, because its reader knows what it lacks. Hidden entries are not looked at.
    """
    path = Path(path)
    inside = path.rglob("*") if path.is_dir() else ()
    for one in (path, *sorted(one for one in inside if not one.name.startswith("."))):
        if (found := _fault(one)) is not None:
            raise ClaimDataError(
                "E_INPUT",
                f"expected files that can be read at {path}, found {found}, {one.name!r}: put a file in its place, or "
                "take it away",
            )
    return path


def check_file(path: Path, what: str) -> None:
    """Refuse, by `E_NO_FILE`, a path at which there is no file."""
    if not check_inputs(path).is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise ClaimDataError("E_NO_FILE", f"expected a file of {what}, at {str(path)!r}, found {found}")


def _fault(path: Path) -> str | None:
    try:
        mode = path.stat().st_mode
    except OSError:
        return "a link that leads nowhere" if path.is_symlink() else None
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        needed = os.R_OK | (os.X_OK if stat.S_ISDIR(mode) else 0)
        return None if os.access(path, needed) else "one that may not be read"
    return _KINDS.get(stat.S_IFMT(mode), "a device")


def read_yaml(path: Path, *, as_text: bool = False) -> Any:
    """Read a YAML file that somebody wrote, with `as_text` every value as it is written: `010` is no eight.

    It has at most 1 MiB, is nested at most 20 deep, with texts of at most 1,000 letters and each key once. Aliases are
    refused: a few lines of them become more than any memory holds.

    Raises:
        ValueError: If it is none, or breaks one of these rules. The message has the file and the line, and quotes
            nothing.
        ClaimDataError: `E_INPUT` if it is no file that can be read.
    """
    import yaml

    num_bytes = check_inputs(path).stat().st_size
    if num_bytes > _MAX_BYTES:
        raise ValueError(f"{path.name}: expected at most {_MAX_BYTES:,} bytes of YAML, found {num_bytes:,}")
    # The parser in C, where it is there, is ten times as fast.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        text = path.read_text(encoding="utf-8")
        _check_events(yaml.parse(text, Loader=loader))
        return yaml.load(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader) if as_text else loader)
    except _RefusedError as refusal:
        raise ValueError(f"{path.name}: {refusal}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path.name}: expected UTF-8, found bytes that are none: save it as UTF-8") from None
    # A date that no calendar has is a ValueError of the parser, and quotes it.
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f" in line {mark.line + 1}"
        raise ValueError(f"{path.name}: expected YAML, found something else{line}") from None


def cut_message(message: str) -> str:
    """The message, without most of a very long quotation."""
    return message if len(message) <= _MAX_MESSAGE else f"{message[:_MAX_MESSAGE]} ... ({len(message):,} characters)"


class _RefusedError(Exception):
    """A rule that a file breaks."""


def _check_events(events: Iterable[Any]) -> None:
    """Look at the parts of a file one by one, before anything is made of them."""
    from yaml import events as kinds

    # Of each collection that is open, its keys so far and whether a key is next; no keys of a list.
    open_ones: list[tuple[set[str], bool] | None] = []
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, kinds.AliasEvent):
            raise _RefusedError(f"expected no aliases, found one in line {line}: write it out")
        if isinstance(event, kinds.CollectionEndEvent):
            open_ones.pop()
        elif isinstance(event, kinds.NodeEvent):
            is_text = isinstance(event, kinds.ScalarEvent)
            if is_text and len(event.value) > _MAX_TEXT:
                raise _RefusedError(f"expected texts of at most {_MAX_TEXT:,} letters, found more in line {line}")
            if open_ones and (mapping := open_ones[-1]) is not None:
                keys, is_key = mapping
                if is_key and is_text and event.value in keys:
                    raise _RefusedError(f"expected every key once, found one again in line {line}")
                if is_key and is_text:
                    keys.add(event.value)
                open_ones[-1] = keys, not is_key
            if not is_text:
                open_ones.append((set(), True) if isinstance(event, kinds.MappingStartEvent) else None)
            if len(open_ones) > _MAX_DEPTH:
                raise _RefusedError(f"expected at most {_MAX_DEPTH} levels, found more in line {line}")
