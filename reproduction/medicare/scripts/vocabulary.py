# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""How large the vocabulary is at each depth of the roll-up, and how much of the test stays it covers.

From the repository root:

    python -m reproduction.medicare.scripts.vocabulary --profile reproduction/medicare/profiles/full.yaml
"""

from claim_transformers.analysis.result_table import ResultTable
from claim_transformers.models.claim.form_claim import DEPTHS
from claim_transformers.training import run_script
from claim_transformers.training.sequence_vocabulary import vocabulary_rows
from claim_transformers.training.sequences import read_splits
from reproduction.engine.benchmark import BenchmarkArguments
from reproduction.medicare.benchmark import MedicareBenchmark
from reproduction.medicare.profiles import PRETRAINING

NOTE = (
    "Tokens of codes and numbers in the stays of the pretraining population; kept are those that 11 training patients "
    "hold, covered is their share of the codes of its test patients. The paper has about 20,000 tokens (section "
    "3.1.3), from claims that hold far more codes than simulated ones."
)


def main(arguments: BenchmarkArguments) -> None:
    benchmark = MedicareBenchmark.open(arguments)
    rows = [
        {"depth": depth, **row}
        for depth in DEPTHS
        for row in vocabulary_rows(read_splits(benchmark.study.cohort(PRETRAINING, depth=depth).sequences))
    ]
    table = ResultTable("Readmission: vocabulary and its coverage", rows, [NOTE])
    benchmark.publish({"medicare_vocabulary": table})


if __name__ == "__main__":
    run_script(main, BenchmarkArguments)
