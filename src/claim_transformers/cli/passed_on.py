"""Commands whose flags are those of training arguments: `transformers` reads them, not Typer."""

from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from typing import Any

# Everything behind the name of the command goes on as it is.
PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def flags_text(*kinds: Any) -> str:
    """The fields of dataclasses as lines of a help text, which Typer leaves as they are."""
    lines = []
    for field in (field for kind in kinds for field in fields(kind)):
        is_needed = field.default is MISSING and field.default_factory is MISSING
        default = " Needed." if is_needed else f" Default: {field.default}." if field.default is not None else ""
        lines.append(f"  --{field.name}: {field.metadata['help']}{default}")
    return "\b\n" + "\n".join(lines)


def run_passed_on(main: Callable[..., None], given: Sequence[str], recipe: str, *kinds: Any) -> None:
    """Run what a script would: by a YAML file that is given first, else by the recipe that ships, and flags."""
    from claim_transformers.training import run_script
    from claim_transformers.training.run_arguments import recipe as recipe_file

    is_yaml = bool(given) and given[0].endswith((".yaml", ".yml"))
    run_script(main, *kinds, arguments=list(given) if is_yaml else [str(recipe_file(recipe)), *given])
