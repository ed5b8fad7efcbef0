"""What populations of all kinds are asked for, and how they are simulated block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from claim_transformers.simulation.engine.block_tables import BlockTables
from claim_transformers.simulation.engine.calendar import Calendar


@dataclass(frozen=True)
class Request:
    """What any population is asked for.

    Args:
        patients (`int`): Number of patients.
        seed (`int`): Seed of the simulation.
        calendar (`Calendar`): The window.
    """

    patients: int
    seed: int
    calendar: Calendar

    def manifest(self, rows: dict[str, int]) -> dict[str, Any]:
        """What was asked and written; no time of day, so that the same seed gives the same bytes.

        Args:
            rows (`dict[str, int]`): Rows of every file.

        Returns:
            `dict[str, Any]`: Entries of `simulation.json`.
        """
        return {
            "patients": self.patients,
            "seed": self.seed,
            "start": self.calendar.start.isoformat(),
            "end": self.calendar.end.isoformat(),
            "rows": rows,
        }


def check_size(patients: int, seed: int) -> None:
    """Refuse a number of patients or a seed that no population can have.

    Args:
        patients (`int`): Number of patients.
        seed (`int`): Seed of the simulation.

    Raises:
        ValueError: If there is no patient, or the seed is negative or above 63 bits.

    Examples:
        >>> check_size(1, -1)
        Traceback (most recent call last):
            ...
        ValueError: expected a seed from 0 to 2**63 - 1, found -1
    """
    if patients < 1:
        raise ValueError(f"expected at least 1 patient, found {patients}")
    if not 0 <= seed < 2**63:
        raise ValueError(f"expected a seed from 0 to 2**63 - 1, found {seed}")


def simulate_blocks(
    patients: int, block_patients: int, simulate_block: Callable[[int], BlockTables]
) -> Iterator[BlockTables]:
    """Simulate whole blocks in turn, and keep of the last one as many patients as were asked for.

    Args:
        patients (`int`): Number of patients.
        block_patients (`int`): Patients of a block.
        simulate_block (`Callable`): From the number of a block to its tables.

    Yields:
        `BlockTables`: Tables of each block.
    """
    for number in range(num_blocks(patients, block_patients)):
        kept = min(block_patients, patients - number * block_patients)
        tables = simulate_block(number)
        yield tables if kept == block_patients else tables.of_first_patients(kept)


def num_blocks(patients: int, block_patients: int) -> int:
    """Number of blocks that hold so many patients.

    Args:
        patients (`int`): Number of patients.
        block_patients (`int`): Patients of a block.

    Returns:
        `int`: Number of blocks; the last one may be kept in part.

    Examples:
        >>> num_blocks(5000, 2500), num_blocks(5001, 2500)
        (2, 3)
    """
    return -(-patients // block_patients)


def with_bar(blocks: Iterator[BlockTables], total: int, progress: bool) -> Iterator[BlockTables]:
    """Show how far a simulation is, when asked.

    Args:
        blocks (`Iterator[BlockTables]`): Tables of each block.
        total (`int`): Number of blocks.
        progress (`bool`): Show a bar.

    Yields:
        `BlockTables`: The same tables.
    """
    if not progress:
        yield from blocks
        return
    from tqdm import tqdm  # type: ignore[import-untyped,unused-ignore]

    yield from tqdm(blocks, total=total, unit="block", desc="simulating")
