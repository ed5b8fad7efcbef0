"""Sub-commands of sources: one for each that is registered, with the options that it declares and no others."""

import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from claim_transformers.cli.options import new_app
from claim_transformers.sources.registry import Source, SourceOption, sources

Command = Callable[..., None]
# Of commands that run the engine over raw claims.
ENGINE = (
    SourceOption("threads", int, "Threads of the engine; if not given one for each 250 MB, at most all cores."),
    SourceOption("memory_limit", str, "Memory of the engine (1GB); what does not fit goes to the disk of OUT."),
)


def source_commands(make: Callable[[Source], Command], *, only_stageable: bool = False) -> type[TyperGroup]:
    """Give a group with one sub-command for each source, made when it is asked for."""

    class SourceCommands(TyperGroup):
        """A sub-command by the name of its source."""

        def list_commands(self, ctx: Any) -> list[str]:
            return [source.name for source in sources().values() if source.stageable or not only_stageable]

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if cmd_name not in (known := self.list_commands(ctx)):
                ctx.fail(f"expected a source out of {', '.join(known)}, found {cmd_name!r}")
            source = sources()[cmd_name]
            app = new_app()
            app.command(help=source.help)(make(source))
            command = typer.main.get_command(app)
            command.name = cmd_name
            return command

    return SourceCommands


def declare(command: Command, options: Iterable[SourceOption]) -> Command:
    """Put options in the place of the `**options` of a command, so that the command line offers them by name."""
    signature = inspect.signature(command)
    own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
    declared = [_parameter(option) for option in options if option.is_on_command_line]
    command.__signature__ = signature.replace(parameters=[*own, *declared])  # type: ignore[attr-defined]
    return command


def _parameter(option: SourceOption) -> inspect.Parameter:
    # A flag of one name: without it Typer adds its opposite.
    names = [f"--{option.name.replace('_', '-')}"] if option.kind is bool else []
    kind: Any = option.kind if option.default is not None else option.kind | None
    annotation = Annotated[kind, typer.Option(*names, help=option.help)]
    return inspect.Parameter(
        option.name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=annotation
    )


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Options that have a value; a flag that is not set has none."""
    return {name: value for name, value in options.items() if value is not None and value is not False}
