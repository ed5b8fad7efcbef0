"""Consolidation: what is valid in a staging area becomes one set of canonical tables, whichever generation it is of.

Schemas differ between sources and between years of one source (DE-SynPUF holds ICD-9 claims in wide rows, RIF lines
with a version for each code). Each generation is read by the rules of its own source into the canonical tables, which
are the one consolidated schema. `provenance/` says of each canonical row from which load and row it came, and by which
rule; the manifest says what the rules are. It is step 2 of Figure 2 of the Medicare claim encoder (Lahlou et al.).
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
import pyarrow as pa
from tqdm import tqdm

from claim_transformers.claims.engine import (
    MEMORY_LIMIT,
    connect,
    create_view,
    engine_errors,
    quote_text,
    read_batches,
    set_limits,
)
from claim_transformers.claims.ledger import MAX_QUARANTINE_SHARE, MAX_REASON_SHARE, Ledger, report_to_json
from claim_transformers.claims.sequences import PatientsWriter
from claim_transformers.claims.splits import DEFAULT_SALT
from claim_transformers.claims.store import write_folder, write_manifest, write_table
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.deliveries.staging_area import Load, Staging, stage_table
from claim_transformers.sources.pipeline.contract import RawFile, StagedSource, StagedTable
from claim_transformers.sources.pipeline.ingest import IngestSummary, describe_run, settle_tables
from claim_transformers.sources.registry import find_source

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

_PROVENANCE_SCHEMA = pa.schema(
    [
        pa.field("table", pa.string(), nullable=False),
        pa.field("data_source", pa.string(), nullable=False),
        pa.field("patient_id", pa.string(), nullable=False),
        ("claim_id", pa.string()),
        ("claim_line_number", pa.int32()),
        ("enrollment_start_date", pa.date32()),
        pa.field("load_id", pa.int64(), nullable=False),
        pa.field("row_no", pa.int64(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
    ]
)
_SUFFIX = ".parquet"
# Of exported files: the number that a row had in its raw file, where lines that could not be split left gaps.
_ROW_NO = "LOAD_ROW_NO"


@dataclass
class _Traced:
    """The lines of one raw table as they were published, kept for the provenance."""

    table: StagedTable
    source: str
    rule: str
    lines: ir.Table | None = None


def consolidate(
    staging: Staging,
    out: str | Path,
    *,
    overwrite: bool = False,
    max_quarantine_share: float = MAX_QUARANTINE_SHARE,
    max_reason_share: float = MAX_REASON_SHARE,
    extract_date: dt.date | None = None,
    salt: str = DEFAULT_SALT,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    threads: int | None = None,
    memory_limit: str | None = MEMORY_LIMIT,
    progress: bool = True,
) -> IngestSummary:
    """Publish canonical tables, quarantine, report, patients and provenance of everything that is valid.

    Args:
        staging (`Staging`): The staging area.
        out (`str` or `Path`): The folder to publish; it appears whole or not at all.
        overwrite (`bool`, *optional*, defaults to `False`): Whether an ingested folder at `out` may be replaced.
        max_quarantine_share (`float`, *optional*, defaults to `0.05`): Largest share of a load in quarantine.
        max_reason_share (`float`, *optional*, defaults to `0.01`): The same for a single reason.
        extract_date (`datetime.date`, *optional*):
            Day of the extract; later services go to quarantine, other dates after it are unknown.
        salt (`str`, *optional*): Salt of the split by patient.
        options (`Mapping[str, Mapping[str, Any]]`, *optional*): Options of a source by its name, such as
            `{"cms-rif": {"keep_denied": True}}`.
        threads (`int`, *optional*): As of [`sources.pipeline.ingest.ingest`], here also of the engine of `staging`.
        memory_limit (`str`, *optional*, defaults to `"1GB"`): The same.
        progress (`bool`, *optional*, defaults to `True`): Whether to show a progress bar.

    Returns:
        `IngestSummary`: Counts by load; `print` shows them.

    Raises:
        ValueError: If options name a source of which nothing is staged.
        ClaimDataError: `E_NO_FILE` if nothing is valid or a source has no claims, and what
            [`sources.pipeline.ingest.ingest`] raises.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Staging(Path(folder, "staging.duckdb")) as staging:
        ...     consolidate(staging, Path(folder, "out"), progress=False)
        Traceback (most recent call last):
        claim_transformers.codes.errors.ClaimDataError: E_NO_FILE: expected valid loads in staging.duckdb, found none
    """
    valid = [load for load in staging.loads() if load.is_valid]
    if not valid:
        raise ClaimDataError("E_NO_FILE", f"expected valid loads in {staging.path.name}, found none")
    with (
        write_folder(out, overwrite=overwrite) as folder,
        PatientsWriter(folder, salt=salt) as writer,
        tqdm(total=6, desc="consolidate", disable=not progress) as bar,
    ):
        scratch = folder / ".scratch"
        scratch.mkdir()
        connection = connect(threads=threads, memory_limit=memory_limit, spill_folder=scratch / "spill")
        set_limits(staging.connection, threads, memory_limit)
        try:
            exported = _export_loads(staging, valid, scratch / "loads")
            traced, staged = _read_sources(connection, staging, exported, scratch, dict(options or {}))
            ledger = Ledger()
            lines = settle_tables(
                connection, staged, folder, ledger, bar, max_quarantine_share, max_reason_share, extract_date, writer
            )
            _write_provenance(connection, traced, folder / "provenance")
        finally:
            connection.disconnect()
        shutil.rmtree(scratch)
        has_claims = bool(lines.get("claim_line") or lines.get("rx_claim"))
        silent = {one.source for one in traced if not one.table.has_spans}
        names = {one.source for one in traced}
        source = next(iter(names)) if len(names) == 1 else None
        patients = None
        if has_claims:
            patients, _ = writer.write(extract_date=extract_date, source=source, without_enrollment=silent)
        report = {**ledger.to_dict(), "last_day": patients and patients.last_day}
        (folder / "quality_report.json").write_text(report_to_json(report), encoding="utf-8")
        manifest = describe_run(staged, lines, patients, salt)
        rules = {one.rule: {"table": one.table.name, "target": one.table.target} for one in traced}
        write_manifest(folder, {**manifest, "loads": [vars(load) for load in valid], "rules": rules})
    return IngestSummary(Path(out), report, lines, patients)


def _name_load(load: Load) -> str:
    """Name a load as messages, reports and the quarantine name it."""
    return f"{load.file_name} (load {load.load_id})"


def _export_loads(staging: Staging, loads: Sequence[Load], folder: Path) -> dict[str, Load]:
    """Write the rows of each load to a parquet file, in the order of the raw file, one folder per source."""
    for load in loads:
        target = folder / load.source / f"{_name_load(load)}{_SUFFIX}"
        target.parent.mkdir(parents=True, exist_ok=True)
        table = staging.connection.table(stage_table(load.source, load.table))
        rows = table.filter(table.load_id == load.load_id).order_by("row_no")
        rows = rows.select(*staging.raw_columns(load), **{_ROW_NO: table.row_no})
        with engine_errors(f"reading load {load.load_id}"):
            # The number tells files apart that differ in their line ends alone: their rows are duplicates, counted.
            staging.connection.raw_sql(
                f"COPY ({staging.connection.compile(rows)}) TO {quote_text(target)} "
                f"(FORMAT parquet, KV_METADATA {{load: '{load.load_id}'}})"
            )
    return {_name_load(load): load for load in loads}


def _read_sources(
    connection: Backend,
    staging: Staging,
    exported: Mapping[str, Load],
    scratch: Path,
    options: dict[str, Mapping[str, Any]],
) -> tuple[list[_Traced], StagedSource]:
    """Read each source by its own rules; tables and rows say which source they are of."""
    names = list(dict.fromkeys(load.source for load in exported.values()))
    if unknown := sorted(set(options) - set(names)):
        raise ValueError(f"expected options of the sources {names}, found {unknown}")
    traced: list[_Traced] = []
    facts: dict[str, Any] = {}
    for name in names:
        own = scratch / name
        own.mkdir()
        source = find_source(name)
        own_options = options.get(name, {})
        source.check_options(own_options)
        try:
            staged = source.reader()(scratch / "loads" / name, connection, scratch=own, **own_options)
        except ClaimDataError as error:
            if error.reason_code != "E_NO_FILE":
                raise
            found = ", ".join(loaded for loaded, load in exported.items() if load.source == name)
            raise ClaimDataError(
                "E_NO_FILE", f"expected claims of {name} in {staging.path.name}, found {found} alone: stage its claims"
            ) from None
        facts[name] = dict(staged.description)
        for raw_table in staged.tables:
            table = _as_received(connection, raw_table, staging, exported)
            rule = f"{name}/{table.name}"
            one = _Traced(replace(table, name=f"{name.replace('-', '_')}_{table.name}"), name, rule)
            # The provenance is of lines, which folded rows have not become when they are published.
            one.table = replace(one.table, to_canonical=partial(_of_source, one, table.to_canonical), to_folded=None)
            traced.append(one)
    # Eligibility first, because claims of every source are checked against it.
    tables = sorted((one.table for one in traced), key=lambda table: table.target != "eligibility")
    return traced, StagedSource("consolidated", tuple(tables), facts)


def _as_received(
    connection: Backend, table: StagedTable, staging: Staging, exported: Mapping[str, Load]
) -> StagedTable:
    """Give rows and files of a table the names and the numbers they had, and what the reader of the raw file said."""
    rows = table.rows
    name = rows.source_file.substr(0, rows.source_file.length() - len(_SUFFIX))
    rows = rows.mutate(source_file=name, row_no=rows[_ROW_NO].cast("int64")).drop(_ROW_NO)
    rows = create_view(connection, f"received_{table.rows.get_name()}", rows)
    files: list[RawFile] = []
    for file in table.files:
        load = exported[file.name.removesuffix(_SUFFIX)]
        is_copy = any(other.sha256 == load.sha256 and other.num_rows for other in files)
        warnings = {**load.warnings, **({"W_FILE_TWICE": 1} if is_copy else {})}
        rejects = staging.rejects(load)
        files.append(
            RawFile(
                _name_load(load),
                load.num_rows,
                load.num_bytes,
                load.sha256,
                rejects=rejects if rejects.num_rows else None,
                fixes=load.fixes,
                warnings=warnings,
                unused=tuple(column for column in file.unused if column != _ROW_NO),
            )
        )
    return replace(table, rows=rows, files=tuple(files))


def _of_source(one: _Traced, to_canonical: Callable[[ir.Table], ir.Table], rows: ir.Table) -> ir.Table:
    lines = to_canonical(rows)
    if "data_source" not in lines.columns:
        lines = lines.mutate(data_source=ibis.literal(one.source))
    one.lines = lines
    return lines


def _trace_lines(lines: ir.Table, target: str, rule: str) -> ir.Table:
    """Say of each canonical line which row of which load gave it, and by which rule."""

    def column(name: str, kind: str) -> ir.Value:
        return lines[name].cast(kind) if name in lines.columns else ibis.null(kind)

    return lines.select(
        table=ibis.literal(target),
        data_source=lines.data_source,
        patient_id=lines.patient_id,
        claim_id=column("claim_id", "string"),
        claim_line_number=column("claim_line_number", "int32"),
        enrollment_start_date=column("enrollment_start_date", "date"),
        load_id=lines.source_file.re_extract("[(]load ([0-9]+)[)]$", 1).cast("int64"),
        row_no=lines.row_no.cast("int64"),
        rule=ibis.literal(rule),
    )


def _write_provenance(connection: Backend, traced: list[_Traced], folder: Path) -> None:
    if untraced := [one.rule for one in traced if one.lines is None]:
        raise RuntimeError(f"expected the lines of every raw table, found none of {', '.join(untraced)}")
    parts = [_trace_lines(one.lines, one.table.target, one.rule) for one in traced if one.lines is not None]
    every = parts[0] if len(parts) == 1 else ibis.union(*parts, distinct=False)
    with engine_errors("writing provenance"):
        ordered = every.order_by(_PROVENANCE_SCHEMA.names)
        batches = read_batches(connection, ordered)
        write_table(folder, _PROVENANCE_SCHEMA, (pa.Table.from_batches([batch]) for batch in batches))
