"""Steps that are run once: a benchmark of many fits that can be killed and goes on where it was.

A step is a name, its parameters and a function. What it gives is written under a digest of name and parameters and
read from there ever after. Everything is written beside its place first and renamed into it, so that a file that
stands there is whole. joblib's `Memory` would key a step by the source of one function, which says nothing of what the
function calls, and it keeps pickles; here a step is keyed by what it was asked, and what it gave can be read by
anybody.
"""

import hashlib
import json
import os
import re
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claim_transformers.version import __version__

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.table import Table

RESULTS, FOLDERS = "steps", "folders"
MARKER = "step.json"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*")
_STAGED_BY = re.compile(r"\.writing-(\d+)-")
# A change of the source of these rooms can change a result, so the steps of other source are counted and named.
_ROOMS = ("analysis", "cohorts", "models", "simulation", "sources", "training")


@dataclass(frozen=True)
class StepResult:
    """What a step gave.

    Args:
        value (`Any`): Numbers, texts, lists and mappings, as JSON holds them.
        table (`pa.Table`, *optional*): Rows beside the value, such as one prediction per patient.
        key (`str`, *optional*, defaults to `""`): Digest that names the step; set by [`Workspace`].
        seconds (`float`, *optional*, defaults to `0.0`): How long the step took when it was run; set by [`Workspace`].
    """

    value: Any
    table: "pa.Table | None" = None
    key: str = ""
    seconds: float = 0.0


def digest_of(content: Any) -> str:
    """Digest what JSON can hold; the order of keys does not count.

    Args:
        content (`Any`): Numbers, texts, booleans, `None`, lists and mappings of them.

    Returns:
        `str`: 16 hexadecimal digits.

    Raises:
        ValueError: If JSON cannot hold it, or a number is not finite.

    Examples:
        >>> digest_of({"a": 1, "b": [2.5]}) == digest_of({"b": [2.5], "a": 1})
        True
        >>> digest_of({"a": {1, 2}})
        Traceback (most recent call last):
            ...
        ValueError: expected numbers, texts, lists and mappings, found set
    """
    try:
        text = json.dumps(content, sort_keys=True, allow_nan=False, separators=(",", ":"))
    except TypeError as error:
        found = str(error).removeprefix("Object of type ").split(" ")[0]
        raise ValueError(f"expected numbers, texts, lists and mappings, found {found}") from error
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest_of_files(folder: str | Path, pattern: str = "*") -> str:
    """Digest the names and bytes of the files of a folder, such as a checkpoint, for the parameters of a step.

    Args:
        folder (`str` or `Path`): The folder.
        pattern (`str`, *optional*, defaults to `"*"`): Which of its files; `"**/*"` takes folders in it too.

    Returns:
        `str`: 16 hexadecimal digits.

    Raises:
        ValueError: If no file fits.

    Examples:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> _ = Path(folder, "config.json").write_text("{}")
        >>> len(digest_of_files(folder)), digest_of_files(folder) == digest_of_files(folder, "*.json")
        (16, True)
    """
    files = sorted(path for path in Path(folder).glob(pattern) if path.is_file())
    if not files:
        raise ValueError(f"expected files {pattern!r} in the folder {Path(folder).name!r}, found none")
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            digest.update(str(file.relative_to(folder)).encode() + b"\0")
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()[:16]


def write_whole(path: str | Path, content: bytes | str) -> None:
    """Write a file all at once: it is there whole, or not at all.

    Args:
        path (`str` or `Path`): Where to; its folder is made.
        content (`bytes` or `str`): What; texts as UTF-8.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "tables", "table.md")
        >>> write_whole(path, "one line")
        >>> path.read_text(), [file.name for file in path.parent.iterdir()]
        ('one line', ['table.md'])
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.name}.writing-{uuid.uuid4().hex[:12]}")
    try:
        with staging.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        staging.replace(path)
    finally:
        staging.unlink(missing_ok=True)


class Workspace:
    """A folder of steps that are run once.

    `steps/NAME-DIGEST.json` holds what a step gave, with its parameters and how long it took, and
    `steps/NAME-DIGEST.parquet` its rows; `folders/NAME-DIGEST/` what a step of files left. To run a step again, delete
    its file; to run all again, delete the folder. Steps of another version of the package are run again by themselves;
    those of other source of the same version are kept and counted in [`summary`].

    Args:
        folder (`str` or `Path`): Where steps are kept; made when absent.
        show_progress (`bool`, *optional*, defaults to `True`): Whether [`plan`] shows a bar.

    Examples:
        >>> import tempfile
        >>> workspace = Workspace(tempfile.mkdtemp())
        >>> workspace.step("squares", {"up_to": 3}, lambda: [n * n for n in range(3)]).value
        [0, 1, 4]
        >>> workspace.step("squares", {"up_to": 3}, lambda: 1 / 0).value  # stored: the function is not called
        [0, 1, 4]
        >>> workspace.ran, workspace.stored
        (1, 0)
    """

    def __init__(self, folder: str | Path, *, show_progress: bool = True) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.show_progress = show_progress
        self.ran, self.stored = 0, 0
        self._seen: set[str] = set()
        self._began_at = time.perf_counter()
        self._bar: Any = None

    # ---- Steps ----
    def step(self, name: str, parameters: Mapping[str, Any], function: Callable[[], StepResult | Any]) -> StepResult:
        """Run a function once, and read what it gave ever after.

        Args:
            name (`str`): Name of the step, with `/` between its parts, such as `"table2/lr-sparse/repeat-0"`.
            parameters (`dict`): Everything that the result depends on, digests of files that are read included.
            function (`Callable`): Gives a value that JSON can hold, or a [`StepResult`] with rows beside it.

        Returns:
            [`StepResult`]: The value as JSON gives it back, and the rows.

        Raises:
            ValueError: If the name or a parameter cannot be used, or JSON cannot hold the value.
        """
        key = self._key(name, parameters)
        path = self.folder / RESULTS / f"{name}-{key}.json"
        found = _read_result(path, key)
        if found is not None:
            self._count(key, name, "stored")
            return found
        self._advance(name, "running", by=0)
        began_at = time.perf_counter()
        given = function()
        seconds = time.perf_counter() - began_at
        result = given if isinstance(given, StepResult) else StepResult(given)
        digest_of(result.value)
        record = self._record(name, parameters, seconds) | {"value": result.value}
        if result.table is not None:
            content = _parquet_bytes(result.table)
            record["table_sha256"] = hashlib.sha256(content).hexdigest()
            write_whole(path.with_suffix(".parquet"), content)
        # Last, because it is what says that the step is whole.
        write_whole(path, json.dumps(record, indent=1) + "\n")
        self._count(key, name, "done")
        stored = _read_result(path, key)
        assert stored is not None  # written a moment ago
        return stored

    def folder_step(self, name: str, parameters: Mapping[str, Any], function: Callable[[Path], None]) -> Path:
        """Let a function write a folder once.

        Args:
            name (`str`): Name of the step.
            parameters (`dict`): Everything that the content depends on.
            function (`Callable`): Is called with a folder that does not exist yet, and makes it.

        Returns:
            `Path`: The folder; its name ends in the digest of the step, so that it can stand for its content among the
            parameters of other steps.

        Raises:
            ValueError: If the name or a parameter cannot be used, or the function made no folder.
        """
        key = self._key(name, parameters)
        path = self.folder / FOLDERS / f"{name}-{key}"
        if (path / MARKER).is_file():
            self._count(key, name, "stored")
            return path
        self._advance(name, "running", by=0)
        if path.exists():
            shutil.rmtree(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_left_overs(path)
        staging = path.with_name(f".{path.name}.writing-{os.getpid()}-{uuid.uuid4().hex[:12]}")
        began_at = time.perf_counter()
        try:
            function(staging)
            if not staging.is_dir():
                raise ValueError(f"expected the step {name!r} to make the folder that it is given, found none")
            record = self._record(name, parameters, time.perf_counter() - began_at)
            write_whole(staging / MARKER, json.dumps(record, indent=1) + "\n")
            _move_into_place(staging, path)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        self._count(key, name, "done")
        return path

    # ---- Progress ----
    @contextmanager
    def plan(self, title: str, steps: int) -> Iterator[None]:
        """Show a bar for the steps that follow.

        Args:
            title (`str`): What they are for.
            steps (`int`): How many they are.

        Yields:
            Nothing.
        """
        from tqdm import tqdm

        # A log file gets a line now and then, a terminal a bar that moves.
        pause = 0.2 if sys.stderr.isatty() else 20.0
        bar = tqdm(total=steps, desc=title, unit="step", disable=not self.show_progress, mininterval=pause)
        outer, self._bar = self._bar, bar
        try:
            yield
        finally:
            self._bar.close()
            self._bar = outer

    def summary(self) -> "Table":
        """Table of all steps of the folder by the first part of their name: how many, and how long they took.

        Returns:
            `rich.table.Table`: Ready to print.
        """
        from rich.table import Table

        minutes = (time.perf_counter() - self._began_at) / 60
        title = f"{self.ran} steps run, {self.stored} read, in {minutes:.1f} minutes"
        table = Table(title=title, title_justify="left")
        table.add_column("steps of")
        for column in ("steps", "minutes when run", "of other source"):
            table.add_column(column, justify="right")
        for name, (steps, seconds, others) in self.times().items():
            table.add_row(name, str(steps), f"{seconds / 60:.1f}", str(others) if others else "")
        return table

    def times(self) -> dict[str, tuple[int, float, int]]:
        """Count the steps of the folder by the first part of their name.

        Returns:
            `dict[str, tuple[int, float, int]]`: Steps, seconds that they took, and how many of them were made by
            other source of the same version.
        """
        groups: dict[str, tuple[int, float, int]] = {}
        files = [*(self.folder / RESULTS).rglob("*.json"), *(self.folder / FOLDERS).rglob(MARKER)]
        for file in sorted(files):
            record = _read_json(file)
            if record is None or "seconds" not in record:
                continue
            name = str(record["name"]).split("/")[0]
            steps, seconds, others = groups.get(name, (0, 0.0, 0))
            is_other = record.get("source") != source_digest()
            groups[name] = (steps + 1, seconds + float(record["seconds"]), others + is_other)
        return dict(sorted(groups.items()))

    def _count(self, key: str, name: str, state: str) -> None:
        """Count a step once, however often it is asked for."""
        is_new = key not in self._seen
        self._seen.add(key)
        self.ran += state == "done"
        self.stored += is_new and state == "stored"
        self._advance(name, state, by=int(is_new))

    def _advance(self, name: str, state: str, by: int = 1) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(f"{name}: {state}", refresh=by == 0 and sys.stderr.isatty())
            self._bar.update(by)

    # ---- Names and records ----
    def _key(self, name: str, parameters: Mapping[str, Any]) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"expected a name of small letters, digits, '.', '_', '-' and '/', found {name!r}")
        return digest_of({"name": name, "parameters": dict(parameters), "version": __version__})

    def _record(self, name: str, parameters: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        return {
            "name": name,
            "parameters": dict(parameters),
            "seconds": round(seconds, 3),
            "version": __version__,
            "source": source_digest(),
        }


def source_digest() -> str:
    """Digest the source of the rooms that results depend on.

    Returns:
        `str`: 16 hexadecimal digits.

    Examples:
        >>> len(source_digest())
        16
    """
    global _SOURCE_DIGEST
    if _SOURCE_DIGEST is None:
        package, here = Path(str(resources.files("claim_transformers"))), Path(__file__).parents[1]
        rooms = [*(package / room for room in _ROOMS), *(here / room for room in ("engine", "claim_pt", "medicare"))]
        _SOURCE_DIGEST = digest_of([digest_of_files(room, "**/*.py") for room in rooms])
    return _SOURCE_DIGEST


_SOURCE_DIGEST: str | None = None


def _clear_left_overs(path: Path) -> None:
    """Remove what runs that were killed left of this folder; one that is still at work keeps its own."""
    # What writes the folder may stage it once more beside itself, under a longer name.
    for left in path.parent.glob(f"*.{path.name}.writing-*"):
        found = _STAGED_BY.search(left.name)
        if found is None:
            continue
        try:
            os.kill(int(found.group(1)), 0)
        except ProcessLookupError:
            shutil.rmtree(left, ignore_errors=True)
        except PermissionError:
            # Somebody else's process: alive.
            continue


def _move_into_place(staging: Path, path: Path) -> None:
    """Publish a folder; where another run of the same step was faster, its folder stays."""
    try:
        staging.rename(path)
    except OSError:
        if not (path / MARKER).is_file():
            raise


def _read_json(path: Path) -> dict[str, Any] | None:
    """A record, or nothing where there is none or it is damaged: the step is then run again."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _read_result(path: Path, key: str) -> StepResult | None:
    record = _read_json(path)
    if record is None or "value" not in record:
        return None
    table = None
    if "table_sha256" in record:
        try:
            content = path.with_suffix(".parquet").read_bytes()
        except OSError:
            return None
        if hashlib.sha256(content).hexdigest() != record["table_sha256"]:
            return None
        table = _parquet_table(content)
    return StepResult(record["value"], table, key, float(record["seconds"]))


def _parquet_bytes(table: "pa.Table") -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _parquet_table(content: bytes) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.read_table(pa.BufferReader(content))
