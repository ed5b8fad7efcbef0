# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""Section 5.3 of Lahlou et al.: is a model as good for one group as for another, also when it cannot see race and sex?

From the repository root:

    python -m reproduction.medicare.scripts.subgroups --profile reproduction/medicare/profiles/full.yaml
"""

from dataclasses import replace

from claim_transformers.analysis.audit.recalibration import fit_platt
from claim_transformers.training import run_script
from reproduction.engine.benchmark import BenchmarkArguments
from reproduction.medicare.benchmark import MedicareBenchmark
from reproduction.medicare.contestants import OURS
from reproduction.medicare.subgroup_study import audit_models, choose_thresholds

MASKED = ("race", "sex")


def main(arguments: BenchmarkArguments) -> None:
    benchmark = MedicareBenchmark.open(arguments)
    study, base = benchmark.study, benchmark.checkpoint()
    with benchmark.workspace.plan("subgroups", 16):
        cohort, masked = study.cohort(), study.cohort(hide=MASKED)
        blind = replace(OURS, slug="encoder-masked", name=f"{OURS.name}, race and sex masked")
        blind_counts = study.count_scores(cohort, "lr", drop=MASKED)
        models = [
            study.encoder_scores(cohort, OURS, base),
            study.encoder_scores(masked, blind, base),
            study.count_scores(cohort, "lr"),
            replace(blind_counts, name=f"{blind_counts.name}, race and sex masked"),
        ]
        learned = cohort.labels("validation")
        lines = {model.name: fit_platt(learned, model.validation) for model in models}
        thresholds = choose_thresholds(learned, {model.name: lines[model.name](model.validation) for model in models})
        tables = audit_models(
            benchmark.workspace,
            cohort.examples["test"],
            cohort.labels("test"),
            {model.name: lines[model.name](model.test) for model in models},
            thresholds,
            replicates=benchmark.profile.replicates,
        )
    for name, table in tables.items():
        table.save(benchmark.docs, f"medicare_{name}")
    print(tables["subgroups-side-by-side"].to_markdown())
    benchmark.finish(*(f"medicare_{name}" for name in tables))


if __name__ == "__main__":
    run_script(main, BenchmarkArguments)
