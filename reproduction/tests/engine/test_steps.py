import json
import os
import signal
import subprocess
import sys

import pyarrow as pa
import pytest

from reproduction.engine.steps import MARKER, StepResult, Workspace, digest_of_files


class Counted:
    """A function that counts its calls."""

    def __init__(self, value):
        self.value, self.calls = value, 0

    def __call__(self, *arguments):
        self.calls += 1
        return self.value() if callable(self.value) else self.value


def only_file(workspace, ending):
    (found,) = (workspace.folder / "steps").rglob(f"*{ending}")
    return found


def test_a_step_runs_once_and_another_parameter_is_another_step(workspace):
    function = Counted({"auroc": 0.5})
    for parameters in ({"seed": 0, "size": 9}, {"size": 9, "seed": 0}, {"seed": 1, "size": 9}):
        assert workspace.step("table/lr", parameters, function).value == {"auroc": 0.5}
    assert function.calls == 2


def test_another_process_reads_what_the_first_one_wrote(workspace):
    table = pa.table({"score": [0.25, 0.5]})
    first = workspace.step("fit", {}, lambda: StepResult({"best": 3}, table))
    second = Workspace(workspace.folder).step("fit", {}, Counted(None))
    assert second.value == {"best": 3}
    assert second.table.equals(table)
    assert second.key == first.key


@pytest.mark.parametrize("damage", ["truncated", "empty", "other"])
@pytest.mark.parametrize("ending", [".json", ".parquet"])
def test_a_damaged_result_is_made_again(workspace, ending, damage):
    function = Counted(lambda: StepResult([1], pa.table({"score": [0.25]})))
    workspace.step("fit", {}, function)
    path = only_file(workspace, ending)
    content = path.read_bytes()
    path.write_bytes({"truncated": content[:-9], "empty": b"", "other": b"{}"}[damage])
    assert Workspace(workspace.folder).step("fit", {}, function).table["score"].to_pylist() == [0.25]
    assert function.calls == 2


def test_a_missing_table_is_made_again(workspace):
    function = Counted(lambda: StepResult([1], pa.table({"score": [0.25]})))
    workspace.step("fit", {}, function)
    only_file(workspace, ".parquet").unlink()
    workspace.step("fit", {}, function)
    assert function.calls == 2


def test_a_step_that_fails_leaves_nothing(workspace):
    with pytest.raises(ZeroDivisionError):
        workspace.step("fit", {}, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        workspace.folder_step("claims", {}, lambda folder: (folder.mkdir(parents=True), 1 / 0))
    assert not [path for path in workspace.folder.rglob("*") if path.is_file()]


def test_a_value_that_json_cannot_hold_is_refused(workspace):
    with pytest.raises(ValueError, match="expected numbers, texts, lists and mappings, found set"):
        workspace.step("fit", {}, lambda: {1, 2})
    with pytest.raises(ValueError, match="expected a name"):
        workspace.step("../fit", {}, lambda: 1)


def test_a_folder_is_made_once_and_half_a_folder_is_made_again(workspace):
    def make(folder):
        folder.mkdir(parents=True)
        (folder / "claims.parquet").write_text("rows")

    path = workspace.folder_step("prepare/claims", {"patients": 9}, make)
    assert workspace.folder_step("prepare/claims", {"patients": 9}, Counted(None)) == path
    (path / MARKER).unlink()
    (path / "claims.parquet").unlink()
    workspace.folder_step("prepare/claims", {"patients": 9}, make)
    assert (path / "claims.parquet").read_text() == "rows"


def test_a_folder_that_is_not_made_is_an_error(workspace):
    with pytest.raises(ValueError, match="to make the folder"):
        workspace.folder_step("claims", {}, lambda folder: None)


KILLED = """
import os, signal, sys
from pathlib import Path
from reproduction.engine.steps import Workspace

def half(folder):
    folder.mkdir(parents=True)
    (folder / "part").write_text("half")
    folder.with_name(f".{folder.name}.writing-1").mkdir()
    os.kill(os.getpid(), signal.SIGKILL)

workspace = Workspace(sys.argv[1], show_progress=False)
workspace.step("first", {}, lambda: 1)
workspace.folder_step("second", {}, half)
"""


def test_a_run_that_is_killed_goes_on_at_the_first_missing_step(workspace):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(workspace.folder)], env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    first, second = Counted(1), Counted(None)
    workspace.step("first", {}, first)
    path = workspace.folder_step("second", {}, lambda folder: (second(), folder.mkdir())[1])
    assert (first.calls, second.calls) == (0, 1)
    assert [file.name for file in path.iterdir()] == [MARKER]
    # Nothing is left of the half that was written.
    assert [folder.name for folder in path.parent.iterdir()] == [path.name]


def test_steps_are_counted_by_the_first_part_of_their_name_and_by_source(workspace):
    for name in ("table2/lr/repeat-0", "table2/lr/repeat-1", "prepare"):
        workspace.step(name, {}, lambda: 1)
    changed = next((workspace.folder / "steps" / "table2" / "lr").glob("repeat-0*.json"))
    changed.write_text(json.dumps(json.loads(changed.read_text()) | {"source": "other"}))
    counts = {name: (steps, others) for name, (steps, _, others) in workspace.times().items()}
    assert counts == {"prepare": (1, 0), "table2": (2, 1)}
    assert workspace.summary().row_count == 2


def test_the_digest_of_a_folder_follows_its_bytes(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    before = digest_of_files(tmp_path)
    (tmp_path / "config.json").write_text("{ }")
    assert digest_of_files(tmp_path) != before
    with pytest.raises(ValueError, match="found none"):
        digest_of_files(tmp_path, "*.safetensors")
