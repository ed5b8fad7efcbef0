"""Resources of FHIR, damaged at random: elements that are missing, of another kind, twice, or filled with nonsense."""

import copy
import random
from collections.abc import Iterator
from typing import Any

from sources.fhir_resources import (
    Resource,
    cms_eob,
    coverage,
    patient,
    payer_eob,
    rif_resources,
    stu3_eob,
)
from sources.rif_rows import claim, drug

KINDS = ("inpatient", "outpatient", "carrier", "dme", "home_health", "hospice", "snf")
_NAMES = ("Ada", "Bob", "Cy")
_NONSENSE: tuple[Any, ...] = (
    None,
    "",
    0,
    1.5,
    True,
    [],
    {},
    ["x"],
    {"code": "x"},
    "2024-02-30",
    "9999-12-31",
    "x" * 40,
)
_NONSENSE += ("  ", "2024-03-05T10:00:00Z", "1950")


def every_kind(first: int = 1) -> list[Resource]:
    """Claims of all types in all dialects, and who the patients are."""
    found: list[Resource] = []
    for number, make in enumerate((payer_eob, cms_eob, stu3_eob) * 20, start=first):
        found.append(make(str(number), _NAMES[number % 3]))
    for place, kind in enumerate(KINDS, start=first + 100):
        for is_stu3 in (False, True):
            name = str(2 * place + is_stu3)
            found += rif_resources(kind, [claim(kind, name, line) for line in (1, 2)], is_stu3=is_stu3)
    found += [one for n in range(9) for one in rif_resources("part_d", [drug(f"D{first + n}")], is_stu3=n % 2 == 0)]
    found += [patient(name) for name in _NAMES]
    return [*found, *(coverage(name, part) for name in _NAMES[:2] for part in ("Part A", "Part C", "Part D", None))]


def damage(resources: list[Resource], seed: int) -> list[Resource]:
    """Change up to three elements of each resource."""
    draw = random.Random(seed)
    return [_damaged(copy.deepcopy(one), draw) for one in resources]


def _damaged(resource: Resource, draw: random.Random) -> Resource:
    for _ in range(draw.choice((0, 1, 1, 2, 3))):
        path = draw.choice(list(_places(resource)))
        parent: Any = resource
        for step in path[:-1]:
            parent = parent[step]
        chance, last = draw.random(), path[-1]
        if chance < 0.4:
            del parent[last]
        elif chance < 0.8 or not isinstance(parent, list):
            parent[last] = draw.choice(_NONSENSE)
        else:
            parent.append(copy.deepcopy(parent[last]))
    return resource


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all elements but that which says what a resource is."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, below in list(steps):
        if step != "resourceType":
            yield (*path, step)
            yield from _places(below, (*path, step))
