# /// script
# dependencies = ["claim-transformers[all]"]
# ///
r"""The obvious way, `transformers.Trainer` with its defaults, against logistic regression on three cohorts.

From the repository root:

    python -m reproduction.claim_pt.scripts.plain_trainer --profile reproduction/claim_pt/profiles/plain_trainer.yaml \
      --docs docs/benchmark

The cohorts are those of Tables 1 and 2 and that of `examples/demo.sh`; the splits are those of `twins.py`. For the
former two there is a second table, of `fine_tune` against the best model without pretraining.
"""

from claim_transformers.cohorts import build_cohort, load_definition
from claim_transformers.training import run_script
from reproduction.claim_pt.benchmark import ClaimPTBenchmark
from reproduction.claim_pt.cold_start import GradientBoosting, LogisticRegression, RecentCounts, TrueRiskCeiling
from reproduction.claim_pt.neural_models import FineTuned
from reproduction.claim_pt.plain_trainer import PlainTrainer
from reproduction.engine.benchmark import BenchmarkArguments
from reproduction.engine.contestants import Contestant, run_contestants
from reproduction.engine.silence import quiet
from reproduction.engine.tables import compare_over_repeats
from reproduction.engine.tasks import BenchmarkCohort

TITLES = {
    "demo": "The obvious way on the cohort of the demo: admission with asthma within a year",
    "asthma_exacerbation": "The obvious way: admission with asthma within a year",
    "suicide_attempt": "The obvious way: suicide attempt at the next encounter",
}
FINE_TUNED_TITLES = {
    "asthma_exacerbation": "Fine-tuned: admission with asthma within a year",
    "suicide_attempt": "Fine-tuned: suicide attempt at the next encounter",
}
DEMO_DATES = ["2020-01-01", "2021-01-01"]
NOTE = (
    "Plain Trainer: `ClaimForSequenceClassification.from_pretrained(..., num_labels=2)`, `TrainingArguments` with "
    "num_train_epochs=3 and nothing else, the training split, the last weights."
)


def contestants(checkpoint: str, *models: Contestant) -> list[Contestant]:
    """Logistic regressions, models to be set beside them, and the ceiling."""
    regressions: list[Contestant] = [
        LogisticRegression("sparse"),
        LogisticRegression("dense"),
        RecentCounts(checkpoint),
    ]
    return [*regressions, *models, TrueRiskCeiling()]


def demo_cohort(benchmark: ClaimPTBenchmark) -> BenchmarkCohort:
    """The cohort of `examples/demo.sh`."""
    definition = load_definition("asthma_exacerbation", "event").with_index_dates(DEMO_DATES)
    claims = benchmark.populations.claims("demo")
    folder = benchmark.workspace.folder_step(
        "prepare/cohort-demo",
        {"claims": claims.name, "dates": DEMO_DATES},
        lambda folder: build_cohort(definition, claims).save(folder, raw_counts=True),  # of simulated people
    )
    return BenchmarkCohort.load(folder, raw=benchmark.populations.raw("demo"), name="demo")


def main(arguments: BenchmarkArguments) -> None:
    benchmark = ClaimPTBenchmark.open(arguments)
    populations, tables, checkpoint = benchmark.populations, {}, str(benchmark.checkpoint())
    with quiet():
        cohorts = {"demo": demo_cohort(benchmark)}
    for name in benchmark.profile.cohorts:
        folder = populations.cohort_folder(name)
        shown = f"twins-{name.replace('_', '-')}"
        cohorts[name] = BenchmarkCohort.load(folder, raw=populations.raw("a"), name=shown)
    for name, cohort in cohorts.items():
        notes, repeats = [cohort.describe()], benchmark.profile.repeats
        models = contestants(checkpoint, PlainTrainer(checkpoint))
        scored = run_contestants(benchmark.workspace, cohort, models, repeats=repeats)
        table = compare_over_repeats(TITLES[name], scored, notes=[*notes, NOTE])
        tables[f"plain_trainer_{name}"] = table.to_table()
        if name in FINE_TUNED_TITLES:
            models = contestants(checkpoint, GradientBoosting(), FineTuned(checkpoint, benchmark.profile.epochs))
            scored = run_contestants(benchmark.workspace, cohort, models, repeats=repeats)
            table = compare_over_repeats(FINE_TUNED_TITLES[name], scored, notes=notes)
            tables[f"fine_tuned_{name}"] = table.to_table()
    benchmark.publish(tables)


if __name__ == "__main__":
    run_script(main, BenchmarkArguments)
