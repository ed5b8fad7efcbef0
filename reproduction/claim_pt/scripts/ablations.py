# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""Ablations: what each choice of the pretraining is worth, after short runs that differ in nothing else.

From the repository root:

    python -m reproduction.claim_pt.scripts.ablations --profile reproduction/claim_pt/profiles/full.yaml

The variants stand in `reproduction/claim_pt/profiles/ablations.yaml`.
"""

from dataclasses import dataclass, field

from claim_transformers.training import run_script
from reproduction.claim_pt.benchmark import ClaimPTBenchmark
from reproduction.claim_pt.sweeps import ablation_table, load_ablations
from reproduction.engine.benchmark import BenchmarkArguments


@dataclass
class AblationArguments:
    """What this script adds to [`BenchmarkArguments`]."""

    variants: str = field(
        default="reproduction/claim_pt/profiles/ablations.yaml",
        metadata={"help": "YAML file with reference and variants."},
    )


def main(arguments: BenchmarkArguments, ablation_arguments: AblationArguments) -> None:
    benchmark = ClaimPTBenchmark.open(arguments)
    plan = benchmark.profile.pretraining["ablation"]
    table = ablation_table(
        benchmark.populations,
        plan,
        load_ablations(ablation_arguments.variants),
        [benchmark.populations.cohort(name) for name in ("asthma_exacerbation", "suicide_attempt")],
        repeats=benchmark.profile.repeats,
        notes=[
            f"Every variant is pretrained for {plan.max_steps} steps of {plan.batch_size} patients with one seed. "
            "Frozen: a linear probe on the patient position (Claim-PT Start), intervals and paired differences to the "
            "reference as in Tables 1 and 2. Recall of the next visit is given where the same targets are ranked.",
        ],
    )
    benchmark.publish({"ablations": table})


if __name__ == "__main__":
    run_script(main, BenchmarkArguments, AblationArguments)
