"""What every script of the benchmark begins and ends with: the profile, the workspace, and where results go."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from claim_transformers.benchmark.checkpoints import checkpoint_folder
from claim_transformers.benchmark.populations import Populations
from claim_transformers.benchmark.pretraining import Variant, pretrain
from claim_transformers.benchmark.profiles import Profile, load_profile
from claim_transformers.benchmark.steps import Workspace

PROVENANCE = "pretraining.json"


@dataclass
class BenchmarkArguments:
    """What to run and where results go."""

    profile: str = field(
        default="examples/benchmark/full.yaml", metadata={"help": "YAML file with the sizes of the run."}
    )
    workspace: str | None = field(
        default=None, metadata={"help": "Folder of the steps; runs/benchmark/NAME of the profile without it."}
    )
    docs: str | None = field(
        default=None,
        metadata={"help": "Folder of tables and figures; docs/benchmark for full.yaml, else docs in the workspace."},
    )
    checkpoint: str | None = field(default=None, metadata={"help": "Pretrained model instead of the profile's."})


@dataclass(frozen=True)
class Benchmark:
    """A benchmark that is open.

    Args:
        profile ([`Profile`]): Sizes.
        workspace ([`Workspace`]): Steps.
        docs (`Path`): Where tables and figures go.
        checkpoint_name (`str`, *optional*): The pretrained model of the tables; pretrained here without it.
    """

    profile: Profile
    workspace: Workspace
    docs: Path
    checkpoint_name: str | None = None

    @classmethod
    def open(cls, arguments: BenchmarkArguments) -> "Benchmark":
        """Read the profile and open its workspace.

        Args:
            arguments ([`BenchmarkArguments`]): Of the command line.

        Returns:
            [`Benchmark`]: Ready to run steps.
        """
        profile = load_profile(arguments.profile)
        folder = Path(arguments.workspace or f"runs/benchmark/{profile.name}")
        docs = Path("docs/benchmark") if profile.name == "full" else folder / "docs"
        return cls(
            profile,
            Workspace(folder),
            Path(arguments.docs) if arguments.docs else docs,
            arguments.checkpoint or profile.checkpoint,
        )

    @property
    def populations(self) -> Populations:
        """Claims, cohorts and pretraining patients."""
        return Populations(self.workspace, self.profile)

    def checkpoint(self) -> str:
        """The pretrained model of the tables.

        Returns:
            `str`: Its folder.

        Raises:
            ValueError: If there is none of that name, or it was pretrained on people of this benchmark.
        """
        if self.checkpoint_name is not None:
            folder = checkpoint_folder(self.checkpoint_name)
            refuse_known_people(folder, self.profile)
            return str(folder)
        plan = self.profile.pretraining["base"]
        return str(pretrain(self.populations, plan, Variant("base", "Claim-PT")).folder)

    def paper_checkpoint(self) -> str | None:
        """A model pretrained as the paper says, where the profile asks for one.

        Returns:
            `str` or `None`: Its folder.
        """
        plan = self.profile.pretraining.get("paper")
        if plan is None:
            return None
        return str(pretrain(self.populations, plan, Variant("paper", "Claim-PT as in the paper")).folder)

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


def seen_simulation(checkpoint: Path) -> dict[str, Any] | None:
    """Read which simulated population a checkpoint was pretrained on.

    Args:
        checkpoint (`Path`): Folder of a checkpoint.

    Returns:
        `dict` or `None`: Its seed and what else tells it from others; `None` where the checkpoint names none.
    """
    path = checkpoint / PROVENANCE
    if not path.is_file():
        return None
    seen: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["simulation"]
    return seen


def refuse_known_people(checkpoint: Path, profile: Profile) -> None:
    """Stop when a checkpoint has seen a simulated population from which cohorts are to be drawn.

    Args:
        checkpoint (`Path`): Folder of a checkpoint. Its `pretraining.json`, if there is one, names the simulation.
        profile ([`Profile`]): Populations of the benchmark.

    Raises:
        ValueError: `E_SPLIT_OVERLAP` if institution and seed of a population are those of the pretraining.
    """
    seen = seen_simulation(checkpoint)
    if seen is None:
        return
    for name, population in profile.populations.items():
        if (population.institution, population.seed) == (seen["institution"], seen["seed"]):
            raise ValueError(
                f"E_SPLIT_OVERLAP: expected populations that the checkpoint has not seen, found its own in {name!r} "
                f"(institution {seen['institution']!r}, seed {seen['seed']}); give the population another seed"
            )
