"""Profiles, the sizes of a benchmark as a small YAML file: how the file becomes dataclasses, unknown names refused."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Filled = TypeVar("Filled", bound="DataclassInstance")


def read_sizes(
    path: Path,
    *,
    by_name: Mapping[str, type],
    single: Mapping[str, type] = MappingProxyType({}),
    shared: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Read a YAML file of sizes and make dataclasses of its parts.

    Args:
        path (`Path`): YAML file.
        by_name (`Mapping[str, type]`): Keys that hold instances of a dataclass by name.
        single (`Mapping[str, type]`, *optional*): Keys that hold one instance.
        shared (`Mapping[str, str]`, *optional*): Keys whose fields all instances of another key have, by that key.

    Returns:
        `dict[str, Any]`: Values by key, and the name of the file as `name`; parts that are no mapping as they are.

    Raises:
        ValueError: If the file holds no mapping, or a key of a part is unknown or missing.

    Examples:
        >>> import tempfile
        >>> from dataclasses import make_dataclass
        >>> path, plan = Path(tempfile.mkdtemp(), "tiny.yaml"), make_dataclass("Plan", ["patients"])
        >>> _ = path.write_text("populations: {a: {patients: 9}}")
        >>> read_sizes(path, by_name={"populations": plan})
        {'populations': {'a': Plan(patients=9)}, 'name': 'tiny'}
        >>> _ = path.write_text("{simulation: {patients: 8}, populations: {a: {}, b: {patients: 9}}}")
        >>> read_sizes(path, by_name={"populations": plan}, shared={"populations": "simulation"})["populations"]
        {'a': Plan(patients=8), 'b': Plan(patients=9)}
        >>> _ = path.write_text("- a")
        >>> read_sizes(path, by_name={})
        Traceback (most recent call last):
            ...
        ValueError: tiny.yaml: expected a mapping of keys, found list
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path.name}: expected a mapping of keys, found {type(content).__name__}")
    values = dict(content)
    common = {key: values.pop(source, None) or {} for key, source in shared.items()}
    for key, kind in by_name.items():
        entries = values.get(key)
        if isinstance(entries, dict):
            values[key] = {
                name: fill(kind, {**common.get(key, {}), **(entry or {})}, f"{path.name}: {key}.{name}")
                for name, entry in entries.items()
            }
    for key, kind in single.items():
        if isinstance(values.get(key), dict):
            values[key] = fill(kind, values[key], f"{path.name}: {key}")
    return values | {"name": path.stem}


def fill(kind: type[Filled], values: Any, where: str) -> Filled:
    """Make a dataclass of a mapping, refusing names that it does not know.

    Args:
        kind (`type`): A dataclass.
        values (`dict`): Its fields; lists become tuples.
        where (`str`): Place in the file, for messages.

    Returns:
        An instance of `kind`.

    Raises:
        ValueError: If a name is unknown or missing.

    Examples:
        >>> from dataclasses import make_dataclass
        >>> plan = make_dataclass("Plan", ["patients", "seed"])
        >>> fill(plan, {"patients": 10, "seed": 1}, "x.yaml: populations.a").patients
        10
        >>> fill(plan, {"seed": 1}, "x.yaml: populations.a")
        Traceback (most recent call last):
            ...
        ValueError: x.yaml: populations.a: expected 'patients', found none
    """
    if not isinstance(values, dict):
        raise ValueError(f"{where}: expected a mapping of keys, found {type(values).__name__}")
    known = {entry.name for entry in fields(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        found = ", ".join(map(repr, unknown))
        raise ValueError(f"{where}: expected keys among {', '.join(sorted(known))}, found {found}")
    needed = [entry.name for entry in fields(kind) if entry.default is MISSING and entry.default_factory is MISSING]
    missing = [name for name in needed if name not in values]
    if missing:
        raise ValueError(f"{where}: expected {', '.join(map(repr, missing))}, found none")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
