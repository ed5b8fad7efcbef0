"""Inputs that are no files are said and never waited for; YAML is refused before anything is made of it."""

import os
import socket
from pathlib import Path

import pytest

from claim_transformers.claims.inputs import check_inputs, cut_message, read_yaml
from claim_transformers.codes.errors import ClaimDataError


def _put(kind: str, path: Path) -> None:
    if kind == "a link that leads nowhere":
        path.symlink_to(path.parent / "nowhere")
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a device":
        path.symlink_to("/dev/null")
    else:
        # The name of a socket is short.
        os.chdir(path.parent)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)


@pytest.mark.parametrize("kind", ["a link that leads nowhere", "a pipe", "a device", "a socket"])
def test_what_is_no_file_is_said_as_an_input_and_inside_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "raw" / "inner"
    folder.mkdir(parents=True)
    _put(kind, folder / "claims.csv")
    for path in (folder / "claims.csv", tmp_path / "raw"):
        with pytest.raises(ClaimDataError, match=f"E_INPUT: .* found {kind}, 'claims.csv': put a file"):
            check_inputs(path)


def test_files_links_to_files_hidden_entries_and_absent_paths_pass(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    (tmp_path / "b.csv").symlink_to(tmp_path / "a.csv")
    (tmp_path / ".#lock").symlink_to("nobody@nowhere")
    assert check_inputs(tmp_path) == tmp_path
    check_inputs(tmp_path / "none")


def test_a_file_that_may_not_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("a.csv"))
    with pytest.raises(ClaimDataError, match=r"E_INPUT: .* found one that may not be read"):
        check_inputs(tmp_path)


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "expected no aliases, found one in line 2"),
        ("[" * 100_000, "expected at most 20 levels, found more in line 1"),
        ("- " * 50 + "x", "expected at most 20 levels, found more in line 1"),
        ("a:\n  b: 1\n  c: 2\n  b: 3\n", "expected every key once, found one again in line 4"),
        (f"a: {'P17' * 400}", "expected texts of at most 1,000 letters, found more in line 1"),
        ("# " + "x" * (1 << 20), "expected at most 1,048,576 bytes of YAML, found 1,048,578"),
        ("a: [P17", "expected YAML, found something else in line"),
        ("day: 2013-99-99", "expected YAML, found something else"),
        ("a: !!python/object:os.system {}", "expected YAML, found something else in line 1"),
        ("a: \x00", "expected YAML, found something else"),
    ],
)
def test_yaml_that_is_too_much_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "cohort.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"^cohort.yaml: {said}") as raised:
        read_yaml(path)
    assert "P17" not in str(raised.value)


def test_yaml_in_another_encoding_is_refused_with_the_one_to_save_it_in(tmp_path: Path) -> None:
    path = tmp_path / "cohort.yaml"
    path.write_bytes("title: M\u00fcller".encode("latin-1"))
    with pytest.raises(ValueError, match=r"^cohort\.yaml: expected UTF-8, found .*: save it as UTF-8$"):
        read_yaml(path)


def test_plain_yaml_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "cohort.yaml"
    path.write_text("a: {b: [1, {c: x}], d: {b: 2}}\ne: [{b: 1}, {b: 2}]\n")
    assert read_yaml(path) == {"a": {"b": [1, {"c": "x"}], "d": {"b": 2}}, "e": [{"b": 1}, {"b": 2}]}


def test_a_message_quotes_so_much_and_no_more() -> None:
    assert cut_message("short") == "short"
    assert len(cut_message("x" * 10_000)) < 700
