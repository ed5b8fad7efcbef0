# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""Drift in a world that changes, beside the same world without the change: inputs, and estimated against true AUROC.

From the repository root:

    python -m reproduction.medicare.scripts.drift --profile reproduction/medicare/profiles/full.yaml
"""

from claim_transformers.cohorts.readmission.definition import STAYS, ReadmissionDefinition
from claim_transformers.training import run_script
from reproduction.engine.benchmark import BenchmarkArguments
from reproduction.medicare.benchmark import MedicareBenchmark
from reproduction.medicare.drift_study import DriftStudy
from reproduction.medicare.profiles import DRIFTED, STUDY


def main(arguments: BenchmarkArguments) -> None:
    benchmark = MedicareBenchmark.open(arguments)
    people, options = benchmark.study.populations, benchmark.profile.drift
    with benchmark.workspace.plan("drift", 8):
        tables = DriftStudy(people, STUDY, DRIFTED, ReadmissionDefinition(STAYS), options).tables()
    benchmark.publish({f"medicare_{name}": table for name, table in tables.items()})


if __name__ == "__main__":
    run_script(main, BenchmarkArguments)
