"""Patients out of canonical tables: one row per patient, visits in order, codes of each visit sorted.

The result is what `claims.visits` defines; here it is computed from packed integers (`claims.packing`), which takes a
fraction of the time and a flat amount of memory. Patients are numbered by split and patient id, so that sorted keys
already stand in the order of the files. The bytes written depend neither on the order of the input rows, nor on how
they are spread over files and row groups, nor on the number of shards.
"""

import datetime as dt
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.assembly import PatientCounts, SequenceAssembler
from claim_transformers.claims.encoded_files import ROWS_PER_BATCH, EncodedFiles, TableInMemory
from claim_transformers.claims.enrollment import ELIGIBILITY_COLUMNS, EligibilityRows
from claim_transformers.claims.last_day import count_last_days, find_counted_last_day, raise_last_days
from claim_transformers.claims.line_events import ClaimLineEvents, RxClaimEvents
from claim_transformers.claims.packing import NULL_DAY, dictionary_of
from claim_transformers.claims.splits import DEFAULT_SALT, split_numbers
from claim_transformers.claims.visits import (
    DEFAULT_CODE_COLUMNS,
    PHARMACY,
    CodeColumn,
    resolve_code_columns,
)
from claim_transformers.codes.errors import ClaimDataError

CLAIM_TABLES: Final = ("claim_line", "rx_claim")
_FIELDS = {"system", "code", "date", "rank"}
_CODES_PER_ROW = 8  # more or less, for the number of shards alone
_KEPT_BYTES = 31 << 20  # the C library knows no more than 32 MiB


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


class PatientsWriter:
    """The patients table of a folder of canonical tables, `patients/SPLIT-NNNNN.parquet`.

    It takes the rows of the tables while these are written ([`begin`], then [`add`]), or reads them from the folder.
    Each visit gets the last day of its claims (`visit_end_day`, see `claims.known`) and, where a table has paid dates,
    the day on which the last of them was paid (`visit_paid_day`); where a table has amounts, their sums.
    The files appear all at once: they are written beside `patients` and renamed, and an older `patients` goes last.

    Args:
        folder (`str` or `Path`): Folder with `claim_line/`, `rx_claim/` and `eligibility/`, each of parquet files.
        salt (`str`, *optional*, defaults to `"claim-transformers"`): Salt of the split, see `split_of`.
        code_columns (`Sequence[str]`, *optional*): Which columns give codes, see `claims.visits`.
        drug_names (`Mapping[str, str]`, *optional*): NDC of 9 digits (labeler and product) to the ingredient that
            takes the place of the code of a fill: `DRUG/...`.
        shards (`int`, *optional*): About how many shards; more take less memory. The result is the same.

    Raises:
        ValueError: If a name in `code_columns` is unknown or `shards` is not positive.

    Examples:
        >>> with PatientsWriter("no/such/folder") as writer:
        ...     writer.write()
        Traceback (most recent call last):
            ...
        claim_transformers.codes.errors.ClaimDataError: E_NO_TABLE: expected claim_line/*.parquet, ...
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        salt: str = DEFAULT_SALT,
        code_columns: Sequence[str] = DEFAULT_CODE_COLUMNS,
        drug_names: Mapping[str, str] | None = None,
        shards: int | None = None,
    ) -> None:
        if shards is not None and shards < 1:
            raise ValueError(f"expected at least one shard, found shards={shards}")
        self._folder, self._salt, self._shards = Path(folder), salt, shards
        self._code_columns, self._drug_names = resolve_code_columns(code_columns), drug_names or {}
        self._open = ExitStack()
        self._temporary = Path()
        self._assembler: SequenceAssembler | None = None
        self._events: dict[str, ClaimLineEvents | RxClaimEvents] = {}

    def __enter__(self) -> "PatientsWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def begin(self, patient_ids: pa.Array, visit_types: Collection[str], num_rows: int) -> None:
        """Take all lines and fills by [`add`] instead of reading them.

        Args:
            patient_ids (`pa.Array`): All who have some, sorted.
            visit_types (`Collection[str]`): At least their types.
            num_rows (`int`): More or less how many there are.
        """
        # A folder of its own beside the tables: same disk, same protected boundary, and a name no reader looks for.
        folder = tempfile.TemporaryDirectory(prefix=".patients-", dir=self._folder)
        self._temporary = Path(self._open.enter_context(folder))
        workspace = self._temporary / "keys"
        workspace.mkdir()
        # The C library gives large arrays back to the system one by one, until a block of their size has been freed;
        # clearing new pages costs a tenth of the time.
        np.empty(_KEPT_BYTES, np.uint8)
        splits, num_codes = split_numbers(patient_ids, self._salt), _CODES_PER_ROW * num_rows
        assembler = SequenceAssembler(
            patient_ids, splits, sorted(visit_types), workspace, num_codes=num_codes, shards=self._shards
        )
        self._open.callback(assembler.close)
        self._assembler, self._events = assembler, _events_of(assembler, self._code_columns, self._drug_names)

    def add(self, table: str, rows: pa.Table) -> None:
        """Take lines or fills with the columns of the canonical table; strings may be dictionaries."""
        for batch in rows.to_batches(ROWS_PER_BATCH):
            self._events[table].add(batch)

    def write(
        self,
        *,
        extract_date: dt.date | None = None,
        source: str | None = None,
        without_enrollment: Collection[str] = (),
        whole: PatientFacts | None = None,
    ) -> tuple[PatientCounts, PatientFacts]:
        """Write the table, of what was taken or, if nothing was begun, of what the folder has.

        Args:
            extract_date (`datetime.date`, *optional*): Day of the extract, which bounds the last day of the data.
            source (`str`, *optional*): The `data_source` of rows that name none, whose eligibility is that of
                all claims.
            without_enrollment (`Collection[str]`, *optional*): Values of `data_source` whose eligibility tells who a
                patient is and not when the patient was enrolled.
            whole (`PatientFacts`, *optional*): What all patients say together, where others are elsewhere.

        Returns:
            `tuple[PatientCounts, PatientFacts]`: What was written and left out, and what decides about others too.

        Raises:
            ClaimDataError: `E_COLUMN` if a column is missing, `E_KEY_RANGE` if dates or codes are beyond any claims
                data, `E_NO_TABLE` if the folder has no tables. The message names columns and counts, never a value.
        """
        tables = {
            table: EncodedFiles(sorted(self._folder.glob(f"{table}/*.parquet")), _FIELDS.__contains__)
            for table in (*CLAIM_TABLES, "eligibility")
        }
        eligibility, claims = tables["eligibility"], [tables[table] for table in CLAIM_TABLES]
        if self._assembler is None:
            if not any(tables.values()):
                raise ClaimDataError(
                    "E_NO_TABLE",
                    "expected claim_line/*.parquet, rx_claim/*.parquet or eligibility/*.parquet in the folder, found "
                    "none; ingest a source first",
                )
            self.begin(*_people_of(*claims))
            for table in CLAIM_TABLES:
                _add_all(self._events[table], tables[table])
        assembler = self._assembler
        assert assembler is not None
        rows, others = EligibilityRows.of_batches(eligibility.batches(ELIGIBILITY_COLUMNS), assembler.positions)
        facts = _facts_of(assembler, rows, claims, eligibility)
        every = whole or facts
        assembler.expect(every.columns)
        is_known = _knows_enrollment(assembler, claims, eligibility, source, without_enrollment, every)
        last_day = find_counted_last_day(every.last_days, extract_date)
        written = self._temporary / "patients"
        written.mkdir()
        counts = assembler.write(written, rows, extract_date=extract_date, last_day=last_day, is_known=is_known)
        if (self._folder / "patients").exists():
            (self._folder / "patients").rename(self._temporary / "replaced")
        written.rename(self._folder / "patients")
        return replace(counts, patients_without_visits=counts.patients_without_visits + len(others)), facts


def _events_of(
    assembler: SequenceAssembler, code_columns: Sequence[CodeColumn], drug_names: Mapping[str, str]
) -> dict[str, ClaimLineEvents | RxClaimEvents]:
    """What takes the rows of each table of claims."""
    return {
        "claim_line": ClaimLineEvents(assembler, code_columns),
        "rx_claim": RxClaimEvents(assembler, code_columns, drug_names),
    }


def _add_all(events: ClaimLineEvents | RxClaimEvents, files: EncodedFiles) -> None:
    for batch in files.batches(events.columns(files.column_names)):
        events.add(batch)


def _people_of(claim_lines: EncodedFiles, rx_claims: EncodedFiles) -> tuple[pa.Array, set[str], int]:
    """Everybody with claims, sorted, their types of visits, and the number of rows."""
    ids = pc.unique(pa.chunked_array([files.distinct("patient_id") for files in (claim_lines, rx_claims)]))
    visit_types = set(claim_lines.distinct("claim_type").to_pylist()) | ({PHARMACY} if rx_claims else set())
    return ids.take(pc.sort_indices(ids)), visit_types, claim_lines.num_rows + rx_claims.num_rows


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
    """Fold canonical tables of few patients, by name, into the rows that [`PatientsWriter`] writes, all in memory."""
    *claims, eligibility = (TableInMemory(tables[name]) for name in (*CLAIM_TABLES, "eligibility"))
    patient_ids, visit_types, _num_rows = _people_of(*claims)
    splits = split_numbers(patient_ids, DEFAULT_SALT)
    assembler = SequenceAssembler(patient_ids, splits, sorted(visit_types), None, num_codes=0, shards=1)
    events = _events_of(assembler, resolve_code_columns(DEFAULT_CODE_COLUMNS), {})
    for name, files in zip(CLAIM_TABLES, claims, strict=True):
        _add_all(events[name], files)
    rows, _ = EligibilityRows.of_batches(eligibility.batches(ELIGIBILITY_COLUMNS), assembler.positions)
    every = _facts_of(assembler, rows, claims, eligibility)
    is_known = _knows_enrollment(assembler, claims, eligibility, source, without_enrollment, every)
    return assembler.to_table(rows, extract_date=extract_date, is_known=is_known)


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
