# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""How much of the true risk of the asthma cohort can be read off claims: trees taught by the true risk itself.

From the repository root:

    python -m reproduction.claim_pt.scripts.claims_ceiling --profile reproduction/claim_pt/profiles/full.yaml

Not a model: nobody has true risks of real patients. It says how far models of claims can come between LR Dense and the
true risk of Table 2, on the same five splits.
"""

from claim_transformers.training import run_script
from reproduction.claim_pt.benchmark import ClaimPTBenchmark
from reproduction.claim_pt.claims_ceiling import GROUP, Teaching, describe_saturation
from reproduction.claim_pt.cold_start import LogisticRegression, TrueRiskCeiling
from reproduction.engine.benchmark import BenchmarkArguments
from reproduction.engine.contestants import run_contestants
from reproduction.engine.tables import compare_over_repeats

NOTES = [
    "Boosted trees on log counts of categories in the last 30, 90, 180 and 365 days and ever, inpatient visits apart, "
    "with age, sex and use of care. They learn the true risk over the horizon, not the outcome, of everybody eligible "
    "at several index dates in another population of the same institution; nobody of the cohort teaches.",
    "What they reach bounds from below what claims can tell: other features or more children could only tell more.",
    "The suicide cohort is left out. Its index date is a visit, a case's the one with the outcome, and its true risk "
    "counts insured months after that date: there is no risk of a period that begins there to teach, and what claims "
    "tell of that score would bound no model.",
]


def main(arguments: BenchmarkArguments) -> None:
    benchmark = ClaimPTBenchmark.open(arguments)
    teaching = Teaching(benchmark.populations)
    taught = teaching.contestants()
    models = run_contestants(
        benchmark.workspace,
        teaching.cohort,
        [LogisticRegression("dense"), *taught, TrueRiskCeiling()],
        repeats=benchmark.profile.repeats,
    )
    curve = [model for model in models if model.group == GROUP]
    table = compare_over_repeats(
        "How much of the true risk can be read off claims: admission with asthma within a year",
        models,
        notes=[describe_saturation(curve), teaching.cohort.describe(), *NOTES],
    )
    benchmark.publish({"claims_ceiling": table.to_table()})


if __name__ == "__main__":
    run_script(main, BenchmarkArguments)
