"""Ingest on one core of Spark against one core of DuckDB: CPU, memory of a task, and what ten billion lines cost.

    OMP_NUM_THREADS=1 python -m speed.spark --patients 100000

Both ingest the same simulated claims, each in a process of its own, and are shown to publish as many lines and
patients. CPU is that of the process and all it starts, the JVM and its Python workers included. The start of Spark is
measured apart, because it does not grow with the claims. The exit code is 1 when the gate is missed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from claim_transformers import ingest, ingest_on_spark, simulate
from claim_transformers.claims.spark import SparkTasks, open_spark
from speed.history import remember

GATE = 3.0
LINES = 10_000_000_000
_TICKS = os.sysconf("SC_CLK_TCK")


def _descendants() -> list[int]:
    """This process and all that it started, directly or not."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


def cpu_seconds(program: bytes = b"") -> float:
    """CPU of this process and all that it started, or of one program among them; those that ended included."""
    ticks = 0
    for pid in _descendants():
        try:
            if program not in Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0]:
                continue
            ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
        except OSError:
            continue
    return ticks / _TICKS


def peak_of_workers() -> float:
    """Largest memory of a Python worker of Spark so far, in MiB."""
    peaks = [0]
    for pid in _descendants():
        try:
            if b"pyspark.daemon" in Path(f"/proc/{pid}/cmdline").read_bytes():
                status = Path(f"/proc/{pid}/status").read_text()
                peaks.append(int(status.partition("VmHWM:")[2].split()[0]))
        except (OSError, IndexError):
            continue
    return max(peaks) / 1024


def measure(engine: str, raw: Path, out: Path, parts: int) -> dict[str, float]:
    """Ingest in this process and say what it took."""
    limits: dict[str, Any] = {"max_quarantine_share": 1.0, "max_reason_share": 1.0, "progress": False, "threads": 1}
    if engine == "duckdb":
        before, of_jvm, started = cpu_seconds(), 0.0, 0.0
        summary = ingest("simulated", raw, out, **limits)
    else:
        from pyspark.sql import SparkSession

        begin = cpu_seconds()
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
        builder = builder.config("spark.ui.showConsoleProgress", "false")
        # The JVM moves bytes, for which code that is compiled in haste is as good.
        builder = builder.config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        builder.config("spark.sql.shuffle.partitions", "2").getOrCreate().sparkContext.setLogLevel("ERROR")
        tasks = SparkTasks(open_spark())
        assert list(tasks.run(abs, [-1])) == [1]
        before, of_jvm = cpu_seconds(), cpu_seconds(b"java")
        started = before - begin
        summary = ingest_on_spark("simulated", raw, out, spark=tasks, num_parts=parts, memory_limit="1GB", **limits)
    assert summary.patients is not None
    return {
        "cpu": cpu_seconds() - before,
        "jvm": cpu_seconds(b"java") - of_jvm,
        "start": started,
        "peak": peak_of_workers(),
        "lines": sum(summary.lines.values()),
        "patients": summary.patients.patients,
    }


def _in_a_process(engine: str, raw: Path, out: Path, parts: int) -> dict[str, float]:
    command = [sys.executable, "-m", "speed.spark", "--engine", engine, "--raw", str(raw), "--out", str(out)]
    found = subprocess.run([*command, "--parts", str(parts)], check=True, stdout=subprocess.PIPE)
    measured: dict[str, float] = json.loads(found.stdout.splitlines()[-1])
    return measured


def main() -> int:
    """Measure both engines, print the ratio and the cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=100_000, help="Simulated patients.")
    parser.add_argument("--parts", type=int, default=4, help="Parts that Spark cuts them into.")
    parser.add_argument("--price", type=float, default=0.05, help="Dollars for an hour of a core.")
    parser.add_argument("--engine", choices=("duckdb", "spark"), help=argparse.SUPPRESS)
    parser.add_argument("--raw", type=Path, help="Claims that were simulated before.")
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.engine:
        print(json.dumps(measure(given.engine, given.raw, given.out, given.parts)))
        return 0
    with tempfile.TemporaryDirectory(prefix="spark-speed-") as temporary:
        place = Path(temporary)
        raw = given.raw or place / "raw"
        if given.raw is None:
            simulate(raw, patients=given.patients, seed=1)
        one, other = (_in_a_process(engine, raw, place / engine, given.parts) for engine in ("duckdb", "spark"))
    assert (one["lines"], one["patients"]) == (other["lines"], other["patients"])
    ratio, rate = other["cpu"] / one["cpu"], other["lines"] / other["cpu"]
    hours = LINES / rate / 3600
    remember("spark", {f"{one['lines']:,} lines, CPU of an ingest on Spark : DuckDB": ratio})
    print(f"{one['lines']:,} lines of {one['patients']:,} patients in {given.parts} parts")
    print(
        f"DuckDB {one['cpu']:.1f} CPU s, Spark {other['cpu']:.1f} CPU s on one core, {other['jvm']:.1f} of them the "
        f"JVM's: {ratio:.2f} times (gate {GATE})"
    )
    print(f"the start of Spark takes {other['start']:.1f} CPU s more, whatever the claims")
    print(f"a Python worker took {other['peak']:.0f} MiB at most")
    print(
        f"{rate:,.0f} lines a CPU second: {LINES:,} lines take {hours:,.0f} core hours, "
        f"{hours / 1000:.1f} hours on 1,000 cores, {hours * given.price:,.0f} dollars at {given.price} an hour"
    )
    return int(ratio > GATE)


if __name__ == "__main__":
    sys.exit(main())
