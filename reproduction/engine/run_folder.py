"""What every script of every benchmark begins and ends with: its arguments, its workspace, and where results go."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from claim_transformers.analysis.result_table import ResultTable
from reproduction.engine.steps import Workspace

Sizes = TypeVar("Sizes")


@dataclass
class RunArguments:
    """What to run and where results go."""

    profile: str = field(
        default="reproduction/claim_pt/profiles/full.yaml", metadata={"help": "YAML file with the sizes of the run."}
    )
    workspace: str | None = field(
        default=None, metadata={"help": "Folder of the steps; runs/benchmark/NAME of the profile without it."}
    )
    docs: str | None = field(
        default=None,
        metadata={"help": "Folder of tables and figures; docs/benchmark for full.yaml, else docs in the workspace."},
    )


@dataclass(frozen=True)
class OpenRun(Generic[Sizes]):
    """A run that is open.

    Args:
        profile (a profile): Sizes.
        workspace ([`Workspace`]): Steps.
        docs (`Path`): Where tables and figures go.
    """

    profile: Sizes
    workspace: Workspace
    docs: Path

    def publish(self, tables: Mapping[str, ResultTable]) -> None:
        """Write tables, print them as they were written, and finish.

        Args:
            tables (`Mapping[str, ResultTable]`): By file name without ending.

        Examples:
            >>> import tempfile
            >>> folder = Path(tempfile.mkdtemp())
            >>> run = OpenRun("tiny", Workspace(folder), folder / "docs")
            >>> run.publish({"sizes": ResultTable("Sizes", [{"patients": 100}])})
            # Sizes
            ...
            >>> sorted(path.name for path in run.docs.iterdir())
            ['sizes.csv', 'sizes.json', 'sizes.md']
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


def open_places(arguments: RunArguments, profile: str, *, prefix: str = "") -> tuple[Workspace, Path]:
    """Open the workspace of a run and find the folder of its results.

    Args:
        arguments ([`RunArguments`]): Of the command line.
        profile (`str`): Name of the profile; the results of `"full"` are those of the documentation.
        prefix (`str`, *optional*, defaults to `""`): Before the name of the profile in that of its workspace.

    Returns:
        `tuple[Workspace, Path]`: Steps, and where tables and figures go.

    Examples:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> workspace, docs = open_places(RunArguments(workspace=folder), "quick")
        >>> workspace.folder == Path(folder), docs == Path(folder, "docs")
        (True, True)
        >>> open_places(RunArguments(workspace=folder), "full")[1].as_posix()
        'docs/benchmark'
    """
    folder = Path(arguments.workspace or f"runs/benchmark/{prefix}{profile}")
    docs = Path("docs/benchmark") if profile == "full" else folder / "docs"
    return Workspace(folder), Path(arguments.docs) if arguments.docs else docs
