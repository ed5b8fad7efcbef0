"""The command `serve`: a checkpoint as a service of CDS Hooks."""

from pathlib import Path
from typing import Annotated

import typer

from claim_transformers.cli.options import new_app

app = new_app()


@app.command()
def serve(
    checkpoint: Annotated[str, typer.Argument(help="Name or folder of a fine-tuned classifier of one outcome.")],
    config: Annotated[Path, typer.Option(help="serve.yaml: whom the service trusts and what a request may cost.")],
) -> None:
    """Serve cards of CDS Hooks: a risk with its interval and reasons, or why there is none; ends at SIGTERM."""
    try:
        from claim_transformers.serving.config import load_config
        from claim_transformers.serving.server import run_server
    except ModuleNotFoundError as error:
        raise ValueError(
            f"expected the extra 'serve' (pip install 'claim-transformers[serve]'), found no {error.name}"
        ) from error
    settings = load_config(config)
    typer.echo(f"serving on {settings.host}, port {settings.port}, as {settings.service_url}", err=True)
    run_server(checkpoint, settings)
