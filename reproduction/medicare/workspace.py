"""What every script of the Medicare benchmark begins with, and the encoders of its tables."""

from dataclasses import dataclass, field
from pathlib import Path

from reproduction.claim_pt.workspace import refuse_seen
from reproduction.engine.checkpoints import checkpoint_folder
from reproduction.engine.run_folder import OpenRun, RunArguments, open_places
from reproduction.medicare.encoders import Encoder
from reproduction.medicare.profiles import PRETRAINING, MedicareProfile, load_medicare_profile
from reproduction.medicare.study import ReadmissionStudy

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
class MedicareArguments(RunArguments):
    """What to run and where results go."""

    profile: str = field(
        default="reproduction/medicare/profiles/full.yaml", metadata={"help": "YAML file with the sizes of the run."}
    )
    workspace: str | None = field(
        default=None, metadata={"help": "Folder of the steps; runs/benchmark/medicare-NAME of the profile without it."}
    )


@dataclass(frozen=True)
class MedicareBenchmark(OpenRun[MedicareProfile]):
    """A benchmark that is open.

    Args:
        profile ([`MedicareProfile`]): Sizes.
        workspace ([`Workspace`]): Steps.
        docs (`Path`): Where tables go.
    """

    @classmethod
    def open(cls, arguments: MedicareArguments) -> "MedicareBenchmark":
        """Read the profile and open its workspace.

        Args:
            arguments ([`MedicareArguments`]): Of the command line.

        Returns:
            [`MedicareBenchmark`]: Ready to run steps.
        """
        profile = load_medicare_profile(arguments.profile)
        return cls(profile, *open_places(arguments, profile.name, prefix="medicare-"))

    @property
    def study(self) -> ReadmissionStudy:
        """Cohorts and models."""
        return ReadmissionStudy(self.workspace, self.profile)

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


def refuse_known_patients(checkpoint: Path, profile: MedicareProfile) -> None:
    """Stop when a checkpoint has seen a simulated population that a table is about.

    Args:
        checkpoint (`Path`): Folder of a checkpoint. Its `pretraining.json`, if there is one, names the simulation.
        profile ([`MedicareProfile`]): Populations of the benchmark.

    Raises:
        ValueError: `E_SPLIT_OVERLAP` if a population other than that of pretraining is the checkpoint's own.
    """
    tested = {name: each for name, each in profile.populations.items() if name != PRETRAINING}
    refuse_seen(checkpoint, {name: {"population": "medicare", "seed": each.seed} for name, each in tested.items()})
