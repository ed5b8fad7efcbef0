import json
import platform

from speed.history import draw, read_history, remember


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
