"""The python and the commands of README and docs run, and print what the page says where it says it."""

import ast
import contextlib
import doctest
import io
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet
from documents import PAGES, PREPARE, ROOT, Block, blocks_of, code_of, commands_of, name_of, prepare_nothing
from huggingface_hub import constants

import claim_transformers
from claim_transformers.cli import main

LANGUAGES = {"python", "py", "shell", "text", "yaml", "json"}
# What no test runs, and why: the start of a command,
COMMANDS_NOT_RUN = {
    "make ": "the targets are run by hand and by the workflow",
    "cd claim-transformers": "goes with make",
    "torchrun": "several processes: tests/training",
    "accelerate launch": "several processes: tests/training",
    "claim-transformers ingest synpuf -": "fetches from CMS: tests/sources has a server on the loopback",
    "claim-transformers ingest tuva raw claims --ndc-directory": "the file of the FDA: tests/sources/pipeline",
    "claim-transformers ingest mimic3": "real tables only: tests/sources/formats/mimic3",
    "claim-transformers ingest omop": "somebody's tables: tests/sources/formats/omop",
    "claim-transformers ingest synthea": "somebody's files: tests/sources/formats/synthea",
    "claim-transformers ingest tables tables/mapping.yaml claims --dry-run": "tests/sources/pipeline/test_preview.py",
    "claim-transformers serve": "waits for clients: tests/serving",
    "claim-transformers report-adt": "somebody's feed: tests/serving/test_adt.py",
    "claim-transformers ingest fills": "the format of the page: tests/sources/test_registry.py builds it",
    "python -m claim_transformers.sources": "rewrites the docs: tests/sources compares them",
    "python examples/run_pretraining.py examples/configs/pretraining.yaml --resume": "goes on after hours",
}
# or what a block of python holds.
PYTHON_NOT_RUN = {
    'load_claims("mimic3"': "real tables only: tests/sources/formats/mimic3",
    'load_claims("omop"': "somebody's tables: tests/sources/formats/omop",
    'load_claims("synthea"': "somebody's files: tests/sources/formats/synthea",
    "ibis.snowflake": "somebody's warehouse: tests/sources/formats/tuva has one on DuckDB",
    "ingest_on_spark(": "needs Spark: tests/sources/test_spark.py",
    "/data/tokens/train-*": "somebody's tokens: tests/training/test_token_shards.py",
    "torch.onnx.export": "seconds that tests/models/claim/test_compilation_claim.py spends",
    '"organisation/': "a hub: tests/hub has one on the loopback",
}
MOST_MODULES = 8
_IMPORT = re.compile(r"^(?:>>> )?((?:from|import) claim_transformers\b[^\n(]*(?:\([^)]*\))?)", re.MULTILINE)


# Long ways that few walk.
SLOW_PAGES = {"docs/simulation_medicare", "docs/sources/cclf", "docs/sources/staging", "examples/readmission/README"}


def _case(page: Path) -> ParameterSet:
    marks = [pytest.mark.slow] if name_of(page) in SLOW_PAGES else []
    return pytest.param(page, id=name_of(page), marks=marks)


def test_every_file_that_a_document_links_to_exists() -> None:
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_every_block_says_its_language() -> None:
    assert {block.language for page in PAGES for block in blocks_of(page)} <= LANGUAGES


def test_what_is_not_run_is_on_a_page() -> None:
    text = "\n".join(block.text for page in PAGES for block in code_of(page))
    assert [start for start in (*COMMANDS_NOT_RUN, *PYTHON_NOT_RUN) if start not in text] == []


def test_a_reader_meets_few_modules() -> None:
    files = [*PAGES, *ROOT.glob("examples/*.py")]
    modules = {module for file in files for module, _ in imports_of(file)}
    assert len(modules) <= MOST_MODULES, sorted(modules)


def test_a_reader_imports_from_the_root_what_is_exported_there() -> None:
    # A format lies inside the package, where rooms are imported.
    files = {*PAGES, *ROOT.glob("examples/*.py")} - {ROOT / "docs" / "sources" / "new_format.md"}
    found = {(name_of(file), module, name) for file in files for module, name in imports_of(file)}
    exported = set(claim_transformers.__all__)
    assert {entry for entry in found if entry[1] != "claim_transformers" and entry[2] in exported} == set()


@pytest.mark.parametrize("page", [_case(page) for page in PAGES if code_of(page)])
def test_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    names = PREPARE.get(name_of(page), prepare_nothing)(tmp_path)
    for block in code_of(page):
        if block.language == "shell":
            for command in commands_of(block):
                if not command.startswith(tuple(COMMANDS_NOT_RUN)):
                    run_command(command, monkeypatch)
        elif "hyperparameter_search" in block.text and find_spec("optuna") is None:
            continue  # no dependency of ours
        elif not any(part in block.text for part in PYTHON_NOT_RUN):
            printed = run_python(block, page, names)
            if block.printed is not None and block.small == block.text:
                assert printed.split() == block.printed.split()


def imports_of(file: Path) -> Iterator[tuple[str, str]]:
    """Each module of the package and each name that a page or a script imports from it."""
    for match in _IMPORT.finditer(file.read_text(encoding="utf-8")):
        for node in ast.parse(match.group(1).strip()).body:
            if isinstance(node, ast.ImportFrom):
                yield from ((str(node.module), alias.name) for alias in node.names)
            elif isinstance(node, ast.Import):
                yield from ((alias.name, "") for alias in node.names)


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


def run_command(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a command with the arguments of a reader, in this process: each start of Python with torch takes seconds."""
    program, *arguments = shlex.split(command)
    if arguments[0] in ("examples/run_pretraining.py", "examples/run_classification.py"):
        arguments += ["--use_cpu", "True", "--max_steps", "2"]
    with monkeypatch.context() as patch:
        if program == "claim-transformers":
            if arguments[0] in ("pretrain", "finetune"):
                arguments += ["--use_cpu", "True", "--max_steps", "2"]
            patch.setattr(sys, "argv", [program, *arguments])
            with pytest.raises(SystemExit) as ended:
                main()
            assert not ended.value.code, command
        elif program == "python" and arguments[0] == "-c":
            exec(compile(arguments[1], "-c", "exec"), {})
        else:
            assert program == "python", command
            patch.setattr(sys, "argv", arguments)
            runpy.run_path(arguments[0], run_name="__main__")
