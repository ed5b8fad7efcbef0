"""Benchmark that is open: what every script of every paper begins and ends with.

Its arguments, its workspace, the pretrained model of its tables, and where results go.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from claim_transformers.analysis.result_table import ResultTable
from reproduction.engine.checkpoints import checkpoint_folder, refuse_seen
from reproduction.engine.steps import Workspace

Sizes = TypeVar("Sizes")


@dataclass
class BenchmarkArguments:
    """What to run and where results go."""

    profile: str = field(metadata={"help": "YAML file with the sizes of the run."})
    workspace: str | None = field(
        default=None,
        metadata={"help": "Folder of the steps; one under runs/benchmark named by the profile without it."},
    )
    docs: str | None = field(
        default=None,
        metadata={"help": "Folder of tables and figures; docs/benchmark for full.yaml, else docs in the workspace."},
    )
    checkpoint: str | None = field(default=None, metadata={"help": "Pretrained model instead of the profile's."})


@dataclass(frozen=True)
class Benchmark(ABC, Generic[Sizes]):
    """A benchmark that is open.

    Args:
        profile (a profile): Sizes.
        workspace ([`Workspace`]): Steps.
        docs (`Path`): Where tables and figures go.
        checkpoint_name (`str`, *optional*): The pretrained model of the tables; pretrained here without it.
    """

    profile: Sizes
    workspace: Workspace
    docs: Path
    checkpoint_name: str | None = None

    @abstractmethod
    def pretrain(self) -> Path:
        """Pretrain the model of the tables, once."""

    @abstractmethod
    def tested(self) -> Mapping[str, Mapping[str, Any]]:
        """What tells the populations that a table is about from others, such as the seed, by name."""

    def checkpoint(self) -> Path:
        """The pretrained model of the tables.

        Returns:
            `Path`: Its folder.

        Raises:
            ValueError: If there is none of that name, or it was pretrained on people of a table.
        """
        if self.checkpoint_name is None:
            return self.pretrain()
        folder = checkpoint_folder(self.checkpoint_name)
        refuse_seen(folder, self.tested())
        return folder

    def publish(self, tables: Mapping[str, ResultTable]) -> None:
        """Write tables, print them as they were written, and finish.

        Args:
            tables (`Mapping[str, ResultTable]`): By file name without ending.
        """
        from rich.console import Console

        console = Console()
        for name, table in tables.items():
            table.save(self.docs, name)
            console.out((self.docs / f"{name}.md").read_text(encoding="utf-8"), highlight=False)
        self.finish(*tables)

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


def open_places(arguments: BenchmarkArguments, profile: str, *, prefix: str = "") -> tuple[Workspace, Path]:
    """Open the workspace of a run and find the folder of its results.

    Args:
        arguments ([`BenchmarkArguments`]): Of the command line.
        profile (`str`): Name of the profile; the results of `"full"` are those of the documentation.
        prefix (`str`, *optional*, defaults to `""`): Before the name of the profile in that of its workspace.

    Returns:
        `tuple[Workspace, Path]`: Steps, and where tables and figures go.

    Examples:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> workspace, docs = open_places(BenchmarkArguments("quick.yaml", folder), "quick")
        >>> workspace.folder == Path(folder), docs == Path(folder, "docs")
        (True, True)
        >>> open_places(BenchmarkArguments("full.yaml", folder), "full")[1].as_posix()
        'docs/benchmark'
    """
    folder = Path(arguments.workspace or f"runs/benchmark/{prefix}{profile}")
    docs = Path("docs/benchmark") if profile == "full" else folder / "docs"
    return Workspace(folder), Path(arguments.docs) if arguments.docs else docs
