# /// script
# dependencies = ["claim-transformers[all,hcc]"]
# ///
r"""What each patient costs next year: a transformer, prior cost, regression, boosting and the score of CMS.

From the repository root:

    python -m reproduction.medicare.scripts.cost --docs docs/benchmark --patients 15000 --losses tweedie --lives 20 \
      --epochs 5 --replicates 500

Simulated Medicare patients in ICD-10, so that the score of CMS can read them, with the expected cost of each patient
as the ceiling. Where `hccinfhir` is not installed the score is left out, and the table says so.
"""

from dataclasses import dataclass, field
from pathlib import Path

from claim_transformers.training import run_script
from reproduction.engine.steps import Workspace
from reproduction.medicare.cost_study import CostStudy


@dataclass
class CostArguments:
    """Sizes, and where results go."""

    workspace: str = field(default="runs/benchmark/medicare-cost", metadata={"help": "Folder of the steps."})
    docs: str | None = field(
        default=None, metadata={"help": "Folder of the tables; docs in the workspace without it."}
    )
    patients: int = field(default=5000, metadata={"help": "Patients to simulate."})
    seed: int = field(default=61, metadata={"help": "Seed of the population."})
    index_date: str = field(default="2012-01-01", metadata={"help": "First day of the year that is predicted."})
    checkpoint: str = field(default="claim-pt-base", metadata={"help": "Pretrained model that is fine-tuned."})
    epochs: int = field(default=8, metadata={"help": "Epochs of fine-tuning at most."})
    losses: list[str] = field(
        default_factory=lambda: ["tweedie", "two_part", "log"], metadata={"help": "What fine-tuning minimises."}
    )
    lives: int = field(default=40, metadata={"help": "Lives behind each expected cost."})
    replicates: int = field(default=1000, metadata={"help": "Bootstrap replicates of an interval."})


def main(arguments: CostArguments) -> None:
    workspace = Workspace(arguments.workspace)
    study = CostStudy(
        workspace,
        patients=arguments.patients,
        seed=arguments.seed,
        index_date=arguments.index_date,
        checkpoint=arguments.checkpoint,
        epochs=arguments.epochs,
        losses=arguments.losses,
        lives=arguments.lives,
        replicates=arguments.replicates,
    )
    docs = Path(arguments.docs) if arguments.docs else workspace.folder / "docs"
    for name, table in study.tables().items():
        table.save(docs, name)
        print(table.to_markdown(name))


if __name__ == "__main__":
    run_script(main, CostArguments)
