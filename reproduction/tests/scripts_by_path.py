"""Scripts of a paper, read and loaded by their path."""

import re
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLAIM_PT = ROOT / "reproduction" / "claim_pt"
MEDICARE = ROOT / "reproduction" / "medicare"


def load_script(path):
    """Import a script by its path."""
    return import_module(module_name(path))


def module_name(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def is_short(path):
    return len(path.read_text().splitlines()) < 100


def says_how_it_is_called(path):
    return f"python -m {module_name(path)}" in path.read_text()


def first_arguments(path):
    """What a script reads from the command line first."""
    return load_script(path).main.__annotations__["arguments"]


def called_scripts(folder):
    """Names of the scripts that the `run.sh` of a folder calls, in order."""
    return re.findall(r"^run (\w+)", (folder / "run.sh").read_text(), re.MULTILINE)
