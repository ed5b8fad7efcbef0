"""Sizes of a benchmark as a small YAML file: how many patients, repeats and epochs, and how long models pretrain."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Filled = TypeVar("Filled", bound="DataclassInstance")


@dataclass(frozen=True)
class Population:
    """Children to simulate.

    Args:
        patients (`int`): How many.
        seed (`int`): Seed of the simulation.
        institution (`str`, *optional*, defaults to `"a"`): `"b"` has other patients and shifted codes.
    """

    patients: int
    seed: int
    institution: str = "a"


@dataclass(frozen=True)
class Pretraining:
    """How a model is pretrained by the benchmark itself.

    Args:
        config (`str`): JSON file with `model` and `tokenizer`, such as `examples/configs/claim-pt-paper.json`.
        max_steps (`int`): Optimizer steps.
        patients (`int`, *optional*): Most patients to pretrain on; all outside the cohorts without it.
        batch_size (`int`, *optional*, defaults to `64`): Patients per step.
        learning_rate (`float`, *optional*, defaults to `1e-3`): Highest learning rate.
        lr_scheduler_type (`str`, *optional*, defaults to `"cosine"`): How it falls.
        weight_decay (`float`, *optional*, defaults to `0.01`): Of AdamW.
        cp_mask_probability (`float`, *optional*, defaults to `0.0`): Share of codes hidden for category prediction.
        min_patients (`int`, *optional*, defaults to `11`): Patients behind every token.
        seed (`int`, *optional*, defaults to `0`): Seed of weights, batches and masks.
    """

    config: str
    max_steps: int
    patients: int | None = None
    batch_size: int = 64
    learning_rate: float = 1e-3
    lr_scheduler_type: str = "cosine"
    weight_decay: float = 0.01
    cp_mask_probability: float = 0.0
    min_patients: int = 11
    seed: int = 0


@dataclass(frozen=True)
class Profile:
    """All sizes of a run.

    Args:
        populations (`dict[str, Population]`): By name; `"a"` is pretrained on and holds the cohorts of the tables.
        cohorts (`dict[str, dict]`): Built-in cohorts, each with changes of its sampling.
        checkpoint (`str`, *optional*): Folder or name of the pretrained model; without it the benchmark pretrains one
            by `pretraining["base"]`.
        pretraining (`dict[str, Pretraining]`): `"paper"`, `"ablation"`, `"heads_and_layers"`, and `"base"` where there
            is no checkpoint.
        repeats (`int`, *optional*, defaults to `5`): Splits behind every number of the tables.
        epochs (`int`, *optional*, defaults to `20`): Epochs of every neural network on a cohort.
        training_sizes (`list[int]`, *optional*): Patients to learn from in Figure 6, beside all of them.
        heads, layers (`list[int]`, *optional*): Of the authors' extra plots.

    Raises:
        ValueError: If there is no population `"a"`, or neither a checkpoint nor a way to pretrain one.
    """

    populations: Mapping[str, Population]
    cohorts: Mapping[str, Mapping[str, Any]]
    pretraining: Mapping[str, Pretraining]
    checkpoint: str | None = None
    repeats: int = 5
    epochs: int = 20
    training_sizes: tuple[int, ...] = (100, 200, 400)
    heads: tuple[int, ...] = (1, 2, 4, 10)
    layers: tuple[int, ...] = (1, 2, 4, 10, 12)
    name: str = field(default="profile")

    def __post_init__(self) -> None:
        if "a" not in self.populations:
            raise ValueError(f"expected a population 'a', found {sorted(self.populations)}")
        if self.checkpoint is None and "base" not in self.pretraining:
            raise ValueError("expected a checkpoint or pretraining of 'base', found neither")


def load_profile(path: str | Path) -> Profile:
    """Read a profile.

    Args:
        path (`str` or `Path`): YAML file.

    Returns:
        [`Profile`]: Its content, named after the file.

    Raises:
        ValueError: If a key is unknown or missing.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "tiny.yaml")
        >>> content = {"populations": {"a": {"patients": 9, "seed": 1}}, "cohorts": {}, "pretraining": {}}
        >>> _ = path.write_text(yaml.safe_dump(content | {"checkpoint": "claim-pt-base"}))
        >>> load_profile(path).populations["a"].patients
        9
        >>> _ = path.write_text(yaml.safe_dump(content | {"repeat": 3}))
        >>> load_profile(path)
        Traceback (most recent call last):
            ...
        ValueError: tiny.yaml: expected keys among checkpoint, cohorts, epochs, ..., found 'repeat'
    """
    path = Path(path)
    values = read_sizes(path, by_name={"populations": Population, "pretraining": Pretraining})
    values["cohorts"] = {name: changes or {} for name, changes in (values.get("cohorts") or {}).items()}
    return fill(Profile, values, path.name)


def read_sizes(
    path: Path, *, by_name: Mapping[str, type], single: Mapping[str, type] = MappingProxyType({})
) -> dict[str, Any]:
    """Read a YAML file of sizes and make dataclasses of its parts.

    Args:
        path (`Path`): YAML file.
        by_name (`Mapping[str, type]`): Keys that hold instances of a dataclass by name.
        single (`Mapping[str, type]`, *optional*): Keys that hold one instance.

    Returns:
        `dict[str, Any]`: Values by key, and the name of the file as `name`; parts that are no mapping as they are.

    Raises:
        ValueError: If the file holds no mapping, or a key of a part is unknown or missing.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "tiny.yaml")
        >>> _ = path.write_text("populations: {a: {patients: 9, seed: 1}}")
        >>> read_sizes(path, by_name={"populations": Population})
        {'populations': {'a': Population(patients=9, seed=1, institution='a')}, 'name': 'tiny'}
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
    for key, kind in by_name.items():
        entries = values.get(key)
        if isinstance(entries, dict):
            values[key] = {name: fill(kind, entry, f"{path.name}: {key}.{name}") for name, entry in entries.items()}
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
        >>> fill(Population, {"patients": 10, "seed": 1}, "x.yaml: populations.a").institution
        'a'
        >>> fill(Population, {"seed": 1}, "x.yaml: populations.a")
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
