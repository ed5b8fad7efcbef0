import configparser
import re

import pytest
from house import audit

TEXT = audit.CONSTRAINTS.read_text(encoding="utf-8")
PINS, FAULTS = audit.read_pins(TEXT)


def flaw(identifier="PYSEC-1", **changes):
    return {"id": identifier, "aliases": ["CVE-1"], "fix_versions": ["2.0"], **changes}


def report(**packages):
    return {"dependencies": [{"name": name, **what} for name, what in packages.items()]}


def test_every_constraint_is_pinned_with_hashes():
    assert FAULTS == []
    assert len(PINS) > 100


def test_everything_that_setup_asks_for_is_pinned():
    setup = configparser.ConfigParser()
    setup.read(audit.ROOT / "setup.cfg", encoding="utf-8")
    asked = setup["options"]["install_requires"] + "".join(setup["options.extras_require"].values())
    names = {re.split(r"[\[<>=~!; ]", line)[0].lower() for line in asked.split("\n") if line and line[0] != "%"}
    assert {name.replace("_", "-") for name in names} - PINS.keys() == {"claim-transformers"}


def test_the_cpu_build_of_torch_is_of_the_pinned_version():
    assert (
        re.findall(r"^# cpu: torch==([\d.]+)\+cpu .* --hash=sha256:[0-9a-f]{64}$", TEXT, re.MULTILINE) == PINS["torch"]
    )


@pytest.mark.parametrize("line", ["idna", "idna>=3", "idna==3.20", "idna==3.20 \\\n    --hash=md5:00"])
def test_what_is_no_pin_with_hashes_is_found(line):
    good = f"tqdm==4.70.1 ; sys_platform == 'linux' \\\n    --hash=sha256:{'0' * 64}"
    assert audit.read_pins(f"# head\n{good}\n{line}\n") == ({"tqdm": ["4.70.1"]}, [line.splitlines()[0]])


@pytest.mark.parametrize(
    ("licence", "accepted"),
    [("MIT", True), ("MIT AND (ISC OR 0BSD)", True), ("MIT AND GPL-3.0-only", False), ("none named", False)],
)
def test_all_parts_of_a_licence_must_be_accepted(licence, accepted):
    assert audit.is_accepted(licence) is accepted


def test_an_installed_package_tells_its_licence_and_another_version_does_not():
    assert audit.licence_of("pytest", PINS["pytest"]) == "MIT"
    assert audit.licence_of("pytest", ["0.1"]) is None


def test_a_licence_that_is_not_accepted_is_a_fault_and_one_not_known_is_named(monkeypatch, capsys):
    monkeypatch.setattr(audit, "licence_of", lambda name, _: {"a": "MIT", "b": "GPL-3.0-only"}.get(name))
    assert audit.check_licences({"a": ["1"], "b": ["1"], "c": ["1"], "pyspark": ["1"]}) == [
        "licence of b is not accepted: GPL-3.0-only"
    ]
    assert "NOT CHECKED, neither installed nor recorded in audit.toml: c\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "nothing", ["no route", report(a={"skip_reason": "not found"}, b={"skip_reason": "not found"})]
)
def test_an_audit_of_nothing_is_never_clean(nothing, capsys):
    assert audit.check_advisories(nothing, {"a": ["1"], "b": ["1"]}, online=False) == []
    assert "advisories NOT CHECKED" in capsys.readouterr().out
    assert audit.check_advisories(nothing, {"a": ["1"], "b": ["1"]}, online=True) != []


def test_advisories_are_faults_unless_they_are_accepted_with_a_reason(monkeypatch, capsys):
    monkeypatch.setitem(audit.ACCEPTED, "advisories", {"CVE-2": "never called"})
    found = report(
        a={"vulns": [flaw(), flaw("PYSEC-2", aliases=["CVE-2"])]}, b={"vulns": []}, d={"skip_reason": "odd"}
    )
    assert audit.check_advisories(found, {name: ["1"] for name in "abcd"}, online=False) == [
        "open advisory PYSEC-1 in a",
        "no advisories could be looked up for d",
    ]
    printed = capsys.readouterr().out
    assert "PYSEC-2 in a, mended in 2.0: never called" in printed
    assert "2 of 4 packages looked up, 2 found, 1 open" in printed
    assert "NOT CHECKED, packages of other platforms: c\n" in printed


def test_what_is_recorded_is_pinned():
    assert audit.ACCEPTED["packages"].keys() - PINS.keys() == set()
