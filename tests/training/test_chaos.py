"""A small part of `make chaos`: real kills, in a process of its own, which has computed nothing before it forks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]


def test_runs_that_are_killed_stopped_or_damaged_end_as_one_that_was_not():
    script = Path(__file__).with_name("chaos.py")
    few = ["--kills", "3", "--stops", "1", "--damages", "1", "--only", "accumulation 4"]
    # The script finds its parts as pytest finds them here.
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, str(script), *few],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert run.returncode == 0, run.stdout + run.stderr[-2000:]
    assert "0 of 5 differ" in run.stdout
