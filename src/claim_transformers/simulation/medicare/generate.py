"""Medicare population: the functions that simulate it, block by block, into a folder or into memory."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from claim_transformers.simulation.engine.block_tables import BlockTables, join_blocks
from claim_transformers.simulation.engine.calendar import Calendar
from claim_transformers.simulation.engine.generation import (
    BLOCK_PATIENTS,
    Contents,
    Request,
    Summary,
    check_request,
    publish_claims,
    simulate_blocks,
)
from claim_transformers.simulation.engine.icd10 import Coding, check_coding
from claim_transformers.simulation.engine.products import ingredient_table
from claim_transformers.simulation.engine.random_streams import block_key_of, streams_of
from claim_transformers.simulation.medicare.care import write_care
from claim_transformers.simulation.medicare.codebook import codebook_of
from claim_transformers.simulation.medicare.community import draw_contacts
from claim_transformers.simulation.medicare.conditions import draw_illness
from claim_transformers.simulation.medicare.counties import county_table
from claim_transformers.simulation.medicare.fills import write_products
from claim_transformers.simulation.medicare.hazards import draw_community
from claim_transformers.simulation.medicare.parameters import medicare_parameters_digest
from claim_transformers.simulation.medicare.planted import PlantedBias, PlantedDrift
from claim_transformers.simulation.medicare.population import draw_population
from claim_transformers.simulation.medicare.stays import World, draw_stays
from claim_transformers.simulation.medicare.tables import eligibility_table, medical_table, pharmacy_table, risk_table

# What is written unless another version is asked for; there is a new one whenever the same seed gives other claims.
MEDICARE_SIMULATION_VERSION = 3
_VERSIONS = (MEDICARE_SIMULATION_VERSION - 1, MEDICARE_SIMULATION_VERSION)
# Number of this population in the key of every stream; the pediatric institutions have 0 and 1.
_POPULATION = 2


@dataclass(frozen=True)
class MedicareClaims:
    """A simulated Medicare population in memory.

    Args:
        medical_claim (`pa.Table`): One row per claim line.
        pharmacy_claim (`pa.Table`): One row per fill.
        eligibility (`pa.Table`): One row per span of coverage.
        true_risk (`pa.Table`): Risks of readmission for evaluation only.
        county_features (`pa.Table`): What a public table would say about each county.
        drug_ingredients (`pa.Table | None`): Ingredient of every product; version 2 told none.
    """

    medical_claim: pa.Table
    pharmacy_claim: pa.Table
    eligibility: pa.Table
    true_risk: pa.Table
    county_features: pa.Table
    drug_ingredients: pa.Table | None


@dataclass(frozen=True)
class MedicareSummary(Summary):
    """What a simulation wrote: its folder, and how many patients and rows of each file."""


@dataclass(frozen=True)
class _Request(Request):
    """A checked request for a simulation."""

    bias: PlantedBias
    drift: PlantedDrift
    coding: Coding


def simulate_medicare(
    out: str | Path,
    *,
    patients: int = 10_000,
    seed: int = 0,
    start: str = "2008-01-01",
    end: str = "2012-12-31",
    planted_bias: float | PlantedBias = 0.0,
    planted_drift: float | PlantedDrift = 0.0,
    icd10_from: str | None = None,
    simulation_version: int | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> MedicareSummary:
    """Write claims of a simulated Medicare population, with the true risk of readmission after every stay beside them.

    The model and its sources are described in `docs/simulation_medicare.md`. The files follow the input layer of Tuva,
    with all seven Medicare claim types; all of them appear at once or not at all.

    Args:
        out (`str` or `Path`): Folder to write.
        patients (`int`, *optional*, defaults to `10_000`):
            Number of patients. The claims of a patient do not depend on it.
        seed (`int`, *optional*, defaults to `0`): The same seed gives the same bytes.
        start (`str`, *optional*, defaults to `"2008-01-01"`): First day, the first of a month.
        end (`str`, *optional*, defaults to `"2012-12-31"`): Last day, the last of a month.
        planted_bias (`float` or `PlantedBias`, *optional*, defaults to `0.0`):
            A subgroup whose records understate its risk; a number from 0 to 1 is the strength against `"race=black"`.
        planted_drift (`float` or `PlantedDrift`, *optional*, defaults to `0.0`):
            A world that changes on a January 1; a number from 0 to 1 is the strength, from the last year on.
        icd10_from (`str`, *optional*):
            Claims that end on this day or later are coded in ICD-10; `"always"` or `"never"` for all of them. Lives,
            dates, amounts and risks of a seed are the same whatever it is. It is 2015-10-01 by default; version 2
            knows none.
        simulation_version (`int`, *optional*, defaults to `3`): 2, which is in ICD-9 alone, or 3, byte for byte.
        overwrite (`bool`, *optional*, defaults to `False`): Replace an existing folder.
        progress (`bool`, *optional*, defaults to `False`): Show a bar.

    Returns:
        `MedicareSummary`: Where the files are and how many rows they have.

    Raises:
        ValueError: If an argument is out of range or unknown; the message says what was expected and found.
        ClaimDataError: `E_EXISTS` if `out` exists and may not be replaced, `E_WRITE` if it cannot be written.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     summary = simulate_medicare(folder + "/claims", patients=20, end="2008-12-31")
        ...     sorted(path.name for path in summary.path.glob("*.parquet"))
        ['county_features.parquet', 'drug_ingredients.parquet', 'eligibility.parquet', 'medical_claim.parquet',
         'pharmacy_claim.parquet', 'true_risk.parquet']
    """
    request = _check(patients, seed, start, end, planted_bias, planted_drift, icd10_from, simulation_version)
    ingredients = _ingredients(request)
    tables = {"county_features": county_table()} | ({} if ingredients is None else {"drug_ingredients": ingredients})
    contents = Contents(blocks=_blocks(request), tables=tables, manifest=_manifest(request))
    return MedicareSummary(**vars(publish_claims(out, request, contents, overwrite=overwrite, progress=progress)))


def simulate_medicare_tables(
    patients: int,
    seed: int = 0,
    *,
    start: str = "2008-01-01",
    end: str = "2012-12-31",
    planted_bias: float | PlantedBias = 0.0,
    planted_drift: float | PlantedDrift = 0.0,
    icd10_from: str | None = None,
    simulation_version: int | None = None,
) -> MedicareClaims:
    """Simulate a Medicare population in memory, with the rows that [`simulate_medicare`] would write.

    Arguments and errors are those of [`simulate_medicare`].

    Examples:
        >>> claims = simulate_medicare_tables(20, end="2008-12-31")
        >>> claims.eligibility["payer"].unique().to_pylist()
        ['medicare']
    """
    request = _check(patients, seed, start, end, planted_bias, planted_drift, icd10_from, simulation_version)
    joined = join_blocks(list(_blocks(request)))
    return MedicareClaims(**joined, county_features=county_table(), drug_ingredients=_ingredients(request))


def _ingredients(request: _Request) -> pa.Table | None:
    codes = codebook_of(request.drift, request.coding)
    return None if request.coding.version == 2 else ingredient_table(codes.all_product_pools(), generic=True)


def _check(
    patients: int,
    seed: int,
    start: str,
    end: str,
    planted_bias: float | PlantedBias,
    planted_drift: float | PlantedDrift,
    icd10_from: str | None,
    simulation_version: int | None,
) -> _Request:
    """Turn arguments into a request, or refuse them."""
    calendar = check_request(patients, seed, start, end, example="2008-01-01")
    drift = planted_drift
    if not isinstance(drift, PlantedDrift):
        drift = PlantedDrift(calendar.end.year, float(drift))
    if drift.strength and not calendar.start.year < drift.year <= calendar.end.year:
        raise ValueError(
            f"expected a drift inside the window and after its first year, {calendar.start.year + 1} to "
            f"{calendar.end.year}, found {drift.year}"
        )
    # Without strength the year means nothing, and must not make another world.
    if not drift.strength:
        drift = PlantedDrift(calendar.end.year)
    coding = check_coding(simulation_version, _VERSIONS, icd10_from)
    return _Request(patients, seed, calendar, PlantedBias.of(planted_bias), drift, coding)


def _blocks(request: _Request) -> Iterator[BlockTables]:
    """Tables of each block in turn."""
    return simulate_blocks(request.patients, lambda number: _simulate_block(request, number))


def _simulate_block(request: _Request, number: int) -> BlockTables:
    """Simulate one whole block."""
    codes = codebook_of(request.drift, request.coding)
    world, streams = draw_world(request.calendar, request.seed, number, request.bias, request.drift)
    stays, death_day = draw_stays(world, streams["risk"])
    care = write_care(world, codes, stays, death_day, streams["care"], streams["dirt"])
    ingredient, product = write_products(world, codes, care.fills, streams["care"])
    sheet, key = care.sheet, world.patients.key[care.sheet.patient]
    diagnoses, sheet.procedures = codes.rewrite(care.diagnoses, sheet.procedures, key, sheet.end, streams["coding"])
    return BlockTables(
        medical_table(world, codes, sheet, care.lines, diagnoses, streams["care"]),
        pharmacy_table(world, codes, care.fills, ingredient, product, streams["care"]),
        eligibility_table(world, death_day),
        risk_table(world, stays, death_day),
    )


def draw_world(
    calendar: Calendar, seed: int, number: int, bias: PlantedBias, drift: PlantedDrift
) -> tuple[World, dict[str, np.random.Generator]]:
    """Patients of one block, their conditions and hazards, before any stay."""
    # The pediatric streams serve here too: "risk" draws the stays, and "dirt" what a planted bias leaves unrecorded.
    streams = streams_of(seed, _POPULATION, number)
    block_key = block_key_of(f"medicare|{seed}|{number}")
    patients = draw_population(BLOCK_PATIENTS, calendar, block_key, streams["people"])
    illness = draw_illness(patients, calendar, streams["disease"])
    community = draw_community(patients, illness, calendar, streams["disease"])
    contacts = draw_contacts(patients, illness, community, calendar, drift, streams["disease"])
    return World(patients, illness, community, contacts, calendar, bias, drift), streams


def _manifest(request: _Request) -> dict[str, Any]:
    """What `simulation.json` says of this population."""
    return {
        "population": "medicare",
        "simulation_version": request.coding.version,
        **({"icd10_from": request.coding.icd10_from} if request.coding.version > 2 else {}),
        "planted_bias": asdict(request.bias),
        "planted_drift": asdict(request.drift),
        "parameters_sha256": medicare_parameters_digest(request.coding.version),
    }
