"""Pediatric population: the functions that simulate it, block by block, into a folder or into memory."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from claim_transformers.simulation.engine.block_tables import BlockTables, join_blocks
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
from claim_transformers.simulation.engine.random_streams import block_key_of, generator_of, streams_of
from claim_transformers.simulation.pediatric.block import Block
from claim_transformers.simulation.pediatric.care import add_care
from claim_transformers.simulation.pediatric.care_chronic import draw_spans
from claim_transformers.simulation.pediatric.codebook import PediatricCodebook, codebook_of
from claim_transformers.simulation.pediatric.coding import (
    add_visit_fills,
    rewrite_in_icd10,
    write_codes,
    write_products,
)
from claim_transformers.simulation.pediatric.dirt import DirtRates, plant_dirt
from claim_transformers.simulation.pediatric.disease import live
from claim_transformers.simulation.pediatric.institutions import INSTITUTIONS
from claim_transformers.simulation.pediatric.parameters import parameters_digest
from claim_transformers.simulation.pediatric.population import draw_population
from claim_transformers.simulation.pediatric.risk import true_risks
from claim_transformers.simulation.pediatric.tables import eligibility_table, medical_table, pharmacy_table, risk_table

# What is written unless another version is asked for; there is a new one whenever the same seed gives other claims.
SIMULATION_VERSION = 2
_VERSIONS = (SIMULATION_VERSION - 1, SIMULATION_VERSION)
# Paths per patient behind the long risks.
_REPLICATES = 16


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
class SimulationSummary(Summary):
    """What a simulation wrote: its folder, and how many patients and rows of each file.

    Args:
        dirt (`dict[str, int]`): Rows planted per kind of dirt, empty when clean.
    """

    dirt: dict[str, int]


@dataclass(frozen=True)
class _Request(Request):
    """A checked request for a simulation."""

    institution: str
    replicates: int
    dirt: DirtRates | None
    coding: Coding

    @property
    def codes(self) -> PediatricCodebook:
        """The codes that it is written in."""
        return codebook_of(self.institution, self.coding.version)


def simulate(
    out: str | Path,
    *,
    patients: int = 10_000,
    seed: int = 0,
    start: str = "2010-01-01",
    end: str = "2014-12-31",
    dirt: str | DirtRates | None = None,
    institution: str = "a",
    replicates: int = _REPLICATES,
    icd10_from: str | None = None,
    simulation_version: int | None = None,
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
        icd10_from (`str`, *optional*):
            Claims that end on this day or later are coded in ICD-10; `"always"` or `"never"` for all of them. Lives,
            dates, amounts and risks of a seed are the same whatever it is. It is 2015-10-01 by default; version 1
            knows none.
        simulation_version (`int`, *optional*, defaults to `2`): 1, which is in ICD-9 alone, or 2, byte for byte.
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
    request = _check(patients, seed, start, end, dirt, institution, replicates, icd10_from, simulation_version)
    counts: Counter[str] = Counter()
    contents = Contents(
        blocks=_blocks(request, counts),
        tables={"drug_ingredients": _ingredients(request)},
        manifest=_manifest(request),
        notes={} if request.dirt is None else {"dirt": counts},
    )
    summary = publish_claims(out, request, contents, overwrite=overwrite, progress=progress)
    return SimulationSummary(**vars(summary), dirt=dict(counts))


def simulate_tables(
    patients: int,
    seed: int = 0,
    *,
    start: str = "2010-01-01",
    end: str = "2014-12-31",
    dirt: str | DirtRates | None = None,
    institution: str = "a",
    replicates: int = _REPLICATES,
    icd10_from: str | None = None,
    simulation_version: int | None = None,
) -> SimulatedClaims:
    """Simulate a population in memory, with the rows that [`simulate`] would write.

    Arguments and errors are those of [`simulate`].

    Examples:
        >>> claims = simulate_tables(20, end="2010-12-31", replicates=0)
        >>> claims.eligibility["payer"].unique().to_pylist()
        ['medicaid']
    """
    request = _check(patients, seed, start, end, dirt, institution, replicates, icd10_from, simulation_version)
    counts: Counter[str] = Counter()
    joined = join_blocks(list(_blocks(request, counts)))
    ingredients = _ingredients(request)
    return SimulatedClaims(**joined, drug_ingredients=ingredients, dirt=dict(counts))


def _ingredients(request: _Request) -> pa.Table:
    return ingredient_table(request.codes.product_pools, generic=request.coding.version > 1)


def _check(
    patients: int,
    seed: int,
    start: str,
    end: str,
    dirt: str | DirtRates | None,
    institution: str,
    replicates: int,
    icd10_from: str | None,
    simulation_version: int | None,
) -> _Request:
    """Turn arguments into a request, or refuse them."""
    calendar = check_request(patients, seed, start, end, example="2010-01-01")
    if not 0 <= replicates <= 1000:
        raise ValueError(f"expected 0 to 1000 replicates, found {replicates}")
    coding = check_coding(simulation_version, _VERSIONS, icd10_from)
    codebook_of(institution, coding.version)
    if isinstance(dirt, str):
        if dirt != "typical":
            raise ValueError(f"expected dirt to be None, 'typical' or DirtRates, found {dirt!r}")
        dirt = DirtRates()
    return _Request(patients, seed, calendar, institution, replicates, dirt, coding)


def _blocks(request: _Request, counts: Counter[str]) -> Iterator[BlockTables]:
    """Tables of each block in turn; the rows of planted dirt are added to `counts`."""
    place = INSTITUTIONS[request.institution]
    blocks = simulate_blocks(request.patients, lambda number: _simulate_block(request, number))
    for number, tables in enumerate(blocks):
        if request.dirt is None:
            yield tables
        else:
            generator = generator_of(request.seed, place.number, number, "dirt")
            dirty, planted = plant_dirt(tables, request.dirt, generator)
            counts.update(planted)
            yield dirty


def _simulate_block(request: _Request, number: int) -> BlockTables:
    """Simulate one whole block."""
    calendar, institution, place = request.calendar, request.institution, INSTITUTIONS[request.institution]
    streams = streams_of(request.seed, place.number, number)
    block_key = block_key_of(f"{request.seed}|{institution}|{number}")
    patients = draw_population(BLOCK_PATIENTS, calendar, block_key, streams["people"])
    history = live(patients, calendar, streams["disease"])
    block = Block(patients, history, calendar, place, request.codes, streams["care"])
    presence = add_care(block, draw_spans(patients, streams["disease"]))
    claims = write_codes(block, block.visits(), presence)
    # The first version knew no other coding than ICD-9, whatever the day.
    if request.coding.version > 1:
        claims = rewrite_in_icd10(block, claims, request.coding.first_day, streams["coding"])
    add_visit_fills(block, claims.visits, claims.end)
    fills = block.fills()
    ingredient, product = write_products(block, fills)
    risks = true_risks(patients, history, calendar, request.replicates, streams["risk"])
    return BlockTables(
        medical_table(block, claims),
        pharmacy_table(block, fills, ingredient, product),
        eligibility_table(patients, calendar, institution),
        risk_table(risks, patients, calendar),
    )


def _manifest(request: _Request) -> dict[str, Any]:
    """What `simulation.json` says of this population."""
    return {
        "simulation_version": request.coding.version,
        **({"icd10_from": request.coding.icd10_from} if request.coding.version > 1 else {}),
        "institution": asdict(INSTITUTIONS[request.institution]),
        "replicates": request.replicates,
        "dirt": None if request.dirt is None else asdict(request.dirt),
        "parameters_sha256": parameters_digest(request.coding.version),
    }
