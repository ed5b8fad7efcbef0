"""Simulate a population block by block and publish its files."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from claim_transformers.simulation.engine.block_by_block import (
    Request,
    check_size,
    num_blocks,
    simulate_blocks,
    with_bar,
)
from claim_transformers.simulation.engine.block_tables import BlockTables, join_blocks
from claim_transformers.simulation.engine.calendar import Calendar, calendar_of
from claim_transformers.simulation.engine.publish import Publication
from claim_transformers.simulation.engine.random_streams import block_key_of, generator_of, streams_of
from claim_transformers.simulation.pediatric.block import Block
from claim_transformers.simulation.pediatric.care_acute import (
    add_births,
    add_bronchiolitis,
    add_check_ups,
    add_episodes,
    add_pregnancies,
)
from claim_transformers.simulation.pediatric.care_asthma import add_allergic_care
from claim_transformers.simulation.pediatric.care_chronic import add_courses, burden_of, draw_spans
from claim_transformers.simulation.pediatric.care_mind import add_mental_care
from claim_transformers.simulation.pediatric.catalog import Catalog, catalog_of
from claim_transformers.simulation.pediatric.coding import add_visit_fills, write_codes, write_products
from claim_transformers.simulation.pediatric.dirt import DirtRates, plant_dirt
from claim_transformers.simulation.pediatric.disease import live
from claim_transformers.simulation.pediatric.institutions import INSTITUTIONS
from claim_transformers.simulation.pediatric.population import draw_population
from claim_transformers.simulation.pediatric.risk import true_risks
from claim_transformers.simulation.pediatric.schemas import INGREDIENT_SCHEMA
from claim_transformers.simulation.pediatric.tables import eligibility_table, medical_table, pharmacy_table, risk_table

# Raised whenever the same seed would give other claims.
SIMULATION_VERSION = 1
# Patients of a block share random streams, so a block is always simulated whole, also when only part of it is kept.
BLOCK_PATIENTS = 2500
REPLICATES = 16


@dataclass(frozen=True)
class SimulatedClaims:
    """A simulated population in memory.

    Args:
        medical_claim (`pa.Table`): One row per claim line.
        pharmacy_claim (`pa.Table`): One row per fill.
        eligibility (`pa.Table`): One row per span of coverage.
        true_risk (`pa.Table`): Risks for evaluation only.
        drug_ingredients (`pa.Table`): Ingredient of every product.
        dirt (`dict[str, int]`): Rows planted per kind of dirt, empty when clean.
    """

    medical_claim: pa.Table
    pharmacy_claim: pa.Table
    eligibility: pa.Table
    true_risk: pa.Table
    drug_ingredients: pa.Table
    dirt: dict[str, int]


@dataclass(frozen=True)
class SimulationSummary:
    """What a simulation wrote.

    Args:
        path (`Path`): Folder with the files.
        patients (`int`): Patients simulated.
        claim_lines (`int`): Rows of `medical_claim.parquet`.
        rx_claims (`int`): Rows of `pharmacy_claim.parquet`.
        eligibility_spans (`int`): Rows of `eligibility.parquet`.
        true_risks (`int`): Rows of `true_risk.parquet`.
        dirt (`dict[str, int]`): Rows planted per kind of dirt, empty when clean.
    """

    path: Path
    patients: int
    claim_lines: int
    rx_claims: int
    eligibility_spans: int
    true_risks: int
    dirt: dict[str, int]


@dataclass(frozen=True)
class _Request(Request):
    """A checked request for a simulation."""

    institution: str
    replicates: int
    dirt: DirtRates | None


def simulate(
    out: str | Path,
    *,
    patients: int = 10_000,
    seed: int = 0,
    start: str = "2010-01-01",
    end: str = "2014-12-31",
    dirt: str | DirtRates | None = None,
    institution: str = "a",
    replicates: int = REPLICATES,
    overwrite: bool = False,
    progress: bool = False,
) -> SimulationSummary:
    """Write claims of a simulated pediatric Medicaid population, with the true risk of each patient beside them.

    The model, its parameters and their sources are described in `docs/simulation.md`. The files follow the input layer
    of Tuva; all of them appear at once or not at all.

    Args:
        out (`str` or `Path`): Folder to write.
        patients (`int`, *optional*, defaults to `10_000`):
            Number of patients. The claims of a patient do not depend on it.
        seed (`int`, *optional*, defaults to `0`): The same seed gives the same bytes.
        start (`str`, *optional*, defaults to `"2010-01-01"`): First day, the first of a month.
        end (`str`, *optional*, defaults to `"2014-12-31"`): Last day, the last of a month.
        dirt (`str` or `DirtRates`, *optional*):
            Faults to plant, as real claims have them; `"typical"` for the default rates. All columns are then strings
            and `dirt.json` holds the number of rows of each fault.
        institution (`str`, *optional*, defaults to `"a"`):
            `"b"` sees other patients and codes the same diseases otherwise.
        replicates (`int`, *optional*, defaults to `16`):
            Paths per patient behind the risks over 180 and 365 days; `0` writes only the exact risks within the month.
        overwrite (`bool`, *optional*, defaults to `False`): Replace an existing folder.
        progress (`bool`, *optional*, defaults to `False`): Show a bar.

    Returns:
        `SimulationSummary`: Where the files are and how many rows they have.

    Raises:
        ValueError: If an argument is out of range or unknown; the message says what was expected and found.
        ClaimDataError: `E_EXISTS` if `out` exists and may not be replaced, `E_WRITE` if it cannot be written.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     summary = simulate(folder + "/claims", patients=20, end="2010-12-31", replicates=0)
        ...     sorted(path.name for path in summary.path.glob("*.parquet"))
        ['drug_ingredients.parquet', 'eligibility.parquet', 'medical_claim.parquet', 'pharmacy_claim.parquet',
         'true_risk.parquet']
    """
    request = _check(patients, seed, start, end, dirt, institution, replicates)
    catalog = catalog_of(institution)
    counts: Counter[str] = Counter()
    with Publication(Path(out), overwrite=overwrite) as publication:
        blocks = _blocks(request, catalog, counts)
        for tables in with_bar(blocks, num_blocks(patients, BLOCK_PATIENTS), progress):
            publication.write(tables)
        publication.write_table("drug_ingredients", ingredient_table(catalog))
        if request.dirt is not None:
            publication.write_json("dirt", counts)
        publication.write_json("simulation", _manifest(request, publication.rows))
        rows = publication.rows
    return SimulationSummary(
        path=Path(out),
        patients=patients,
        claim_lines=rows["medical_claim"],
        rx_claims=rows["pharmacy_claim"],
        eligibility_spans=rows["eligibility"],
        true_risks=rows["true_risk"],
        dirt=dict(counts),
    )


def simulate_tables(
    patients: int,
    seed: int = 0,
    *,
    start: str = "2010-01-01",
    end: str = "2014-12-31",
    dirt: str | DirtRates | None = None,
    institution: str = "a",
    replicates: int = REPLICATES,
) -> SimulatedClaims:
    """Simulate a population in memory, with the rows that `simulate` would write.

    Args:
        patients (`int`): Number of patients.
        seed (`int`, *optional*, defaults to `0`): Seed.
        start (`str`, *optional*, defaults to `"2010-01-01"`): First day, the first of a month.
        end (`str`, *optional*, defaults to `"2014-12-31"`): Last day, the last of a month.
        dirt (`str` or `DirtRates`, *optional*): Faults to plant.
        institution (`str`, *optional*, defaults to `"a"`): `"a"` or `"b"`.
        replicates (`int`, *optional*, defaults to `16`): Paths behind the long risks.

    Returns:
        `SimulatedClaims`: The tables.

    Raises:
        ValueError: If an argument is out of range or unknown; the message says what was expected and found.

    Examples:
        >>> claims = simulate_tables(20, end="2010-12-31", replicates=0)
        >>> claims.eligibility["payer"].unique().to_pylist()
        ['medicaid']
        >>> simulate_tables(0)
        Traceback (most recent call last):
            ...
        ValueError: expected at least 1 patient, found 0
    """
    request = _check(patients, seed, start, end, dirt, institution, replicates)
    catalog = catalog_of(institution)
    counts: Counter[str] = Counter()
    joined = join_blocks(list(_blocks(request, catalog, counts)))
    return SimulatedClaims(**joined, drug_ingredients=ingredient_table(catalog), dirt=dict(counts))


def ingredient_table(catalog: Catalog) -> pa.Table:
    """Ingredient of every product the catalog can dispense, by labeler and product.

    Args:
        catalog (`Catalog`): Tables of an institution.

    Returns:
        `pa.Table`: Columns `ndc9` and `ingredient`, sorted.

    Examples:
        >>> ingredient_table(catalog_of("a")).column_names
        ['ndc9', 'ingredient']
    """
    pairs = sorted({(ndc[:9], name) for name, pool in catalog.product_pools.items() for ndc in pool.split()})
    return pa.Table.from_arrays(
        [pa.array([ndc9 for ndc9, _ in pairs]), pa.array([name for _, name in pairs])], schema=INGREDIENT_SCHEMA
    )


def _check(
    patients: int, seed: int, start: str, end: str, dirt: str | DirtRates | None, institution: str, replicates: int
) -> _Request:
    """Turn arguments into a request, or refuse them."""
    check_size(patients, seed)
    if not 0 <= replicates <= 1000:
        raise ValueError(f"expected 0 to 1000 replicates, found {replicates}")
    catalog_of(institution)
    if isinstance(dirt, str):
        if dirt != "typical":
            raise ValueError(f"expected dirt to be None, 'typical' or DirtRates, found {dirt!r}")
        dirt = DirtRates()
    calendar = calendar_of(start, end, example="2010-01-01")
    return _Request(patients, seed, calendar, institution, replicates, dirt)


def _blocks(request: _Request, catalog: Catalog, counts: Counter[str]) -> Iterator[BlockTables]:
    """Tables of each block in turn; the rows of planted dirt are added to `counts`."""

    def whole_block(number: int) -> BlockTables:
        return simulate_block(request.calendar, request.seed, number, request.institution, request.replicates, catalog)

    place = INSTITUTIONS[request.institution]
    for number, tables in enumerate(simulate_blocks(request.patients, BLOCK_PATIENTS, whole_block)):
        if request.dirt is None:
            yield tables
        else:
            generator = generator_of(request.seed, place.number, number, "dirt")
            dirty, planted = plant_dirt(tables, request.dirt, generator)
            counts.update(planted)
            yield dirty


def simulate_block(
    calendar: Calendar, seed: int, number: int, institution: str, replicates: int, catalog: Catalog
) -> BlockTables:
    """Simulate one whole block.

    Args:
        calendar (`Calendar`): The window.
        seed (`int`): Seed of the simulation.
        number (`int`): Number of the block.
        institution (`str`): Name of the institution.
        replicates (`int`): Paths behind the long risks.
        catalog (`Catalog`): Tables of the institution.

    Returns:
        `BlockTables`: Tables of `BLOCK_PATIENTS` patients.

    Examples:
        >>> import datetime as dt
        >>> spring = Calendar(dt.date(2012, 3, 1), dt.date(2012, 5, 31))
        >>> tables = simulate_block(spring, 0, 0, "a", 0, catalog_of("a"))
        >>> len(tables.medical_claim) > len(tables.pharmacy_claim) > 0
        True
    """
    place = INSTITUTIONS[institution]
    streams = streams_of(seed, place.number, number)
    block_key = block_key_of(f"{seed}|{institution}|{number}")
    patients = draw_population(BLOCK_PATIENTS, calendar, block_key, streams["people"])
    history = live(patients, calendar, streams["disease"])
    block = Block(patients, history, calendar, place, catalog, streams["care"])
    presence = add_courses(block, draw_spans(patients, streams["disease"]))
    add_episodes(block, burden_of(block, presence))
    add_bronchiolitis(block)
    add_check_ups(block)
    add_births(block)
    add_pregnancies(block)
    add_allergic_care(block)
    add_mental_care(block)
    claims = write_codes(block, block.visits(), presence)
    add_visit_fills(block, claims.visits, claims.end)
    fills = block.fills()
    ingredient, product = write_products(block, fills)
    risks = true_risks(patients, history, calendar, replicates, streams["risk"])
    return BlockTables(
        medical_table(block, claims),
        pharmacy_table(block, fills, ingredient, product),
        eligibility_table(patients, calendar, institution),
        risk_table(risks, patients, calendar),
    )


def _manifest(request: _Request, rows: dict[str, int]) -> dict[str, Any]:
    """What made the files."""
    return request.manifest(rows) | {
        "simulation_version": SIMULATION_VERSION,
        "institution": asdict(INSTITUTIONS[request.institution]),
        "replicates": request.replicates,
        "block_patients": BLOCK_PATIENTS,
        "dirt": None if request.dirt is None else asdict(request.dirt),
        "parameters_sha256": parameters_digest(),
    }


@cache
def parameters_digest() -> str:
    """Hash of every table of causes, codes and rates, so that a silent change of a parameter shows.

    Returns:
        `str`: 64 hexadecimal digits.

    Examples:
        >>> len(parameters_digest())
        64
    """
    from claim_transformers.simulation.engine import calendar
    from claim_transformers.simulation.pediatric import atopy, care_acute, care_chronic, mood, population

    catalog = catalog_of("a")
    parts: list[Any] = [
        [asdict(cause) for cause in catalog.causes],
        catalog.diagnoses.vocabulary,
        catalog.product_pools,
    ]
    parts += [calendar.SEASONS, population.COVERAGE, population.LEAVE, population.RACE_SHARES]
    parts += [
        atopy.ONSET,
        atopy.REMISSION,
        mood.ONSET,
        mood.REMISSION,
        atopy.SWITCHES.influences,
        mood.SWITCHES.influences,
    ]
    parts += [atopy.SEVERITY_SHARES, care_acute.CHECK_UP_MONTHS, care_chronic.FILL_CHANCE]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
