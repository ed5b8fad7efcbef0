"""What the fine-tuning script imports, against what any script imports that trains with transformers, and its own run.

    OMP_NUM_THREADS=1 python -m speed.imports [--cohort FOLDER]

CPU time of whole processes that import and end, in turn; one is shown to import all that the other does. The run is
that of `examples/configs/demo_classification.yaml` from `claim-pt-base`, as in `examples/demo.sh`, on a small cohort:
asthma admissions of 30,000 simulated children, which is made first where no other is given.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from speed.history import ROOT, remember

_BARE = "import torch, datasets\nfrom transformers import HfArgumentParser, PreTrainedModel, Trainer"
_SCRIPT = ROOT / "examples" / "run_classification.py"
_OURS = f"import runpy\nrunpy.run_path({str(_SCRIPT)!r}, run_name='imported')"
_BY_NAME = "\nimport sys\nprint(*sys.modules)"
_RUN = (str(_SCRIPT), str(ROOT / "examples" / "configs" / "demo_classification.yaml"), "--start_at", "head")
IMPORTS, SHARE = (
    f"imports of {_SCRIPT.name} : torch, datasets and Trainer",
    f"imports of {_SCRIPT.name} : its whole run",
)
GATE = 0.15


def cpu_seconds_of(*arguments: str) -> float:
    """CPU time of a Python process with these arguments; of what it prints only errors are shown."""
    before = os.times()
    subprocess.run((sys.executable, *arguments), check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def modules_of(code: str) -> set[str]:
    """Names of the modules that some lines import."""
    command = (sys.executable, "-c", code + _BY_NAME)
    return set(subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.split())


def make_cohort(folder: Path) -> Path:
    """Simulate children, and make the small cohort of README."""
    raw, claims, cohort = (str(folder / name) for name in ("raw", "claims", "cohort"))
    for command in (
        ("simulate", "pediatric", raw, "--patients", "30000"),
        ("ingest", "simulated", raw, claims),
        ("cohort", "event", "asthma_exacerbation", claims, cohort),
    ):
        cpu_seconds_of("-m", "claim_transformers.cli", *command)
    return Path(cohort)


def measure_share(cohort: Path, folder: Path, rounds: int) -> float | None:
    """CPU time of the imports by that of the whole fine-tuning, which imports too."""
    from speed.pretraining import ratio_text

    model = ("--cohort", str(cohort), "--model_name_or_path", "claim-pt-base")
    parts, wholes = [], []
    for number in range(rounds):
        parts.append(cpu_seconds_of("-c", _OURS))
        wholes.append(cpu_seconds_of(*_RUN, *model, "--output_dir", str(folder / f"run-{number}")))
    text, median = ratio_text(parts, wholes)
    holds = "holds" if median is not None and median <= GATE else "does not hold"
    print(f"{SHARE} {text}; the gate of at most {GATE} {holds}")
    return median


def main() -> None:
    """Measure, print and remember."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=2, help="rounds of the whole fine-tuning")
    parser.add_argument("--cohort", type=Path, help="a cohort that is there already")
    arguments = parser.parse_args()
    if missing := modules_of(_BARE) - modules_of(_OURS):
        raise ValueError(
            f"expected the script to import all that is bare, found {len(missing)} modules that it does not"
        )
    rounds = [(cpu_seconds_of("-c", _OURS), cpu_seconds_of("-c", _BARE)) for _ in range(arguments.rounds)]
    from speed.pretraining import ratio_text

    text, median = ratio_text(*(list(column) for column in zip(*rounds, strict=True)))
    print(f"{IMPORTS} alone {text}")
    with tempfile.TemporaryDirectory() as folder:
        cohort = (arguments.cohort or make_cohort(Path(folder))).resolve()
        share = measure_share(cohort, Path(folder), arguments.runs)
    remember("imports", {IMPORTS: median, SHARE: share})


if __name__ == "__main__":
    main()
