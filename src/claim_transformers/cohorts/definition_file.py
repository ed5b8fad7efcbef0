"""Definition files: the YAML of a cohort, of both kinds, checked key by key.

Everything a reader of a study asks for stands in the file (codes of both ICD generations, ages, windows, case-control
ratio, seed), so a cohort is changed by editing a file and cited by quoting it. `kind: readmission` marks the one kind;
a file without `kind` defines an event.
"""

import datetime as dt
from dataclasses import MISSING, fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints, overload

from claim_transformers.claims.inputs import check_file, check_inputs, cut_message, read_yaml
from claim_transformers.codes.errors import ClaimDataError, did_you_mean
from claim_transformers.cohorts.definition import Enrolment
from claim_transformers.cohorts.event.definition import (
    AmountRule,
    Criterion,
    EventDefinition,
    IndexRule,
    LabelRule,
    Sampling,
)
from claim_transformers.cohorts.readmission.definition import ReadmissionDefinition

_Kind = Literal["event", "readmission"]
_KINDS: dict[str, type[EventDefinition | ReadmissionDefinition]] = {
    "event": EventDefinition,
    "readmission": ReadmissionDefinition,
}


def built_in_cohorts(kind: _Kind | None = None) -> list[str]:
    """Names of the cohorts that ship with the package as YAML files.

    Args:
        kind (`str`, *optional*): `"event"` or `"readmission"`; both without it.

    Examples:
        >>> built_in_cohorts("readmission")
        ['readmission']
    """
    return sorted(path.stem for path in _built_in_files(kind or "*"))


def _built_in_files(kind: str) -> list[Path]:
    return list(Path(__file__).parent.glob(f"{kind}/definitions/*.yaml"))


@overload
def load_definition(name_or_path: str | Path, kind: Literal["event"]) -> EventDefinition: ...


@overload
def load_definition(name_or_path: str | Path, kind: Literal["readmission"]) -> ReadmissionDefinition: ...


@overload
def load_definition(name_or_path: str | Path, kind: None = None) -> EventDefinition | ReadmissionDefinition: ...


def load_definition(name_or_path: str | Path, kind: _Kind | None = None) -> EventDefinition | ReadmissionDefinition:
    """Read the definition of a cohort.

    Args:
        name_or_path (`str` or `Path`): Name of a built-in cohort, or path of a YAML file.
        kind (`str`, *optional*): `"event"` or `"readmission"`, where only that kind will do.

    Raises:
        ValueError: If there is no such cohort, it is of another kind, a key is unknown or missing, or a value does not
            fit.

    Examples:
        >>> load_definition("readmission").title
        'Readmission within 30 days, every inpatient claim'
        >>> load_definition("asthma")
        Traceback (most recent call last):
        ValueError: expected a .yaml file or one of the cohorts ..., did you mean 'asthma_exacerbation'?
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        check_file(path, "a cohort's definition")
    else:
        path = next((each for each in _built_in_files("*") if each.stem == str(name_or_path)), path)
    if not check_inputs(path).is_file():
        known = built_in_cohorts(kind)
        hint = did_you_mean([str(name_or_path)], known, 0.3)
        raise ValueError(f"expected a .yaml file or one of the cohorts {known}, found {str(name_or_path)!r}{hint}")
    try:
        return _to_definition(path, kind)
    except ClaimDataError:
        raise
    except ValueError as error:
        raise ValueError(cut_message(str(error))) from error


def _to_definition(path: Path, kind: _Kind | None) -> EventDefinition | ReadmissionDefinition:
    content = _read_yaml(path)
    found = content.pop("kind", "event")
    if not isinstance(found, str) or found not in _KINDS:
        raise ValueError(f"{path.name}: kind: expected {' or '.join(map(repr, _KINDS))}, found {found!r}")
    if kind not in (None, found):
        raise ValueError(f"{path.name}: expected a definition of the kind {kind!r}, found {found!r}")
    if "enrolment" in content:
        content["enrolment"] = _fill(Enrolment, content["enrolment"], f"{path.name}: enrolment")
    if found == "event":
        content = _event_values(content, path.name)
    definition: EventDefinition | ReadmissionDefinition = _fill(_KINDS[found], content, path.name)
    return definition


def _read_yaml(path: Path) -> dict[str, Any]:
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path.name}: expected a mapping of keys, found {type(content).__name__}")
    return content


def _event_values(content: dict[str, Any], where: str) -> dict[str, Any]:
    """The keys of an event with their own mappings filled in."""
    values = dict(content)
    for key, part in (("index", IndexRule), ("label", LabelRule), ("outcome", AmountRule), ("sampling", Sampling)):
        if key in values:
            values[key] = _fill(part, values[key], f"{where}: {key}")
    steps = values.get("criteria") or []
    values["criteria"] = tuple(_fill(Criterion, step, f"{where}: criteria[{i}]") for i, step in enumerate(steps))
    values["codes"] = _code_sets(values.get("codes") or {}, f"{where}: codes")
    return values


def _code_sets(content: Any, where: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(content, dict):
        raise ValueError(f"{where}: expected a mapping of names to lists, found {type(content).__name__}")
    for name, prefixes in content.items():
        if not isinstance(prefixes, list) or not all(isinstance(prefix, str) for prefix in prefixes):
            raise ValueError(f"{where}: {name}: expected a list of SYSTEM/PREFIX such as [ICD9CM/493], no dots")
    return {name: tuple(prefixes) for name, prefixes in content.items()}


def _fill(part: type, values: Any, where: str) -> Any:
    """An instance of a dataclass from a mapping, refusing what it does not know."""
    if not isinstance(values, dict):
        raise ValueError(f"{where}: expected a mapping of keys, found {type(values).__name__}")
    known = {entry.name for entry in fields(part)}
    unknown = sorted(map(str, set(values) - known))
    if unknown:
        raise ValueError(f"{where}: expected keys among {sorted(known)}, found {unknown}")
    needed = {entry.name for entry in fields(part) if entry.default is MISSING and entry.default_factory is MISSING}
    if not needed <= set(values):
        raise ValueError(f"{where}: expected the keys {sorted(needed)}, missing {sorted(needed - set(values))}")
    hints = get_type_hints(part)
    plain = {key: _plain(value, hints[key]) for key, value in values.items()}
    for key, value in plain.items():
        if not _fits(value, hints[key]):
            raise ValueError(f"{where}: {key}: expected {_in_words(hints[key])}, found {value!r}")
    return part(**plain)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of the file is of the type of its field; what is neither plain nor a list is checked already."""
    origin = get_origin(hint)
    if origin is Literal:
        return value in get_args(hint)
    if origin is UnionType:
        return any(_fits(value, each) for each in get_args(hint))
    if origin is tuple and get_args(hint)[0] is str:
        return isinstance(value, tuple) and all(isinstance(entry, str) for entry in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is dt.date:
        return type(value) is dt.date  # A time of day, which YAML reads too, is a date by inheritance only.
    return not isinstance(hint, type) or isinstance(value, hint)


def _in_words(hint: Any) -> str:
    names = {
        int: "a whole number",
        float: "a number",
        str: "text",
        bool: "true or false",
        dt.date: "an ISO date such as 2013-01-01",
        type(None): "nothing",
    }
    if get_origin(hint) is Literal:
        return " or ".join(repr(value) for value in get_args(hint))
    if get_origin(hint) is UnionType:
        return " or ".join(_in_words(each) for each in get_args(hint))
    return "a list of texts" if get_origin(hint) is tuple else names.get(hint, "another type")


def _plain(value: Any, hint: Any) -> Any:
    """Lists as tuples, and the dates that YAML reads as dates back as text where text is asked for."""
    if isinstance(value, list):
        return tuple(_plain(entry, None) for entry in value)
    if dt.date in get_args(hint):
        return value
    return value.isoformat() if isinstance(value, dt.date) else value
