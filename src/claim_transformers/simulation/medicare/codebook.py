"""Tables of codes compiled for drawing: two versions of ICD, and another habit of coding from a drift on."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from claim_transformers.simulation.engine.calendar import Bool, Float, Int, Key
from claim_transformers.simulation.engine.data_files import SHARED_DATA, read_pools
from claim_transformers.simulation.engine.products import product_pools
from claim_transformers.simulation.engine.sampling import CodeTable
from claim_transformers.simulation.medicare.conditions import DATA
from claim_transformers.simulation.medicare.planted import DRIFT_CODE_JITTER, DRIFT_NEW_PRODUCTS, PlantedDrift

# Claims with a discharge or service from this day on are coded in ICD-10 (CMS).
_ICD10_DAY = int(np.datetime64("2015-10-01", "D").astype(np.int64))
_REPEAT = 0.6
# Labelers that are not assigned and that the pediatric population does not use, so that one code never means two
# drugs.
_LABELER_SHIFT = 100


# Classes of drugs and a pool of services that both populations take come from the shared tables.
_SHARED_CLASSES = ("antidepressant", "antipsychotic", "insulin", "thyroid_drug")


def service_pools() -> dict[str, str]:
    """Pools of services, supplies and equipment."""
    shared = read_pools(SHARED_DATA / "services.csv")["HCPCS"]
    return read_pools(DATA / "services.csv")["HCPCS"] | {"emergency_extra": shared["extra_emergency"]}


def drug_pools() -> dict[str, str]:
    """Classes of drugs with their ingredients."""
    shared = read_pools(SHARED_DATA / "drugs.csv")["DRUG"]
    return read_pools(DATA / "drugs.csv")["DRUG"] | {name: shared[name] for name in _SHARED_CLASSES}


class _DatedTable:
    """Pools of codes whose weights change on the day of a drift and whose codes change with the version of ICD.

    Args:
        versions (`Sequence[Mapping[str, str]]`): The same pools before and from October 1, 2015 on, or only once.
        drift (`PlantedDrift`): When and by how much the weights move.

    Examples:
        >>> table = _DatedTable([{"x": "A:1"}, {"x": "B:1"}], PlantedDrift(2012))
        >>> days = np.array([_ICD10_DAY - 1, _ICD10_DAY])
        >>> codes = table.draw(np.zeros(2, dtype=np.int32), np.zeros(2, dtype=np.float32), days)
        >>> table.vocabulary.take(codes).to_pylist()
        ['A', 'B']
    """

    def __init__(self, versions: Sequence[Mapping[str, str]], drift: PlantedDrift) -> None:
        self._drift_day = drift.first_day
        jitters = (0.0, DRIFT_CODE_JITTER * drift.strength) if drift.strength else (0.0,)
        self._tables = [
            [CodeTable(pools, jitter=jitter, seed=7 + number) for number, jitter in enumerate(jitters)]
            for pools in versions
        ]
        # Pools are numbered alike in all tables.
        self.pools = self._tables[0][0]
        self._offsets = np.cumsum([0] + [len(tables[0].vocabulary) for tables in self._tables])
        self.vocabulary = pa.array([code for tables in self._tables for code in tables[0].vocabulary], pa.string())

    def pool(self, name: str) -> int:
        """Number of a pool."""
        return self.pools.pool(name)

    def pool_ids(self, names: Sequence[str]) -> Int:
        """Numbers of several pools."""
        return self.pools.pool_ids(list(names))

    def is_second(self, day: Int) -> Bool:
        """Whether each day is coded in the second version."""
        later: Bool = day >= _ICD10_DAY if len(self._tables) > 1 else np.zeros(len(day), dtype=np.bool_)
        return later

    def draw(self, pool: Int, uniform: Float, day: Int) -> Int:
        """Draw one code per entry; the same number in `[0, 1)` gives the same code of a pool on days alike."""
        codes = np.empty(len(pool), dtype=np.int32)
        for rows, table, offset in self._parts(day):
            codes[rows] = table.draw(pool[rows], uniform[rows]) + offset
        return codes

    def _parts(self, day: Int) -> Iterator[tuple[Any, CodeTable, Any]]:
        """Rows that share a table, with the table and where its codes begin in the vocabulary."""
        second = self.is_second(day)
        drifted = day >= self._drift_day if len(self._tables[0]) > 1 else np.zeros(len(day), dtype=np.bool_)
        # Four tables at most: version of ICD times two, plus the habit of coding before or after the drift.
        which = second.astype(np.int8) * 2 + drifted
        for version, tables in enumerate(self._tables):
            for habit, table in enumerate(tables):
                rows = which == version * 2 + habit
                if rows.all():
                    yield slice(None), table, self._offsets[version]
                    return
                if rows.any():
                    yield np.flatnonzero(rows), table, self._offsets[version]

    def draw_habit(
        self, pool: Int, key: Key, day: Int, generator: np.random.Generator, repeat: float = _REPEAT
    ) -> Int:
        """Draw one code per entry, mostly one of the two that the patient has for this pool."""
        codes = np.empty(len(pool), dtype=np.int32)
        for rows, table, offset in self._parts(day):
            codes[rows] = table.draw_habit(pool[rows], key[rows], repeat, generator) + offset
        return codes


class MedicareCodebook:
    """All tables of codes that the claims of a simulation draw from.

    Args:
        drift (`PlantedDrift`): Moves weights and products.
    """

    def __init__(self, drift: PlantedDrift) -> None:
        diagnoses, procedures = read_pools(DATA / "diagnoses.csv"), read_pools(DATA / "procedures.csv")
        self.diagnoses = _DatedTable([diagnoses["ICD9CM"], diagnoses["ICD10CM"]], drift)
        self.procedures = _DatedTable([procedures["ICD9PCS"], procedures["ICD10PCS"]], drift)
        self.services = _DatedTable([service_pools()], drift)
        self.drugs = _DatedTable([drug_pools()], drift)
        pools = product_pools(self.drugs.vocabulary.to_pylist())
        self.product_pools = {name: _shift(codes, _LABELER_SHIFT) for name, codes in pools.items()}
        self.products = CodeTable(self.product_pools)
        # A drift brings products of labelers that nobody has seen before.
        self.new_share = DRIFT_NEW_PRODUCTS * drift.strength
        known = " ".join(self.products.vocabulary)
        self.product_vocabulary = pa.array([*known.split(), *_shift(known, _LABELER_SHIFT).split()], pa.string())


def _shift(codes: str, labelers: int) -> str:
    """The same products under other labelers, the first five digits of a code."""
    return " ".join(f"{int(code[:5]) + labelers}{code[5:]}" for code in codes.split())


@cache
def codebook_of(drift: PlantedDrift) -> MedicareCodebook:
    """The tables for a drift, compiled once per process."""
    return MedicareCodebook(drift)
