"""What every script of the benchmark begins with: the profile, the workspace, and the pretrained model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reproduction.claim_pt.populations import Populations
from reproduction.claim_pt.pretraining import Variant, pretrain
from reproduction.claim_pt.profiles import Profile, load_profile
from reproduction.engine.checkpoints import checkpoint_folder
from reproduction.engine.run_folder import OpenRun, RunArguments, open_places

PROVENANCE = "pretraining.json"


@dataclass
class BenchmarkArguments(RunArguments):
    """What to run and where results go."""

    checkpoint: str | None = field(default=None, metadata={"help": "Pretrained model instead of the profile's."})


@dataclass(frozen=True)
class Benchmark(OpenRun[Profile]):
    """A benchmark that is open.

    Args:
        profile ([`Profile`]): Sizes.
        workspace ([`Workspace`]): Steps.
        docs (`Path`): Where tables and figures go.
        checkpoint_name (`str`, *optional*): The pretrained model of the tables; pretrained here without it.
    """

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
        return cls(profile, *open_places(arguments, profile.name), arguments.checkpoint or profile.checkpoint)

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


def refuse_seen(checkpoint: Path, populations: Mapping[str, Mapping[str, Any]]) -> None:
    """Stop when a checkpoint was pretrained on one of these simulated populations.

    Args:
        checkpoint (`Path`): Folder of a checkpoint. Its `pretraining.json`, if there is one, names the simulation.
        populations (`Mapping[str, Mapping]`): What tells each population from others, such as its seed, by its name.

    Raises:
        ValueError: `E_SPLIT_OVERLAP` if all that tells a population from others is true of the checkpoint's.

    Examples:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> refuse_seen(folder, {"study": {"seed": 51}})  # names no simulation
        >>> _ = (folder / PROVENANCE).write_text(json.dumps({"simulation": {"seed": 51}}))
        >>> refuse_seen(folder, {"study": {"seed": 51}})
        Traceback (most recent call last):
            ...
        ValueError: E_SPLIT_OVERLAP: expected populations that the checkpoint has not seen, found its own in ...
    """
    seen = seen_simulation(checkpoint)
    if seen is None:
        return
    for name, marks in populations.items():
        if all(seen.get(mark) == value for mark, value in marks.items()):
            own = ", ".join(f"{mark} {value!r}" for mark, value in marks.items())
            raise ValueError(
                f"E_SPLIT_OVERLAP: expected populations that the checkpoint has not seen, found its own in {name!r} "
                f"({own}); give the population another seed"
            )


def refuse_known_people(checkpoint: Path, profile: Profile) -> None:
    """Stop when a checkpoint has seen a simulated population from which cohorts are to be drawn.

    Args:
        checkpoint (`Path`): Folder of a checkpoint. Its `pretraining.json`, if there is one, names the simulation.
        profile ([`Profile`]): Populations of the benchmark.

    Raises:
        ValueError: `E_SPLIT_OVERLAP` if institution and seed of a population are those of the pretraining.
    """
    populations = profile.populations.items()
    refuse_seen(checkpoint, {name: {"institution": each.institution, "seed": each.seed} for name, each in populations})
