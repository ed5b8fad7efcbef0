"""Write the files of a simulation so that all of them appear at once or none does."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from claim_transformers.claims.files import publish_folder, to_json
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.simulation.engine.block_tables import BlockTables


@contextmanager
def publish_simulation(out: Path, *, overwrite: bool = False) -> Iterator["_Publication"]:
    """Give what writes the files of a folder that becomes `out` when the block ends well."""
    with publish_folder(out, check=lambda found: _check(found, overwrite)) as folder, ExitStack() as writers:
        yield _Publication(folder, writers)


class _Publication:
    """A folder in the making; its parquet files are closed with the stack."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._writers: dict[str, pq.ParquetWriter] = {}
        self.rows: dict[str, int] = {}

    def write(self, tables: BlockTables) -> None:
        """Add the rows of one block to every file."""
        for name, table in tables.by_name().items():
            self.write_table(name, table)

    def write_table(self, name: str, table: pa.Table) -> None:
        """Add rows to one file, as one row group."""
        writer = self._writers.get(name)
        if writer is None:
            texts = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
            writer = pq.ParquetWriter(
                self._folder / f"{name}.parquet",
                table.schema,
                compression="zstd",
                compression_level=1,
                use_dictionary=texts,
                write_statistics=texts == [],
                store_decimal_as_integer=True,
            )
            self._writers[name] = self._stack.enter_context(writer)
        writer.write_table(table, row_group_size=max(len(table), 1))
        self.rows[name] = self.rows.get(name, 0) + len(table)

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write one JSON file."""
        (self._folder / f"{name}.json").write_text(to_json(content, indent=2, sort_keys=True), encoding="utf-8")


def _check(out: Path, overwrite: bool) -> None:
    if not out.exists() and not out.is_symlink():
        return
    if not overwrite:
        raise ClaimDataError(
            "E_EXISTS",
            f"expected a folder that does not exist yet, found {out}; pass overwrite=True (--overwrite) to replace it",
        )
    if out.is_symlink() or not out.is_dir() or not ((out / "simulation.json").is_file() or not any(out.iterdir())):
        raise ClaimDataError(
            "E_EXISTS", f"expected a folder that a simulation wrote at {out}, found something else: choose another"
        )
