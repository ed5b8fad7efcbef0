import json
import platform
import re
import subprocess

import pytest

from speed.history import ROOT, draw, read_history, remember


def test_every_command_that_measures_remembers_what_it_found():
    commands = set(re.findall(r"-m speed\.(\w+)", (ROOT / "Makefile").read_text(encoding="utf-8"))) - {"history"}
    assert "spark" in commands
    written = {name: (ROOT / "speed" / f"{name}.py").read_text(encoding="utf-8") for name in commands}
    assert [name for name, text in written.items() if not re.search(rf'remember\(\s*"{name}"', text)] == []


def test_what_a_process_that_fails_has_said_is_shown(tmp_path, capfd):
    from speed.ingest import measure_tiny

    with pytest.raises(subprocess.CalledProcessError):
        measure_tiny("no-such-source", tmp_path)
    assert "no-such-source" in capfd.readouterr().err


def test_history_holds_ratios_and_what_they_depend_on(tmp_path):
    path = tmp_path / "history.jsonl"
    for ratio in (12.3456, 14.0):
        remember("pretraining", {"bf16 : naive": ratio, "noisy": None}, path)
    history = read_history(path)
    assert [line["ratios"] for line in history] == [{"bf16 : naive": 12.35}, {"bf16 : naive": 14.0}]
    assert [set(line) for line in history] == [{"command", "date", "commit", "machine", "ratios"}] * 2
    assert platform.node() not in json.dumps(history).split('"')


def test_plot_shows_every_row_of_every_command_and_is_the_same_again(tmp_path):
    path = tmp_path / "history.jsonl"
    remember("pretraining", {"one row": 2.0}, path)
    remember("tokens", {"another row": 40.0}, path)
    remember("tokens", {"another row": 41.0, "a new row": 1.5}, path)
    picture = draw(read_history(path))
    assert all(name in picture for name in ("pretraining", "tokens", "one row", "another row", "a new row"))
    assert picture == draw(read_history(path))
