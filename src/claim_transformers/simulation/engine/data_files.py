"""Data files of the simulators: pools of codes in CSV, causes and conditions in YAML, every row with its source."""

import csv
import typing
from dataclasses import MISSING, fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import yaml

from claim_transformers.codes.normalize import normalize_codes
from claim_transformers.codes.systems import SYSTEMS

# Services and drugs of which both populations bill.
SHARED_DATA = Path(__file__).parent / "data"
_POOL_COLUMNS = ("pool", "rank", "code", "system", "weight", "source")

_Row = TypeVar("_Row", bound=Any)


@cache
def read_pools(path: Path) -> dict[str, dict[str, str]]:
    """Read pools of codes, once per process.

    The rows of a pool stand together in order of rank; all of them have a weight, or none has and the weights fall
    with the rank.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != _POOL_COLUMNS:
            raise ValueError(f"{path.name}: expected the columns {_POOL_COLUMNS}, found {reader.fieldnames}")
        rows = list(reader)
    pools: dict[tuple[str, str], list[str]] = {}
    is_weighted: dict[tuple[str, str], bool] = {}
    for line, row in enumerate(rows, 2):
        key = row["system"], row["pool"]
        members = pools.setdefault(key, [])
        _check_row(f"{path.name}, line {line}", row, len(members) + 1)
        if is_weighted.setdefault(key, bool(row["weight"])) != bool(row["weight"]):
            raise ValueError(f"{path.name}, line {line}: expected a weight in every row of a pool or in none")
        members.append(f"{row['code']}:{row['weight']}" if row["weight"] else row["code"])
    _check_codes(path, rows)
    read: dict[str, dict[str, str]] = {}
    for (system, pool), members in pools.items():
        read.setdefault(system, {})[pool] = " ".join(members)
    return read


def _check_row(place: str, row: dict[str, str], rank: int) -> None:
    """Refuse a row without source, of an unknown system, out of rank or with a weight that is no positive number."""
    if None in row or None in row.values():
        raise ValueError(f"{place}: expected {len(_POOL_COLUMNS)} cells, found another number")
    for name in ("pool", "source"):
        if not row[name].strip():
            raise ValueError(f"{place}: expected a {name}, found none")
    if row["system"] not in SYSTEMS:
        raise ValueError(f"{place}: expected a system of {SYSTEMS}, found {row['system']!r}")
    if row["rank"] != str(rank):
        raise ValueError(f"{place}: expected rank {rank} in its pool, found {row['rank']!r}")
    if row["weight"] and not _is_positive(row["weight"]):
        raise ValueError(f"{place}: expected a positive weight or none, found {row['weight']!r}")


def _is_positive(text: str) -> bool:
    try:
        return 0 < float(text) < float("inf")
    except ValueError:
        return False


def _check_codes(path: Path, rows: list[dict[str, str]]) -> None:
    """Refuse a code that is not in canonical form or stands twice in a pool."""
    for system in {row["system"] for row in rows}:
        lines = [line for line, row in enumerate(rows, 2) if row["system"] == system]
        written = [rows[line - 2]["code"] for line in lines]
        canonical = normalize_codes(system, pa.array(written, pa.string())).codes.to_pylist()
        for line, code, expected in zip(lines, written, canonical, strict=True):
            if code != expected:
                raise ValueError(
                    f"{path.name}, line {line}: expected a code of {system} in canonical form, found {code!r}"
                )
    seen: set[tuple[str, str, str]] = set()
    for line, row in enumerate(rows, 2):
        key = row["system"], row["pool"], row["code"]
        if key in seen:
            raise ValueError(f"{path.name}, line {line}: expected a code once in a pool, found {row['code']!r} twice")
        seen.add(key)


def read_rows(path: Path, kind: type[_Row], words: dict[str, tuple[str, ...]] | None = None) -> tuple[_Row, ...]:
    """Read causes or conditions."""
    # The parser in C, where it is there, is ten times as fast.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    content = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise ValueError(f"{path.name}: expected a list of mappings, found something else")
    hints = typing.get_type_hints(kind)
    required = {item.name for item in fields(kind) if item.default is MISSING}
    read: dict[str, _Row] = {}
    for number, row in enumerate(content, 1):
        place = f"{path.name}, row {number}"
        if unknown := sorted(set(row) - set(hints) - {"source"}):
            raise ValueError(f"{place}: expected keys out of {sorted([*hints, 'source'])}, found {unknown}")
        if missing := sorted(required - set(row)):
            raise ValueError(f"{place}: expected the keys {missing}, found none of them")
        if not isinstance(row.get("source"), str) or not row["source"].strip():
            raise ValueError(f"{place}: expected a source, found none")
        values: dict[str, Any] = {}
        for name, value in row.items():
            if name in (words or {}):
                values[name] = _position(f"{place}, {name}", (words or {})[name], value)
            elif name != "source":
                values[name] = _value(f"{place}, {name}", hints[name], value)
        if values["name"] in read:
            raise ValueError(f"{place}: expected a name of its own, found {values['name']!r} again")
        try:
            read[values["name"]] = kind(**values)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
    return tuple(read.values())


def _position(place: str, words: tuple[str, ...], value: object) -> int:
    if value not in words:
        raise ValueError(f"{place}: expected one of {words}, found {value!r}")
    return words.index(str(value))


def _value(place: str, hint: Any, value: Any) -> Any:
    """Turn a value of YAML into that of a field: lists become tuples, mappings tuples of pairs."""
    if typing.get_origin(hint) is tuple:
        parts = typing.get_args(hint)
        if typing.get_origin(parts[0]) is tuple:
            if not isinstance(value, dict):
                raise ValueError(f"{place}: expected a mapping from names to numbers, found {type(value).__name__}")
            return tuple((_value(place, str, name), _value(place, float, number)) for name, number in value.items())
        if not isinstance(value, list) or (parts[-1] is not Ellipsis and len(value) != len(parts)):
            count = "" if parts[-1] is Ellipsis else f" of {len(parts)}"
            raise ValueError(f"{place}: expected a list{count}, found {value!r}")
        return tuple(_value(place, parts[0], part) for part in value)
    # An integer stands for a number as well, and stays one: the digest of the parameters tells 0 from 0.0.
    accepted = (int, float) if hint is float else hint
    if not isinstance(value, accepted) or (isinstance(value, bool) and hint is not bool):
        raise ValueError(f"{place}: expected {hint.__name__}, found {value!r}")
    return value
