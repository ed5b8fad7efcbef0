"""Lines of the package by room: code, docstrings, comments, and names that it exports.

`make size` prints them; `make style` writes them into CONTRIBUTING.md with `--write`.
"""

import ast
import re
import sys
from collections import Counter
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "claim_transformers"
MOST_LINES, MOST_CODE = 71_250, 48_850
KINDS = ("lines", "code", "docstring", "comment", "blank")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def kinds_of_lines(text: str) -> list[str]:
    """Say of every line of a file what it is."""
    lines = text.splitlines()
    kinds = ["blank" if not line.strip() else "comment" if line.lstrip().startswith("#") else "code" for line in lines]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, DOCUMENTED) and (first := docstring_of(node)) is not None:
            for number in range(first.lineno - 1, first.end_lineno or first.lineno):
                kinds[number] = "docstring"
    return kinds


def docstring_of(node: ast.AST) -> ast.Expr | None:
    """The statement that holds a docstring."""
    match getattr(node, "body", []):
        case [ast.Expr(value=ast.Constant(value=str())) as first, *_]:
            return first
    return None


def code_lines_of_functions(text: str) -> dict[str, int]:
    """Lines of code of every function, without its docstring, comments and blanks."""
    kinds = kinds_of_lines(text)
    return {
        node.name: kinds[node.lineno - 1 : node.end_lineno].count("code")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def exported_names(folder: Path) -> int:
    """Names in the `__all__` of a room and of the rooms inside it, each counted once."""
    names: set[str] = set()
    for file in folder.rglob("__init__.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                names |= {str(value.value) for value in ast.walk(node.value) if isinstance(value, ast.Constant)}
    return len(names)


def measure() -> dict[str, Counter[str]]:
    """Count lines by room; the files of the package's own folder are `(root)`."""
    rooms: dict[str, Counter[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).parts
        room = rooms.setdefault(parts[0] if len(parts) > 1 else "(root)", Counter())
        kinds = kinds_of_lines(path.read_text(encoding="utf-8"))
        room.update(kinds)
        room.update(lines=len(kinds), files=1)
    return rooms


def to_markdown() -> str:
    """The table of CONTRIBUTING.md."""
    rooms = measure()
    rows = [
        (name, str(counts["files"]), *(f"{counts[kind]:,}" for kind in KINDS), str(exported_names(PACKAGE / name)))
        for name, counts in rooms.items()
        if name != "(root)"
    ]
    total = sum(rooms.values(), Counter())
    rows.append(
        (
            "all, with the root",
            str(total["files"]),
            *(f"{total[kind]:,}" for kind in KINDS),
            str(exported_names(PACKAGE)),
        )
    )
    lengths = [len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py")]
    header = ("room", "files", *KINDS, "exported")
    lines = [f"| {' | '.join(header)} |", f"|---|{'---:|' * (len(header) - 1)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, "", f"The median file has {median(lengths):.0f} lines."])


def write() -> None:
    """Replace the table of CONTRIBUTING.md."""
    page = ROOT / "CONTRIBUTING.md"
    table = r"\| room \| files .*?The median file has \d+ lines\."
    text, found = re.subn(table, to_markdown(), page.read_text(encoding="utf-8"), flags=re.DOTALL)
    if found != 1:
        raise ValueError(f"expected one table of rooms in CONTRIBUTING.md, found {found}")
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write() if "--write" in sys.argv else print(to_markdown())
