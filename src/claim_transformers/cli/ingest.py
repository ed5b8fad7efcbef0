"""The command `ingest`: raw claims to canonical tables, one sub-command for each source."""

import gc
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from claim_transformers.cli.options import Engine, MaxExpansion, Overwrite, as_date, new_app, open_tasks
from claim_transformers.cli.source_commands import ENGINE, Command, declare, given, source_commands
from claim_transformers.sources.registry import Source, SourceOption

_NDC_DIRECTORY = SourceOption(
    "ndc_directory",
    str,
    "NDC directory of the FDA (product.txt, zip, address, '-' to fetch it; or 'none'): fills become ingredients.",
)
_EXTRACT_DATE = SourceOption("extract_date", str, "Day of the extract, ISO; later services go to quarantine.")


def _ingest_command(source: Source) -> Command:
    """Make the sub-command of a source."""
    raw = "Folder of raw files; '-' fetches them." if source.fetches else source.path_help

    def ingest(
        path: Annotated[str, typer.Argument(help=raw)],
        out: Annotated[Path, typer.Argument(help="Folder to make.")],
        max_quarantine_share: Annotated[
            float | None, typer.Option(min=0, max=1, help="Share of a file in quarantine above which it fails (0.05).")
        ] = None,
        max_reason_share: Annotated[
            float | None, typer.Option(min=0, max=1, help="The same for a single reason (0.01).")
        ] = None,
        max_expansion: MaxExpansion = None,
        engine: Engine = "duckdb",
        overwrite: Overwrite = False,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Show the first rows, of patients, and the report; write nothing.")
        ] = False,
        **options: Any,
    ) -> None:
        # Plans are objects by the hundred thousand, and looking for cycles among them a tenth of a small ingest.
        gc.set_threshold(1 << 17)
        run: Any
        if engine != "duckdb":
            if dry_run:
                raise ValueError("expected a dry run on one machine, found --engine: take a sample of the files")
            from claim_transformers.sources.distribution.ingest import ingest_on_spark

            run = partial(ingest_on_spark, spark=open_tasks(engine))
        elif dry_run:
            from claim_transformers.sources.pipeline.preview import preview_ingest as run
        else:
            from claim_transformers.sources.pipeline.ingest import ingest as run

        if options.get("extract_date") is not None:
            options["extract_date"] = as_date(options["extract_date"], "--extract-date")
        limits = {"max_quarantine_share": max_quarantine_share, "max_reason_share": max_reason_share}
        limits["max_expansion"] = max_expansion
        # A path would lose a stroke of a URL.
        location = None if source.fetches and path == "-" else path if "://" in path else Path(path)
        summary = run(source.name, location, out, overwrite=overwrite, progress=True, **given(limits | options))
        typer.echo(str(summary))

    return declare(
        ingest, (_EXTRACT_DATE, *(() if source.read is None else (_NDC_DIRECTORY, *ENGINE)), *source.options)
    )


app = new_app(cls=source_commands(_ingest_command), no_args_is_help=True, subcommand_metavar="SOURCE PATH OUT")


@app.callback()
def ingest() -> None:
    """Read raw claims into canonical tables, patient timelines and a quality report."""
