"""Dirty tables: no row is lost, no key repeated, no value invented, and what cannot be read is refused by a code."""

import pytest
from invariants.dirt import dirty_world, invented, repeated_keys
from invariants.ingest_worlds import Outcome, ingest_worlds
from invariants.raw_files import World

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.pipeline import contract

SOURCES = ("tuva", "synpuf", "cms-rif", "cclf")
SEED, NUM_WORLDS = 11, 20


def findings(source: str, seed: int, numbers: range) -> tuple[int, dict[int, str]]:
    """Ingest dirty worlds together: how many tables they have, and by number what is wrong with which."""
    worlds = {number: dirty_world(source, seed, number) for number in numbers}
    outcomes = ingest_worlds(source, worlds, labels=False)
    faults = {number: _fault(source, worlds[number], outcomes[number]) for number in numbers}
    faults = {number: text for number, text in faults.items() if text}
    return sum(map(len, worlds.values())), faults


def _fault(source: str, world: World, outcome: Outcome) -> str:
    if isinstance(outcome.error, ClaimDataError):
        return "a message holds a cell" if _holds_cell(str(outcome.error), world) else ""
    if outcome.error is not None:
        return f"{type(outcome.error).__name__}: {outcome.error}"
    repeated = {name: n for name in ("claim_line", "rx_claim") if (n := repeated_keys(outcome.tables[name]))}
    if repeated:
        return f"repeated keys: {repeated}"
    made_up = sorted(set(invented(source, world, outcome)))
    return f"invented: {', '.join(made_up)}" if made_up else ""


def _holds_cell(message: str, world: World) -> bool:
    cells = {cell for table in world for row in table.rows for cell in row.values() if cell}
    return any(cell in message for cell in cells if len(cell) > 7 and cell.isascii())


@pytest.mark.parametrize("source", [*SOURCES[:-1], pytest.param(SOURCES[-1], marks=pytest.mark.slow)])
def test_dirty_tables_are_read_or_refused(source: str) -> None:
    assert findings(source, SEED, range(1, NUM_WORLDS + 1))[1] == {}


@pytest.mark.parametrize("source", ["tuva", pytest.param("cms-rif", marks=pytest.mark.slow)])
def test_few_rows_are_computed_at_once_and_many_when_they_are_needed_to_the_same_end(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    worlds = {number: dirty_world(source, SEED, number) for number in (1, 2)}
    few = ingest_worlds(source, worlds, labels=False)
    monkeypatch.setattr(contract, "_FEW_CELLS", -1)
    many = ingest_worlds(source, worlds, labels=False)
    assert any(outcome.tables for outcome in few.values())
    assert [(one.tables, one.counts) for one in few.values()] == [(one.tables, one.counts) for one in many.values()]
