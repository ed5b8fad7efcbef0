# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""What the benchmark ran, on what, and how long it took: `run.md` beside the results.

From the repository root:

    python -m reproduction.claim_pt.scripts.summary --profile reproduction/claim_pt/profiles/full.yaml
"""

import os
import platform
from importlib.metadata import version

import torch

from claim_transformers.analysis.result_table import Cell
from claim_transformers.training import run_script
from reproduction.claim_pt.benchmark import ClaimPTBenchmark
from reproduction.engine.benchmark import BenchmarkArguments
from reproduction.engine.tables import setting_table

PACKAGES = ("claim-transformers", "torch", "transformers", "datasets", "scikit-learn", "numpy", "pyarrow")


def main(arguments: BenchmarkArguments) -> None:
    benchmark = ClaimPTBenchmark.open(arguments)
    times = benchmark.workspace.times()
    rows: list[dict[str, Cell]] = [
        {"steps of": name, "steps": steps, "minutes": seconds / 60} for name, (steps, seconds, _) in times.items()
    ]
    rows.append(
        {
            "steps of": "all",
            "steps": sum(steps for steps, _, _ in times.values()),
            "minutes": sum(seconds for _, seconds, _ in times.values()) / 60,
        }
    )
    others = sum(other for _, _, other in times.values())
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    notes = [
        f"Profile {benchmark.profile.name!r} on {device}, {os.cpu_count()} cores, {torch.get_num_threads()} threads; "
        + ", ".join(f"{package} {version(package)}" for package in PACKAGES)
        + ".",
        "Minutes are those of the run that made each step. Steps of other source than the present one: "
        f"{others or 'none'}.",
    ]
    setting_table("What was run", rows, notes).save(benchmark.docs, "run")
    benchmark.finish("run")


if __name__ == "__main__":
    run_script(main, BenchmarkArguments)
