# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""The extra plots of Claim-PT's authors: next-visit loss against the number of heads and of layers.

From the repository root:

    python -m reproduction.claim_pt.scripts.heads_and_layers --profile reproduction/claim_pt/profiles/full.yaml
"""

from claim_transformers.training import run_script
from reproduction.claim_pt.benchmark import ClaimPTBenchmark
from reproduction.claim_pt.sweeps import sweep, sweep_table
from reproduction.engine.benchmark import BenchmarkArguments


def main(arguments: BenchmarkArguments) -> None:
    benchmark = ClaimPTBenchmark.open(arguments)
    profile, populations = benchmark.profile, benchmark.populations
    plan = profile.pretraining["heads_and_layers"]
    swept = {
        "heads": sweep(populations, plan, "num_attention_heads", profile.heads, what="heads"),
        "layers": sweep(populations, plan, "num_hidden_layers", profile.layers, what="layers"),
    }
    table = sweep_table(
        "Loss against heads and layers",
        swept,
        [
            f"The paper's configuration after {plan.max_steps} steps of {plan.batch_size} patients, one run each; "
            "intervals draw validation patients, so they do not hold the luck of another seed.",
        ],
    )
    benchmark.publish({"heads_and_layers": table})


if __name__ == "__main__":
    run_script(main, BenchmarkArguments)
