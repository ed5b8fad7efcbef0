"""Counties of the United States and what it means to live in one: a latent deprivation that raises risk.

County codes are public facts (FIPS 6-4, INCITS 31; states and counties as of 2018). Everything else about a county is
made up by a hash of its code, the same in every simulation: no county here is poor because the real one is.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa

from claim_transformers.simulation.engine.calendar import Bool, Float, Int
from claim_transformers.simulation.engine.sampling import mix, unit

# State, then county codes; `1-7` stands for 1, 3, 5, 7, because counties are numbered by odd numbers.
_COUNTY_CODES = (
    "01:1-133 02:13,16,20,50,60,68-70,90,100,110,122,130,150,164,170,180,185,188,220,240,261,282,290 04:1-11,"
    "12,13-27 05:1-149 06:1-115 08:1-125 09:1-15 10:1-5 12:1-23,27-85,86,87-133 13:1-39,43-201,205-321 15:1-3,"
    "7-9 16:1-87 17:1-203 18:1-183 19:1-197 20:1-209 21:1-239 22:1-127 23:1-31 24:1-5,9-47,510 25:1-27 "
    "26:1-165 27:1-173 28:1-163 29:1-185,186,187-189,195-229,510 30:1-111 31:1-185 32:1-23,27-33,510 33:1-19 "
    "34:1-41 35:1-5,6,7-27,28,29-61 36:1-123 37:1-199 38:1-105 39:1-175 40:1-153 41:1-71 42:1-133 44:1-9 "
    "45:1-91 46:3-111,115-129,135-137 47:1-189 48:1-507 49:1-57 50:1-27 51:1-35,36,37,41-53,57-121,125-127,"
    "131-149,153-187,191-199,510,520,530,540,550,570,580,590,595,600,610,620,630,640,650,660,670,678-680,"
    "683-685,690,700,710,720,730,735,740,750,760,770,775,790,800,810,820,830,840 53:1-77 54:1-109 55:1-77,78,"
    "79-141 56:1-45"
)
# Spread of the logarithm of a county's population, a judgement.
_POPULATION_SPREAD = 1.3


@dataclass(frozen=True)
class _Counties:
    """All counties, one entry each."""

    fips: list[str]  # Five digits.
    cumulative: Float  # Share of patients who live in this county or an earlier one.
    deprivation: Float  # Latent deprivation, mean zero, standard deviation one over patients.
    is_rural: Bool  # Few people, fewer doctors.
    noise: Float  # What a published index adds to the deprivation, standard normal.


def _county_codes() -> list[str]:
    """FIPS codes of the counties."""
    codes = []
    for part in "".join(_COUNTY_CODES).split():
        state, _, runs = part.partition(":")
        for run in runs.split(","):
            first, _, last = run.partition("-")
            codes += [f"{state}{county:03d}" for county in range(int(first), int(last or first) + 1, 2)]
    return codes


def _normal(key: np.ndarray[tuple[int], np.dtype[np.uint64]], salt: int) -> Float:
    """Nearly normal numbers, from the sum of twelve uniform ones (Irwin and Hall)."""
    parts = np.stack([unit(key, salt * 16 + part) for part in range(12)])
    total: Float = parts.sum(axis=0) - np.float32(6)
    return total


@cache
def counties() -> _Counties:
    """The counties, built once per process."""
    fips = _county_codes()
    key = mix(np.array([int(code) for code in fips], dtype=np.uint64), 2008)
    size = np.exp(_POPULATION_SPREAD * _normal(key, 1).astype(np.float64))
    share = size / size.sum()
    is_rural = size < np.quantile(size, 0.6)
    raw = _normal(key, 2) + np.float32(0.35) * is_rural
    mean = float(share @ raw)
    spread = float(np.sqrt(share @ (raw - mean) ** 2))
    deprivation = ((raw - mean) / spread).astype(np.float32)
    return _Counties(fips, np.cumsum(share).astype(np.float32), deprivation, is_rural, _normal(key, 3))


def county_table() -> pa.Table:
    """What a public table would say about each county: an index of deprivation with noise, and whether it is rural."""
    places = counties()
    noisy = places.deprivation + np.float32(0.4) * places.noise
    rank = np.argsort(np.argsort(noisy, kind="stable"), kind="stable")
    index = (rank / (len(rank) - 1)).astype(np.float32)
    return pa.table(
        {
            "county_fips": pa.array(places.fips),
            "deprivation_index": pa.array(index),
            "is_rural": pa.array(places.is_rural),
        }
    )


def draw_counties(uniform: Float) -> Int:
    """Where patients live."""
    places = counties()
    return np.minimum(np.searchsorted(places.cumulative, uniform, side="right"), len(places.fips) - 1).astype(np.int32)
