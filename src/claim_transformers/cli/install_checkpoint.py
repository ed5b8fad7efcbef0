"""The command `install-checkpoint`: a shipped checkpoint in the cache of the Hub."""

from typing import Annotated

import typer

from claim_transformers.cli.options import console, new_app

app = new_app()


@app.command()
def install_checkpoint(
    name: Annotated[str, typer.Argument(help="Name of a checkpoint that ships with the package.")],
) -> None:
    """Make a shipped checkpoint known to every Auto class, also offline, by placing it in the Hub's cache."""
    from claim_transformers.hub import install_checkpoint as run

    console.print(f"{name} is in {run(name)}")
