# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""What the paper's label rule, its leak and its sampling of negatives contribute to an AUROC.

From the repository root:

    python examples/benchmark/medicare/labels.py --profile examples/benchmark/medicare/full.yaml
"""

from claim_transformers.benchmark.medicare.label_rules import label_rule_table
from claim_transformers.benchmark.medicare.opening import MedicareArguments, MedicareBenchmark
from claim_transformers.benchmark.medicare.profiles import STUDY
from claim_transformers.training import parse_arguments


def main(arguments: MedicareArguments) -> None:
    benchmark = MedicareBenchmark.open(arguments)
    with benchmark.workspace.plan("label rules", 25):
        table = label_rule_table(benchmark.study, STUDY, benchmark.checkpoint())
    benchmark.publish({"medicare_labels": table})


if __name__ == "__main__":
    main(*parse_arguments(MedicareArguments))
