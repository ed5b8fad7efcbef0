"""A cohort as a small declarative file: who is in, from when, with which label.

The file is YAML. Everything a reader of a study asks for stands in it (codes of both ICD generations, ages, windows,
case-control ratio, seed), so a cohort is changed by editing a file and cited by quoting it.
"""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml

DEFINITIONS = Path(__file__).parent / "definitions"
# MEDS brings systems of its own, so the name of the system is open; claims have no dots, but some codes of MEDS do.
CODE_PREFIX = re.compile("[A-Z0-9_]+/[A-Z0-9.,+/_-]+")
_DOTLESS = re.compile("(ICD9CM|ICD10CM|ICD9PCS|ICD10PCS|HCPCS|NDC)/.*[.-].*")


@dataclass(frozen=True)
class IndexRule:
    """From when a patient is observed.

    Args:
        rule (`str`): `"fixed_date"`: calendar dates set before anything is known about a patient. With several dates
            a case has the first one whose horizon holds its outcome, and a control one drawn at random among those at
            which it is eligible, so that a patient is still one example. `"next_encounter"`: the first visit with the
            outcome for cases, and for controls a visit drawn at random in the same window, so that the length of the
            record tells nothing about the label (the paper takes the last visit of a control, which it does).
        dates (`list[str]`): ISO dates of `"fixed_date"`.
        first_date (`str`): ISO date, first day on which an index visit of `"next_encounter"` may lie.
        last_date (`str`): ISO date, last day on which it may lie.
    """

    rule: Literal["fixed_date", "next_encounter"]
    dates: tuple[str, ...] = ()
    first_date: str | None = None
    last_date: str | None = None

    def __post_init__(self) -> None:
        if self.rule not in ("fixed_date", "next_encounter"):
            raise ValueError(f"index.rule: expected 'fixed_date' or 'next_encounter', found {self.rule!r}")
        if self.rule == "fixed_date" and not self.dates:
            raise ValueError("index.dates: expected at least one ISO date, found none")
        for text in self.dates:
            _epoch_day(text, "index.dates")
        if self.rule == "next_encounter":
            _epoch_day(self.first_date, "index.first_date")
            _epoch_day(self.last_date, "index.last_date")


@dataclass(frozen=True)
class Criterion:
    """One step of the selection, and one row of the attrition table.

    Args:
        step (`str`): What the step asks, in words, as printed in the attrition table.
        rule (`str`): `"enrolled"`, `"age"`, `"codes"`, `"alive"` or `"visits"`; see
            `claim_transformers.cohorts.rules`.
        exclude (`bool`): Whether patients that satisfy the rule leave instead of stay.
        codes (`str`): Name of a code set of the definition, for `"codes"`.
        visit_types (`list[str]`): Claim types that count; all when empty.
        look_back_days (`int`): Days before the index date in which the rule looks; the whole history when `None`.
        minimum (`float`): Least age in years, or least number of visits.
        maximum (`float`): Greatest age in years.
    """

    step: str
    rule: Literal["enrolled", "age", "codes", "alive", "visits"]
    exclude: bool = False
    codes: str | None = None
    visit_types: tuple[str, ...] = ()
    look_back_days: int | None = None
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class LabelRule:
    """What is predicted.

    Args:
        codes (`str`): Name of the code set of the outcome; any code when `None`.
        visit_types (`list[str]`): Claim types on which the outcome counts; all when empty.
        horizon_days (`int`): Days from the index date in which it counts, the index date included. With
            `"next_encounter"` it must be 1: the visit itself.
        death (`str`): Whether death inside the horizon without the outcome is a `"negative"` or `"censored"`.

    Raises:
        ValueError: If the horizon is empty.
    """

    horizon_days: int
    codes: str | None = None
    visit_types: tuple[str, ...] = ()
    death: Literal["negative", "censored"] = "censored"

    def __post_init__(self) -> None:
        if self.horizon_days < 1:
            raise ValueError(f"label.horizon_days: expected at least 1, found {self.horizon_days}")


@dataclass(frozen=True)
class Sampling:
    """How many of the eligible patients are kept.

    Args:
        cases (`int`): Most cases kept; all when `None`.
        controls_per_case (`float`): Controls drawn per case; all controls when `None`.
        seed (`int`): Seed of both draws, which depend on nothing but it and the patient.

    Raises:
        ValueError: If no case or no control would be kept.
    """

    cases: int | None = None
    controls_per_case: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.cases is not None and self.cases < 1:
            raise ValueError(f"sampling.cases: expected at least 1, found {self.cases}")
        if self.controls_per_case is not None and self.controls_per_case <= 0:
            raise ValueError(f"sampling.controls_per_case: expected more than 0, found {self.controls_per_case}")


@dataclass(frozen=True)
class CohortDefinition:
    """Who is in, from when, with which label, and how the examples are split.

    Args:
        name (`str`): Name of the cohort.
        title (`str`): One sentence for tables and reports.
        source (`str`): Where the definition comes from.
        codes (`dict[str, list[str]]`): Code sets; each entry is `SYSTEM/PREFIX` and stands for all codes beneath it.
        index (`IndexRule`): From when.
        criteria (`list[Criterion]`): Steps of the selection, in order.
        label (`LabelRule`): What is predicted.
        sampling (`Sampling`): How many are kept.
        train (`float`): Share of patients for training.
        validation (`float`): Share of patients for validation; the rest is the test split.

    Raises:
        ValueError: If a criterion names an unknown code set, or the shares do not fit.

    Examples:
        >>> definition = load_definition("asthma_exacerbation")
        >>> definition.label.horizon_days
        365
    """

    name: str
    title: str
    source: str
    codes: Mapping[str, tuple[str, ...]]
    index: IndexRule
    criteria: tuple[Criterion, ...]
    label: LabelRule
    sampling: Sampling = field(default_factory=Sampling)
    train: float = 0.6
    validation: float = 0.1

    def __post_init__(self) -> None:
        named = [criterion.codes for criterion in self.criteria if criterion.rule == "codes"] + [self.label.codes]
        for name in named:
            if name is not None and name not in self.codes:
                raise ValueError(f"expected one of the code sets {sorted(self.codes)}, found {name!r}")
        for criterion in self.criteria:
            if criterion.rule == "codes" and criterion.codes is None:
                raise ValueError(f"the step {criterion.step!r} asks for codes: expected 'codes', found none")
        if not (self.train > 0 and self.validation >= 0 and self.train + self.validation < 1):
            raise ValueError(
                f"expected train > 0, validation >= 0 and a rest for the test split, "
                f"found train {self.train} and validation {self.validation}"
            )
        if self.index.rule == "next_encounter" and self.label.horizon_days != 1:
            raise ValueError(f"'next_encounter' needs label.horizon_days 1, found {self.label.horizon_days}")

    @property
    def index_days(self) -> list[int]:
        """Days from 1970-01-01 to the fixed index dates, in order."""
        return sorted(_epoch_day(text, "index.dates") for text in self.index.dates)

    @property
    def window_days(self) -> tuple[int, int]:
        """First and last day, since 1970-01-01, on which an index visit may lie."""
        return _epoch_day(self.index.first_date, "index.first_date"), _epoch_day(
            self.index.last_date, "index.last_date"
        )

    def to_dict(self) -> dict[str, Any]:
        """The definition as plain values, for the folder of the cohort."""
        return asdict(self)


def built_in_cohorts() -> list[str]:
    """Names of the cohorts that ship with the package.

    Examples:
        >>> "asthma_exacerbation" in built_in_cohorts()
        True
    """
    return sorted(path.stem for path in DEFINITIONS.glob("*.yaml"))


def load_definition(name_or_path: str | Path) -> CohortDefinition:
    """Reads the definition of a cohort.

    Args:
        name_or_path (`str` or `Path`): Name of a built-in cohort, or path of a YAML file.

    Returns:
        `CohortDefinition`: The checked definition.

    Raises:
        ValueError: If there is no such cohort, a key is unknown or missing, or a value does not fit.

    Examples:
        >>> load_definition("asthma")
        Traceback (most recent call last):
            ...
        ValueError: expected a .yaml file or one of the cohorts ...; did you mean 'asthma_exacerbation'?
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = DEFINITIONS / f"{name_or_path}.yaml"
    if not path.is_file():
        known = built_in_cohorts()
        close = get_close_matches(str(name_or_path), known, n=1, cutoff=0.3)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"expected a .yaml file or one of the cohorts {known}, found {str(name_or_path)!r}{hint}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = "" if where is None else f" in line {where.line + 1}"
        raise ValueError(f"{path.name}: expected YAML, found something else{line}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path.name}: expected a mapping of keys, found {type(content).__name__}")
    return _definition(content, path.name)


def _definition(content: dict[str, Any], where: str) -> CohortDefinition:
    values = dict(content)
    for key, kind in (("index", IndexRule), ("label", LabelRule), ("sampling", Sampling)):
        if key in values:
            values[key] = _fill(kind, values[key], f"{where}: {key}")
    steps = values.get("criteria") or []
    values["criteria"] = tuple(_fill(Criterion, step, f"{where}: criteria[{i}]") for i, step in enumerate(steps))
    values["codes"] = _code_sets(values.get("codes") or {}, f"{where}: codes")
    definition = _fill(CohortDefinition, values, where)
    assert isinstance(definition, CohortDefinition)
    return definition


def _code_sets(content: Any, where: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(content, dict):
        raise ValueError(f"{where}: expected a mapping of names to lists, found {type(content).__name__}")
    for name, prefixes in content.items():
        is_list = isinstance(prefixes, list) and all(isinstance(prefix, str) for prefix in prefixes)
        if not is_list or not prefixes or not all(_is_prefix(prefix) for prefix in prefixes):
            raise ValueError(f"{where}: {name}: expected a list of SYSTEM/PREFIX such as [ICD9CM/493], no dots")
    return {name: tuple(prefixes) for name, prefixes in content.items()}


def _is_prefix(text: str) -> bool:
    return CODE_PREFIX.fullmatch(text) is not None and _DOTLESS.fullmatch(text) is None


def _fill(kind: type, values: Any, where: str) -> Any:
    """An instance of a dataclass from a mapping, refusing what it does not know."""
    if not isinstance(values, dict):
        raise ValueError(f"{where}: expected a mapping of keys, found {type(values).__name__}")
    known = {entry.name for entry in fields(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"{where}: expected keys among {sorted(known)}, found {unknown}")
    needed = {entry.name for entry in fields(kind) if entry.default is MISSING and entry.default_factory is MISSING}
    if not needed <= set(values):
        raise ValueError(f"{where}: expected the keys {sorted(needed)}, missing {sorted(needed - set(values))}")
    hints = get_type_hints(kind)
    plain = {key: _plain(value) for key, value in values.items()}
    for key, value in plain.items():
        if not _fits(value, hints[key]):
            raise ValueError(f"{where}: {key}: expected {_in_words(hints[key])}, found {value!r}")
    return kind(**plain)


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
    return not isinstance(hint, type) or isinstance(value, hint)


def _in_words(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "nothing"}
    if get_origin(hint) is Literal:
        return " or ".join(repr(value) for value in get_args(hint))
    if get_origin(hint) is UnionType:
        return " or ".join(_in_words(each) for each in get_args(hint))
    return "a list of texts" if get_origin(hint) is tuple else names.get(hint, "another type")


def _plain(value: Any) -> Any:
    """Lists as tuples, and the dates that YAML reads as dates back as text."""
    if isinstance(value, list):
        return tuple(_plain(entry) for entry in value)
    return value.isoformat() if isinstance(value, dt.date) else value


def _epoch_day(text: str | None, where: str) -> int:
    try:
        return (dt.date.fromisoformat(text or "") - dt.date(1970, 1, 1)).days
    except ValueError as error:
        raise ValueError(f"{where}: expected an ISO date such as 2013-01-01") from error
