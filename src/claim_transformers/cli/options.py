"""Options and parsers that several commands share."""

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from claim_transformers.claims.spark import SparkTasks

console = Console()
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")]
RawCounts = Annotated[
    bool,
    typer.Option(
        "--raw-counts", help="Show counts of 1 to 10 too; for simulated claims, and where patients may be seen."
    ),
]

MaxExpansion = Annotated[
    int | None, typer.Option(min=1, help="How many times as large an archive may become, beyond 64 MiB (100).")
]


Engine = Annotated[
    str,
    typer.Option(
        help="'duckdb', this machine; 'spark', the session that SPARK_REMOTE or the configuration of Spark names; or "
        "the address of one: sc://host:15002, yarn, spark://host:7077, local[4]."
    ),
]


def open_tasks(engine: str) -> "SparkTasks | None":
    """Tasks of the engine that an option names, none for this machine."""
    if engine == "duckdb":
        return None
    from claim_transformers.claims.spark import SparkTasks, open_spark

    return SparkTasks(open_spark(None if engine == "spark" else engine))


def new_app(**settings: Any) -> typer.Typer:
    """A Typer application with the settings of every command: plain help, plain tracebacks, no shell completion."""
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, **settings)


def size(text: str, field: str, kind: type) -> Any:
    """A number of an option, or none for 'all'."""
    if text == "all":
        return None
    try:
        return kind(text)
    except ValueError as error:
        option = "--" + field.replace("_", "-")
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"expected {what} or 'all' as {option}, found another text") from error


def as_date(text: str, option: str) -> dt.date:
    """A day of an option, ISO."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"expected an ISO date, such as 2012-12-31, as {option}, found another text") from error
