"""Ingested folder: published whole or not at all, and refused by readers unless it is whole.

```
OUT/manifest.json  OUT/quality_report.json  OUT/_SUCCESS
OUT/claim_line/part-00000.parquet  OUT/rx_claim/...  OUT/eligibility/...  OUT/patients/...  OUT/quarantine/...
```
Rows are sorted and row groups have a fixed size, so equal input in any order gives equal bytes.
"""

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from claim_transformers.claims.files import publish_folder, to_json
from claim_transformers.claims.folder_kinds import no_claims
from claim_transformers.claims.inputs import check_inputs
from claim_transformers.claims.small_cells import show_count
from claim_transformers.codes.errors import ClaimDataError

FORMAT_VERSION = 2  # 2: patients have the ends of their visits
MANIFEST = "manifest.json"
# Products that patients have under their ingredient, by labeler and product.
DRUG_NAMES = "drug_names"
DRUG_NAMES_SCHEMA = pa.schema([("ndc9", pa.string()), ("ingredient", pa.string())])
_SUCCESS = "_SUCCESS"
_END = b"PAR1"  # of a parquet file
ROWS_PER_GROUP = 1 << 17
_ROWS_PER_PART = 1 << 22


@dataclass(frozen=True)
class IngestedFolder:
    """A published folder, and the content of its `manifest.json`."""

    # Absolute, because a task that reads of it stands elsewhere.
    path: Path
    manifest: Mapping[str, Any]

    def table_files(self, name: str) -> list[Path]:
        """List the parquet files of a table, refusing one that was cut (`E_PARQUET`), which Arrow does not name."""
        files = sorted((self.path / name).glob("*.parquet"))
        for file in files:
            with file.open("rb") as stream:
                stream.seek(max(file.stat().st_size - len(_END), 0))
                if stream.read() != _END:
                    message = f"expected a whole file of {name}, found {file.name} cut or damaged: ingest again"
                    raise ClaimDataError("E_PARQUET", message)
        return files


def open_folder(path: str | Path) -> IngestedFolder:
    """Open an ingested folder, refusing one that is not whole.

    Raises:
        ClaimDataError: `E_NO_FOLDER` if there is none, `E_INPUT` if it holds a broken link or what is no file,
            `E_INCOMPLETE` for any other folder, `E_FORMAT_VERSION` if this version of the package cannot read it.
    """
    path = check_inputs(path)
    if not path.exists():
        raise ClaimDataError("E_NO_FOLDER", f"expected an ingested folder at {path}, found none")
    if not (path / _SUCCESS).is_file() or not (path / MANIFEST).is_file():
        raise ClaimDataError(
            "E_INCOMPLETE", f"expected ingested claims, with {_SUCCESS} and {MANIFEST}, at {path}, {no_claims(path)}"
        )
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ClaimDataError("E_INCOMPLETE", f"expected JSON in {path / MANIFEST}, found something else") from error
    found = manifest.get("format_version") if isinstance(manifest, dict) else None
    if found != FORMAT_VERSION:
        raise ClaimDataError(
            "E_FORMAT_VERSION",
            f"expected format version {FORMAT_VERSION} in {path / MANIFEST}, found {found!r}: ingest again",
        )
    return IngestedFolder(path.absolute(), manifest)


@contextmanager
def write_folder(out: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a folder to write into that becomes `out` when the block ends well and vanishes when it does not.

    The block writes tables and calls [`write_manifest`]. On leaving, every file is flushed to the disk, `_SUCCESS` is
    added and the folder is renamed. An old `out` is moved away first and deleted last; if the machine stops between
    the two renames it is still there under a hidden name beside `out`.

    Raises:
        ClaimDataError: `E_EXISTS` if `out` is there and may not be replaced (a folder that this package did not write
            is never replaced), `E_WRITE` if the disk is full or cannot be written.
        RuntimeError: If the block did not write a manifest.
    """
    with publish_folder(out, check=lambda found: _check_target(found, overwrite)) as temporary:
        yield temporary
        if not (temporary / MANIFEST).is_file():
            raise RuntimeError(f"expected the block to write {MANIFEST}, found none")
        (temporary / _SUCCESS).touch()


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write `manifest.json`, keys in a fixed order."""
    content = to_json({"format_version": FORMAT_VERSION, **facts}, indent=2, sort_keys=True)
    (folder / MANIFEST).write_text(content, encoding="utf-8")


class _TableWriter:
    """Write a stream of record batches as `part-NNNNN.parquet`, in row groups of a fixed size.

    The engine cuts its batches as it likes; cutting them anew is what makes equal rows give equal files.
    """

    def __init__(
        self,
        folder: Path,
        schema: pa.Schema,
        *,
        rows_per_group: int = ROWS_PER_GROUP,
        rows_per_part: int = _ROWS_PER_PART,
        also: Callable[[pa.Table], None] | None = None,
    ) -> None:
        self.folder = folder
        self.schema = schema
        self.num_rows = 0
        self._rows_per_group = rows_per_group
        self._rows_per_part = rows_per_part
        self._also = also
        self._pending: list[pa.Table] = []
        self._num_pending = 0
        self._writer: pq.ParquetWriter | None = None
        self._rows_in_part = 0
        self._num_parts = 0

    def __enter__(self) -> "_TableWriter":
        return self

    def __exit__(self, *_: object) -> None:
        if self._num_pending:
            self._write_group(pa.concat_tables(self._pending))
            self._pending, self._num_pending = [], 0
        self._close_part()

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        self._pending.append(table)
        self._num_pending += table.num_rows
        if self._num_pending < self._rows_per_group:
            return
        rows = pa.concat_tables(self._pending)
        while rows.num_rows >= self._rows_per_group:
            self._write_group(rows.slice(0, self._rows_per_group))
            rows = rows.slice(self._rows_per_group)
        self._pending, self._num_pending = [rows] if rows.num_rows else [], rows.num_rows

    def _write_group(self, rows: pa.Table) -> None:
        # A dictionary that grew over earlier batches would leave its history in the bytes.
        rows = conform(rows, self.schema)
        if self._also is not None:
            self._also(rows)
        if self._writer is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"part-{self._num_parts:05d}.parquet"
            self._writer = pq.ParquetWriter(
                path,
                rows.schema,
                compression="zstd",
                compression_level=1,
                store_schema=False,
                write_statistics=_described(self.schema),
                write_batch_size=1 << 16,  # a file takes a sixth longer by a thousand, as by itself
            )
            # Readers get the types of the schema, however the rows came.
            written = base64.b64encode(self.schema.serialize().to_pybytes()).decode()
            self._writer.add_key_value_metadata({"ARROW:schema": written})
        self._writer.write_table(rows, row_group_size=self._rows_per_group)
        self.num_rows += rows.num_rows
        self._rows_in_part += rows.num_rows
        if self._rows_in_part >= self._rows_per_part:
            self._close_part()

    def _close_part(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._rows_in_part = 0
            self._num_parts += 1


def _described(schema: pa.Schema) -> list[str]:
    """Parquet paths that get statistics: in lists systems and dates alone, which patients leave unread if they can."""
    paths = []
    for field in schema:
        if pa.types.is_list(field.type) and pa.types.is_struct(field.type.value_type):
            paths += [f"{field.name}.list.element.{name}" for name in ("system", "date")]
        elif not pa.types.is_list(field.type):
            paths.append(field.name)
    return paths


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Give a table exactly the columns, order and types of a schema; what is missing becomes null.

    Strings may be held as dictionaries, as a file holds them too.
    """
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            column = pa.nulls(table.num_rows, field.type)
        else:
            column = table[field.name]
            column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
            if pa.types.is_dictionary(field.type) and not pa.types.is_dictionary(column.type):
                column = column.dictionary_encode()
            if pa.types.is_dictionary(field.type) or "dictionary<" not in str(column.type):
                column = column.cast(field.type)
        if not field.nullable and column.null_count:
            raise ClaimDataError(
                "E_SCHEMA", f"expected no null in {field.name}, found {show_count(column.null_count)}"
            )
        columns.append(column)
    held = [field.with_type(column.type) for field, column in zip(schema, columns, strict=True)]
    return pa.Table.from_arrays(columns, schema=pa.schema(held))


def write_table(
    folder: Path, schema: pa.Schema, batches: Iterable[pa.Table], also: Callable[[pa.Table], None] | None = None
) -> int:
    """Write batches that are sorted already as one table of the folder; `also` gets the rows too."""
    with _TableWriter(folder, schema, also=also) as writer:
        for batch in batches:
            writer.write(batch)
    return writer.num_rows


def _check_target(out: Path, overwrite: bool) -> None:
    if not out.exists() and not out.is_symlink():
        return
    if out.is_dir() and not out.is_symlink() and not any(out.iterdir()):
        return
    if not overwrite:
        raise ClaimDataError(
            "E_EXISTS", f"expected no folder at {out}, found one: choose another or pass overwrite (--overwrite)"
        )
    if out.is_symlink() or not (out / MANIFEST).is_file() or not (out / _SUCCESS).is_file():
        raise ClaimDataError("E_EXISTS", f"expected an ingested folder to replace at {out}, found something else")
