"""Suggested interventions: a table from reasons to actions that a site edits."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml

from claim_transformers.serving.reasons import Reason

_SHIPPED = Path(__file__).parent / "interventions.yaml"
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]


class _ServiceCode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A code of what is ordered."""

    system: _Text
    code: _Text
    display: _Text | None = None


class Intervention(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be done where a reason of one of some groups raises the risk."""

    reasons: Annotated[tuple[_Text, ...], msgspec.Meta(min_length=1)]
    action: _Text
    service: _ServiceCode | None = None


def read_interventions(path: str | Path | None) -> tuple[Intervention, ...]:
    """Read a table of interventions, the one that ships without a path."""
    file = _SHIPPED if path is None else Path(path)
    try:
        content: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
        return msgspec.convert(content, tuple[Intervention, ...])
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"expected YAML in UTF-8 in {file.name}, found text that is none") from error
    except msgspec.ValidationError as error:
        raise ValueError(f"expected rows of reasons and action in {file.name}: {error}") from error


def choose_interventions(
    table: tuple[Intervention, ...], reasons: tuple[Reason, ...], most: int
) -> list[Intervention]:
    """What fits the reasons that raise the risk, the heaviest reason first, each once."""
    chosen: list[Intervention] = []
    for reason in reasons:
        fitting = (one for one in table if reason.raises and reason.group.startswith(one.reasons))
        first = next(fitting, None)
        if first is not None and first not in chosen:
            chosen.append(first)
    return chosen[:most]
