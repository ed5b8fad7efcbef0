"""What commands write is for its owner alone, whatever the umask, and stands whole or as it was on a full disk."""

import hashlib
import os
import resource
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cohorts.stays_by_hand import inpatient as stay
from cohorts.stays_by_hand import write_stays
from sources.raw_claims import inpatient, write_synpuf
from typer.testing import CliRunner

from claim_transformers import load_claims
from claim_transformers.cli import app
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.simulation import simulate
from claim_transformers.sources.formats.meds.export import export_meds

pytestmark = pytest.mark.slow

COMMANDS = {
    "raw": ["simulate", "pediatric", "{raw}", "--patients", "30", "--overwrite"],
    "claims": ["ingest", "simulated", "{raw}", "{claims}", "--overwrite"],
    "loads.duckdb": ["stage", "synpuf", "{synpuf}", "{loads.duckdb}", "--adds"],
    "consolidated": ["consolidate", "{loads.duckdb}", "{consolidated}", "--overwrite", "--max-quarantine-share", "1",
                     "--max-reason-share", "1"],
    "cohort": ["cohort", "readmission", "{stays}", "{cohort}", "--overwrite"],
    "sequences": ["sequences", "{cohort}", "{sequences}", "--overwrite"],
}  # fmt: skip


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def _no_file_beyond(num_bytes: int) -> Iterator[None]:
    """A disk on which no file grows beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _run(folder: Path, name: str) -> Exception | None:
    arguments = [argument.replace("{", f"{folder}/").replace("}", "") for argument in COMMANDS[name]]
    found = CliRunner().invoke(app, arguments).exception
    assert found is None or isinstance(found, Exception), found
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of every command, written where everybody may read what is new."""
    folder = tmp_path_factory.mktemp("outputs")
    rows = [inpatient(f"P{number}", f"C{number}") for number in range(200)]
    write_synpuf(folder / "synpuf", inpatients=[*rows, inpatient("P1", "CX", SEGMENT="x")])
    again = ("2009-05-15", "2009-07-15")
    stays = [stay(f"p{n}", f"{n}-1", "2009-05-01", "2009-05-05") for n in range(60)]
    write_stays(folder / "stays", stays + [stay(f"p{n}", f"{n}-2", again[n % 2], "2009-07-16") for n in range(60)])
    with _umask(0):
        for name in COMMANDS:
            assert _run(folder, name) is None, name
        load_claims("simulated", folder / "raw", cache_dir=folder / "cache")
        export_meds(folder / "claims", folder / "meds")
    return folder


def _contents(path: Path) -> dict[str, str]:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()}


@pytest.mark.parametrize("name", [*COMMANDS, "cache", "meds"])
def test_nobody_else_reads_what_a_command_writes(folder: Path, name: str) -> None:
    written = [folder / name, *(folder / name).rglob("*")]
    assert any(path.is_file() for path in written)
    assert not {str(path.relative_to(folder)) for path in written if stat.S_IMODE(path.stat().st_mode) & 0o077}


def test_the_quarantine_is_among_it(folder: Path) -> None:
    assert list((folder / "consolidated" / "quarantine").iterdir())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_line_and_what_stood_there_stands(folder: Path, name: str) -> None:
    before, beside = _contents(folder / name), sorted(path.name for path in folder.iterdir())
    with (folder / "synpuf" / "DE1_0_2008_to_2010_Inpatient_Claims_Sample_1.csv").open("a") as file:
        file.write("P1,C900,1,20090412,20090418\n")
    with _no_file_beyond(2048):
        error = _run(folder, name)
    assert isinstance(error, ClaimDataError), repr(error)
    assert error.reason_code == "E_WRITE"
    assert "\n" not in str(error)
    assert _contents(folder / name) == before
    assert sorted(path.name for path in folder.iterdir() if not path.name.endswith(".wal")) == beside


def test_of_two_runs_into_one_folder_one_wins_and_the_other_says_so(tmp_path: Path) -> None:
    codes: list[str] = []

    def run(seed: int) -> None:
        try:
            simulate(tmp_path / "out", patients=10, seed=seed, start="2012-01-01", end="2012-03-31")
        except ClaimDataError as error:
            codes.append(error.reason_code)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == ["E_EXISTS"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
