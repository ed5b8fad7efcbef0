"""How scripts end when something is their user's to cure: one line, and a status."""

import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from cohorts.sequences_by_hand import save_stays

from claim_transformers.training import run_script

ROOT = Path(__file__).parents[2]


def test_a_script_ends_with_one_line_and_no_traceback(tmp_path: Path) -> None:
    given = ["--cohort", tmp_path / "nowhere", "--output_dir", tmp_path / "out"]
    command = [sys.executable, "-W", "ignore", ROOT / "examples" / "run_baselines.py", *given]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "nowhere not found" in line


def test_a_full_disk_ends_a_script_and_leaves_what_was_there(
    load_script: Callable[[str], ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort = save_stays(tmp_path / "stays", 60)
    script = load_script("run_baselines")
    old = tmp_path / "models" / "lr-sparse" / "predictions_validation.parquet"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
    try:
        with pytest.raises(SystemExit) as stopped:
            run_script(
                script.main,
                script.ScriptArguments,
                arguments=["--cohort", str(cohort), "--output_dir", str(tmp_path / "models")],
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert stopped.value.code == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: E_WRITE: ")
    assert "predictions_validation.parquet" in line
    assert [path.read_text() for path in old.parent.iterdir()] == ["old"]
