"""Files of resources: lines of a bulk export, bundles and single resources, each read once.

A line or a document that is no JSON, or no resource, goes to quarantine (`R_JSON`) with its file and number. How many
lines there are is counted on the bytes of the file, and how many claim lines a resource has on its text, so that what
the reader loses does not go unseen.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from claim_transformers.claims.engine import engine_errors
from claim_transformers.claims.inputs import check_inputs
from claim_transformers.claims.small_cells import show_count
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.fhir_eob.extraction import claim_rows_sql
from claim_transformers.sources.formats.fhir_eob.mapping import DIALECTS
from claim_transformers.sources.formats.fhir_eob.paths import quote_text
from claim_transformers.sources.pipeline.archives import unpack
from claim_transformers.sources.pipeline.reading import describe_place

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

_LINES, _DOCUMENTS = (".ndjson", ".ndjson.gz", ".jsonl", ".jsonl.gz"), (".json", ".json.gz")
# Files beyond so many are counted together, because planning grows with the number of files.
_MAX_NAMED = 20
_BYTES_PER_BATCH = 1 << 26
_MAX_RESOURCE = 1 << 25
_MAX_DOCUMENT = 1 << 29
_CHUNK = 1 << 22
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
EOB, PEOPLE = "ExplanationOfBenefit", ("Patient", "Coverage")
_OUTCOME = "OperationOutcome"
# What the rows of a resource are numbered in, and what else of it is kept.
# Each text is parsed as seldom as can be: only a bundle or an array is looked into.
_RESOURCES = """
(SELECT document, row_number() OVER () AS resource_no, line_no, next_page, resource,
    CASE WHEN is_several THEN json_extract_string(resource, '$.resourceType') ELSE kind_of_text END AS kind
FROM (
    SELECT document, line_no, kind_of_text, is_bundle OR is_array AS is_several,
        CASE WHEN is_bundle THEN list_contains(json_extract_string(text, '$.link[*].relation'), 'next') ELSE false END
            AS next_page,
        unnest(CASE
            WHEN is_bundle THEN json_extract(text, '$.entry[*].resource')
            WHEN is_array THEN json_extract(text, '$[*]')
            ELSE [text] END) AS resource
    FROM (
        SELECT *, coalesce(kind_of_text = 'Bundle', false) AS is_bundle,
            CASE WHEN kind_of_text IS NULL THEN coalesce(json_type(text) = 'ARRAY', false) ELSE false END AS is_array
        FROM (SELECT *, json_extract_string(text, '$.resourceType') AS kind_of_text FROM {texts})
    )
))"""


@dataclass
class RawResources:
    """Resources of one file, or of several that are counted together."""

    name: str
    files: list[Path] = field(default_factory=list)
    unpacked: list[Path] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    num_bytes: int = 0
    num_lines: int = 0
    fixes: dict[str, int] = field(default_factory=dict)
    parts: list[Path] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        """Hash of the content, of several files that of their hashes."""
        if len(self.digests) == 1:
            return self.digests[0]
        return hashlib.sha256("".join(sorted(self.digests)).encode()).hexdigest()


def stage_resources(connection: Backend, path: Path, scratch: Path) -> list[RawResources]:
    """Turn every resource at a path into rows, one parquet file for each raw file or batch of documents."""
    groups = list_groups(path)
    for number, group in enumerate(groups):
        write_group(connection, group, number, scratch)
    check_resources_differ(groups)
    return groups


def list_groups(path: Path, *, max_named: int = _MAX_NAMED) -> list[RawResources]:
    """List the files at a path, some to be counted together."""
    return _group(_find_files(path), max_named)


def write_group(connection: Backend, group: RawResources, number: int, scratch: Path) -> None:
    """Turn every resource of some files into rows."""
    first = 0
    for texts in _texts_of(connection, group, scratch):
        part = scratch / f"resources-{number:05d}-{len(group.parts):05d}.parquet"
        first += _write_rows(connection, texts, group, part, first)


def _find_files(path: Path) -> list[Path]:
    candidates = [path] if path.is_file() else sorted(path.iterdir()) if path.is_dir() else []
    known = (*_LINES, *_DOCUMENTS, ".zip")
    found = [one for one in candidates if one.is_file() and one.name.lower().endswith(known) and one.name[0] != "."]
    if not found:
        raise ClaimDataError(
            "E_NO_FILE",
            f"expected resources of FHIR at {path}, such as ExplanationOfBenefit.ndjson or bundle.json, found "
            f"{describe_place(path, sum(one.is_file() for one in candidates))}",
        )
    return found


def _group(files: Sequence[Path], max_named: int) -> list[RawResources]:
    """Files that are counted by themselves, and documents, or very many files, together."""
    lines = [file for file in files if not file.name.lower().endswith(_DOCUMENTS)]
    documents = [file for file in files if file not in {*lines}]
    if len(lines) <= max_named:
        groups = [RawResources(file.name, [file]) for file in lines]
    else:
        groups = [RawResources("*.ndjson", lines)]
    if documents:
        groups.append(RawResources(documents[0].name if len(documents) == 1 else "*.json", documents))
    return groups


def _texts_of(connection: Backend, group: RawResources, scratch: Path) -> Iterator[str]:
    """SQL of the texts of a group (`document`, `line_no`, `text`), so many at once as the memory holds."""
    documents: list[tuple[str, bytes]] = []
    of_lines: list[Path] = []
    for file in group.files:
        for raw in unpack(check_inputs(file), scratch):
            _measure(raw, group)
            group.unpacked.append(raw)
            if raw.name.lower().endswith(_LINES):
                of_lines.append(_without_mark(raw, group, scratch))
                continue
            documents.append((raw.name, raw.read_bytes()))
            if sum(len(content) for _, content in documents) >= _BYTES_PER_BATCH:
                yield _load_documents(connection, documents)
                documents = []
    if documents:
        yield _load_documents(connection, documents)
    if of_lines:
        yield _lines_sql(of_lines)


def _measure(raw: Path, group: RawResources) -> None:
    """Enter size, hash and number of lines of a file."""
    digest, num_bytes, num_ends, last = hashlib.sha256(), 0, 0, b""
    with raw.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            num_bytes += len(chunk)
            num_ends += chunk.count(b"\n")
            last = chunk[-1:]
    if not num_bytes:
        raise ClaimDataError("E_EMPTY_FILE", f"expected resources in {raw.name}, found 0 bytes")
    is_document = not raw.name.lower().endswith(_LINES)
    if is_document and num_bytes > _MAX_DOCUMENT:
        raise ClaimDataError(
            "E_INPUT", f"expected at most {_MAX_DOCUMENT:,} bytes in {raw.name}: write one resource a line (.ndjson)"
        )
    group.digests.append(digest.hexdigest())
    group.num_bytes += num_bytes
    group.num_lines += 1 if is_document else num_ends + (last != b"\n")


def _without_mark(raw: Path, group: RawResources, scratch: Path) -> Path:
    """The file itself, or a copy without its byte-order mark, which the engine would take for a part of the JSON."""
    with raw.open("rb") as source:
        if source.read(len(_BYTE_ORDER_MARK)) != _BYTE_ORDER_MARK:
            return raw
        group.fixes["F_BOM"] = group.fixes.get("F_BOM", 0) + 1
        unmarked = scratch / "unmarked" / raw.name
        unmarked.parent.mkdir(exist_ok=True)
        with unmarked.open("wb") as sink:
            shutil.copyfileobj(source, sink, _CHUNK)
    return unmarked


def _lines_sql(files: Sequence[Path]) -> str:
    """SQL of all lines of some files, numbered through."""
    listed = ", ".join(quote_text(str(file)) for file in files)
    return (
        "(SELECT parse_filename(filename) AS document, row_number() OVER () AS line_no, json AS text FROM "
        f"read_ndjson_objects([{listed}], filename = true, hive_partitioning = false, ignore_errors = true, "
        f"maximum_object_size = {_MAX_RESOURCE}))"
    )


def _load_documents(connection: Backend, documents: Sequence[tuple[str, bytes]]) -> str:
    """Load documents into the engine, null where one is no JSON, and give the SQL of their texts."""
    texts = [_decode(content) for _, content in documents]
    table = pa.table(
        {
            "document": pa.array([name for name, _ in documents], pa.string()),
            "line_no": pa.array(range(1, len(documents) + 1), pa.int64()),
            "raw": pa.array(texts, pa.string()),
        }
    )
    connection.con.register("arrow_documents", table)
    return (
        "(SELECT document, line_no, CASE WHEN json_valid(raw) THEN CAST(raw AS JSON) END AS text FROM arrow_documents)"
    )


def _decode(content: bytes) -> str | None:
    try:
        return content.removeprefix(_BYTE_ORDER_MARK).decode("utf-8")
    except UnicodeDecodeError:
        return None


def _resource_rows_sql(texts: str, names: Sequence[str] = DIALECTS) -> str:
    """Write the statement that turns texts into rows: claim lines, and people and what is no resource as they are."""
    return claim_rows_sql(_RESOURCES.format(texts=texts), names)


def _write_rows(connection: Backend, texts: str, group: RawResources, part: Path, first: int) -> int:
    """Write the rows of some texts to a parquet file, numbered after the `first` of the group, and count them."""
    rows = (
        f"SELECT {quote_text(group.name)} AS source_file, {first} + row_number() OVER () AS row_no, * "
        f"FROM ({_resource_rows_sql(texts)})"
    )
    with engine_errors(f"reading {group.name}"):
        connection.raw_sql(f"COPY ({rows}) TO {quote_text(str(part))} (FORMAT parquet)")
    group.parts.append(part)
    return int(pq.read_metadata(part).num_rows)


def check_resources_differ(groups: Sequence[RawResources]) -> None:
    """Raise if two files have the same content: counting claims twice is not dirt but a mistake."""
    seen: dict[str, str] = {}
    for group in groups:
        for digest in group.digests:
            if digest in seen:
                raise ClaimDataError(
                    "E_FILE_TWICE", f"two files of {seen[digest]} and {group.name} have the same content: remove one"
                )
            seen[digest] = group.name


def check_lines(group: RawResources, num_read: int) -> None:
    """Raise if the reader found another number of lines than stand in the files; blank ones do not count."""
    expected = group.num_lines
    if expected != num_read:
        expected = sum(_num_filled(file) for file in group.unpacked)
    if expected != num_read:
        raise ClaimDataError(
            "E_RECORDS",
            f"expected {show_count(expected)} lines of {group.name} to be read, found {show_count(num_read)}",
        )


def _num_filled(file: Path) -> int:
    """Lines of a file that are not blank; a document is one."""
    if not file.name.lower().endswith(_LINES):
        return 1
    with file.open("rb") as lines:
        return sum(bool(line.strip()) for line in lines)


def read_rejected(group: RawResources, found: pa.Table) -> pa.Table:
    """Rows of what is no JSON or no resource, as the quarantine takes them.

    `found` has `row_no`, `document` and `line_no`, the number of the line in its file.
    """
    lines: dict[tuple[str, int], str] = {}
    for file in group.unpacked:
        of_file = found.filter(pc.equal(found["document"], file.name))["line_no"].to_pylist()
        lines |= {(file.name, number): text for number, text in _lines_at(file, {*of_file}).items()}
    places = zip(found["document"].to_pylist(), found["line_no"].to_pylist(), strict=True)
    return pa.table(
        {
            "row_no": found["row_no"].combine_chunks(),
            "reason_code": pa.array(["R_JSON"] * len(found), pa.string()),
            "document": found["document"].combine_chunks(),
            "raw_line": pa.array([lines.get(place) for place in places], pa.string()),
        }
    )


def _lines_at(file: Path, wanted: set[int]) -> dict[int, str]:
    """Text of some lines of a file of lines; a document is too long to be written again."""
    if not wanted or not file.name.lower().endswith(_LINES):
        return {}
    with file.open("rb") as lines:
        filled = (line for line in lines if line.strip())
        found = {number: line for number, line in enumerate(filled, start=1) if number in wanted}
    return {number: line.decode("utf-8", "replace").rstrip("\r\n") for number, line in found.items()}
