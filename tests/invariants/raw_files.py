"""Raw files of every source as the relations change them: tables of text, and the form in which each is written."""

import gzip
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from claim_transformers.sources.pipeline.layout_files import FileLayout
from claim_transformers.sources.registry import find_source

Row = dict[str, str | None]
# Instead of the cells of a row, when it is written as text.
RAW_LINE = "raw line"
SOURCES = ("tuva", "simulated", "synpuf", "cms-rif", "cclf", "mimic3", "meds", "omop")
LAYOUTS = {source: find_source("tuva" if source == "simulated" else source).read_layouts() for source in SOURCES}
# Parquet is the only form of MEDS and none of MIMIC-III; a quote is a letter in RIF.
TEXT_SOURCES = tuple(source for source in SOURCES if source != "meds")
PARQUET_SOURCES = tuple(source for source in SOURCES if source != "mimic3")
QUOTED_SOURCES = ("tuva", "simulated", "synpuf", "cclf", "mimic3", "omop")


@dataclass(frozen=True)
class Form:
    """How a table is written."""

    ending: str = ""
    line_end: str = "\n"
    delimiter: str | None = None
    encoding: str = "utf-8"
    mark: bytes = b""
    is_quoted: bool = False
    behind: str = ""
    has_last_end: bool = True
    has_mixed_ends: bool = False
    string: pa.DataType | None = None
    date: pa.DataType | None = None
    time: pa.DataType | None = None
    rows_per_group: int | None = None
    is_fixed: bool = False


@dataclass(frozen=True)
class RawTable:
    """One raw file. `rows` lists what a reader must account for, whatever the form."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    form: Form = Form()
    part: str = ""

    def map_rows(self, change: Callable[[Row], Row]) -> "RawTable":
        return replace(self, rows=tuple(change(dict(row)) for row in self.rows))

    def map_cells(self, is_chosen: Callable[[str], bool], change: Callable[[str], str | None]) -> "RawTable":
        """Change every filled cell of the chosen columns."""
        chosen = [name for name in self.columns if is_chosen(name)]
        return self.map_rows(
            lambda row: row | {name: change(cell) for name in chosen if (cell := row.get(name)) is not None}
        )

    def with_form(self, **changes: object) -> "RawTable":
        return replace(self, form=replace(self.form, **changes))


World = tuple[RawTable, ...]


def kinds_of(source: str, table: str) -> dict[str, str]:
    """Type of every raw column of a table: id, code, text, date, amount or number."""
    kinds = {name: column.kind for column in LAYOUTS[source][table].columns for name in column.names}
    return {name: "code" if kind in ("icd", "ndc", "flag", "modifier") else kind for name, kind in kinds.items()}


def write_table(source: str, table: RawTable, stem: str, folder: Path) -> str:
    """Write a table, and say which name a reader gives its file, unpacked where it is packed."""
    ending = table.form.ending or (".parquet" if source == "meds" else ".csv")
    named = f"{table.name}_{table.part}{stem}"
    folders = {**dict.fromkeys(("tuva", "simulated", "omop"), table.name), "meds": "data"}
    below = folder / folders.get(source, ".")
    below.mkdir(parents=True, exist_ok=True)
    path = below / f"{named}{ending}"
    if ending == ".parquet":
        _write_parquet(path, source, table)
        return path.name
    _write_text(path, to_bytes(source, table))
    return f"{named}.csv"


def to_bytes(source: str, table: RawTable) -> bytes:
    """A table as text. Cells are written as they are: a quote in one is a stray one."""
    form = table.form
    if form.is_fixed and LAYOUTS[source][table.name].positions:
        return _to_fixed(LAYOUTS[source][table.name], table)
    delimiter = form.delimiter or LAYOUTS[source][table.name].delimiter
    quote = '"' if form.is_quoted else ""
    header: Row = {name: name for name in table.columns}
    texts = [
        row.get(RAW_LINE)
        or delimiter.join(f"{quote}{row.get(name) or ''}{quote}" for name in table.columns) + form.behind
        for row in (header, *table.rows)
    ]
    # Nobody can tell the two apart where lines end in another way than the text within quotes.
    is_broken = any("\n" in text for text in texts)
    ends = ["\n" if is_broken and form.line_end == "\r" else form.line_end] * len(texts)
    if form.has_mixed_ends:
        ends[1::2] = ["\r\n"] * len(ends[1::2])
    if not form.has_last_end:
        ends[-1] = ""
    return form.mark + "".join(text + end for text, end in zip(texts, ends, strict=True)).encode(
        form.encoding, "surrogateescape"
    )


def _to_fixed(layout: FileLayout, table: RawTable) -> bytes:
    lines = []
    for row in table.rows:
        line = [" "] * layout.record_lengths[0]
        for name, (start, length) in layout.positions.items():
            line[start - 1 : start - 1 + length] = (row.get(name) or "").ljust(length)[:length]
        lines.append("".join(line) + table.form.line_end)
    return "".join(lines).encode(table.form.encoding)


def _write_text(path: Path, content: bytes) -> None:
    if path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(content, 1))
    elif path.name.endswith(".zip"):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(f"{path.stem}.csv", content)
        path.write_bytes(buffer.getvalue())
    else:
        path.write_bytes(content)


def _write_parquet(path: Path, source: str, table: RawTable) -> None:
    kinds = {name.lower(): kind for name, kind in kinds_of(source, table.name).items()}
    columns = {}
    for name in table.columns:
        cells = [row.get(name) for row in table.rows]
        kind = kinds.get(name.lower(), "text")
        column = pa.array(cells, pa.string())
        if source == "meds" and name == "subject_id":
            columns[name] = column.cast(pa.int64())
        elif source == "meds" and name == "time":
            columns[name] = column.cast(pa.timestamp("us")).cast(table.form.time or pa.timestamp("us"), safe=False)
        elif kind == "date" and table.form.date is not None:
            columns[name] = column.cast(pa.timestamp("us")).cast(table.form.date)
        else:
            columns[name] = column.cast(table.form.string or pa.string())
    pq.write_table(pa.table(columns), path, row_group_size=table.form.rows_per_group)
