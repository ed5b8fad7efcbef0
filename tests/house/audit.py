"""Known advisories, licences and hashes of every package of constraints.txt: `make audit-deps`.

Advisories are pip-audit's. It ends well when it could look nothing up, so its report is read here package by package.
Licences are what installed packages say of themselves, else what `audit.toml` records. What could not be checked is
named; `--online` fails where no advisory could be looked up.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "constraints.txt"
ACCEPTED: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
PIN = re.compile(r"([a-z0-9]+(?:-[a-z0-9]+)*)==([\w.]+)(?: ; [^\\]+)?((?: \\\n {4}--hash=sha256:[0-9a-f]{64})+)")


def read_pins(text: str) -> tuple[dict[str, list[str]], list[str]]:
    """Versions by package, and the first lines of entries that are no pin with hashes."""
    pins, faults = defaultdict(list), []
    for entry in re.split(r"\n(?=\S)", "\n".join(line for line in text.splitlines() if not line.startswith("#"))):
        if match := PIN.fullmatch(entry.strip()):
            pins[match[1]].append(match[2])
        else:
            faults.append(entry.splitlines()[0])
    return dict(pins), faults


def licence_of(name: str, versions: list[str]) -> str | None:
    """What the installed package says of its licence; none where none of these versions is installed."""
    try:
        about: dict[str, Any] = metadata.metadata(name).json
    except metadata.PackageNotFoundError:
        return None
    if about["version"].partition("+")[0] not in versions:
        return None
    classifiers = [text.rpartition(" :: ")[2] for text in about.get("classifier", []) if "License ::" in text]
    free = about.get("license", "").strip().partition("\n")[0]
    return about.get("license_expression") or " AND ".join(classifiers) or free or "none named"


def is_accepted(licence: str) -> bool:
    """Whether all parts of an expression may be used."""
    parts = re.split(r" (?:AND|OR) ", licence.replace("( ", "").replace(" )", "").strip("()"))
    return licence in ACCEPTED["licences"] or all(part.strip("()") in ACCEPTED["licences"] for part in parts)


def check_licences(pins: dict[str, list[str]]) -> list[str]:
    """Print who has which licence, and say what is wrong."""
    by_licence, faults, unknown = defaultdict(list), [], []
    for name, versions in pins.items():
        licence, record = licence_of(name, versions), ACCEPTED["packages"].get(name)
        if record is not None and (licence is None or not is_accepted(licence)):
            by_licence[record.partition(":")[0] + " (as recorded)"].append(name)
        elif licence is None:
            unknown.append(name)
        else:
            by_licence[licence].append(name)
            if not is_accepted(licence):
                faults.append(f"licence of {name} is not accepted: {licence}")
    for licence, names in sorted(by_licence.items()):
        print(f"{licence}: {', '.join(names)}")
    print(f"\nlicences: {len(pins) - len(unknown)} of {len(pins)} packages looked at, {len(faults)} not accepted")
    if unknown:
        print(f"licences NOT CHECKED, neither installed nor recorded in audit.toml: {', '.join(unknown)}")
    return faults


def run_pip_audit() -> dict[str, Any] | str:
    """The report of pip-audit, or why there is none."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--disable-pip",
        "--require-hashes",
        "--requirement",
        str(CONSTRAINTS),
    ]
    done = subprocess.run(
        [*command, "--format", "json", "--timeout", "15"], capture_output=True, text=True, check=False
    )
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit {done.returncode}"]
        return f"pip-audit gave no report: {last[0][:200]}"
    return report


def check_advisories(report: dict[str, Any] | str, pins: dict[str, list[str]], *, online: bool) -> list[str]:
    """Print what was looked up, and say what is wrong."""
    packages = [] if isinstance(report, str) else report["dependencies"]
    looked_up = {package["name"]: package for package in packages if "skip_reason" not in package}
    if not looked_up:
        why = report if isinstance(report, str) else f"the index told of none of {len(packages)} packages"
        print(f"advisories NOT CHECKED: {why}")
        return ["advisories could not be looked up"] if online else []
    found = [(name, flaw) for name, package in looked_up.items() for flaw in package["vulns"]]
    faults = []
    for name, flaw in found:
        accepted = [ACCEPTED["advisories"].get(key) for key in (flaw["id"], *flaw["aliases"])]
        reason = next(filter(None, accepted), None)
        print(
            f"{flaw['id']} in {name}, mended in {', '.join(flaw['fix_versions']) or 'no version'}: {reason or 'OPEN'}"
        )
        if reason is None:
            faults.append(f"open advisory {flaw['id']} in {name}")
    print(f"advisories: {len(looked_up)} of {len(pins)} packages looked up, {len(found)} found, {len(faults)} open")
    if elsewhere := sorted(pins.keys() - {package["name"] for package in packages}):
        print(f"advisories NOT CHECKED, packages of other platforms: {', '.join(elsewhere)}")
    if skipped := sorted({package["name"] for package in packages} - looked_up.keys()):
        faults.append(f"no advisories could be looked up for {', '.join(skipped)}")
    return faults


def main() -> None:
    """Print everything, and fail if something that was checked is not as it should be."""
    pins, faults = read_pins(CONSTRAINTS.read_text(encoding="utf-8"))
    print(f"constraints.txt: {len(pins)} packages pinned with sha256, {len(faults)} without\n")
    faults = [f"expected a pin with hashes, found {line}" for line in faults] + check_licences(pins)
    faults += check_advisories(run_pip_audit(), pins, online="--online" in sys.argv)
    sys.exit("\n".join(faults) or 0)


if __name__ == "__main__":
    main()
