# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""What the paper's label rule, its leak and its sampling of negatives contribute to an AUROC.

From the repository root:

    python -m reproduction.medicare.scripts.labels --profile reproduction/medicare/profiles/full.yaml
"""

from claim_transformers.training import run_script
from reproduction.engine.benchmark import BenchmarkArguments
from reproduction.medicare.benchmark import MedicareBenchmark
from reproduction.medicare.label_rules import label_rule_table
from reproduction.medicare.profiles import STUDY


def main(arguments: BenchmarkArguments) -> None:
    benchmark = MedicareBenchmark.open(arguments)
    with benchmark.workspace.plan("label rules", 25):
        table = label_rule_table(benchmark.study, STUDY, benchmark.checkpoint())
    benchmark.publish({"medicare_labels": table})


if __name__ == "__main__":
    run_script(main, BenchmarkArguments)
