"""Claim lines per second of `simulate`, on one core, files written; and against writing the same tables again.

    OMP_NUM_THREADS=1 python -m speed.simulation --patients 20000

Processor time is printed beside wall time: on a machine that others use too, the first is the steadier figure.
"""

import argparse
import cProfile
import pstats
import statistics
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from claim_transformers import simulate
from speed.history import remember


def measure(folder: Path, patients: int, replicates: int) -> tuple[str, float]:
    """Simulate once; return a line of figures and the processor time as a multiple of that of writing the tables."""
    wall, processor = time.perf_counter(), time.process_time()
    summary = simulate(folder / "claims", patients=patients, seed=1, replicates=replicates, overwrite=True)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    rows = summary.claim_lines + summary.rx_claims
    tables = {path.name: pq.read_table(path) for path in (folder / "claims").glob("*.parquet")}
    written = time.process_time()
    for name, table in tables.items():
        pq.write_table(table, folder / name, compression="zstd")
    ratio = processor / (time.process_time() - written)
    text = (
        f"replicates {replicates:3d}  rows {rows:>9,}  wall {wall:6.2f} s  {rows / wall:>9,.0f} rows/s"
        f"  processor {processor:6.2f} s  {rows / processor:>9,.0f} rows/s"
        f"  {ratio:.2f} times the writing"
    )
    return text, ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=20_000, help="patients per run")
    parser.add_argument(
        "--repeats", type=int, default=3, help="runs per setting; the first one also compiles the tables"
    )
    parser.add_argument("--profile", action="store_true", help="print where the processor time of one run goes")
    arguments = parser.parse_args()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ratios: dict[int, list[float]] = {0: [], 16: []}
        for _ in range(arguments.repeats):
            for replicates, found in ratios.items():
                text, ratio = measure(folder, arguments.patients, replicates)
                found.append(ratio)
                print(text)
        remember(
            "simulation",
            {f"CPU with {given} replicates : writing": statistics.median(found) for given, found in ratios.items()},
        )
        if arguments.profile:
            profile = cProfile.Profile(time.process_time)
            profile.runcall(measure, folder, arguments.patients, 16)
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
