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
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from claim_transformers.codes.errors import ClaimDataError

# Element by element: what is below it, nothing for text; a list has one entry under the empty name.
Elements = dict[str, Any]
# First entries by their values, by the list and where the values stand.
Seen = dict[tuple[int, str, str, str], dict[str | None, Any]]
_Follower = Callable[..., Any]
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
    """A path of a dialect file that was read, and the SQL and the elements that follow from it.

    `prefixes` are beginnings of addresses by their short names: `cms:clm_id`.
    """

    def __init__(self, text: str, prefixes: Mapping[str, str]) -> None:
        self.text, self._prefixes = text, prefixes
        self._steps = self._read(text)
        self._follow: _Follower | None = None

    def to_sql(self, base: str, line: str = "") -> str:
        """Write the path as SQL below an expression; `line` is that of the claim line, where there is one."""
        return _sql_of(self._steps, base, line)

    def read(self, base: Any, line: Any = None, seen: Seen | None = None) -> str | None:
        """Follow the path in a resource that is in memory: the value that the SQL of the path gives.

        With `seen`, empty at first and of this resource alone, a list that many paths look through is indexed once.
        """
        if self._follow is None:
            self._follow = _follower(self._steps)
        return text_of(self._follow(base, line, seen))

    def add_to(self, elements: Elements, line: Elements | None = None) -> None:
        """Add the elements that the path names."""
        _add(self._steps, elements, line)

    def _read(self, text: str) -> tuple[_Step, ...]:
        return tuple(self._step(part) for part in _split(text, ".")) if text else ()

    def _step(self, part: str) -> _Step:
        name, bracket, rest = part.partition("[")
        if not _STEP.fullmatch(name) or (bracket and not rest.endswith("]")):
            raise ClaimDataError(
                "E_LAYOUT_FILE", f"expected names of elements in the path {self.text!r}, found others"
            )
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


def _follower(steps: Sequence[_Step]) -> _Follower:
    """Put the steps of a path together as functions, because a request follows each of them many times."""
    plan = [(step.name, step.is_list, [_fitter(one) for one in step.conditions], _key_of(step)) for step in steps]

    def follow(base: Any, line: Any, seen: Seen | None = None) -> Any:
        found = base
        for name, is_list, fitters, key in plan:
            found = found.get(name) if type(found) is dict else None
            if found is None:
                return None
            if is_list:
                if type(found) is not list:
                    return None
                if seen is not None and key is not None:
                    found = _first_entries(found, key, seen).get(key[-1])
                    continue
                for entry in found:
                    for fits in fitters:
                        if not fits(entry, line):
                            break
                    else:
                        found = entry
                        break
                else:
                    return None
        return found

    return follow


def _key_of(step: _Step) -> tuple[str, ...] | None:
    """List of codings, element and value of a step with the one condition that a coding has a value."""
    if len(step.conditions) != 1:
        return None
    (condition,) = step.conditions
    *outer, last = condition.path or (_Step(""),)
    is_plain = condition.sign == "=" and len(condition.values) == 1 and not last.is_list
    if not is_plain or [one.is_list for one in outer] != [False, True] or outer[-1].conditions:
        return None
    return (*(one.name for one in condition.path), *condition.values)


def _first_entries(entries: list[Any], key: tuple[str, ...], seen: Seen) -> dict[str | None, Any]:
    """The first entry with each value of an element of its codings."""
    concept, codings, name, _ = key
    place = (id(entries), concept, codings, name)
    if place not in seen:
        first: dict[str | None, Any] = {}
        for entry in entries:
            found = entry.get(concept) if type(entry) is dict else None
            listed = found.get(codings) if type(found) is dict else None
            for coding in listed if type(listed) is list else ():
                if type(coding) is dict:
                    first.setdefault(text_of(coding.get(name)), entry)
        seen[place] = first
    return seen[place]


def _fitter(condition: _Condition) -> Callable[[Any, Any], bool]:
    """Say whether an entry of a list says what a condition wants."""
    path, values = condition.path, condition.values
    place = next((number for number, step in enumerate(path) if step.is_list), None)
    if place is not None:
        outer = _follower((*path[:place], _Step(path[place].name)))
        inner = _fitter(_Condition(path[place + 1 :], condition.sign, values))

        def fits_any(entry: Any, line: Any) -> bool:
            listed = outer(entry, line)
            if type(listed) is list:
                for one in listed:
                    if inner(one, line):
                        return True
            return False

        return fits_any
    follow = _follower(path)
    if condition.sign == "in":
        (listed_as,) = values
        return lambda entry, line: follow(entry, line) in ((line.get(listed_as) if type(line) is dict else None) or ())
    if condition.sign == "^=":
        return lambda entry, line: (text_of(follow(entry, line)) or "").startswith(values)
    if len(path) == 1:
        # Most conditions by far are of one element.
        (name,), wanted = (step.name for step in path), frozenset(values)
        return lambda entry, line: type(entry) is dict and text_of(entry.get(name)) in wanted
    return lambda entry, line: text_of(follow(entry, line)) in values


def text_of(value: Any) -> str | None:
    """Text of an element, as the engine gives it; what is no plain value is its JSON."""
    if value is None or type(value) is str:
        return value
    return json.dumps(value, separators=(",", ":"))


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
