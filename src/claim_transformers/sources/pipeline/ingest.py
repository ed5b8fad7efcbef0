"""Ingest: from a raw source to an ingested folder, the same way for every source."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
from tqdm import tqdm

from claim_transformers.claims.assembly import PatientCounts
from claim_transformers.claims.code_coverage import coverage_rows
from claim_transformers.claims.engine import MEMORY_LIMIT, connect, set_limits
from claim_transformers.claims.inputs import check_inputs
from claim_transformers.claims.ledger import MAX_QUARANTINE_SHARE, MAX_REASON_SHARE, Ledger, report_to_json, show_entry
from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.claims.sequences import CLAIM_TABLES, PatientsWriter
from claim_transformers.claims.small_cells import HIDDEN, MIN_SHOWN, show, show_count, show_part
from claim_transformers.claims.splits import DEFAULT_SALT
from claim_transformers.claims.store import write_folder, write_manifest
from claim_transformers.sources.pipeline.archives import MAX_EXPANSION, allow_expansion
from claim_transformers.sources.pipeline.contract import RawLocation, StagedSource
from claim_transformers.sources.pipeline.drug_names import (
    NO_DRUG_NAMES,
    DrugNames,
    count_drugs,
    describe_drugs,
    read_drug_names,
    write_drug_names,
)
from claim_transformers.sources.pipeline.eligibility import read_people, settle_eligibility
from claim_transformers.sources.pipeline.publishing import begin_patients, complete_lines, publish_lines
from claim_transformers.sources.pipeline.screening import ScreenedTable, screen_table, write_quarantine
from claim_transformers.sources.registry import Source, find_source, load_function
from claim_transformers.version import __version__

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend


_FEW_BYTES = 1 << 22


@dataclass(frozen=True)
class IngestSummary:
    """What an ingest did, printable as a table without counts of 1 to 10, or what gives them away; the report has all.

    Args:
        out (`Path`): The published folder.
        report (`Mapping[str, Any]`): Content of `quality_report.json`.
        lines (`Mapping[str, int]`): Lines of each canonical table.
        patients (`PatientCounts`, *optional*): Patients and visits, none if the source has no claims.

    Examples:
        >>> totals = {"files": [], "codes": {}, "code_coverage": [], "unused_columns": {}, "denials": {}}
        >>> print(IngestSummary(Path("out"), totals, {"claim_line": 0}, None))
        raw file   type   rows in   rows out   quarantined   dropped   netted out
        0 lines of claim_line in out
        no claims, so no patients
    """

    out: Path
    report: Mapping[str, Any]
    lines: Mapping[str, int]
    patients: PatientCounts | None

    def __str__(self) -> str:
        table = [("raw file", "type", "rows in", "rows out", "quarantined", "dropped", "netted out")]
        hides_lines = False
        for entry in self.report["files"]:
            cells = show_entry(entry)
            hides_lines |= isinstance(cells[1], str)
            table.append((entry["source_file"], entry["claim_type"], *map(show, cells)))
        text = _align(table)
        if coverage := self.report["code_coverage"]:
            text += ["", *_align(coverage_rows(coverage)), ""]
        text += _describe_notes(self.report)
        if drugs := self.report.get("drugs"):
            text.append(describe_drugs(drugs))
        # Where rows of a file are hidden, lines of its table would give them away.
        written = ", ".join(
            f"{HIDDEN if hides_lines and number >= MIN_SHOWN else show_count(number)} lines of {name}"
            for name, number in self.lines.items()
        )
        text.append(f"{written} in {self.out}")
        if self.patients is None:
            text.append("no claims, so no patients")
        else:
            left_out = self.patients.patients_without_visits
            others = f"; {show_count(left_out)} patients without a visit are left out" if left_out else ""
            text.append(
                f"{show_count(self.patients.patients)} patients with {show_count(self.patients.visits)} visits{others}"
            )
            text.append(f"the last day of the data is {self.patients.last_day}")
            none, unknown = self.patients.patients_without_enrollment, self.patients.patients_of_unknown_enrollment
            if none or unknown:
                parts = [show(show_part(number, self.patients.patients)) for number in (none, unknown)]
                text.append(f"of these, {parts[0]} without any enrolment and {parts[1]} of whom no source tells it")
        return "\n".join(text)


def _describe_notes(report: Mapping[str, Any]) -> list[str]:
    """What was repaired, kept with a warning or left out, by code, over all files and code systems."""
    systems = report["codes"].values()
    notes = {
        "repaired": [*(entry["fixes"] for entry in report["files"]), *(facts["fixes"] for facts in systems)],
        "kept, with a warning": [
            *(entry["warnings"] for entry in report["files"]),
            *(facts["warnings"] for facts in systems),
        ],
        "codes left out": [facts["quarantined"] for facts in systems],
    }
    totals: dict[str, Counter[str]] = {what: sum(map(Counter, counts), Counter()) for what, counts in notes.items()}
    lines = [
        f"{what}: {', '.join(f'{show_count(number)} {code}' for code, number in sorted(total.items()))}"
        for what, total in totals.items()
        if total
    ]
    if lines:
        lines.append("what the codes mean is in docs/quality.md, where they were found in quality_report.json")
    if unused := report["unused_columns"]:
        number = sum(map(len, unused.values()))
        lines.append(f"columns that hold values and are not used: {number:,}; quality_report.json names them, by file")
    if silent := [table for table, columns in report["denials"].items() if not columns]:
        lines.append(f"no column says which claims were denied in {', '.join(silent)}")
    return [*lines, ""] if lines else []


def _align(table: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text in columns, the first two to the left and the numbers to the right."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return [
        "   ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def ingest(
    source: str,
    path: RawLocation,
    out: str | Path,
    *,
    overwrite: bool = False,
    max_quarantine_share: float = MAX_QUARANTINE_SHARE,
    max_reason_share: float = MAX_REASON_SHARE,
    extract_date: dt.date | None = None,
    ndc_directory: str | Path | None = None,
    salt: str = DEFAULT_SALT,
    threads: int | None = None,
    memory_limit: str | None = MEMORY_LIMIT,
    max_expansion: int = MAX_EXPANSION,
    progress: bool = True,
    **options: Any,
) -> IngestSummary:
    """Read a raw source and publish canonical tables, quarantine, quality report and patients.

    Args:
        source (`str`): A name in `sources.registry.sources`.
        path (`str`, `Path` or `ibis.BaseBackend`, *optional*):
            The raw files, or a warehouse if the source reads one. A source of public files may fetch them without.
        out (`str` or `Path`): The folder to publish; it appears whole or not at all.
        overwrite (`bool`, *optional*, defaults to `False`): Whether an ingested folder at `out` may be replaced.
        max_quarantine_share (`float`, *optional*, defaults to `0.05`): Largest share of a file in quarantine.
        max_reason_share (`float`, *optional*, defaults to `0.01`): The same for a single reason.
        extract_date (`datetime.date`, *optional*):
            Day of the extract; later services go to quarantine, other dates after it are unknown.
        ndc_directory (`str` or `Path`, *optional*):
            The FDA's NDC directory (`product.txt` or its zip file), an address of it, `"-"` for that of the FDA, or a
            table of `ndc9` and `ingredient`: a fill that it lists stands on its visit as `DRUG/...`, its ingredient.
            A simulated population brings such a table, which is read by itself; `"none"` leaves every fill its NDC.
        salt (`str`, *optional*, defaults to `"claim-transformers"`): Salt of the split by patient.
        threads (`int`, *optional*): Threads of the engine; if not given one for each 250 MB, at most all cores.
        memory_limit (`str`, *optional*, defaults to `"1GB"`):
            Memory of the engine, which spills to the disk of `out`; the process takes less than twice as much. Without
            a limit the engine takes what the machine has.
        max_expansion (`int`, *optional*, defaults to 100):
            How many times as large as itself an archive may become, beyond 64 MiB.
        progress (`bool`, *optional*, defaults to `True`): Whether to show a progress bar.
        options: Options of the source.

    Returns:
        `IngestSummary`: Counts; `print` shows them as a table.

    Raises:
        ValueError: If the source is unknown or does not know an option.
        ClaimDataError: If the input cannot be used as claims or the output cannot be written. Nothing is published.

    Examples:
        >>> ingest("synpuf", "/nowhere", "/tmp/claims-of-nowhere", progress=False)
        Traceback (most recent call last):
            ...
        claim_transformers.codes.errors.ClaimDataError: E_NO_FILE: expected DE-SynPUF files at /nowhere, ...
    """
    registered = find_source(source)
    registered.check_options(options)
    if isinstance(path, str | Path):
        check_inputs(path)
    drugs = drugs_of(registered, path, ndc_directory)
    if registered.publish is not None:
        given = options | {"max_quarantine_share": max_quarantine_share, "max_reason_share": max_reason_share}
        given |= {"overwrite": overwrite, "extract_date": extract_date, "salt": salt, "progress": progress}
        published: IngestSummary = load_function(registered.publish)(path, out, **given)
        return published
    reader = registered.reader()
    with (
        write_folder(out, overwrite=overwrite) as folder,
        PatientsWriter(folder, salt=salt, drug_names=None if drugs is None else drugs.names) as writer,
        tqdm(total=6, desc=source, disable=not progress) as bar,
    ):
        scratch = folder / ".scratch"
        scratch.mkdir()
        connection = connect(threads=threads, memory_limit=memory_limit, spill_folder=scratch / "spill")
        try:
            bar.set_postfix_str("reading")
            if threads is None and _is_small(path):
                # Threads of few rows do little but wait for each other.
                set_limits(connection, 1)
            with allow_expansion(max_expansion):
                staged = reader(path, connection, scratch=scratch, **options)
            bar.update()
            _fit_engine(connection, staged, threads)
            ledger = Ledger()
            lines = settle_tables(
                connection, staged, folder, ledger, bar, max_quarantine_share, max_reason_share, extract_date, writer
            )
        finally:
            connection.disconnect()
        shutil.rmtree(scratch)
        bar.set_postfix_str("patients")
        has_claims = any(lines.get(name) for name in ("claim_line", "rx_claim"))
        patients = _write_patients(writer, staged, extract_date) if has_claims else None
        bar.update()
        report = write_facts(folder, path, staged, ledger, lines, patients, drugs, salt)
    return IngestSummary(Path(out), report, lines, patients)


def _fit_engine(connection: Backend, staged: StagedSource, threads: int | None) -> None:
    """Give the engine what many rows need, or few."""
    if all(table.has_few_rows for table in staged.tables):
        # To make a query faster takes longer than to run it.
        connection.raw_sql("PRAGMA disable_optimizer")
    elif threads is None:
        set_limits(connection)


def write_facts(
    folder: Path,
    path: RawLocation,
    staged: StagedSource,
    ledger: Ledger,
    lines: Mapping[str, int],
    patients: PatientCounts | None,
    drugs: DrugNames | None,
    salt: str,
) -> dict[str, Any]:
    """Write the names of drugs, the report and the manifest beside the tables of a folder, and give the report."""
    write_drug_names(folder, drugs)
    report = {**ledger.to_dict(), "last_day": patients and patients.last_day, "drugs": count_drugs(folder, drugs)}
    (folder / "quality_report.json").write_text(report_to_json(report), encoding="utf-8")
    write_manifest(folder, describe_run(staged, lines, patients, salt) | {"simulation": _simulation_of(path)})
    return report


def _is_small(path: RawLocation) -> bool:
    """Whether raw files can be expected to hold few rows."""
    if not isinstance(path, str | Path):
        return False
    place = Path(path)
    files = [*place.iterdir()] if place.is_dir() else [place]
    # A dead link, such as the lock of an editor, is no file. Rows of a mapping, an address or folders lie elsewhere.
    sizes = [file.stat().st_size for file in files if file.is_file() and file.suffix not in (".yaml", ".yml")]
    return bool(sizes) and sum(sizes) <= _FEW_BYTES and not any(file.is_dir() for file in files)


def drugs_of(source: Source, path: RawLocation, ndc_directory: str | Path | None) -> DrugNames | None:
    """Read the names of drugs that were given, or that lie beside the raw files."""
    if str(ndc_directory) == NO_DRUG_NAMES:
        return None
    if ndc_directory is None:
        own = Path(path, source.drug_table) if source.drug_table and isinstance(path, str | Path) else None
        return read_drug_names(own) if own is not None and own.is_file() else None
    if source.publish is not None:
        raise ValueError(f"expected no ndc_directory for {source.name!r}, which has no fills by NDC, found one")
    return read_drug_names(ndc_directory)


def _write_patients(writer: PatientsWriter, staged: StagedSource, extract_date: dt.date | None) -> PatientCounts:
    silent = {staged.name} if any(not table.has_spans for table in staged.tables) else ()
    return writer.write(extract_date=extract_date, source=staged.name, without_enrollment=silent)[0]


def _simulation_of(path: RawLocation) -> dict[str, Any] | None:
    """Version and seed of the simulation that wrote the raw files; `None` where nothing says that one did."""
    if not isinstance(path, str | Path) or not (file := Path(path) / "simulation.json").is_file():
        return None
    content = json.loads(file.read_text(encoding="utf-8"))
    return {"version": content["simulation_version"], "seed": content["seed"]}


def settle_tables(
    connection: Backend,
    staged: StagedSource,
    folder: Path,
    ledger: Ledger,
    bar: Any,
    max_quarantine_share: float,
    max_reason_share: float,
    extract_date: dt.date | None,
    patients: PatientsWriter,
) -> dict[str, int]:
    """Screen every table of a source and write the canonical tables and the quarantine.

    The patients table gets lines as they are written, unless these are so few that it reads them faster.
    """
    lines: dict[str, int] = {}
    screened: list[ScreenedTable] = []
    bar.set_postfix_str("eligibility")
    for table in staged.tables:
        if table.target == "eligibility":
            screened.append(screen_table(connection, table, ledger))
    screened = settle_eligibility(connection, screened, ledger, extract_date, staged.latest_start)
    complete = partial(complete_lines, connection, ledger=ledger, source=staged.name, extract_date=extract_date)
    spans = complete("eligibility", screened)
    lines["eligibility"] = publish_lines(connection, spans, folder, ledger) if spans else 0
    if screened and not lines["eligibility"]:
        # A table without rows says that nobody was enrolled; no table says nothing.
        (folder / "eligibility").mkdir()
        pq.write_table(SCHEMAS["eligibility"].empty_table(), folder / "eligibility" / "part-00000.parquet")
    people = read_people(connection, folder) if screened else None
    has_spans = any(one.table.has_spans for one in screened)
    bar.update()
    bar.set_postfix_str("checks")
    for table in staged.tables:
        if table.target != "eligibility":
            screened.append(
                screen_table(connection, table, ledger, people=people, has_spans=has_spans, extract_date=extract_date)
            )
    ledger.check_rates(max_quarantine_share=max_quarantine_share, max_reason_share=max_reason_share)
    write_quarantine(connection, screened, folder / "quarantine")
    bar.update()
    tables = {target: complete(target, screened) for target in CLAIM_TABLES}
    is_streamed = any(not table.has_few_rows for table in staged.tables)
    if is_streamed and (found := [one for one in tables.values() if one]):
        begin_patients(connection, found, patients)
    for target, rows in tables.items():
        bar.set_postfix_str(target)
        also = partial(patients.add, target) if is_streamed else None
        lines[target] = publish_lines(connection, rows, folder, ledger, also) if rows else 0
        bar.update()
    ledger.check_conservation()
    return lines


def describe_run(
    staged: StagedSource, lines: Mapping[str, int], patients: PatientCounts | None, salt: str
) -> dict[str, Any]:
    """Give the manifest of a run: source, versions, raw files, lines, patients."""
    files = [
        {"name": file.name, "table": table.name, "rows": file.num_rows, "bytes": file.num_bytes, "sha256": file.sha256}
        for table in staged.tables
        for file in table.files
    ]
    return {
        "source": staged.name,
        "source_facts": dict(staged.description),
        "versions": {
            "claim_transformers": __version__,
            **{package: version(package) for package in ("duckdb", "ibis-framework", "pyarrow")},
        },
        "inputs": files,
        "lines": dict(lines),
        "patients": None if patients is None else patients.to_dict(),
        # The salt itself stays with whoever chose it; its hash tells whether two folders were split alike.
        "salt_sha256": hashlib.sha256(salt.encode()).hexdigest(),
    }
