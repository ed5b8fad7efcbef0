"""Generation of a population: the request, its blocks, their publication, the manifest and the summary."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from claim_transformers.simulation.engine.block_tables import BlockTables
from claim_transformers.simulation.engine.calendar import Calendar, calendar_of
from claim_transformers.simulation.engine.publication import publish_simulation

# Patients of a block share random streams, so a block is always simulated whole, also when only part of it is kept.
BLOCK_PATIENTS = 2500


@dataclass(frozen=True)
class Request:
    """What any population is asked for."""

    patients: int
    seed: int
    calendar: Calendar  # The window.


@dataclass(frozen=True)
class Summary:
    """What a simulation wrote."""

    path: Path  # Folder with the files.
    patients: int
    claim_lines: int  # Rows of `medical_claim.parquet`.
    rx_claims: int  # Rows of `pharmacy_claim.parquet`.
    eligibility_spans: int  # Rows of `eligibility.parquet`.
    true_risks: int  # Rows of `true_risk.parquet`.


@dataclass(frozen=True)
class Contents:
    """What one population puts into its folder."""

    blocks: Iterator[BlockTables]  # Tables of each block, simulated while they are written.
    tables: Mapping[str, pa.Table]  # Tables that do not depend on patients.
    manifest: Mapping[str, Any]  # What `simulation.json` says beside the request and the rows.
    # JSON files, filled in while the blocks are simulated.
    notes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def check_request(patients: int, seed: int, start: str, end: str, example: str) -> Calendar:
    """Refuse a size, a seed or a window that no population can have, or give the window."""
    if patients < 1:
        raise ValueError(f"expected at least 1 patient, found {patients}")
    if not 0 <= seed < 2**63:
        raise ValueError(f"expected a seed from 0 to 2**63 - 1, found {seed}")
    return calendar_of(start, end, example=example)


def simulate_blocks(patients: int, simulate_block: Callable[[int], BlockTables]) -> Iterator[BlockTables]:
    """Simulate whole blocks in turn, and keep of the last one as many patients as were asked for."""
    for number in range(_num_blocks(patients)):
        kept = min(BLOCK_PATIENTS, patients - number * BLOCK_PATIENTS)
        tables = simulate_block(number)
        yield tables if kept == BLOCK_PATIENTS else tables.of_first_patients(kept)


def _num_blocks(patients: int) -> int:
    return -(-patients // BLOCK_PATIENTS)


def publish_claims(
    out: str | Path, request: Request, contents: Contents, *, overwrite: bool, progress: bool
) -> Summary:
    """Simulate a population and publish its folder: all files at once, or none."""
    with publish_simulation(Path(out), overwrite=overwrite) as publication:
        for tables in _with_bar(contents.blocks, _num_blocks(request.patients), progress):
            publication.write(tables)
        for name, table in contents.tables.items():
            publication.write_table(name, table)
        for name, note in contents.notes.items():
            publication.write_json(name, dict(note))
        rows = publication.rows
        publication.write_json("simulation", _manifest(request, contents, rows))
    return Summary(
        path=Path(out),
        patients=request.patients,
        claim_lines=rows["medical_claim"],
        rx_claims=rows["pharmacy_claim"],
        eligibility_spans=rows["eligibility"],
        true_risks=rows["true_risk"],
    )


def _manifest(request: Request, contents: Contents, rows: dict[str, int]) -> dict[str, Any]:
    """What was asked and written; no time of day, so that the same seed gives the same bytes."""
    return {
        "patients": request.patients,
        "seed": request.seed,
        "start": request.calendar.start.isoformat(),
        "end": request.calendar.end.isoformat(),
        "rows": rows,
        "block_patients": BLOCK_PATIENTS,
        **contents.manifest,
    }


def _with_bar(blocks: Iterator[BlockTables], total: int, progress: bool) -> Iterator[BlockTables]:
    """Show how far a simulation is, when asked."""
    if not progress:
        yield from blocks
        return
    from tqdm import tqdm  # type: ignore[import-untyped,unused-ignore]

    yield from tqdm(blocks, total=total, unit="block", desc="simulating")


def digest_of(parameters: list[Any]) -> str:
    """Hash tables of parameters, so that a silent change of one shows in `simulation.json`."""
    return hashlib.sha256(json.dumps(parameters, sort_keys=True, default=float).encode()).hexdigest()
