"""Command line of `claim-transformers`: one module per command, each imported when its command is asked for.

A command joins rooms and prints a summary; what it does lives in the rooms. Rooms are imported inside the commands, so
that none waits for an engine that it does not need.
"""

import os
import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

# A command is the `app` of the module of its name: one command, or a group of sub-commands.
_COMMANDS = (
    "simulate",
    "map",
    "ingest",
    "stage",
    "consolidate",
    "cohort",
    "sequences",
    "coverage",
    "pretrain",
    "finetune",
    "score",
    "explain",
    "serve",
    "report-adt",
    "audit",
    "report",
    "install-checkpoint",
)


class _LazyCommands(TyperGroup):
    """The commands, each read from its module when it is called or listed."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all commands, in the order of the data."""
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name, or none."""
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"claim_transformers.cli.{cmd_name.replace('-', '_')}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command


app = typer.Typer(
    name="claim-transformers",
    cls=_LazyCommands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def commands() -> None:
    """Raw insurance claims in, pretrained and fine-tuned transformers out."""


def main() -> None:
    """Runs the command line; bad data ends with one line on standard error and status 1, bad usage with status 2."""
    # Its own allocator gives pages back and is handed empty ones anew: a tenth of the time of an ingest.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    try:
        app()
    except (ValueError, OSError, MemoryError) as error:
        from claim_transformers.codes.errors import error_line

        typer.echo(error_line(error), err=True)
        sys.exit(1)
    except RuntimeError as error:
        # So DuckDB says that the user stopped a query, which is no fault.
        if str(error) != "Query interrupted":
            raise
        sys.exit(130)
