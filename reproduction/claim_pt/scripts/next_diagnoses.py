# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""Next diagnoses ("auto diagnosis"): which categories of diagnosis the next visit has, recall among the likeliest.

From the repository root:

    python -m reproduction.claim_pt.scripts.next_diagnoses --profile reproduction/claim_pt/profiles/full.yaml
"""

from claim_transformers.training import run_script
from reproduction.claim_pt.benchmark import ClaimPTBenchmark
from reproduction.claim_pt.contestants import standard_contestants
from reproduction.engine.benchmark import BenchmarkArguments
from reproduction.engine.contestants import run_contestants
from reproduction.engine.tables import compare_over_repeats

# One of each kind: all models would take hours on a cohort of this size.
MODELS = ("lr-sparse", "lr-dense", "doctor-ai", "transe", "claim-pt-nvp", "claim-pt-start", "claim-pt-fine-tune")


def main(arguments: BenchmarkArguments) -> None:
    benchmark = ClaimPTBenchmark.open(arguments)
    cohort = benchmark.populations.cohort("next_diagnoses")
    standard = standard_contestants(str(benchmark.checkpoint()), epochs=benchmark.profile.epochs)
    contestants = [contestant for contestant in standard if contestant.slug in MODELS]
    models = run_contestants(benchmark.workspace, cohort, contestants, repeats=benchmark.profile.repeats)
    table = compare_over_repeats(
        "Next diagnoses: categories of the next visit",
        models,
        primary="recall@10",
        notes=[
            cohort.describe(),
            '"Of new": among the categories that the patient never had before. Settings are chosen by recall@10.',
            "No ceiling: the simulator writes no true risk of a category. Gradient boosting takes one label only.",
        ],
    )
    benchmark.publish({"next_diagnoses": table.to_table()})


if __name__ == "__main__":
    run_script(main, BenchmarkArguments)
