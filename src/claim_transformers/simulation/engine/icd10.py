"""ICD-10 of the simulators: from which day on claims are coded in it, and the codes that stand for those of ICD-9.

A claim is first written in ICD-9, whatever its date, and rewritten where ICD-10 is in force. The draws of the detail
that ICD-10 adds (side, encounter, severity) have a stream of their own, so lives, dates, amounts and risks are the
same in every coding.
"""

import csv
import datetime as dt
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from claim_transformers.codes.normalize import normalize_codes
from claim_transformers.codes.systems import ICD10_START_DATE
from claim_transformers.simulation.engine.calendar import NEVER, Bool, Int, Key
from claim_transformers.simulation.engine.data_files import SHARED_DATA
from claim_transformers.simulation.engine.sampling import CodeTable

_ICD10_FROM = ICD10_START_DATE.isoformat()
_COLUMNS = ("system", "code", "icd10", "source")
_SYSTEMS = {"ICD9CM": "ICD10CM", "ICD9PCS": "ICD10PCS"}
# A patient mostly keeps the side and the severity that were coded before; a judgement.
_REPEAT = 0.85


@dataclass(frozen=True)
class Coding:
    """How a simulation is coded."""

    version: int  # Version of the simulation.
    icd10_from: str  # ISO date, `"always"` or `"never"`.
    first_day: int = field(init=False)

    def __post_init__(self) -> None:
        days = {"always": -int(NEVER), "never": int(NEVER)}
        if self.icd10_from not in days:
            try:
                date = dt.date.fromisoformat(self.icd10_from)
            except ValueError as error:
                raise ValueError(
                    f"expected an ISO date such as {_ICD10_FROM}, 'always' or 'never' as icd10_from, found "
                    f"{self.icd10_from!r}"
                ) from error
            days[self.icd10_from] = (date - dt.date(1970, 1, 1)).days
        object.__setattr__(self, "first_day", days[self.icd10_from])


def check_coding(version: int | None, versions: tuple[int, int], icd10_from: str | None) -> Coding:
    """Give the coding that was asked for, or refuse it."""
    first, second = versions
    version = second if version is None else version
    if version not in versions:
        raise ValueError(f"expected a simulation version of {first} or {second}, found {version}")
    if version == first and icd10_from is not None:
        raise ValueError(
            f"expected no icd10_from with simulation version {first}, which knows none, found {icd10_from!r}; "
            f"take version {second}"
        )
    return Coding(version, _ICD10_FROM if icd10_from is None else icd10_from)


@cache
def read_icd10(path: Path = SHARED_DATA / "icd10_codes.csv") -> dict[str, dict[str, str]]:
    """Read the ICD-10 codes of every ICD-9 code, once per process."""
    read: dict[str, dict[str, str]] = {system: {} for system in _SYSTEMS}
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != _COLUMNS:
            raise ValueError(f"{path.name}: expected the columns {_COLUMNS}, found {reader.fieldnames}")
        for line, row in enumerate(reader, 2):
            place = f"{path.name}, line {line}"
            if None in row.values() or not row["source"].strip() or not row["icd10"].strip():
                raise ValueError(f"{place}: expected {len(_COLUMNS)} cells with codes and a source, found others")
            if row["system"] not in _SYSTEMS or row["code"] in read[row["system"]]:
                raise ValueError(f"{place}: expected a code once, of {' or '.join(_SYSTEMS)}, found {row['code']!r}")
            read[row["system"]][row["code"]] = row["icd10"]
    for system, pools in read.items():
        _check_codes(f"{path.name}, {_SYSTEMS[system]}", _SYSTEMS[system], pools)
    return read


def _check_codes(place: str, system: str, pools: dict[str, str]) -> None:
    """Refuse codes that are not in canonical form or stand twice in a pool."""
    for code, pool in pools.items():
        written = [part.partition(":")[0] for part in pool.split()]
        if len(set(written)) < len(written):
            raise ValueError(f"{place}: expected a code once for {code}, found one twice")
    written = sorted({part.partition(":")[0] for pool in pools.values() for part in pool.split()})
    canonical = normalize_codes(system, pa.array(written, pa.string())).codes.to_pylist()
    if wrong := [code for code, expected in zip(written, canonical, strict=True) if code != expected]:
        raise ValueError(f"{place}: expected codes in canonical form, found {wrong[0]!r}")


class Icd10Codes:
    """What stands for the ICD-9 codes of a population where ICD-10 is in force."""

    def __init__(self, system: str, icd9: list[str], *, jitter: float = 0.0, seed: int = 0) -> None:
        pools = read_icd10()[system]
        self._table = CodeTable({code: pools[code] for code in icd9}, jitter=jitter, seed=seed)
        self._first = len(icd9)
        # The codes of ICD-9 keep their numbers, so that both stand in one column.
        self.vocabulary = [*icd9, *self._table.vocabulary]

    def rewrite(self, codes: Int, key: Key, is_icd10: Bool, generator: np.random.Generator) -> Int:
        """Rewrite some claims as positions in `vocabulary`.

        Where two codes became one, it stands once and those behind it move up.
        """
        place = np.flatnonzero((codes >= 0) & is_icd10[:, None])
        claim = place // codes.shape[1]
        written = codes.copy()
        drawn = self._table.draw_habit(codes.ravel()[place], key[claim], _REPEAT, generator)
        written.reshape(-1)[place] = drawn + np.int32(self._first)
        # Codes of a claim stand behind each other, so its second copy of one is at most `slots` places away.
        again = np.zeros(len(place), dtype=np.bool_)
        for apart in range(1, codes.shape[1]):
            again[apart:] |= (drawn[apart:] == drawn[:-apart]) & (claim[apart:] == claim[:-apart])
        rows = np.unique(claim[again])
        is_forgotten = np.zeros(codes.shape, dtype=np.bool_)
        is_forgotten.reshape(-1)[place[again]] = True
        written[rows] = forget(written[rows], is_forgotten[rows])
        return written


def forget(codes: Int, is_forgotten: Bool) -> Int:
    """Take codes out of claims and close the gaps."""
    left = np.where(is_forgotten, -1, codes)
    order = np.argsort(left < 0, axis=1, kind="stable")
    moved: Int = np.take_along_axis(left, order, axis=1)
    return moved
