"""What `make speed` found, run by run: a line of JSON for each command, and a plot of all of them.

    python -m speed.history    # draws docs/assets/speed-history.svg anew

A line says what was measured, at which commit ("+" where files differed from it) and on what kind of machine, and
holds the ratios by name. A command that measures calls [`remember`] once, at its end.
"""

import datetime as dt
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from claim_transformers.analysis.views.plot_style import as_svg, in_house_style, look_of

ROOT = Path(__file__).parent.parent
HISTORY = ROOT / "speed" / "history.jsonl"
PLOT = ROOT / "docs" / "assets" / "speed-history.svg"
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def remember(command: str, ratios: Mapping[str, float | None], path: Path = HISTORY) -> None:
    """Append the ratios of one run to the history; those that were too noisy to be measured are left out.

    Args:
        command (`str`): What measured, such as `pretraining`.
        ratios (mapping of `str` to `float`): Ratio by the name of its row, such as `V=5000 bf16 : naive`.
        path (`Path`, *optional*): The history.
    """
    line = {
        "command": command,
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "commit": _commit(),
        "machine": describe_machine(),
        "ratios": {name: float(f"{ratio:.4g}") for name, ratio in ratios.items() if ratio is not None},
    }
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def describe_machine() -> str:
    """Cores and abilities of the processor, without the name of the host."""
    info = Path("/proc/cpuinfo")
    words = info.read_text().split() if info.exists() else []
    return " ".join([platform.machine(), f"{os.cpu_count()} cores", *(flag for flag in _FLAGS if flag in words)])


def read_history(path: Path = HISTORY) -> list[dict[str, Any]]:
    """All lines of the history, the oldest first."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


@in_house_style
def draw(history: list[dict[str, Any]]) -> str:
    """Draw every ratio over the runs of its command, one panel for each command, as SVG."""
    from matplotlib.figure import Figure

    commands = list(dict.fromkeys(line["command"] for line in history))
    figure = Figure(figsize=(9, 3 * len(commands)), layout="constrained")
    for axes, command in zip(figure.subplots(len(commands), squeeze=False)[:, 0], commands, strict=True):
        lines = [line for line in history if line["command"] == command]
        looks = look_of(dict.fromkeys(name for line in lines for name in line["ratios"]))
        for name, (colour, style, marker) in looks.items():
            ratios = [line["ratios"].get(name, float("nan")) for line in lines]
            axes.plot(range(len(lines)), ratios, color=colour, linestyle=style, marker=marker, label=name)
        axes.set(title=command, ylabel="ratio", yscale="log")
        axes.set_xticks(range(len(lines)), [line["commit"][:8] for line in lines], rotation=30)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return as_svg(figure, f"Ratios of speed, run by run, of {', '.join(commands)}")


def _commit() -> str:
    """The commit, with a plus sign where files of the repository differ from it."""
    commands = (("rev-parse", "--short=12", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
    try:
        commit, changed = (
            subprocess.run(("git", *command), cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
            for command in commands
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    # The history itself grows with every command of one run.
    others = [line for line in changed.splitlines() if not line.endswith(HISTORY.name)]
    return commit + ("+" if others else "")


if __name__ == "__main__":
    PLOT.write_text(draw(read_history()), encoding="utf-8")
    print(f"{PLOT.relative_to(ROOT)} shows {HISTORY.relative_to(ROOT)}")
