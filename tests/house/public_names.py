"""Names of the package without underscore, and whether anybody outside their file uses them."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "claim_transformers"
USERS = ("src", "reproduction", "examples", "speed", "docs")
# A registered name is reached by its text, such as the `read` of a source.
REFERENCE = re.compile(r"^\.?(?:[a-z_0-9]+\.)*[a-z_0-9]+:([A-Za-z_0-9]+)$")


def module_of(path: Path) -> str:
    """Dotted name of a file of `src` or of the root."""
    relative = path.relative_to(ROOT / "src") if path.is_relative_to(ROOT / "src") else path.relative_to(ROOT)
    return ".".join(relative.with_suffix("").parts).removesuffix(".__init__")


def python_files(folder: str) -> list[Path]:
    """All Python files of a folder, without tests."""
    return [path for path in sorted((ROOT / folder).rglob("*.py")) if "tests" not in path.relative_to(ROOT).parts]


def defined(tree: ast.Module) -> Iterator[str]:
    """Names that a file defines at its top, without underscore."""
    for node in tree.body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            if not node.name.startswith("_") and not is_registered(node):
                yield node.name
        elif isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            for name in names:
                if isinstance(name, ast.Name) and not name.id.startswith("_"):
                    yield name.id


def is_registered(node: ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) -> bool:
    """Whether a decorator hands the function to somebody who calls it, such as the command line."""
    return any(re.search(r"\.(command|callback)\(", ast.unparse(one)) for one in node.decorator_list)


def used_elsewhere() -> dict[str, set[str]]:
    """Names that other files import from each module, or reach as its attribute."""
    used: dict[str, set[str]] = defaultdict(set)
    for folder in USERS:
        for path in python_files(folder):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            own = module_of(path)
            package = own if path.name == "__init__.py" else own.rpartition(".")[0]
            modules: dict[str, str] = {}
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom):
                    base = node.module or ""
                    if node.level:
                        parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                        base = ".".join([*parents, base]).rstrip(".")
                    for alias in node.names:
                        used[base].add(alias.name)
                        modules[alias.asname or alias.name] = f"{base}.{alias.name}"
                elif isinstance(node, ast.Constant) and (match := REFERENCE.match(str(node.value))):
                    used["*"].add(match.group(1))
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
                    used[modules[node.value.id]].add(node.attr)
    return used


def exported() -> set[str]:
    """Names in the `__all__` of any room."""
    names: set[str] = set()
    for path in python_files("src"):
        if path.name != "__init__.py":
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                names |= {str(value.value) for value in ast.walk(node) if isinstance(value, ast.Constant)}
            # A lazy table: names as keys.
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
                names |= {str(key.value) for key in node.value.keys if isinstance(key, ast.Constant)}
    return names


def unused_public_names() -> list[str]:
    """`module.name` of every name that is neither exported nor imported by another file."""
    used, names = used_elsewhere(), exported()
    found = []
    for path in (path for path in python_files("src") if path.name != "__init__.py"):
        module = module_of(path)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for name in dict.fromkeys(defined(tree)):
            if name not in used[module] and name not in names and name not in used["*"]:
                found.append(f"{module}.{name}")
    return found


if __name__ == "__main__":
    print("\n".join(unused_public_names()))
