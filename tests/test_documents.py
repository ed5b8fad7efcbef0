"""The python and the commands of README and docs run, and print what the page says where it says it."""

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from documents import PAGES, PREPARE, ROOT, Block, blocks_of, code_of, commands_of, prepare_nothing

LANGUAGES = {"python", "py", "shell", "text", "yaml", "json"}
# What no test runs: the start of a command or a line of a block, and why.
NOT_RUN = {
    "make ": "the targets are run by hand and by the workflow",
    "cd claim-transformers": "goes with make",
    "torchrun": "several processes: tests/training",
    "accelerate launch": "several processes: tests/training",
    "claim-transformers ingest synpuf -": "fetches from CMS: tests/sources has a server on the loopback",
    "claim-transformers ingest mimic3": "real tables only: tests/sources/formats/mimic3",
    'load_claims("mimic3"': "real tables only: tests/sources/formats/mimic3",
    "claim-transformers ingest fills": "the format of the page: tests/sources/test_registry.py builds it",
    "python -m claim_transformers.sources": "rewrites the docs: tests/sources compares them",
    "python examples/run_pretraining.py examples/configs/pretraining.yaml --resume": "goes on after hours",
    "ibis.snowflake": "somebody's warehouse: tests/sources/formats/tuva has one on DuckDB",
    "organisation/": "a hub: tests/hub has one on the loopback",
    "push_": "a hub: tests/hub has one on the loopback",
}


def test_every_file_that_a_document_links_to_exists():
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_every_block_says_its_language():
    assert {block.language for page in PAGES for block in blocks_of(page)} <= LANGUAGES


def test_what_is_not_run_is_on_a_page():
    text = "\n".join(block.text for page in PAGES for block in code_of(page))
    assert [start for start in NOT_RUN if start not in text] == []


@pytest.mark.parametrize("page", [page for page in PAGES if code_of(page)], ids=lambda page: page.stem)
def test_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    names = PREPARE.get(page.stem, prepare_nothing)(tmp_path)
    for block in code_of(page):
        if block.language == "shell":
            for command in commands_of(block):
                if not any(command.startswith(start) for start in NOT_RUN):
                    run_command(command)
        elif not any(start in block.text for start in NOT_RUN):
            printed = run_python(block, page, names)
            if block.printed is not None and block.small == block.text:
                assert printed.split() == block.printed.split()


def run_python(block: Block, page: Path, names: dict[str, Any]) -> str:
    """Run a block in the names of its page and give what it printed; a console session is compared line by line."""
    if block.text.startswith(">>>"):
        test = doctest.DocTestParser().get_doctest(block.text, names, page.name, str(page), 0)
        runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
        assert runner.run(test, clear_globs=False).failed == 0
        names.update(test.globs)
        return ""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block.small, page.name, "exec"), names)
    return printed.getvalue()


def run_command(command: str) -> None:
    """Run a command as a reader would, with the Python of the tests."""
    program, *arguments = shlex.split(command)
    assert program in ("claim-transformers", "python"), command
    script = [sys.executable]
    if program == "claim-transformers":
        script += ["-c", "from claim_transformers.cli import main; main()"]
    elif arguments[0] in ("examples/run_pretraining.py", "examples/run_classification.py"):
        arguments += ["--use_cpu", "True", "--max_steps", "2"]
    done = subprocess.run([*script, *arguments], capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, f"{command}\n{done.stderr[-3000:]}"
