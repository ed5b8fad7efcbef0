# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""Does the subgroup audit find a bias that was planted, and how often does it report one that is not there?

From the repository root:

    python -m reproduction.medicare.scripts.power --profile reproduction/medicare/profiles/full.yaml
"""

from claim_transformers.cohorts.readmission.definition import STAYS, ReadmissionDefinition
from claim_transformers.training import run_script
from reproduction.engine.benchmark import BenchmarkArguments
from reproduction.medicare.benchmark import MedicareBenchmark
from reproduction.medicare.power_study import PowerStudy
from reproduction.medicare.profiles import BIASED, PLAIN, STUDY


def main(arguments: BenchmarkArguments) -> None:
    benchmark = MedicareBenchmark.open(arguments)
    people, options = benchmark.study.populations, benchmark.profile.power
    study = PowerStudy(people, STUDY, PLAIN, BIASED, ReadmissionDefinition(STAYS), options)
    counts = (options.lives_audits, options.gap_audits)
    on_lives = len(options.lives_patients) * sum(-(-count // options.audits_per_step) for count in counts)
    with benchmark.workspace.plan("power", 14 + on_lives):
        tables = study.tables()
    benchmark.publish({f"medicare_{name}": table for name, table in tables.items()})


if __name__ == "__main__":
    run_script(main, BenchmarkArguments)
