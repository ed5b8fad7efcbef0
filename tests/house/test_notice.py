import re
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "claim_transformers"
NOTICE = re.findall(r"^ {3}([\w*/.-]+\.[a-z]+)$", (ROOT / "NOTICE").read_text(encoding="utf-8"), re.MULTILINE)
SHIPPED = [
    path.relative_to(PACKAGE).as_posix()
    for path in PACKAGE.rglob("*")
    if path.is_file() and path.suffix not in (".py", ".pyc")
]


def test_every_data_file_that_ships_is_named_in_the_notice():
    assert [name for name in SHIPPED if not any(fnmatch(name, pattern) for pattern in NOTICE)] == []


def test_the_notice_names_nothing_that_does_not_ship():
    assert [pattern for pattern in NOTICE if not any(fnmatch(name, pattern) for name in SHIPPED)] == []


def test_wheel_and_sdist_carry_the_notice():
    assert "license_files = LICENSE, NOTICE\n" in (ROOT / "setup.cfg").read_text(encoding="utf-8")
