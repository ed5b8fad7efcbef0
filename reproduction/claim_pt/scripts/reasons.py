# /// script
# dependencies = ["claim-transformers[all]"]
# ///
r"""Reasons beside the truth: do they move the prediction, and have they the sign of what really causes the risk?

From the repository root:

    python -m reproduction.claim_pt.scripts.reasons --profile reproduction/claim_pt/profiles/twins.yaml \
      --docs docs/benchmark

The rule by which a reason is shown is chosen on a split of its own and the first two; its signs are told of the
others, without the patients whom these splits share.
"""

import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.training import run_script
from reproduction.claim_pt.benchmark import ClaimPTBenchmark
from reproduction.claim_pt.reasons_steps import measured_reasons
from reproduction.claim_pt.reasons_tables import erasure_table, rank_table, rule_table, sign_table
from reproduction.engine.benchmark import BenchmarkArguments

# Splits of the profile that the choice of a rule took beside one of its own; the others tell how it holds.
RULE_SPLITS = 2


def main(arguments: BenchmarkArguments) -> None:
    benchmark = ClaimPTBenchmark.open(arguments)
    *measured, first = measured_reasons(benchmark)
    reasons, erased = (pa.concat_tables(tables) for tables in zip(*measured, strict=True))
    of_rule = pa.concat_tables([first[0], *(table for table, _ in measured[:RULE_SPLITS])])
    others = pa.concat_tables([table for table, _ in measured[RULE_SPLITS:]])
    others = others.filter(pc.invert(pc.is_in(others["patient"], value_set=of_rule["patient"].combine_chunks())))
    benchmark.publish(
        {
            "reasons_rule": rule_table(of_rule),
            "reasons_sign": sign_table(others),
            "reasons_rank": rank_table(reasons),
            "reasons_erasure": erasure_table(erased),
        }
    )


if __name__ == "__main__":
    run_script(main, BenchmarkArguments)
