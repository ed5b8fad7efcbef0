# /// script
# dependencies = ["claim-transformers[all]"]
# ///
r"""Reasons beside the truth: do they move the prediction, and have they the sign of what really causes the risk?

From the repository root:

    python -m reproduction.claim_pt.scripts.reasons --profile reproduction/claim_pt/profiles/twins.yaml \
      --docs docs/benchmark

The rule by which a reason is shown is chosen on a split of its own, whose test patients are in none of the others here.
"""

import pyarrow as pa

from claim_transformers.training import run_script
from reproduction.claim_pt.benchmark import ClaimPTBenchmark
from reproduction.claim_pt.reasons_steps import measured_reasons
from reproduction.claim_pt.reasons_tables import erasure_table, rank_table, rule_table, sign_table
from reproduction.engine.benchmark import BenchmarkArguments


def main(arguments: BenchmarkArguments) -> None:
    benchmark = ClaimPTBenchmark.open(arguments)
    *measured, (of_rule, _) = measured_reasons(benchmark)
    reasons, erased = (pa.concat_tables(tables) for tables in zip(*measured, strict=True))
    benchmark.publish(
        {
            "reasons_rule": rule_table(of_rule),
            "reasons_sign": sign_table(reasons),
            "reasons_rank": rank_table(reasons),
            "reasons_erasure": erasure_table(erased),
        }
    )


if __name__ == "__main__":
    run_script(main, BenchmarkArguments)
