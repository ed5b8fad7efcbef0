# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""Table 2 of Claim-PT: admission with asthma within a year, all models on the same five splits.

From the repository root:

    python -m reproduction.claim_pt.scripts.table2_asthma --profile reproduction/claim_pt/profiles/full.yaml
"""

from claim_transformers.training import run_script
from reproduction.claim_pt.benchmark import ClaimPTBenchmark
from reproduction.claim_pt.tables import paper_table
from reproduction.engine.benchmark import BenchmarkArguments

# Zeng, Lin and Liu, Table 2.
PUBLISHED = {
    "lr-sparse": 0.77,
    "lr-dense": 0.73,
    "doctor-ai": 0.74,
    "dipole": 0.73,
    "transe": 0.71,
    "claim-pt-start": 0.74,
    "claim-pt-pool": 0.74,
    "claim-pt-fine-tune": 0.82,
}


def main(arguments: BenchmarkArguments) -> None:
    benchmark = ClaimPTBenchmark.open(arguments)
    table = paper_table(
        benchmark, "asthma_exacerbation", title="Table 2: admission with asthma within a year", published=PUBLISHED
    )
    benchmark.publish({"table2_asthma": table})


if __name__ == "__main__":
    run_script(main, BenchmarkArguments)
