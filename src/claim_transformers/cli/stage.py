"""The command `stage`: which raw files were loaded, and how they stand to what was loaded before."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from claim_transformers.cli.options import MaxExpansion, console, new_app
from claim_transformers.cli.source_commands import Command, declare, given, source_commands
from claim_transformers.sources.registry import Source

if TYPE_CHECKING:
    from claim_transformers.sources.deliveries.staging_area import Load


def _stage_command(source: Source) -> Command:
    """Make the sub-command of a source."""

    def stage(
        path: Annotated[Path, typer.Argument(help="File or folder of raw files.")],
        staging: Annotated[Path, typer.Argument(help="Staging area: a DuckDB file, made if it is not there.")],
        corrects: Annotated[
            bool | None,
            typer.Option(
                "--corrects/--adds",
                help="Each file supersedes the load of its name, or none does. Without it the claims tell: a file "
                "that repeats most of a load corrects it.",
                show_default=False,
            ),
        ] = None,
        corrects_load: Annotated[
            list[int] | None, typer.Option(help="Number of a load that these files supersede; may repeat.")
        ] = None,
        max_expansion: MaxExpansion = None,
        **options: Any,
    ) -> None:
        if corrects is not None and corrects_load:
            raise ValueError("expected --corrects, --adds or --corrects-load, found two of them")
        _run_stage(
            source.name, path, staging, corrects_load or corrects, given({"max_expansion": max_expansion, **options})
        )

    taken = () if source.stageable is None else source.stageable.options
    return declare(stage, [option for option in source.options if option.name in taken])


app = new_app(
    cls=source_commands(_stage_command, only_stageable=True),
    no_args_is_help=True,
    subcommand_metavar="SOURCE PATH STAGING",
)


@app.callback()
def stage() -> None:
    """Load raw files as they are into a staging area; the same file twice is refused."""


def _run_stage(
    source: str, path: Path, staging: Path, corrects: bool | Sequence[int] | None, options: dict[str, Any]
) -> None:
    """Load raw files and print what became of them."""
    from claim_transformers.claims.small_cells import show, show_count, show_part
    from claim_transformers.sources.deliveries.staging_area import Staging

    with Staging(staging) as area:
        before = [load for load in area.loads() if load.is_valid]
        loaded = area.load(source, path, corrects=corrects, **options)
        after = [load for load in area.loads() if load.is_valid]
        unreadable = {load.load_id: area.rejects(load).num_rows for load in loaded}
    table = Table(title=f"Loaded into {staging}")
    for column in ("load", "file", "table", "rows", "unreadable"):
        table.add_column(column, justify="left" if column in ("file", "table") else "right")
    for load in loaded:
        number, rows = show(show_part(unreadable[load.load_id], load.num_rows)), show_count(load.num_rows)
        table.add_row(str(load.load_id), load.file_name, load.table, rows, number)
    console.print(table)
    still_valid = {load.load_id for load in after}
    if superseded := [load.load_id for load in before if load.load_id not in still_valid]:
        why = " More than half of what they hold came again: --adds keeps both." if corrects is None else ""
        numbers = ", ".join(map(str, superseded))
        console.print(f"Superseded loads: {numbers}. Their rows stay in the file.{why}", soft_wrap=True)
    for load in loaded:
        _print_beside(load, [other for other in before if other.load_id in still_valid])


def _print_beside(load: "Load", earlier: "Sequence[Load]") -> None:
    """Say that files of one name are counted together, and how to say that one is a correction."""
    beside = [other for other in earlier if _slot(other) == _slot(load)]
    if not beside:
        return
    numbers = [str(other.load_id) for other in beside]
    plural = "loads" if len(numbers) > 1 else "load"
    again = f"--corrects-load {numbers[-1]} --corrects-load {load.load_id}"
    console.print(
        f"{load.file_name} (load {load.load_id}) stands beside {plural} {', '.join(numbers)} of the same name: all of "
        f"them count. If it corrects load {numbers[-1]}, stage it again with {again}.",
        soft_wrap=True,
    )


def _slot(load: "Load") -> tuple[str, str, str]:
    return load.source, load.table, load.file_name
