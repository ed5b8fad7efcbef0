# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""Table 1 of Claim-PT: suicide attempt at the next encounter, all models on the same five splits.

From the repository root:

    python examples/benchmark/table1_suicide.py --profile examples/benchmark/full.yaml
"""

from claim_transformers.benchmark import compare_models, run_contestants, standard_contestants
from claim_transformers.benchmark.opening import Benchmark, BenchmarkArguments
from claim_transformers.training import parse_arguments

# Zeng, Lin and Liu, Table 1.
PUBLISHED = {
    "lr-sparse": 0.73,
    "lr-dense": 0.74,
    "doctor-ai": 0.72,
    "dipole": 0.72,
    "transe": 0.73,
    "claim-pt-start": 0.74,
    "claim-pt-pool": 0.73,
    "claim-pt-fine-tune": 0.84,
}


def main(arguments: BenchmarkArguments) -> None:
    benchmark = Benchmark.open(arguments)
    cohort = benchmark.populations.cohort("suicide_attempt")
    contestants = standard_contestants(
        benchmark.checkpoint(), paper_checkpoint=benchmark.paper_checkpoint(), epochs=benchmark.profile.epochs
    )
    models = run_contestants(benchmark.workspace, cohort, contestants, repeats=benchmark.profile.repeats)
    table = compare_models(
        "Table 1: suicide attempt at the next encounter",
        models,
        notes=[cohort.describe(), "The paper's figures are of real claims of another population and other cohorts."],
        published=PUBLISHED,
    )
    table.save(benchmark.docs, "table1_suicide")
    print(table.to_markdown())
    benchmark.finish("table1_suicide")


if __name__ == "__main__":
    main(*parse_arguments(BenchmarkArguments))
