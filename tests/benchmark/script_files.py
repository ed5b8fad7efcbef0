"""Scripts of `examples/benchmark`, read and loaded as files: no package holds them."""

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "examples" / "benchmark"


def load_script(path):
    """Run a script as a module whose name no other script has."""
    name = "_".join(path.relative_to(SCRIPTS).with_suffix("").parts)
    specification = importlib.util.spec_from_file_location(f"benchmark_script_{name}", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def is_short(path):
    return len(path.read_text().splitlines()) < 100


def says_how_it_is_called(path):
    return f"python {path.relative_to(ROOT).as_posix()}" in path.read_text()


def first_arguments(path):
    """What a script reads from the command line first."""
    return load_script(path).main.__annotations__["arguments"]


def called_scripts(folder):
    """Names of the scripts that the `run.sh` of a folder calls, in order."""
    return re.findall(r"^run (\S+)\.py", (folder / "run.sh").read_text(), re.MULTILINE)
