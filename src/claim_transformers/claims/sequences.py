"""Patients out of canonical tables: one row per patient, visits in order, codes of each visit sorted.

The result is what `claims.visits` defines; here it is computed from packed integers (`claims.packing`), which takes a
fraction of the time and a flat amount of memory. Patients are numbered by split and patient id, so that sorted keys
already stand in the order of the files. The bytes written depend neither on the order of the input rows, nor on how
they are spread over files and row groups, nor on the number of shards.
"""

import datetime as dt
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from claim_transformers.claims.assembly import PatientCounts, SequenceAssembler
from claim_transformers.claims.encoded_files import EncodedFiles, TableInMemory
from claim_transformers.claims.enrollment import ELIGIBILITY_COLUMNS, EligibilityRows, days_of
from claim_transformers.claims.known import STAY_TYPES, line_end_days
from claim_transformers.claims.last_day import count_last_days, find_counted_last_day, raise_last_days
from claim_transformers.claims.listed_codes import ListedCodes
from claim_transformers.claims.packing import NULL_DAY, CodeNumbers, EncodedCodes, Integers, VisitKeys, dictionary_of
from claim_transformers.claims.patient_files import ADMITTING_CODES, PRINCIPAL_CODES
from claim_transformers.claims.splits import DEFAULT_SALT, split_numbers
from claim_transformers.claims.visit_amounts import Cents, amount_columns, amount_days, cents_of, without_more
from claim_transformers.claims.visits import (
    DEFAULT_CODE_COLUMNS,
    INPATIENT,
    PHARMACY,
    CodeColumn,
    resolve_code_columns,
)
from claim_transformers.codes.errors import ClaimDataError

_ENDS = {"discharge": "discharge_date", "claim_end": "claim_end_date", "line_start": "claim_line_start_date",
         "line_end": "claim_line_end_date"}  # fmt: skip
_HEADER_COLUMNS = {"patient_id", "claim_type", "claim_start_date", "admission_date", "paid_date", "diagnoses",
                   "admitting_diagnosis", *_ENDS.values()}  # fmt: skip
_FIELDS = {"system", "code", "date", "rank"}
_PRINCIPAL_RANK = 1
_CODES_PER_ROW = 8  # more or less, for the number of shards alone
_KEPT_BYTES = 31 << 20  # the C library knows no more than 32 MiB
_DRUG, _PRODUCT_LENGTH = "DRUG", 9


@dataclass(frozen=True)
class PatientFacts:
    """What patients say that decides about all others too, so that those of a few folders can be written alike."""

    last_days: Mapping[int, int]
    last_ends: Mapping[int, int]
    columns: frozenset[str]
    claim_sources: frozenset[str | None]
    eligibility_sources: frozenset[str | None]
    has_open_ends: bool
    codes: pa.Array

    def decides_alike(self, whole: "PatientFacts", extract_date: dt.date | None) -> bool:
        """Whether patients written by these facts are those that are written by what all of them say."""
        own, of_all = ((facts.columns, facts.claim_sources, facts.eligibility_sources) for facts in (self, whole))
        days = {find_counted_last_day(facts.last_days, extract_date) for facts in (self, whole)}
        return own == of_all and (len(days) == 1 or not self.has_open_ends)

    @classmethod
    def of_parts(cls, parts: "Collection[PatientFacts]") -> "PatientFacts":
        """What all parts say together."""
        last_days, last_ends = Counter[int](), Counter[int]()
        codes = pa.array([], pa.string())
        for part in parts:
            last_days.update(part.last_days)
            last_ends.update(part.last_ends)
            codes = pc.unique(pa.chunked_array([codes, part.codes]))
        return cls(
            last_days,
            last_ends,
            frozenset().union(*(part.columns for part in parts)),
            frozenset().union(*(part.claim_sources for part in parts)),
            frozenset().union(*(part.eligibility_sources for part in parts)),
            any(part.has_open_ends for part in parts),
            codes,
        )


def write_patients(
    folder: str | Path,
    *,
    salt: str = DEFAULT_SALT,
    code_columns: Sequence[str] = DEFAULT_CODE_COLUMNS,
    extract_date: dt.date | None = None,
    source: str | None = None,
    without_enrollment: Collection[str] = (),
    drug_names: Mapping[str, str] | None = None,
    shards: int | None = None,
    progress: bool = False,
    whole: PatientFacts | None = None,
) -> tuple[PatientCounts, PatientFacts]:
    """Read the canonical tables of a folder and write its patients table, `patients/SPLIT-NNNNN.parquet`.

    Each visit gets the last day of its claims (`visit_end_day`, see `claims.known`) and, where a table has paid dates,
    the day on which the last of them was paid (`visit_paid_day`); where a table has amounts, their sums.
    The files appear all at once: they are written beside `patients` and renamed, and an older `patients` goes last.

    Args:
        folder (`str` or `Path`): Folder with `claim_line/`, `rx_claim/` and `eligibility/`, each of parquet files.
        salt (`str`, *optional*, defaults to `"claim-transformers"`): Salt of the split, see `split_of`.
        code_columns (`Sequence[str]`, *optional*): Which columns give codes, see `claims.visits`.
        extract_date (`datetime.date`, *optional*): Day of the extract, which bounds the last day of the data.
        source (`str`, *optional*): The `data_source` of rows that name none: eligibility of it is that of all claims.
        without_enrollment (`Collection[str]`, *optional*): Values of `data_source` whose eligibility tells who a
            patient is and not when the patient was enrolled.
        drug_names (`Mapping[str, str]`, *optional*): NDC of 9 digits (labeler and product) to the ingredient that
            takes the place of the code of a fill: `DRUG/...`.
        shards (`int`, *optional*): About how many shards; more take less memory. The result is the same.
        progress (`bool`, *optional*, defaults to `False`): Whether to show progress bars.
        whole (`PatientFacts`, *optional*): What all patients say together, where others are elsewhere.

    Returns:
        `tuple[PatientCounts, PatientFacts]`: What was written and left out, and what decides about others too.

    Raises:
        ClaimDataError: `E_COLUMN` if a column is missing, `E_KEY_RANGE` if dates or codes are beyond any claims data,
            `E_NO_TABLE` if the folder has no tables. The message names columns and counts, never a value.
        ValueError: If a name in `code_columns` is unknown or `shards` is not positive.

    Examples:
        >>> write_patients("no/such/folder")
        Traceback (most recent call last):
            ...
        claim_transformers.codes.errors.ClaimDataError: E_NO_TABLE: expected claim_line/*.parquet, ...
    """
    folder = Path(folder)
    columns = resolve_code_columns(code_columns)
    if shards is not None and shards < 1:
        raise ValueError(f"expected at least one shard, found shards={shards}")
    with ExitStack() as stack:
        claim_lines, rx_claims, eligibility = (
            EncodedFiles(sorted(folder.glob(f"{table}/*.parquet")), _FIELDS.__contains__)
            for table in ("claim_line", "rx_claim", "eligibility")
        )
        if not (claim_lines or rx_claims or eligibility):
            raise ClaimDataError(
                "E_NO_TABLE",
                "expected claim_line/*.parquet, rx_claim/*.parquet or eligibility/*.parquet in the folder, found "
                "none; ingest a source first",
            )
        # A folder of its own beside the tables: same disk, same protected boundary, and a name no reader looks for.
        temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix=".patients-", dir=folder))
        workspace, written = Path(temporary, "keys"), Path(temporary, "patients")
        workspace.mkdir()
        written.mkdir()
        # The C library gives large arrays back to the system one by one, until a block of their size has been freed;
        # clearing new pages costs a tenth of the time.
        np.empty(_KEPT_BYTES, np.uint8)
        assembler = _new_assembler(claim_lines, rx_claims, salt, workspace, shards)
        stack.callback(assembler.close)
        _add_claim_lines(assembler, claim_lines, columns, progress)
        _add_rx_claims(assembler, rx_claims, columns, progress, drug_names or {})
        rows, others = EligibilityRows.of_batches(eligibility.batches(ELIGIBILITY_COLUMNS), assembler.positions)
        facts = _facts_of(assembler, rows, (claim_lines, rx_claims), eligibility)
        every = whole or facts
        assembler.expect(every.columns)
        is_known = _knows_enrollment(
            assembler, (claim_lines, rx_claims), eligibility, source, without_enrollment, every
        )
        last_day = find_counted_last_day(every.last_days, extract_date)
        counts = assembler.write(
            written, rows, extract_date=extract_date, last_day=last_day, is_known=is_known, progress=progress
        )
        if (folder / "patients").exists():
            (folder / "patients").rename(Path(temporary, "replaced"))
        written.rename(folder / "patients")
    return replace(counts, patients_without_visits=counts.patients_without_visits + len(others)), facts


def _facts_of(
    assembler: SequenceAssembler, rows: EligibilityRows, claims: Sequence[EncodedFiles], eligibility: EncodedFiles
) -> PatientFacts:
    of_claims, of_eligibility = (
        frozenset(name for files in tables for name in files.distinct("data_source").to_pylist() if eligibility)
        for tables in (claims, [eligibility])
    )
    last_ends = np.full(len(assembler.patient_ids), NULL_DAY, np.int32)
    raise_last_days(last_ends, rows.patients, rows.ends)
    days = count_last_days(assembler.last_days), count_last_days(last_ends)
    is_open = (rows.starts != NULL_DAY) & (rows.ends == NULL_DAY)
    columns = frozenset(assembler.columns)
    return PatientFacts(*days, columns, of_claims, of_eligibility, bool(is_open.any()), assembler.codes.names())


def fold_patients(
    tables: Mapping[str, pa.Table], *, extract_date: dt.date | None, source: str, without_enrollment: Collection[str]
) -> pa.Table:
    """Fold canonical tables of few patients, by name, into the rows that `write_patients` writes, all in memory."""
    claim_lines, rx_claims, eligibility = (
        TableInMemory(tables[name]) for name in ("claim_line", "rx_claim", "eligibility")
    )
    columns = resolve_code_columns(DEFAULT_CODE_COLUMNS)
    assembler = _new_assembler(claim_lines, rx_claims, DEFAULT_SALT, None, 1)
    _add_claim_lines(assembler, claim_lines, columns, progress=False)
    _add_rx_claims(assembler, rx_claims, columns, progress=False, drug_names={})
    rows, _ = EligibilityRows.of_batches(eligibility.batches(ELIGIBILITY_COLUMNS), assembler.positions)
    claims = (claim_lines, rx_claims)
    every = _facts_of(assembler, rows, claims, eligibility)
    is_known = _knows_enrollment(assembler, claims, eligibility, source, without_enrollment, every)
    return assembler.to_table(rows, extract_date=extract_date, is_known=is_known)


def _new_assembler(
    claim_lines: EncodedFiles,
    rx_claims: EncodedFiles,
    salt: str,
    workspace: Path | None,
    shards: int | None,
) -> SequenceAssembler:
    """An assembler of everybody with claims, and of their types of visits."""
    ids = pc.unique(pa.chunked_array([files.distinct("patient_id") for files in (claim_lines, rx_claims)]))
    patient_ids = ids.take(pc.sort_indices(ids))
    visit_types = set(claim_lines.distinct("claim_type").to_pylist()) | ({PHARMACY} if rx_claims else set())
    splits, num_codes = split_numbers(patient_ids, salt), _CODES_PER_ROW * (claim_lines.num_rows + rx_claims.num_rows)
    return SequenceAssembler(patient_ids, splits, sorted(visit_types), workspace, num_codes=num_codes, shards=shards)


def _knows_enrollment(
    assembler: SequenceAssembler,
    claims: Sequence[EncodedFiles],
    eligibility: EncodedFiles,
    source: str | None,
    without_enrollment: Collection[str],
    every: PatientFacts,
) -> "npt.NDArray[np.bool_] | bool":
    """Tell of which patients a source says when they were enrolled: those with a row of a source that has enrollment.

    A source has enrollment if it has a row of eligibility. Where eligibility has no row at all, names no source that
    the claims name too, or does not say of which source it is, it is that of all claims.
    """
    if not eligibility:
        return False
    of_claims, of_eligibility = every.claim_sources, every.eligibility_sources
    silent: set[str | None] = set(without_enrollment)
    if of_claims & of_eligibility and source not in of_eligibility - silent:
        silent |= of_claims - of_eligibility
    if not silent & (of_claims | of_eligibility):
        return True
    is_known = np.zeros(len(assembler.patient_ids), bool)
    for files in (*claims, eligibility):
        for batch in files.batches(["patient_id", "data_source"]):
            positions, sources = dictionary_of(batch["data_source"])
            speaks = np.array([*(source not in silent for source in sources.to_pylist()), True])[positions]
            patients = assembler.positions(batch["patient_id"])
            is_known[patients[speaks & (patients >= 0)]] = True
    return is_known


def _add_claim_lines(
    assembler: SequenceAssembler, files: EncodedFiles, columns: Iterable[CodeColumn], progress: bool
) -> None:
    of_table = [code_column for code_column in columns if code_column.table == "claim_line"]
    names = {code_column.column for code_column in of_table}
    dates = {code_column.date for code_column in of_table if code_column.system and code_column.date}
    inpatient = assembler.visit_types.index(INPATIENT).as_py()
    types = {code_column.other[0] for code_column in of_table if code_column.other is not None}
    # The last entry is that of an unknown type, at -1.
    is_stay = np.array([*(name in STAY_TYPES for name in assembler.visit_types.to_pylist()), False])
    # Principal diagnoses are numbered as codes, unless diagnoses are none.
    is_among_codes = any(code_column.column == "diagnoses" for code_column in of_table)
    of_diagnoses, of_admitting = assembler.codes if is_among_codes else CodeNumbers(), CodeNumbers()
    bar = tqdm(total=files.num_rows, desc="claim_line", unit=" lines", disable=not progress)
    amounts = amount_columns(files.column_names)
    for batch in files.batches(sorted({*_HEADER_COLUMNS, *names, *dates, *types, *amounts})):
        patients = assembler.positions(batch["patient_id"])
        visit_types = assembler.type_positions(batch["claim_type"])
        header_days, admission_days = days_of(batch["claim_start_date"]), days_of(batch["admission_date"])
        is_inpatient = visit_types == inpatient
        header_days = np.where(is_inpatient & (admission_days != NULL_DAY), admission_days, header_days)
        ends = {name: days_of(batch[column]) for name, column in _ENDS.items()}
        assembler.add_days(patients, np.maximum(ends["claim_end"], ends["discharge"]))
        lines = _Lines(
            assembler.visits(patients, header_days, visit_types),
            visit_types,
            line_end_days(is_stay.take(visit_types, mode="wrap"), is_inpatient, **ends),
            days_of(batch["paid_date"]),
            cents_of(batch),
        )
        assembler.add_later(lines.visits, lines.end_days, lines.paid_days)
        on_date: dict[str | None, VisitKeys] = {None: lines.visits}
        for date in sorted(dates):
            own_days = days_of(batch[date])
            on_date[date] = _on_own_days(assembler, lines, np.where(own_days == NULL_DAY, header_days, own_days))
        diagnoses = ListedCodes.of(batch, "diagnoses", "rank")
        _add_admitting(assembler, batch["admitting_diagnosis"], lines.visits, of_admitting)
        new = np.flatnonzero(~diagnoses.find_repeats(lines.visits.is_repeat))
        new_diagnoses = diagnoses.take(new)
        numbers = of_diagnoses.number(new_diagnoses.codes, "diagnoses")
        _add_principal(assembler, new_diagnoses, lines.visits.take(new), numbers, of_diagnoses)
        stands_on = amount_days(diagnoses.lengths, header_days, np.where(is_inpatient, NULL_DAY, ends["line_start"]))
        assembler.add_amounts(_visits_on(assembler, lines, stands_on), lines.cents)
        for code_column in of_table:
            if code_column.system:
                codes = EncodedCodes.of(_system_of(code_column, batch), batch[code_column.column])
                assembler.add(on_date[code_column.date], assembler.codes.number(codes, code_column.name))
            elif code_column.date is None:
                assembler.add_repeats(diagnoses.num_codes - new_diagnoses.num_codes)
                assembler.add(lines.visits.take(new), numbers, new_diagnoses.lengths)
            else:
                _add_dated(
                    assembler, code_column.name, ListedCodes.of(batch, code_column.column, code_column.date), lines
                )
        bar.update(batch.num_rows)
    bar.close()


@dataclass(frozen=True)
class _Lines:
    """Claim lines of a batch: their visits on the header date and what is told of these."""

    visits: VisitKeys
    types: Integers
    end_days: Integers
    paid_days: Integers
    cents: Cents

    def take(self, rows: Integers) -> "_Lines":
        days = self.end_days.take(rows), self.paid_days.take(rows)
        return _Lines(self.visits.take(rows), self.types.take(rows), *days, self.cents[:, rows])


def _visits_on(assembler: SequenceAssembler, lines: _Lines, days: Integers) -> VisitKeys:
    """Visits of lines on days of their own, which mostly are that of the header."""
    if np.array_equal(days, lines.visits.days):
        return lines.visits
    return assembler.visits(lines.visits.patients, days, lines.types)


def _on_own_days(assembler: SequenceAssembler, lines: _Lines, days: Integers) -> VisitKeys:
    """Visits of lines on days of their own, where the ends, payments and known amounts of their claims stand too."""
    visits = _visits_on(assembler, lines, days)
    moved = np.flatnonzero(days != lines.visits.days)
    if len(moved):
        there, of_moved = visits.take(moved), lines.take(moved)
        assembler.add_later(there, of_moved.end_days, of_moved.paid_days)
        assembler.add_amounts(there, without_more(of_moved.cents))
    return visits


def _system_of(code_column: CodeColumn, batch: pa.RecordBatch) -> str | pa.Array:
    """System of all codes of a plain column, or of each where another column names two."""
    system = code_column.system or ""
    if code_column.other is None:
        return system
    column, value, other = code_column.other
    positions, values = dictionary_of(batch[column])
    is_other = pa.array(positions == values.index(value).as_py()) if value in values.to_pylist() else None
    return system if is_other is None else pc.if_else(is_other, other, system)


def _add_admitting(
    assembler: SequenceAssembler, admitting: pa.StructArray, visits: VisitKeys, numbers: CodeNumbers
) -> None:
    """Add the admitting diagnosis of each line, which stands on the header date."""
    if admitting.null_count < len(admitting):
        system, code = (pc.struct_field(admitting, name) for name in ("system", "code"))
        assembler.add_marked(ADMITTING_CODES.name, visits, numbers.number(EncodedCodes.of(system, code)), numbers)


def _add_principal(
    assembler: SequenceAssembler, diagnoses: ListedCodes, visits: VisitKeys, numbers: Integers, codes: CodeNumbers
) -> None:
    """Add the principal diagnosis of each line, which stands on the header date."""
    if diagnoses.field is not None:
        places = np.flatnonzero(diagnoses.field == _PRINCIPAL_RANK)
        lines = np.searchsorted(np.cumsum(diagnoses.lengths), places, "right")
        assembler.add_marked(PRINCIPAL_CODES.name, visits.take(lines), numbers.take(places), codes)


def _add_dated(assembler: SequenceAssembler, name: str, lists: ListedCodes, lines: _Lines) -> None:
    """Add the codes of a list column, procedures, which stand on a date of their own or on the header date."""
    is_same = lines.visits.is_repeat.copy()
    if lists.field is not None:
        for column in (lines.end_days, lines.paid_days, *without_more(lines.cents)):
            is_same[1:] &= column[1:] == column[:-1]
    new = np.flatnonzero(~lists.find_repeats(is_same))
    listed = lists.take(new)
    assembler.add_repeats(lists.num_codes - listed.num_codes)
    codes = assembler.codes.number(listed.codes, name)
    if listed.field is None:
        return assembler.add(lines.visits.take(new), codes, listed.lengths)
    lines = lines.take(np.repeat(new, listed.lengths))
    days = np.where(listed.field == NULL_DAY, lines.visits.days, listed.field)
    assembler.add(_on_own_days(assembler, lines, days), codes)
    return None


def _add_rx_claims(
    assembler: SequenceAssembler,
    files: EncodedFiles,
    columns: Iterable[CodeColumn],
    progress: bool,
    drug_names: Mapping[str, str],
) -> None:
    pharmacy = assembler.visit_types.index(PHARMACY).as_py()
    bar = tqdm(total=files.num_rows, desc="rx_claim", unit=" claims", disable=not progress)
    for code_column in columns:
        if code_column.table != "rx_claim" or code_column.system is None or code_column.date is None:
            continue
        amounts = amount_columns(files.column_names)
        for batch in files.batches(["patient_id", code_column.column, code_column.date, "paid_date", *amounts]):
            days = days_of(batch[code_column.date])
            visit_types = np.full(batch.num_rows, pharmacy, np.int8)
            visits = assembler.visits(assembler.positions(batch["patient_id"]), days, visit_types)
            codes = _named_drugs(code_column.system, batch[code_column.column], drug_names)
            assembler.add(visits, assembler.codes.number(codes, code_column.name))
            assembler.add_later(visits, days, days_of(batch["paid_date"]))
            assembler.add_amounts(visits, cents_of(batch))
            bar.update(batch.num_rows)
    bar.close()


def _named_drugs(system: str, codes: pa.Array, names: Mapping[str, str]) -> EncodedCodes:
    """System and code of each fill: the ingredient of a drug that is named, else what it is."""
    if not names:
        return EncodedCodes.of(system, codes)
    positions, distinct = dictionary_of(codes)
    products = [None if code is None else names.get(code[:_PRODUCT_LENGTH]) for code in distinct.to_pylist()]
    named = pa.array([*products, None], pa.string()).take(pa.array(positions % (len(products) + 1)))
    systems = pc.if_else(named.is_valid(), _DRUG, system)
    return EncodedCodes.of(systems, pc.coalesce(named, codes.cast(pa.string())))
