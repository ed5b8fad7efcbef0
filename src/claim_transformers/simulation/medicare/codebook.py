"""Tables of codes compiled for drawing: both versions of ICD, and another habit of coding from a drift on."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from claim_transformers.simulation.engine.calendar import Bool, Float, Int, Key
from claim_transformers.simulation.engine.data_files import SHARED_DATA, read_pools
from claim_transformers.simulation.engine.icd10 import Coding, Icd10Codes
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
    """Classes of drugs with their ingredients, before version 3."""
    shared = read_pools(SHARED_DATA / "drugs.csv")["DRUG"]
    return read_pools(DATA / "drugs.csv")["DRUG"] | {name: shared[name] for name in _SHARED_CLASSES}


def more_drug_pools() -> dict[str, str]:
    """The same classes with the ingredients that fill most prescriptions."""
    shared = read_pools(SHARED_DATA / "more_drugs.csv")["DRUG"]
    more = {name: shared[name] for name in _SHARED_CLASSES if name in shared}
    return drug_pools() | read_pools(DATA / "more_drugs.csv")["DRUG"] | more


class _DatedTable:
    """Pools of codes whose weights change on the day of a drift and whose codes change with the version of ICD.

    The same pools come as they are before and from October 1, 2015 on, or only once.
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
    """All tables of codes that the claims of a simulation draw from."""

    def __init__(self, drift: PlantedDrift, coding: Coding) -> None:
        diagnoses, procedures = read_pools(DATA / "diagnoses.csv"), read_pools(DATA / "procedures.csv")
        # Version 2 drew the codes of either ICD from pools of their own; from version 3 on a claim is written in
        # ICD-9 and rewritten, so that no category changes its rate.
        self._rewrites = coding.version > 2
        self._first_day = coding.first_day
        systems = (("ICD9CM",), ("ICD9PCS",)) if self._rewrites else (("ICD9CM", "ICD10CM"), ("ICD9PCS", "ICD10PCS"))
        self.diagnoses = _DatedTable([diagnoses[system] for system in systems[0]], drift)
        self.procedures = _DatedTable([procedures[system] for system in systems[1]], drift)
        self.services = _DatedTable([service_pools()], drift)
        self.drugs = _DatedTable([more_drug_pools() if self._rewrites else drug_pools()], drift)
        pools = product_pools(self.drugs.vocabulary.to_pylist(), drug_pools())
        self.product_pools = {name: _shift(codes, _LABELER_SHIFT) for name, codes in pools.items()}
        self.products = CodeTable(self.product_pools)
        # A drift brings products of labelers that nobody has seen before.
        self.new_share = DRIFT_NEW_PRODUCTS * drift.strength
        known = " ".join(self.products.vocabulary)
        self.product_vocabulary = pa.array([*known.split(), *_shift(known, _LABELER_SHIFT).split()], pa.string())

    def all_product_pools(self) -> dict[str, str]:
        """Products of every ingredient, those that a drift brings among them."""
        return {name: f"{pool} {_shift(pool, _LABELER_SHIFT)}" for name, pool in self.product_pools.items()}

    def is_icd10(self, day: Int) -> Bool:
        """Whether claims that end on each day are coded in ICD-10."""
        later: Bool = day >= self._first_day
        return later

    @cached_property
    def _icd10(self) -> tuple[Icd10Codes, Icd10Codes]:
        """ICD-10-CM and ICD-10-PCS, compiled where a simulation reaches them."""
        return (
            Icd10Codes("ICD9CM", self.diagnoses.vocabulary.to_pylist()),
            Icd10Codes("ICD9PCS", self.procedures.vocabulary.to_pylist()),
        )

    def rewrite(
        self, diagnoses: Int, procedures: Int, key: Key, end: Int, generator: np.random.Generator
    ) -> tuple[Int, Int]:
        """Diagnoses and procedures of claims by their last day, in `words`."""
        is_icd10 = self.is_icd10(end)
        if not self._rewrites or not is_icd10.any():
            return diagnoses, procedures
        first, second = self._icd10
        return first.rewrite(diagnoses, key, is_icd10, generator), second.rewrite(procedures, key, is_icd10, generator)

    def words(self, end: Int) -> tuple[pa.Array, pa.Array]:
        """Vocabularies of the diagnoses and the procedures of claims by their last day."""
        if not self._rewrites or not self.is_icd10(end).any():
            return self.diagnoses.vocabulary, self.procedures.vocabulary
        first, second = self._icd10
        return pa.array(first.vocabulary, pa.string()), pa.array(second.vocabulary, pa.string())


def _shift(codes: str, labelers: int) -> str:
    """The same products under other labelers, the first five digits of a code."""
    return " ".join(f"{int(code[:5]) + labelers}{code[5:]}" for code in codes.split())


@cache
def codebook_of(drift: PlantedDrift, coding: Coding) -> MedicareCodebook:
    """The tables for a drift and a coding, compiled once per process."""
    return MedicareCodebook(drift, coding)
