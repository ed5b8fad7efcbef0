"""The command `consolidate`: loads of a staging area to canonical tables."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from claim_transformers.cli.options import Overwrite, as_date, new_app
from claim_transformers.cli.source_commands import ENGINE, declare, given
from claim_transformers.sources.registry import Source, SourceOption, sources

app = new_app()


def consolidate(
    staging: Annotated[Path, typer.Argument(help="Staging area that 'stage' wrote.")],
    out: Annotated[Path, typer.Argument(help="Folder to make, as 'ingest' makes it, and provenance beside.")],
    max_quarantine_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of a load in quarantine above which it fails.")
    ] = 0.05,
    max_reason_share: Annotated[float, typer.Option(min=0, max=1, help="The same for a single reason.")] = 0.01,
    extract_date: Annotated[
        str | None, typer.Option(help="Day of the extract, ISO; later services go to quarantine.")
    ] = None,
    overwrite: Overwrite = False,
    **options: Any,
) -> None:
    """Make canonical tables of all valid loads, with the load and the rule behind every row."""
    from claim_transformers.sources.deliveries.consolidation import consolidate as run
    from claim_transformers.sources.deliveries.staging_area import Staging

    limits = given({option.name: options.pop(option.name) for option in ENGINE})
    with Staging(staging, read_only=True) as area:
        summary = run(
            area,
            out,
            overwrite=overwrite,
            max_quarantine_share=max_quarantine_share,
            max_reason_share=max_reason_share,
            extract_date=None if extract_date is None else as_date(extract_date, "--extract-date"),
            options=_by_source(given(options), {load.source for load in area.loads() if load.is_valid}),
            **limits,
        )
    typer.echo(str(summary))


def _by_source(options: dict[str, Any], staged: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Each option for the staged sources that know it; there must be one."""
    known = {name: {option.name for option in _reading_options(sources()[name])} for name in sorted(staged)}
    if unknown := sorted(set(options).difference(*known.values())):
        raise ValueError(f"expected options of the sources {list(known)}, found {unknown}")
    taken = {name: {option: options[option] for option in options if option in names} for name, names in known.items()}
    return {name: chosen for name, chosen in taken.items() if chosen}


def _reading_options(source: Source) -> list[SourceOption]:
    return [option for option in source.options if not option.is_of_fetching]


def _options_of_deliveries() -> list[SourceOption]:
    """Options of all sources that can be staged, each once, with the sources that know it."""
    merged: dict[str, SourceOption] = {}
    knowing: dict[str, list[str]] = {}
    for source in sources().values():
        for option in _reading_options(source) if source.stageable else ():
            merged.setdefault(option.name, option)
            knowing.setdefault(option.name, []).append(source.name)
    return [
        replace(option, help=f"{option.help.removesuffix('.')}; for {' and '.join(knowing[name])}.")
        for name, option in merged.items()
    ]


app.command()(declare(consolidate, (*ENGINE, *_options_of_deliveries())))
