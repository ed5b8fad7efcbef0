# /// script
# dependencies = ["claim-transformers[all]"]
# ///
r"""Readmission in ICD-9 and in ICD-10: the same lives, coded twice.

From the repository root:

    python -m reproduction.medicare.scripts.twins --profile reproduction/medicare/profiles/twins.yaml \
      --docs docs/benchmark
"""

import pyarrow as pa

from claim_transformers.training import run_script
from reproduction.engine.benchmark import BenchmarkArguments
from reproduction.engine.tables import ModelPredictions
from reproduction.engine.twins import CODINGS, twin_table
from reproduction.medicare.benchmark import MedicareBenchmark
from reproduction.medicare.contestants import OURS
from reproduction.medicare.profiles import STUDY
from reproduction.medicare.readmission_study import ModelScores, StudyCohort

POPULATIONS = dict(zip(CODINGS, (STUDY, "icd10"), strict=True))


def as_predictions(scores: ModelScores, cohort: StudyCohort) -> ModelPredictions:
    """Scores of the test stays as those of one split."""
    columns = {"patient": cohort.patients("test"), "label": cohort.labels("test"), "score": scores.test}
    return ModelPredictions(scores.slug, scores.name, scores.group, [pa.table(columns)])


def main(arguments: BenchmarkArguments) -> None:
    benchmark = MedicareBenchmark.open(arguments)
    study, base = benchmark.study, benchmark.checkpoint()
    scored = {}
    with benchmark.workspace.plan("readmission in both codings", 6):
        for coding, population in POPULATIONS.items():
            cohort = study.cohort(population)
            models = [
                study.count_scores(cohort, "lr"),
                study.count_scores(cohort, "gb"),
                study.encoder_scores(cohort, OURS, base),
                study.true_risk(cohort),
            ]
            scored[coding] = [as_predictions(model, cohort) for model in models]
    table = twin_table("Readmission within 30 days, in both codings", scored, replicates=benchmark.profile.replicates)
    benchmark.publish({"medicare_twins": table})


if __name__ == "__main__":
    run_script(main, BenchmarkArguments)
