"""Write the files of a simulation so that all of them appear at once or none does."""

import json
import os
import shutil
import tempfile
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.simulation.engine.block_tables import BlockTables


class Publication:
    """A folder in the making, beside the one it becomes.

    Args:
        out (`Path`): Folder to publish.
        overwrite (`bool`, *optional*, defaults to `False`): Replace an existing folder.

    Raises:
        ClaimDataError: `E_EXISTS` on entering, if `out` exists and `overwrite` is not set or `out` is no folder that
            a simulation wrote; `E_WRITE` if the disk is full or cannot be written.

    Examples:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Publication(Path(folder) / "claims") as publication:
        ...         publication.write_json("dirt", {"duplicates": 3})
        ...     sorted(path.name for path in Path(folder).iterdir())
        ['claims']
    """

    def __init__(self, out: Path, *, overwrite: bool = False) -> None:
        self._out = out
        self._overwrite = overwrite
        self._writers: dict[str, pq.ParquetWriter] = {}
        self.rows: dict[str, int] = {}

    def __enter__(self) -> "Publication":
        if self._out.exists() and not self._overwrite:
            raise ClaimDataError(
                "E_EXISTS",
                f"expected a folder that does not exist yet, found {self._out}; pass overwrite=True (--overwrite) to "
                "replace it",
            )
        if self._out.exists() and not _may_be_replaced(self._out):
            raise ClaimDataError(
                "E_EXISTS",
                f"expected a folder that a simulation wrote at {self._out}, found something else: choose another",
            )
        try:
            self._out.parent.mkdir(parents=True, exist_ok=True)
            self._temporary = Path(tempfile.mkdtemp(prefix=f".{self._out.name}-", dir=self._out.parent))
        except OSError as error:
            raise _write_error(self._out, error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            # A writer that met a full disk meets it again when it closes, so its own error must not hide the first.
            for writer in self._writers.values():
                with suppress(OSError) if kind is not None else nullcontext():
                    writer.close()
            if kind is None:
                self._publish()
        except OSError as late:
            raise _write_error(self._out, late) from late
        finally:
            shutil.rmtree(self._temporary, ignore_errors=True)
        if isinstance(error, OSError):
            raise _write_error(self._out, error) from error

    def _publish(self) -> None:
        for path in (*self._temporary.iterdir(), self._temporary):
            _flush(path)
        # mkdtemp makes a folder only its owner can enter; a published one follows the user's own rules.
        mask = os.umask(0)
        os.umask(mask)
        self._temporary.chmod(0o777 & ~mask)
        if self._out.exists():
            previous = Path(tempfile.mkdtemp(prefix=f".{self._out.name}-", dir=self._out.parent))
            self._out.rename(previous / "replaced")
            self._temporary.rename(self._out)
            shutil.rmtree(previous)
        else:
            self._temporary.rename(self._out)
        _flush(self._out.parent)

    def write(self, tables: BlockTables) -> None:
        """Add the rows of one block to every file."""
        for name, table in tables.by_name().items():
            self.write_table(name, table)

    def write_table(self, name: str, table: pa.Table) -> None:
        """Add rows to one file, as one row group."""
        writer = self._writers.get(name)
        if writer is None:
            texts = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
            writer = self._writers[name] = pq.ParquetWriter(
                self._temporary / f"{name}.parquet",
                table.schema,
                compression="zstd",
                compression_level=1,
                use_dictionary=texts,
                write_statistics=texts == [],
                store_decimal_as_integer=True,
            )
        writer.write_table(table, row_group_size=max(len(table), 1))
        self.rows[name] = self.rows.get(name, 0) + len(table)

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write one JSON file."""
        text = json.dumps(content, indent=2, sort_keys=True)
        (self._temporary / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def _may_be_replaced(out: Path) -> bool:
    return out.is_dir() and ((out / "simulation.json").is_file() or not any(out.iterdir()))


def _write_error(out: Path, error: OSError) -> ClaimDataError:
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    return ClaimDataError("E_WRITE", f"could not write beside {out}: {reason}. Nothing was published")


def _flush(path: Path) -> None:
    """Force a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
