"""Files and folders that stand whole or not at all: kills, races, modes, strict JSON."""

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from claim_transformers.claims.files import (
    _make_private,
    lock_folder,
    private_folder,
    private_umask,
    publish_folder,
    remove_left_files,
    remove_leftovers,
    replacing_file,
    to_json,
    write_errors,
    write_file,
)
from claim_transformers.codes.errors import ClaimDataError

ROWS = "rows.txt"


def _publish(out: Path, text: str, check=None) -> None:
    with publish_folder(out, check=check) as folder:
        (folder / ROWS).write_text(text)


def _hidden(parent: Path) -> list[str]:
    return [path.name for path in parent.iterdir() if path.name.startswith(".")]


def _kill_while_writing(out: Path) -> None:
    """A run of another process that writes one file and is killed."""
    code = (
        "import os, signal, sys\n"
        "from claim_transformers.claims.files import publish_folder\n"
        "with publish_folder(sys.argv[1], check=lambda out: None) as folder:\n"
        f"    (folder / {ROWS!r}).write_text('raw')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    found = subprocess.run([sys.executable, "-c", code, str(out)], check=False)
    assert found.returncode == -signal.SIGKILL


def test_what_a_killed_run_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    out = tmp_path / "out[1]"
    _kill_while_writing(out)
    assert len(_hidden(tmp_path)) == 1
    _publish(out, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["out[1]"]


def test_what_a_living_run_writes_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with publish_folder(out) as living:
        assert remove_leftovers(out) == 0
        assert living.is_dir()
        (living / ROWS).write_text("1")
    assert (out / ROWS).read_text() == "1"


def test_an_old_folder_that_a_dead_run_had_moved_away_is_put_back(tmp_path: Path) -> None:
    out = tmp_path / "out"
    _publish(out, "old")
    out.rename(tmp_path / ".out.replaced-0123456789ab")
    assert remove_leftovers(out) == 0
    assert (out / ROWS).read_text() == "old"


def test_names_that_are_not_ours_are_never_removed(tmp_path: Path) -> None:
    for name in (".out.mine-1", ".outer.writing-1", "out.writing-1"):
        (tmp_path / name).mkdir()
    remove_leftovers(tmp_path / "out")
    assert len(list(tmp_path.iterdir())) == 3


def test_the_target_is_looked_at_again_at_the_rename(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def publish_after_another() -> None:
        with publish_folder(out) as folder:
            (folder / ROWS).write_text("second")
            _publish(out, "first")

    with pytest.raises(ClaimDataError, match="E_EXISTS"):
        publish_after_another()
    assert (out / ROWS).read_text() == "first"
    assert not _hidden(tmp_path)


def test_of_many_that_replace_one_folder_none_fails_and_one_stands_whole(tmp_path: Path) -> None:
    out, failures = tmp_path / "out", []

    def run(text: str) -> None:
        try:
            _publish(out, text, check=lambda found: None)
        except ClaimDataError as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert (out / ROWS).read_text() in set("01234567")
    assert not _hidden(tmp_path)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_nobody_else_can_read_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        _publish(tmp_path / "new" / "out", "1")
        write_file(tmp_path / "file", "1")
        private_folder(tmp_path / "deep" / "er")
    finally:
        os.umask(before)
    modes = {path.relative_to(tmp_path).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert {mode for name, mode in modes.items() if (tmp_path / name).is_dir()} == {0o700}
    assert {mode for name, mode in modes.items() if (tmp_path / name).is_file()} == {0o600}


def test_a_link_to_a_file_elsewhere_keeps_that_file_as_it_is(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("1")
    elsewhere.chmod(0o644)
    folder = private_folder(tmp_path / "folder")
    (folder / "link").symlink_to(elsewhere)
    _make_private(folder)
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o644


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.ENOMEM])
def test_a_full_disk_is_one_line_and_the_old_result_stands(tmp_path: Path, number: int) -> None:
    out, code = tmp_path / "out", "E_MEMORY" if number == errno.ENOMEM else "E_WRITE"
    _publish(out, "old")
    write_file(tmp_path / "file", "old")

    def fail(half: Path) -> None:
        half.write_text("half")
        raise OSError(number, "told by the test")

    with pytest.raises(ClaimDataError, match=code), publish_folder(out, check=lambda found: None) as folder:
        fail(folder / ROWS)
    with pytest.raises(ClaimDataError, match=code), replacing_file(tmp_path / "file") as file:
        fail(file)
    assert (out / ROWS).read_text() == "old"
    assert (tmp_path / "file").read_text() == "old"
    assert not _hidden(tmp_path)


def test_memory_that_is_full_is_said_and_other_errors_are_not_hidden() -> None:
    with pytest.raises(ClaimDataError, match="E_MEMORY"), write_errors("out"):
        raise MemoryError
    with pytest.raises(FileNotFoundError), write_errors("out"):
        raise FileNotFoundError(errno.ENOENT, "an input")


def test_an_input_that_may_not_be_read_is_not_said_to_be_the_output(tmp_path: Path) -> None:
    inputs, out = tmp_path / "in" / "raw.csv", tmp_path / "out" / "claims"
    with pytest.raises(PermissionError), write_errors(out):
        raise PermissionError(errno.EACCES, "told by the test", str(inputs))
    for written in (out / "rows", out.parent):
        with pytest.raises(ClaimDataError, match=r"E_WRITE.*name a place"), write_errors(out):
            raise PermissionError(errno.EACCES, "told by the test", str(written))


def test_the_umask_comes_back_in_whatever_order_blocks_end() -> None:
    before = os.umask(0o022)
    try:
        first, second = private_umask(), private_umask()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        inside = os.umask(0o077)
        second.__exit__(None, None, None)
        assert (inside, os.umask(0o022)) == (0o077, 0o022)
    finally:
        os.umask(before)


def test_a_lock_is_for_one(tmp_path: Path) -> None:
    with lock_folder(tmp_path) as first, lock_folder(tmp_path) as second:
        assert (first, second) == (True, False)
    with lock_folder(tmp_path / "none") as is_mine:
        assert not is_mine


def test_json_is_strict(tmp_path: Path) -> None:
    assert to_json({"a": [1.5, None]}, indent=None) == '{"a": [1.5, null]}\n'
    with pytest.raises(ValueError, match=r"found nan at a\.1"):
        to_json({"a": [0.0, float("nan")]})
    assert to_json([float("nan")], indent=None, nan_to_null=True) == "[null]\n"
    with pytest.raises(ValueError, match="found -inf"):
        to_json([float("-inf")], nan_to_null=True)


def test_a_file_that_a_dead_run_wrote_is_removed_and_one_of_a_living_run_is_not(tmp_path: Path) -> None:
    (tmp_path / ".n.writing-0123456789ab.txt").write_text("dead")
    (tmp_path / ".mine").write_text("3")
    with replacing_file(tmp_path / "n.txt") as living:
        living.write_text("4")
        assert remove_left_files(tmp_path) == 1
        assert living.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine", "n.txt"]
