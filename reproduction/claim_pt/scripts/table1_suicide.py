# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""Table 1 of Claim-PT: suicide attempt at the next encounter, all models on the same five splits.

From the repository root:

    python -m reproduction.claim_pt.scripts.table1_suicide --profile reproduction/claim_pt/profiles/full.yaml
"""

from claim_transformers.training import run_script
from reproduction.claim_pt.benchmark import ClaimPTBenchmark
from reproduction.claim_pt.tables import paper_table
from reproduction.engine.benchmark import BenchmarkArguments

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
    benchmark = ClaimPTBenchmark.open(arguments)
    table = paper_table(
        benchmark, "suicide_attempt", title="Table 1: suicide attempt at the next encounter", published=PUBLISHED
    )
    benchmark.publish({"table1_suicide": table})


if __name__ == "__main__":
    run_script(main, BenchmarkArguments)
