from collections import Counter
from statistics import median

import pytest
from house.size import (
    MOST_CODE,
    MOST_LINES,
    PACKAGE,
    ROOT,
    code_lines_of_functions,
    kinds_of_lines,
    measure,
    to_markdown,
)

FILES = sorted(PACKAGE.rglob("*.py"))


def test_the_package_stays_small():
    total = sum(measure().values(), Counter())
    assert total["lines"] <= MOST_LINES
    assert total["code"] <= MOST_CODE


def test_contributing_shows_what_the_command_prints():
    assert to_markdown() in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_files_and_functions_fit_a_screen():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert median(lengths.values()) < 250
    assert [path.name for path, lines in lengths.items() if lines > (900 if "modeling_" in path.name else 600)] == []
    functions = {
        f"{path.name}:{name}": lines
        for path in FILES
        for name, lines in code_lines_of_functions(path.read_text(encoding="utf-8")).items()
    }
    assert {name: lines for name, lines in functions.items() if lines > 60} == {}


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ('"""Head."""\n\nX = 1  # why\n', ["docstring", "blank", "code"]),
        ('def f():\n    """One.\n\n    Two.\n    """\n    # why\n    return """no\n    docstring"""\n',
         ["code", "docstring", "docstring", "docstring", "docstring", "comment", "code", "code"]),
    ],
)  # fmt: skip
def test_every_line_is_of_one_kind(text, kinds):
    assert kinds_of_lines(text) == kinds
