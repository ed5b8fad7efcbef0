# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""Section 5.2 of Lahlou et al.: readmission in time and one year later, in a world that stays and one that changes.

From the repository root:

    python -m reproduction.medicare.scripts.in_time --profile reproduction/medicare/profiles/full.yaml
"""

from claim_transformers.training import run_script
from reproduction.engine.benchmark import BenchmarkArguments
from reproduction.medicare.benchmark import MedicareBenchmark
from reproduction.medicare.contestants import OURS
from reproduction.medicare.in_time_study import in_time_table, open_in_time, true_risk_in_time


def main(arguments: BenchmarkArguments) -> None:
    benchmark = MedicareBenchmark.open(arguments)
    study, base = benchmark.study, benchmark.checkpoint()
    with benchmark.workspace.plan("in time", 14):
        question = open_in_time(study)
        models = [
            study.count_scores(question.cohort, "lr"),
            study.count_scores(question.cohort, "gb"),
            study.encoder_scores(question.cohort, OURS, base),
            true_risk_in_time(study, question),
        ]
    table = in_time_table(models, question, replicates=benchmark.profile.replicates)
    benchmark.publish({"medicare_in_time": table})


if __name__ == "__main__":
    run_script(main, BenchmarkArguments)
