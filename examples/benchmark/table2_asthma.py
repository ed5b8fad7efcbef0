# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""Table 2 of Claim-PT: admission with asthma within a year, all models on the same five splits.

From the repository root:

    python examples/benchmark/table2_asthma.py --profile examples/benchmark/full.yaml
"""

from claim_transformers.benchmark import compare_models, run_contestants, standard_contestants
from claim_transformers.benchmark.opening import Benchmark, BenchmarkArguments
from claim_transformers.training import parse_arguments

# Zeng, Lin and Liu, Table 2.
PUBLISHED = {
    "lr-sparse": 0.77,
    "lr-dense": 0.73,
    "doctor-ai": 0.74,
    "dipole": 0.73,
    "transe": 0.71,
    "claim-pt-start": 0.74,
    "claim-pt-pool": 0.74,
    "claim-pt-fine-tune": 0.82,
}


def main(arguments: BenchmarkArguments) -> None:
    benchmark = Benchmark.open(arguments)
    cohort = benchmark.populations.cohort("asthma_exacerbation")
    contestants = standard_contestants(
        benchmark.checkpoint(), paper_checkpoint=benchmark.paper_checkpoint(), epochs=benchmark.profile.epochs
    )
    models = run_contestants(benchmark.workspace, cohort, contestants, repeats=benchmark.profile.repeats)
    table = compare_models(
        "Table 2: admission with asthma within a year",
        models,
        notes=[cohort.describe(), "The paper's figures are of real claims of another population and other cohorts."],
        published=PUBLISHED,
    )
    table.save(benchmark.docs, "table2_asthma")
    print(table.to_markdown())
    benchmark.finish("table2_asthma")


if __name__ == "__main__":
    main(*parse_arguments(BenchmarkArguments))
