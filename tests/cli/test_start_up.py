"""Start of the command line: what a command costs before it does its work."""

import json
import resource
import subprocess
import sys

import pytest

from claim_transformers.cli.app import _COMMANDS

ENGINES = ("torch", "transformers", "datasets", "sklearn", "scipy", "matplotlib", "evaluate")
HELP_ENGINES = (
    *ENGINES,
    "ibis",
    "duckdb",
    "pyarrow",
    "numpy",
    "pandas",
    "claim_transformers.models.claim.modeling_claim",
)
# What a command does is called in the process itself, so that the modules it left can be listed.
RUN = """
import json, sys
from claim_transformers.cli import app
try:
    app(sys.argv[1:])
except SystemExit as stopped:
    assert stopped.code in (0, None), stopped.code
print(json.dumps(sorted(sys.modules)))
"""


def modules_after(*arguments: object) -> set[str]:
    """Modules that a process holds after a command."""
    command = [sys.executable, "-W", "ignore", "-c", RUN, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


HELPS = [(), *((command,) for command in _COMMANDS), ("simulate", "pediatric"), ("simulate", "medicare")]


@pytest.mark.parametrize("command", HELPS, ids=" ".join)
def test_help_loads_no_engine(command):
    assert modules_after(*command, "--help").isdisjoint(HELP_ENGINES)


def processor_seconds(code: str, *arguments: str) -> float:
    """Least seconds of the processor that a process takes, out of three."""
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(seconds)


def test_help_costs_little_more_than_the_library_that_writes_it():
    # Half a second of an idle processor is some five times `import typer`; a busy one stretches both alike.
    typer = processor_seconds("import typer")
    for command in ([], ["simulate", "pediatric"]):
        assert processor_seconds("from claim_transformers.cli import main; main()", *command, "--help") < 4 * typer


@pytest.mark.slow
def test_from_simulation_to_cohorts_and_sequences_nothing_imports_torch(tmp_path):
    raw, claims, cohort = tmp_path / "raw", tmp_path / "claims", tmp_path / "cohort"
    assert modules_after("simulate", "medicare", raw, "--patients", 300).isdisjoint(ENGINES)
    assert modules_after("ingest", "simulated", raw, claims).isdisjoint(ENGINES)
    assert modules_after("cohort", "readmission", claims, cohort).isdisjoint(("torch", "transformers"))
    assert modules_after("sequences", cohort, tmp_path / "sequences").isdisjoint(("torch", "transformers"))


def test_a_checkpoint_is_placed_in_the_cache_without_torch(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert modules_after("install-checkpoint", "claim-pt-base").isdisjoint(("torch", "transformers"))
    assert list(tmp_path.glob("models--claim-pt-base/snapshots/*/config.json"))
