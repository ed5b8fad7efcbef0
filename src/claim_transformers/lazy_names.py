"""Names that a room imports when they are first used, so that importing the room takes no time."""

import ast
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any


def lazy_names(room: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a room whose public names are imported under `TYPE_CHECKING` alone."""

    def get(name: str) -> Any:
        module = _modules_of_names(room).get(name)
        if module is None:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return getattr(import_module(module), name)

    def names() -> list[str]:
        return sorted({*vars(sys.modules[room]), *sys.modules[room].__all__})

    return get, names


@cache
def _modules_of_names(room: str) -> dict[str, str]:
    """Where each name comes from, as the imports say that type checkers and editors read: nobody writes it twice."""
    tree = ast.parse(Path(str(sys.modules[room].__file__)).read_text(encoding="utf-8"))
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}
