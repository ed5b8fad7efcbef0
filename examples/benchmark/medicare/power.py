# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""Does the subgroup audit find a bias that was planted, and how often does it report one that is not there?

From the repository root:

    python examples/benchmark/medicare/power.py --profile examples/benchmark/medicare/full.yaml
"""

from claim_transformers.benchmark.medicare.opening import MedicareArguments, MedicareBenchmark
from claim_transformers.benchmark.medicare.power_study import PowerStudy
from claim_transformers.benchmark.medicare.profiles import BIASED, PLAIN, STUDY
from claim_transformers.cohorts.readmission_definition import STAYS, ReadmissionDefinition
from claim_transformers.training import parse_arguments


def main(arguments: MedicareArguments) -> None:
    benchmark = MedicareBenchmark.open(arguments)
    people, options = benchmark.study.populations, benchmark.profile.power
    study = PowerStudy(people, STUDY, PLAIN, BIASED, ReadmissionDefinition(STAYS), options)
    on_lives = len(options.lives_patients) * -(-options.lives_audits // options.audits_per_step)
    with benchmark.workspace.plan("power", 14 + on_lives):
        tables = study.tables()
    benchmark.publish({f"medicare_{name}": table for name, table in tables.items()})


if __name__ == "__main__":
    main(*parse_arguments(MedicareArguments))
