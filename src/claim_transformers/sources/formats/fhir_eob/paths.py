"""Paths of a dialect file, such as `identifier[system=URL].value`, as SQL over the elements that they name.

A step is the name of an element. Brackets say that the element is a list; the first entry that fits what stands inside
is taken, and the first of all where nothing does:

| inside | fits an entry |
|---|---|
| `system=a or b` | whose `system` is one of the values |
| `url^=a` | whose `url` begins with the value |
| `category.coding[].code=a` | of whose codings at least one has the value |
| `=a`, `^=a` | that is the value itself, or begins with it |
| `sequence in careTeamSequence` | whose `sequence` is listed by the claim line |
| several of these with ` and ` | that fits all |

What a resource has beside the elements that some path names is never looked at, and what it lacks is null.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from claim_transformers.codes.errors import ClaimDataError

# Element by element: what is below it, nothing for text; a list has one entry under the empty name.
Elements = dict[str, Any]
_STEP = re.compile(r"[A-Za-z]\w*")
_CONDITION = re.compile(r"(?P<path>[\w.\[\]]*?)(?P<sign>\^=|=| in )(?P<values>.+)", re.DOTALL)
_ENTRY = ""
_numbers = itertools.count()


@dataclass(frozen=True)
class _Condition:
    """What an entry of a list has to say."""

    path: tuple[_Step, ...]
    sign: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class _Step:
    """One element of a path."""

    name: str
    is_list: bool = False
    conditions: tuple[_Condition, ...] = field(default=())


def quote_text(text: str) -> str:
    """Write a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


class Path:
    """A path that was read, and the SQL and the elements that follow from it.

    Args:
        text (`str`): As in the dialect file.
        prefixes (`Mapping[str, str]`): Beginnings of addresses by their short names: `cms:clm_id`.
    """

    def __init__(self, text: str, prefixes: Mapping[str, str]) -> None:
        self.text, self._prefixes = text, prefixes
        self._steps = self._read(text)

    def to_sql(self, base: str, line: str = "") -> str:
        """Write the path as SQL below an expression; `line` is that of the claim line, where there is one."""
        return _sql_of(self._steps, base, line)

    def add_to(self, elements: Elements, line: Elements | None = None) -> None:
        """Add the elements that the path names."""
        _add(self._steps, elements, line)

    def _read(self, text: str) -> tuple[_Step, ...]:
        return tuple(self._step(part) for part in _split(text, ".")) if text else ()

    def _step(self, part: str) -> _Step:
        name, bracket, rest = part.partition("[")
        if not _STEP.fullmatch(name) or (bracket and not rest.endswith("]")):
            raise ClaimDataError("E_LAYOUT_FILE", f"expected names of elements in the path {self.text!r}, found others")
        inside = rest[:-1]
        conditions = tuple(self._condition(one) for one in _split(inside, " and ")) if inside else ()
        return _Step(name, bool(bracket), conditions)

    def _condition(self, text: str) -> _Condition:
        found = _CONDITION.fullmatch(text)
        if found is None:
            raise ClaimDataError("E_LAYOUT_FILE", f"expected element=value in brackets of {self.text!r}, found none")
        values = tuple(expand(value, self._prefixes) for value in found["values"].split(" or "))
        return _Condition(self._read(found["path"]), found["sign"].strip(), values)


def expand(text: str, prefixes: Mapping[str, str]) -> str:
    """Write out an address that begins with a short name."""
    short, colon, rest = text.partition(":")
    return prefixes[short] + rest if colon and short in prefixes else text


def to_structure(elements: Elements) -> Any:
    """Give the elements as DuckDB's `json_transform` takes them."""
    if not elements:
        return "VARCHAR"
    if _ENTRY in elements:
        return [to_structure(elements[_ENTRY])]
    return {name: to_structure(below) for name, below in sorted(elements.items())}


def list_entries(elements: Elements, name: str) -> Elements:
    """Elements of the entries of a list, which are made where they are new."""
    entries: Elements = elements.setdefault(name, {}).setdefault(_ENTRY, {})
    return entries


def first_of(expressions: Iterable[str]) -> str:
    """SQL of the first that is filled."""
    found = list(expressions)
    return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})" if found else "CAST(NULL AS VARCHAR)"


def _split(text: str, separator: str) -> Iterator[str]:
    """Split outside of brackets."""
    depth = start = 0
    for place, sign in enumerate(text):
        depth += (sign == "[") - (sign == "]")
        if not depth and text.startswith(separator, place) and place >= start:
            yield text[start:place]
            start = place + len(separator)
    yield text[start:]


def _sql_of(steps: Iterable[_Step], base: str, line: str) -> str:
    expression = base
    for step in steps:
        expression = f'{expression}."{step.name}"'
        if step.conditions:
            entry = f"e{next(_numbers)}"
            fits = " AND ".join(_fits(one, entry, line) for one in step.conditions)
            expression = f"list_filter({expression}, lambda {entry}: {fits})"
        if step.is_list:
            expression += "[1]"
    return expression


def _fits(condition: _Condition, entry: str, line: str) -> str:
    """SQL of a condition on an entry; a list on the way fits if one of its entries does."""
    for place, step in enumerate(condition.path):
        if step.is_list:
            inner = f"e{next(_numbers)}"
            rest = _Condition(condition.path[place + 1 :], condition.sign, condition.values)
            found = _sql_of((*condition.path[:place], _Step(step.name)), entry, line)
            return f"len(list_filter({found}, lambda {inner}: {_fits(rest, inner, line)})) > 0"
    text = _sql_of(condition.path, entry, line)
    if condition.sign == "in":
        return f'list_contains({line}."{condition.values[0]}", {text})'
    if condition.sign == "^=":
        return "(" + " OR ".join(f"starts_with({text}, {quote_text(value)})" for value in condition.values) + ")"
    if len(condition.values) == 1:
        return f"{text} = {quote_text(condition.values[0])}"
    return f"{text} IN ({', '.join(map(quote_text, condition.values))})"


def _add(steps: Iterable[_Step], elements: Elements, line: Elements | None) -> None:
    for step in steps:
        below: Elements = elements.setdefault(step.name, {})
        if step.is_list:
            below = below.setdefault(_ENTRY, {})
        for condition in step.conditions:
            _add(condition.path, below, line)
            if condition.sign == "in" and line is not None:
                line.setdefault(condition.values[0], {}).setdefault(_ENTRY, {})
        elements = below
