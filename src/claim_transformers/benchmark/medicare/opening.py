"""What every script of the Medicare benchmark begins and ends with, and the encoders of its tables."""

from dataclasses import dataclass, field
from pathlib import Path

from claim_transformers.benchmark.checkpoints import checkpoint_folder
from claim_transformers.benchmark.medicare.encoders import Encoder
from claim_transformers.benchmark.medicare.profiles import PRETRAINING, MedicareProfile, load_medicare_profile
from claim_transformers.benchmark.medicare.study import ReadmissionStudy
from claim_transformers.benchmark.opening import seen_simulation
from claim_transformers.benchmark.steps import Workspace

BASE, PAPER = "examples/configs/medicare-encoder-base.json", "examples/configs/medicare-encoder-paper.json"
OURS = Encoder("encoder", "Medicare encoder", BASE)
# Fresh weights need larger steps: 1e-3 was better than 3e-4 on validation stays of a population of no table (seed 31).
FROM_SCRATCH = Encoder(
    "from-scratch", "without pretraining", BASE, is_pretrained=False, fine_tuning={"learning_rate": 1e-3}
)
WITHOUT_TIME = Encoder("without-time", "without time-aware attention", BASE, {"time_attention": "none"})
POOLED = Encoder("pooled", "visits as positions, not codes", BASE, {"visit_pooling": "sum"})
AS_PAPER = Encoder("as-paper", "as in the paper: width 512, chapters", PAPER)


@dataclass
class MedicareArguments:
    """What to run and where results go."""

    profile: str = field(
        default="examples/benchmark/medicare/full.yaml", metadata={"help": "YAML file with the sizes of the run."}
    )
    workspace: str | None = field(
        default=None, metadata={"help": "Folder of the steps; runs/benchmark/medicare-NAME of the profile without it."}
    )
    docs: str | None = field(
        default=None,
        metadata={"help": "Folder of tables; docs/benchmark for full.yaml, else docs in the workspace."},
    )


@dataclass(frozen=True)
class MedicareBenchmark:
    """A benchmark that is open.

    Args:
        study ([`ReadmissionStudy`]): Cohorts and models.
        docs (`Path`): Where tables go.
    """

    study: ReadmissionStudy
    docs: Path

    @classmethod
    def open(cls, arguments: MedicareArguments) -> "MedicareBenchmark":
        """Read the profile and open its workspace.

        Args:
            arguments ([`MedicareArguments`]): Of the command line.

        Returns:
            [`MedicareBenchmark`]: Ready to run steps.
        """
        profile = load_medicare_profile(arguments.profile)
        folder = Path(arguments.workspace or f"runs/benchmark/medicare-{profile.name}")
        docs = Path("docs/benchmark") if profile.name == "full" else folder / "docs"
        docs = Path(arguments.docs) if arguments.docs else docs
        return cls(ReadmissionStudy(Workspace(folder), profile), docs)

    @property
    def profile(self) -> MedicareProfile:
        """Sizes."""
        return self.study.profile

    @property
    def workspace(self) -> Workspace:
        """Steps."""
        return self.study.workspace

    def checkpoint(self) -> Path:
        """The encoder of the tables: the profile's, or one that is pretrained here.

        Returns:
            `Path`: Its folder.

        Raises:
            ValueError: If there is none of that name, or it was pretrained on people of a table.
        """
        if self.profile.checkpoint is None:
            return self.study.checkpoint(OURS)
        folder = checkpoint_folder(self.profile.checkpoint)
        refuse_known_patients(folder, self.profile)
        return folder

    def finish(self, *names: str) -> None:
        """Print where results are and how long the steps took.

        Args:
            *names (`str`): Files of the results without ending.
        """
        from rich.console import Console

        console = Console()
        for name in names:
            console.print(f"[bold]{self.docs / name}[/bold] .md .json .csv")
        console.print(self.workspace.summary())


def refuse_known_patients(checkpoint: Path, profile: MedicareProfile) -> None:
    """Stop when a checkpoint has seen a simulated population that a table is about.

    Args:
        checkpoint (`Path`): Folder of a checkpoint. Its `pretraining.json`, if there is one, names the simulation.
        profile ([`MedicareProfile`]): Populations of the benchmark.

    Raises:
        ValueError: `E_SPLIT_OVERLAP` if a population other than that of pretraining has the seed of the checkpoint's.
    """
    seen = seen_simulation(checkpoint)
    if seen is None:
        return
    for name, population in profile.populations.items():
        if name != PRETRAINING and population.seed == seen["seed"]:
            raise ValueError(
                f"E_SPLIT_OVERLAP: expected populations that the checkpoint has not seen, found its own in {name!r} "
                f"(seed {seen['seed']}); give the population another seed"
            )
