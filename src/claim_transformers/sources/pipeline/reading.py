"""Raw files to staged rows: every column a string, every row with its file and number, every fault named.

Delimited files are parsed by DuckDB, which keeps the lines it cannot split in a table of rejects; files of fixed width
are cut by `fixed_width`. Both are written to parquet once, so that later steps read only the columns they need.
Parquet files are used where they lie.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from claim_transformers.claims.engine import engine_errors, free_name, is_named, load, quote_name, quote_text
from claim_transformers.claims.files import file_sha256
from claim_transformers.claims.inputs import check_inputs
from claim_transformers.claims.planning import describe_table
from claim_transformers.claims.small_cells import show_count
from claim_transformers.codes.errors import ClaimDataError, did_you_mean
from claim_transformers.sources.pipeline.archives import unpack
from claim_transformers.sources.pipeline.contract import RawFile, have_few_cells, name_apart
from claim_transformers.sources.pipeline.fixed_width import cut_file
from claim_transformers.sources.pipeline.held_rows import hold_rows_of, join_held, mend_texts, name_texts
from claim_transformers.sources.pipeline.numeric_codes import ColumnFacts, find_numeric_codes
from claim_transformers.sources.pipeline.records import find_records, write_readable
from claim_transformers.sources.pipeline.staging import names_taken, staging_elsewhere
from claim_transformers.sources.pipeline.untidy_text import KINDS_OF_CODES, NO_CODES, UntidyText, find_untidy

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

_CHUNK = 1 << 22
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_DELIMITERS = {",": "a comma", "|": "a pipe", "\t": "a tab", ";": "a semicolon"}
# Columns that staging and quarantine add; a raw column of such a name is renamed.
_RESERVED = frozenset(("source_file", "row_no", "ledger_type", "reason_code", "stage", "raw_line"))
_REJECT_REASONS = {"INVALID ENCODING": "R_ENC"}
_NO_REJECTS = pa.table(
    {"row_no": pa.nulls(0, pa.int64()), **dict.fromkeys(("reason_code", "raw_line"), pa.nulls(0, pa.string()))}
)
_view_numbers = itertools.count()
_STAGED = "staged_"


@dataclass(frozen=True)
class Layout:
    """Columns of one raw table, by name; order and case do not matter."""

    columns: tuple[str, ...]  # All, in the order of the format.
    required: tuple[str, ...]  # Those without which the file cannot be used; others are null where they lack.
    # What the columns that are read hold, as layout files say. Any other that holds values is named in the report.
    kinds: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)  # Other names, such as those of an older version.
    delimiter: str = ","
    encoding: str = "utf-8"  # Or `"latin-1"`.
    quote: str = '"'  # Empty if the format has none, so that `"` is a letter.
    constants: Mapping[str, str] = field(default_factory=dict)  # What the file does not hold, such as a year.
    is_ordered: bool = True  # Whether another order of columns is worth a note.
    delimiter_advice: str = ""  # What a user can do about another delimiter, which stands for `{found}`.
    # First character, from 1 on, and length of the columns of a file of fixed width. A file whose first line names
    # columns is delimited nevertheless.
    positions: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    record_lengths: tuple[int, ...] = ()  # Characters of its lines, those of older versions last.

    @property
    def optional(self) -> list[str]:
        """Columns that are null where the file lacks them."""
        return [name for name in self.columns if name not in self.required]


@dataclass(frozen=True)
class _Fingerprint:
    sha256: str
    num_bytes: int
    num_lines: int
    num_line_feeds: int
    num_crlf: int
    num_cr: int
    has_nul: bool


@dataclass(frozen=True)
class _Select:
    """How the rows of a file are read: SQL of its columns, all text, of the number of a row, of where they lie.

    Few rows of text are `held`: the engine takes longer to plan their columns than to copy them.
    """

    columns: str
    row_no: str
    source: str
    held: pa.Table | None = None


def stage_files(
    connection: Backend, files: Sequence[tuple[Path, Layout]], scratch: Path, *, name: str, may_repeat: bool = False
) -> tuple[ir.Table, tuple[RawFile, ...]]:
    """Stage all files of one raw table: their rows as [`sources.pipeline.contract.StagedTable`] describes them.

    `scratch` takes unpacked and converted files and must live as long as the rows are used. With `may_repeat` two
    files of different names may have the same content, which is counted. A file that cannot be used is refused by its
    name and its columns, never with a cell.
    """
    if (elsewhere := staging_elsewhere()) is not None:
        return elsewhere(connection, files, name, may_repeat)
    selects: list[_Select] = []
    found: list[tuple[Path, RawFile]] = []
    for path, layout in files:
        for raw_path in unpack(check_inputs(path), scratch):
            number = len(found)
            if raw_path.suffix.lower() == ".parquet":
                select, raw_file = _stage_parquet(raw_path, layout)
            else:
                target = scratch / f"{name}-{number:05d}.parquet"
                stage = _stage_fixed if layout.positions and not _names_columns(raw_path, layout) else _stage_delimited
                select, raw_file = stage(connection, raw_path, layout, target)
            selects.append(select)
            found.append((path, raw_file))
            are_few = have_few_cells([file for _, file in found], max(len(layout.columns) for _, layout in files))
            if not are_few:
                selects = [replace(one, held=None) for one in selects]
    staged = name_apart(found, taken=names_taken(), may_repeat=may_repeat)
    with engine_errors(f"staging {name}"):
        staged_name = free_name(connection, f"{_STAGED}{name}")
        if (held := join_held([one.held for one in selects], [file.name for file in staged])) is not None:
            return load(connection, staged_name, held), staged
        rows = " UNION ALL BY NAME ".join(
            f"SELECT {one.columns}, {quote_text(file.name)} AS source_file, {one.row_no} AS row_no FROM {one.source}"
            for one, file in zip(selects, staged, strict=True)
        )
        connection.raw_sql(f'CREATE {"TEMP TABLE" if are_few else "VIEW"} "{staged_name}" AS {rows}')
        return describe_table(connection, staged_name, tuple(select.columns for select in selects)), staged


def are_as_read(rows: ir.Table) -> bool:
    """Whether rows are those of [`stage_files`], of which nothing was computed."""
    return is_named(rows) and rows.get_name().startswith(_STAGED)


def describe_place(path: Path, num_files: int) -> str:
    """Say what is at a path where no file of a source was found, for a message."""
    if not path.exists():
        return "no such file or folder"
    files = f"{num_files} {'file' if num_files == 1 else 'files'} of other names"
    num_folders = sum(one.is_dir() for one in path.iterdir()) if path.is_dir() else 0
    if not num_folders:
        return files
    folders = f"{num_folders} {'folder' if num_folders == 1 else 'folders'}"
    return f"{files} and {folders}: folders inside are not searched, name the one that holds the files"


def _stage_parquet(path: Path, layout: Layout) -> tuple[_Select, RawFile]:
    if path.stat().st_size == 0:
        raise ClaimDataError("E_EMPTY_FILE", f"expected rows or at least a footer in {path.name}, found 0 bytes")
    try:
        with pq.ParquetFile(path) as parquet:
            schema, num_rows = parquet.schema_arrow, parquet.metadata.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise ClaimDataError(
            "E_PARQUET", f"expected a parquet file, found no footer in {path.name}: fetch or write it again"
        ) from error
    names, fixes, warnings = _match_header(path.name, schema.names, layout)
    for column, known in names.items():
        # What a layout names as unused may be of any type.
        if known in (layout.kinds or layout.columns):
            _check_type(path.name, column, schema.field(column).type, layout.kinds.get(known, ""))
    kinds = _kinds_of(names, layout)
    try:
        held = hold_rows_of(path)
        facts, untidy = find_numeric_codes(path, path.name, kinds, held), find_untidy(path, kinds, held)
    except (pa.ArrowInvalid, OSError) as error:
        # The message of the engine can hold the cell.
        raise ClaimDataError(
            "E_PARQUET", f"expected whole pages with text in UTF-8 in {path.name}, found others: write it again"
        ) from error
    # What stands for nothing is null already in the columns that were looked through.
    texts = {column: _as_text(column, facts, untidy) for column in names}
    texts |= {column: f"nullif({text}, '')" for column, text in texts.items() if kinds.get(column, "id") == "id"}
    expressions = [f"{texts[column]} AS {quote_name(known)}" for column, known in names.items()]
    select = _Select(
        ", ".join(expressions + _filled_in(names, layout)),
        "file_row_number + 1",
        f"read_parquet({quote_text(path)}, file_row_number = true, binary_as_string = true, "
        "hive_partitioning = false)",
    )
    print_of_file = _Fingerprint(file_sha256(path), path.stat().st_size, 0, 0, 0, 0, has_nul=False)
    return select, _describe(path, num_rows, print_of_file, None, names, layout, facts, untidy, fixes, warnings)


def _select_texts(
    file: str, target: Path, names: Mapping[str, str], layout: Layout, *, is_numbered: bool
) -> tuple[_Select, ColumnFacts, UntidyText]:
    """How the fields of a file are read that lie in a parquet file as text, with numbers of rows or without."""
    kinds, held = _kinds_of(names, layout), hold_rows_of(target)
    facts, untidy = find_numeric_codes(target, file, kinds, held), find_untidy(target, kinds, held)
    expressions = [f"{_as_text(column, facts, untidy)} AS {quote_name(known)}" for column, known in names.items()]
    # A raw column of this name would be mistaken for the number of the row.
    if held is not None and "row_no" not in names:
        held = name_texts(mend_texts(held, facts, untidy), names, *_absent(names, layout), is_numbered)
    select = _Select(
        ", ".join(expressions + _filled_in(names, layout)),
        "row_no" if is_numbered else "file_row_number + 1",
        f"read_parquet({quote_text(target)}, file_row_number = true, hive_partitioning = false)",
        None if "row_no" in names else held,
    )
    return select, facts, untidy


def _kinds_of(names: Mapping[str, str], layout: Layout) -> dict[str, str]:
    """Kinds of the columns that are read, by their names in the file."""
    return {column: layout.kinds[known] for column, known in names.items() if known in layout.kinds}


def _describe(
    path: Path,
    num_rows: int,
    print_of_file: _Fingerprint,
    rejects: pa.Table | None,
    names: Mapping[str, str],
    layout: Layout,
    facts: ColumnFacts,
    untidy: UntidyText,
    fixes: dict[str, int],
    warnings: dict[str, int],
) -> RawFile:
    """What was found in a file; a column that it lacks holds no codes."""
    read, filled = {*layout.kinds, *layout.constants}, {name: names[name] for name in names if name in facts.filled}
    absent = {*layout.kinds} - {*names.values()} - {*layout.constants}
    codes = {names[column]: codes for column, codes in untidy.codes.items()}
    return RawFile(
        path.name,
        num_rows,
        print_of_file.num_bytes,
        print_of_file.sha256,
        rejects=rejects if rejects is not None and rejects.num_rows else None,
        fixes=fixes | facts.fixes | untidy.fixes,
        warnings=warnings if num_rows else {**warnings, "W_NO_ROWS": 1},
        unused=tuple(column for column, known in filled.items() if known not in read),
        filled=frozenset(filled.values()),
        codes=codes | {name: NO_CODES for name in absent if layout.kinds[name] in KINDS_OF_CODES},
    )


def _as_text(column: str, facts: ColumnFacts, untidy: UntidyText) -> str:
    """SQL of a column as text; a column of numbers that holds none, but NaN, is null."""
    if column not in facts.filled:
        return "CAST(NULL AS VARCHAR)"
    text = untidy.tidy(column, f"CAST({quote_name(column)} AS VARCHAR)")
    return f"nullif(regexp_replace({text}, '[.]0+$', ''), 'nan')" if column in facts.whole else text


def _check_type(file: str, column: str, found: pa.DataType, kind: str) -> None:
    if pa.types.is_dictionary(found):
        found = found.value_type
    if pa.types.is_timestamp(found) and (kind != "time" or found.tz is not None):
        raise ClaimDataError(
            "E_TIMESTAMP",
            f"expected a date or text in {column} of {file}, found {found}: a zone can move its day, so write dates",
        )
    if pa.types.is_nested(found):
        raise ClaimDataError("E_SCHEMA", f"expected a plain column {column} in {file}, found {found}")


def _stage_delimited(connection: Backend, path: Path, layout: Layout, target: Path) -> tuple[_Select, RawFile]:
    if path.stat().st_size == 0:
        raise ClaimDataError("E_EMPTY_FILE", f"expected at least a header in {path.name}, found 0 bytes")
    print_of_file = _fingerprint(path)
    is_old_mac = not print_of_file.num_line_feeds and print_of_file.num_cr > 0
    readable = _with_line_feeds(path, target.with_suffix(".lines")) if is_old_mac else path
    header, has_mark = _read_header(readable, layout, path.name)
    header, unnamed = _name_columns(header)
    names, fixes, warnings = _match_header(
        path.name, [name for position, name in enumerate(header) if position not in unnamed], layout
    )
    if unnamed:
        fixes["F_HEADER"] = 1
    if has_mark:
        fixes["F_BOM"] = 1
    if num_ends := print_of_file.num_cr if is_old_mac else print_of_file.num_crlf:
        fixes["F_EOL"] = num_ends
    rejects = _parse_records(connection, readable, path.name, header, layout, target, print_of_file, is_old_mac)
    _check_unnamed(path.name, target, [header[position] for position in unnamed])
    num_rows = pq.read_metadata(target).num_rows + rejects.num_rows
    if rejects.num_rows:
        warnings["W_RAW_LINES"] = print_of_file.num_lines
    select, facts, untidy = _select_texts(path.name, target, names, layout, is_numbered=bool(rejects.num_rows))
    return select, _describe(path, num_rows, print_of_file, rejects, names, layout, facts, untidy, fixes, warnings)


def _names_columns(path: Path, layout: Layout) -> bool:
    """Whether the first line names columns of the layout, so that the file is delimited."""
    with path.open("rb") as file:
        line = file.readline(_CHUNK).removeprefix(_BYTE_ORDER_MARK).partition(b"\r")[0]
    known = {name.lower() for name in (*layout.columns, *layout.aliases)}
    words = line.decode(layout.encoding, "replace").rstrip("\n").lower().split(layout.delimiter)
    return any(word.strip().strip('"') in known for word in words)


def _stage_fixed(connection: Backend, path: Path, layout: Layout, target: Path) -> tuple[_Select, RawFile]:
    if path.stat().st_size == 0:
        raise ClaimDataError("E_EMPTY_FILE", f"expected lines in {path.name}, found 0 bytes")
    print_of_file = _fingerprint(path)
    is_old_mac = not print_of_file.num_line_feeds and print_of_file.num_cr > 0
    cut = cut_file(
        _with_line_feeds(path, target.with_suffix(".lines")) if is_old_mac else path,
        path.name,
        target,
        positions=layout.positions,
        record_lengths=layout.record_lengths,
        kinds=layout.kinds,
        encoding=layout.encoding,
    )
    present = [name for name, place in layout.positions.items() if sum(place) - 1 <= cut.record_length]
    names = dict(zip(present, present, strict=True))
    select, facts, untidy = _select_texts(path.name, target, names, layout, is_numbered=True)
    ends = print_of_file.num_cr if is_old_mac else print_of_file.num_crlf
    fixes = {code: number for code, number in (("F_BOM", int(cut.has_mark)), ("F_EOL", ends)) if number}
    warnings = {"W_RAW_LINES": print_of_file.num_lines} if cut.rejects.num_rows else {}
    return select, _describe(
        path, cut.num_rows, print_of_file, cut.rejects, names, layout, facts, untidy, fixes, warnings
    )


def _with_line_feeds(path: Path, target: Path) -> Path:
    """Copy a file whose lines end with a carriage return alone."""
    with path.open("rb") as source, target.open("wb") as sink:
        while chunk := source.read(_CHUNK):
            sink.write(chunk.replace(b"\r", b"\n"))
    return target


def _name_columns(header: Sequence[str]) -> tuple[list[str], list[int]]:
    """Name the columns without a name, as of a separator behind the last one, and say where they are."""
    unnamed = [position for position, name in enumerate(header) if not name]
    taken = {name.lower() for name in header}
    named = list(header)
    for position in unnamed:
        name = f"unnamed_{position + 1}"
        while name in taken:
            name += "_"
        named[position] = name
    return named, unnamed


def _check_unnamed(file: str, target: Path, columns: Sequence[str]) -> None:
    """Raise if a column without a name holds values; an empty one is only a separator too many."""
    if not columns:
        return
    filled = pq.read_table(target, columns=list(columns))
    num_filled = [filled.num_rows - filled[name].null_count for name in columns]
    if any(num_filled):
        raise ClaimDataError(
            "E_COLUMN",
            f"{file}: expected a name for every column that holds values, found none for "
            f"{sum(number > 0 for number in num_filled)} of them, with values in {show_count(max(num_filled))} rows: "
            "name the column in the first line, or take it out",
        )


def _parse_records(
    connection: Backend,
    path: Path,
    file: str,
    header: Sequence[str],
    layout: Layout,
    target: Path,
    print_of_file: _Fingerprint,
    is_old_mac: bool,
) -> pa.Table:
    """Write the readable rows to `target`, return the rejects, and account for every record of the file."""
    if print_of_file.has_nul and layout.encoding != "utf-8":
        raise ClaimDataError("E_LAYOUT", f"expected {layout.encoding} text in {file}, found NUL bytes")
    has_lone_cr = not is_old_mac and print_of_file.num_cr > print_of_file.num_crlf
    records = find_records(
        path,
        delimiter=layout.delimiter,
        has_quotes=bool(layout.quote),
        num_columns=len(header),
        has_lone_cr=has_lone_cr,
    )
    is_mixed = 0 < print_of_file.num_crlf < print_of_file.num_line_feeds
    broken: dict[int, bytes] = {}
    if print_of_file.has_nul or is_mixed or not records.is_readable:
        copy = target.with_suffix(".csv")
        broken = write_readable(
            path, copy, records, num_columns=len(header), delimiter=layout.delimiter, one_line_end=is_mixed
        )
        path = copy
    rejects = _parse(connection, path, file, header, layout, target)
    num_rows = pq.read_metadata(target).num_rows
    if num_rows + rejects.num_rows != records.number:
        raise ClaimDataError(
            "E_RECORDS",
            f"expected {show_count(records.number)} records in {file}, counted on its bytes, found "
            f"{show_count(num_rows)} rows and {show_count(rejects.num_rows)} lines set aside: mend quotes that "
            "open and do not close, or write the file again",
        )
    if broken:
        lines = [
            broken[number].decode(layout.encoding, "replace") if number in broken else line
            for number, line in zip(rejects["row_no"].to_pylist(), rejects["raw_line"].to_pylist(), strict=True)
        ]
        rejects = rejects.set_column(2, "raw_line", pa.array(lines, pa.string()))
    return rejects


def _read_header(path: Path, layout: Layout, name: str) -> tuple[list[str], bool]:
    with path.open("rb") as file:
        first_line = file.readline(_CHUNK)
    has_mark = first_line.startswith(_BYTE_ORDER_MARK)
    first_line = first_line.removeprefix(_BYTE_ORDER_MARK)
    if b"\x00" in first_line:
        raise ClaimDataError("E_LAYOUT", f"expected text in {name}, found binary or another encoding: write UTF-8")
    try:
        text = first_line.decode(layout.encoding)
    except UnicodeDecodeError as error:
        raise ClaimDataError(
            "E_LAYOUT", f"expected {layout.encoding} in the header of {name}, found other bytes"
        ) from error
    line = text.rstrip("\r\n").partition("\r")[0]
    header, is_split = line.split(layout.delimiter), True
    if layout.quote:
        try:
            header = next(csv.reader([line], delimiter=layout.delimiter, strict=True), [])
        except csv.Error:
            is_split = False
    if len(header) < len(layout.required):
        others = [sign for sign in _DELIMITERS if sign != layout.delimiter and text.count(sign) >= len(header)]
        if len(header) == 1 and others:
            advice = f": {layout.delimiter_advice.format(found=repr(others[0]))}" if layout.delimiter_advice else ""
            raise ClaimDataError(
                "E_LAYOUT",
                f"expected columns separated by {_DELIMITERS.get(layout.delimiter, 'the delimiter')} in {name}, "
                f"found {_DELIMITERS[others[0]]}{advice}",
            )
    if not is_split:
        raise ClaimDataError(
            "E_LAYOUT",
            f"expected the names of the columns in the first line of {name}, found one that cannot be split: write "
            "each name once, in whole quotes or in none",
        )
    return [column.strip() for column in header], has_mark


def _match_header(
    file: str, header: Sequence[str], layout: Layout
) -> tuple[dict[str, str], dict[str, int], dict[str, int]]:
    """Pair each column of the file with its name in the layout; a column that the layout lacks keeps its own name."""
    known = {name.lower(): name for name in (*layout.columns, *layout.constants)}
    known |= {alias.lower(): name for alias, name in layout.aliases.items() if name not in header}
    names = {
        column: known.get(column.lower(), f"raw_{column}" if column.lower() in _RESERVED else column)
        for column in header
    }
    if len(set(header)) < len(header) or len({name.lower() for name in names.values()}) < len(names):
        raise ClaimDataError(
            "E_COLUMN", f"{file}: expected every column once, found a name twice in the header: rename one"
        )
    if "" in header:
        raise ClaimDataError("E_COLUMN", f"{file}: expected a name for every column, found one without: name it")
    missing = [name for name in layout.required if name not in names.values()]
    if missing:
        # Where other names of the layout stand, the first line holds no values.
        spare = [] if len(missing) == len(layout.required) else [name for name in header if name.lower() not in known]
        raise ClaimDataError(
            "E_COLUMN",
            f"{file}: expected the columns {missing}, found {len(header)} other columns{did_you_mean(missing, spare)} "
            "Check that this is the right file and that its first line holds the names",
        )
    expected = [name for name in layout.columns if name in names.values()]
    found = [name for name in names.values() if name in layout.columns]
    is_renamed = any(column != name for column, name in names.items())
    fixes = {"F_HEADER": 1} if is_renamed or (layout.is_ordered and expected != found) else {}
    extra = [name for name in names.values() if name not in layout.columns and name not in layout.constants]
    return names, fixes, {"W_EXTRA_COLUMN": len(extra)} if extra else {}


def _absent(names: Mapping[str, str], layout: Layout) -> tuple[list[str], dict[str, str]]:
    """The columns of the layout that a file lacks, and those that are constant instead."""
    present = set(names.values())
    constants = {name: value for name, value in layout.constants.items() if name not in present}
    return [name for name in layout.optional if name not in present and name not in constants], constants


def _filled_in(names: Mapping[str, str], layout: Layout) -> list[str]:
    absent, constants = _absent(names, layout)
    return [f'CAST(NULL AS VARCHAR) AS "{name}"' for name in absent] + [
        f'{quote_text(value)} AS "{name}"' for name, value in constants.items()
    ]


def _fingerprint(path: Path) -> _Fingerprint:
    digest = hashlib.sha256()
    num_bytes = num_line_feeds = num_crlf = num_cr = 0
    has_nul = False
    last = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            num_bytes += len(chunk)
            num_line_feeds += chunk.count(b"\n")
            num_crlf += chunk.count(b"\r\n") + (last == b"\r" and chunk.startswith(b"\n"))
            num_cr += chunk.count(b"\r")
            has_nul = has_nul or b"\x00" in chunk
            last = chunk[-1:]
    num_lines = (num_line_feeds + (last != b"\n")) if num_line_feeds else num_cr + (last != b"\r")
    return _Fingerprint(digest.hexdigest(), num_bytes, num_lines, num_line_feeds, num_crlf, num_cr, has_nul)


def _parse(
    connection: Backend, path: Path, file: str, header: Sequence[str], layout: Layout, target: Path
) -> pa.Table:
    """Write the readable rows to `target` as strings and return the rejects: row_no, reason_code, raw_line."""
    number = next(_view_numbers)
    rejects, scans = f"rejects_{number}", f"reject_scans_{number}"
    columns, quote = ", ".join(f"{quote_text(name)}: 'VARCHAR'" for name in header), quote_text(layout.quote)
    read = (
        f"read_csv({quote_text(path)}, auto_detect = false, header = true, nullstr = '', "
        f"delim = {quote_text(layout.delimiter)}, quote = {quote}, escape = {quote}, "
        f"columns = {{{columns}}}, strict_mode = true, "
        f"null_padding = false, store_rejects = true, rejects_table = '{rejects}', rejects_scan = '{scans}', "
        f"rejects_limit = 0, hive_partitioning = false, encoding = {quote_text(layout.encoding)})"
    )
    into = f"TO {quote_text(target)} (FORMAT parquet)"
    with engine_errors(f"reading {file} (is it delimited text with one header line?)"):
        connection.raw_sql(f"COPY (SELECT * FROM {read}) {into}")
        found = _NO_REJECTS
        if connection.raw_sql(f"SELECT 1 FROM {rejects} LIMIT 1").fetchall():
            # A line can have several faults; the header is line 1.
            found = connection.con.sql(
                f"SELECT line - 1 AS row_no, first(error_type ORDER BY error_type) AS reason_code, "
                f"first(csv_line) AS raw_line FROM {rejects} GROUP BY line ORDER BY line"
            ).to_arrow_table()
            reasons = [_REJECT_REASONS.get(str(error), "R_NCOLS") for error in found["reason_code"].to_pylist()]
            found = found.set_column(1, "reason_code", pa.array(reasons, pa.string())).cast(_NO_REJECTS.schema)
            _number_rows(connection, target, rejects)
        connection.raw_sql(f"DROP TABLE IF EXISTS {rejects}; DROP TABLE IF EXISTS {scans}")
    return found


def _number_rows(connection: Backend, target: Path, rejects: str) -> None:
    """Add `row_no` to the rows, counting the rejected lines between them."""
    numbered = target.with_suffix(".numbered")
    connection.raw_sql(
        f"COPY (WITH lines AS (SELECT DISTINCT line - 1 AS row_no FROM {rejects}), "
        "numbers AS (SELECT row_no, row_number() OVER (ORDER BY row_no) AS num_rejected FROM lines), "
        "gaps AS (SELECT row_no - num_rejected AS num_before, max(num_rejected) AS num_rejected FROM numbers "
        "GROUP BY 1) "
        "SELECT rows.* EXCLUDE (file_row_number), file_row_number + 1 + coalesce(num_rejected, 0) AS row_no "
        f"FROM read_parquet({quote_text(target)}, file_row_number = true, hive_partitioning = false) AS rows "
        "ASOF LEFT JOIN gaps ON rows.file_row_number >= gaps.num_before ORDER BY row_no) "
        f"TO {quote_text(numbered)} (FORMAT parquet)"
    )
    numbered.replace(target)
