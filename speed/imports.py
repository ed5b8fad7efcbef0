"""What the fine-tuning script imports, against what any script imports that trains with transformers.

    python -m speed.imports

CPU time of whole processes that import and end, in turn; one is shown to import all that the other does.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from speed.history import ROOT, remember

_BARE = "import torch, datasets\nfrom transformers import HfArgumentParser, PreTrainedModel, Trainer"
_SCRIPT = ROOT / "examples" / "run_classification.py"
_OURS = f"import runpy\nrunpy.run_path({str(_SCRIPT)!r}, run_name='imported')"
_BY_NAME = "\nimport sys\nprint(*sys.modules)"


def cpu_seconds_of(code: str) -> float:
    """CPU time of a Python process that runs some lines."""
    before = os.times()
    subprocess.run((sys.executable, "-c", code), check=True, cwd=ROOT)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def modules_of(code: str) -> set[str]:
    """Names of the modules that some lines import."""
    command = (sys.executable, "-c", code + _BY_NAME)
    return set(subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.split())


def main() -> None:
    """Measure, print and remember."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if missing := modules_of(_BARE) - modules_of(_OURS):
        raise ValueError(
            f"expected the script to import all that is bare, found {len(missing)} modules that it does not"
        )
    rounds = [(cpu_seconds_of(_OURS), cpu_seconds_of(_BARE)) for _ in range(arguments.rounds)]
    from speed.pretraining import ratio_text

    text, median = ratio_text(*(list(column) for column in zip(*rounds, strict=True)))
    print(f"imports of {Path(_SCRIPT).name} : torch, datasets and Trainer alone {text}")
    remember("imports", {f"imports of {_SCRIPT.name} : torch, datasets and Trainer": median})


if __name__ == "__main__":
    main()
