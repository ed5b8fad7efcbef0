"""Write the files of a simulation so that all of them appear at once or none does."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .tables import BlockTables


class Publication:
    """A folder in the making, beside the one it becomes.

    Args:
        out (`Path`): Folder to publish.
        overwrite (`bool`, *optional*, defaults to `False`): Replace an existing folder.

    Raises:
        FileExistsError: On entering, if `out` exists and `overwrite` is not set.

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

    def __enter__(self) -> Publication:
        if self._out.exists() and not self._overwrite:
            raise FileExistsError(
                f"expected a folder that does not exist yet, found {self._out}; pass overwrite=True to replace it"
            )
        self._out.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = Path(tempfile.mkdtemp(prefix=f".{self._out.name}-", dir=self._out.parent))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.close()
        if kind is not None:
            shutil.rmtree(self._temporary)
            return
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
        for name in BlockTables.__annotations__:
            self.write_table(name, getattr(tables, name))

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


def _flush(path: Path) -> None:
    """Force a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
