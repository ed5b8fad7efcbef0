"""Every relation holds for every source."""

import itertools
from functools import cache

import numpy as np
import pytest
from _pytest.mark import ParameterSet
from invariants.clean_worlds import clean_world
from invariants.ingest_worlds import NOBODY, Outcome, difference, ingest_worlds
from invariants.raw_files import SOURCES, World
from invariants.relations import ABSURD, RELATIONS, TOGETHER, Relation

from claim_transformers.codes.errors import ClaimDataError

SEED = 7
# People enough for one absurd date to be an exception.
_OTHERS = range(900, 908)
# Of these the suite asks what shares one load; make fuzz asks all.
_FEWER = {"simulated": "its reader is that of tuva", "cclf": "its rows are judged as those of the others"}
_FEWER |= {"omop": "its ten tables take long to plan"}


def changed_world(relation: Relation, source: str, seed: int, number: int) -> World:
    return relation.change(source, clean_world(source, seed, number), np.random.default_rng(seed))


@cache
def load(source: str, relations: tuple[Relation, ...], seed: int) -> tuple[dict[int, World], dict[int, Outcome]]:
    """Worlds and outcomes by the place of their relation, 0 for the unchanged world."""
    worlds = {RELATIONS.index(r) + 1: changed_world(r, source, seed, RELATIONS.index(r) + 1) for r in relations}
    if relations[0].group == TOGETHER:
        worlds[0] = clean_world(source, seed, 0)
    if relations[0].group == ABSURD:
        worlds |= {number: clean_world(source, seed, number) for number in _OTHERS}
    return worlds, ingest_worlds(source, worlds, **relations[0].options)


def group_of(name: str, source: str) -> tuple[Relation, ...]:
    return tuple(relation for relation in RELATIONS if relation.group == name and source not in relation.left_out)


def verdict(relation: Relation, source: str, seed: int, group: tuple[Relation, ...]) -> str:
    """What does not hold, in a few words; empty if all does."""
    number = RELATIONS.index(relation) + 1
    worlds, outcomes = load(source, group, seed)
    world, found = worlds[number], outcomes[number]
    if found.error is not None or source in relation.error:
        is_coded = isinstance(found.error, ClaimDataError)
        code = found.error.reason_code if is_coded else type(found.error).__name__
        return "" if code == relation.error.get(source) else f"{code}: {found.error}"
    base = load(source, group_of(TOGETHER, source), seed)[1][0]
    assert base.tables["patients"]
    expected, after = relation.expected(base.tables), relation.undo(found.tables)
    if text := difference(*(relation.view(source, world, tables) for tables in (expected, after))):
        return text
    if found.counts[NOBODY] or not relation.counts(source, world, found):
        return f"counts: {dict(found.counts)}"
    return ""


def check(relation: Relation, source: str, seed: int) -> str:
    """The verdict, and alone if it is a bad one, for a neighbour may have caused it."""
    group = group_of(relation.group, source)
    text = verdict(relation, source, seed, group)
    return verdict(relation, source, seed, (relation,)) if text and len(group) > 1 else text


def _cases() -> list[ParameterSet]:
    cases = []
    for relation, source in itertools.product(RELATIONS, SOURCES):
        marks = []
        # The first is read as tuva is, the others are ten tables each.
        if source in ("simulated", "cclf", "omop"):
            marks.append(pytest.mark.slow)
        if source in _FEWER and relation.group != TOGETHER:
            marks.append(pytest.mark.skip(reason=_FEWER[source]))
        elif source in relation.left_out:
            marks.append(pytest.mark.skip(reason=relation.left_out[source]))
        cases.append(pytest.param(relation, source, id=f"{relation.name}-{source}", marks=marks))
    return cases


@pytest.mark.parametrize(("relation", "source"), _cases())
def test_the_tables_timelines_and_labels_are_the_same_when(relation: Relation, source: str) -> None:
    assert not check(relation, source, SEED)
