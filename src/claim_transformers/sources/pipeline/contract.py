"""Contract of a source: the same few facts for every raw format.

A source reads one raw format and says what it found; it decides nothing about publishing. [`ingest`] takes over from
there, the same way for all of them:

1. ids are written in one way, and rows that are equal in every column of the layout are dropped (`D_DUPLICATE`);
2. older versions leave (`D_SUPERSEDED`), `checks` run in order, the first that fails names the reason and the row goes
   to quarantine;
3. a charge and its reversal leave together, and rows of one key that nothing tells apart go to quarantine;
4. raw columns listed in `code_columns` are replaced by their canonical form; a code that cannot be used becomes null
   and is counted, the row stays;
5. `to_canonical` turns the rows that are left into lines of `claim_line`, `rx_claim` or `eligibility`;
6. `rows_in = rows_out + quarantined + dropped + netted_out` is checked for each raw file and claim type.

A new source is one folder of `sources/formats` with one function, registered as `sources.registry` says:

```python
def read_claims(path: RawLocation, connection: Backend, *, scratch: Path) -> StagedSource: ...
```

`connection` is the Ibis connection on embedded DuckDB that executes everything; `scratch` is an empty folder on the
disk of the output, for unpacked files, removed by the caller. Further keyword arguments are options of the source.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from claim_transformers.claims.planning import holds_no_rows
from claim_transformers.codes.errors import ClaimDataError

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    import ibis.expr.types as ir
    import pyarrow as pa
    from ibis import BaseBackend
    from ibis.backends.duckdb import Backend

    from claim_transformers.claims.quality import RowCheck
    from claim_transformers.claims.reversals import Reversal

# About as many as the engine computes in the time that it takes to plan them again for every step.
_FEW_CELLS = 1 << 18
TargetTable = Literal["claim_line", "rx_claim", "eligibility"]
RawLocation: TypeAlias = "str | Path | BaseBackend | None"


@dataclass(frozen=True)
class RawFile:
    """One raw file as it came."""

    name: str  # File name without folders; it is `source_file` of its rows.
    num_rows: int  # Data rows in the file, those that could not be read included.
    num_bytes: int
    sha256: str
    # Rows that the reader could not split into columns: `row_no` (int64), `reason_code`, `raw_line` (string).
    rejects: pa.Table | None = None
    fixes: Mapping[str, int] = field(default_factory=dict)  # `F_...` code, such as of a byte-order mark, to count.
    warnings: Mapping[str, int] = field(default_factory=dict)  # `W_...` code to count.
    unused: tuple[str, ...] = ()  # Columns that hold values and that nothing reads.
    unknown_systems: Mapping[str, int] = field(default_factory=dict)  # Systems, by address, whose codes nothing reads.
    filled: frozenset[str] | None = None  # Columns that hold values, by their names in the layout, where known.
    # Of some columns of codes, by their names in the layout, how often each occurs (`raw`, `occurrences`); a code may
    # stand there several times.
    codes: Mapping[str, pa.Table] = field(default_factory=dict)

    @property
    def num_rejected(self) -> int:
        """Number of rows that the reader could not split into columns."""
        return 0 if self.rejects is None else int(self.rejects.num_rows)


def name_apart(
    files: Sequence[tuple[Path, RawFile]], *, taken: set[str], may_repeat: bool = False
) -> tuple[RawFile, ...]:
    """Give the raw files of a table, each with its path, names that no other one of the source has, and note them.

    A name that is `taken` is told apart by the folder or the archive of its file, and a number where that is not
    enough. Counting claims twice is not dirt but a mistake: contents must differ or, where they may repeat, names.
    """
    named: list[RawFile] = []
    seen: dict[str, str] = {}
    for path, file in files:
        if may_repeat and any(file.name == other.name for _, other in files[: len(named)]):
            raise ClaimDataError("E_FILE_TWICE", f"expected every file name once, found {file.name} twice")
        place = path.stem if path.suffix.lower() == ".zip" else path.absolute().parent.name
        prefixes = itertools.chain(("", f"{place}-"), (f"{place}-{number}-" for number in itertools.count(1)))
        name = next(name for prefix in prefixes if (name := prefix + file.name) not in taken)
        taken.add(name)
        is_copy = file.num_rows > 0 and file.sha256 in seen
        if is_copy and not may_repeat:
            raise ClaimDataError("E_FILE_TWICE", f"{seen[file.sha256]} and {name} have the same content: remove one")
        seen[file.sha256] = name
        warnings = {**file.warnings, "W_FILE_TWICE": 1} if is_copy else file.warnings
        named.append(replace(file, name=name, warnings=warnings))
    return tuple(named)


@dataclass(frozen=True)
class CodeColumns:
    """Raw columns that hold codes of one system, or of a system that another column of the row names."""

    columns: tuple[str, ...]
    system: str | None = None  # System of all of them, such as `"ICD9CM"`.
    # Expression that names the system of each row, instead of `system`, and the systems that it can name.
    system_of: Callable[[ir.Table], ir.StringValue] | None = None
    systems: tuple[str, ...] = ()
    # Whether codes stay that do not have the form of their system, as far as they are letters and digits: for columns
    # of which the source is known to hold other codes. Those that its list lacks are counted as `W_UNKNOWN_CODE`.
    tolerant: bool = False

    def __post_init__(self) -> None:
        if (self.system is None) == (self.system_of is None):
            raise ValueError("expected exactly one of system and system_of")
        if self.system is not None:
            object.__setattr__(self, "systems", (self.system,))
        elif not self.systems:
            raise ValueError("expected the systems that system_of can name, found none")


@holds_no_rows
@dataclass(frozen=True)
class Versions:
    """How versions of a claim or of a line are told apart."""

    key: tuple[str, ...]  # Raw columns that all versions share.
    order: Callable[[ir.Table], ir.Value]  # Of the rows with one key those of the largest value count.


@dataclass(frozen=True)
class WholeTable:
    """What is true of a whole raw table, for those who look at the rows of some patients alone."""

    id_counts: tuple[int, int, int]  # Rows with a patient id, such ids, and the most rows that one of them has.
    shared_claims: ir.Table  # Hashes (`claim_hash`) of claims that stand under more than one patient.


@dataclass(frozen=True)
class StagedTable:
    """The rows of one raw table, all files of it together, and what they mean."""

    name: str  # Name of the raw table within its source, such as `"inpatient"`.
    target: TargetTable  # Canonical table that its rows become.
    # All readable rows. Raw columns are **strings**, an empty field is null; plus `source_file` (string, a
    # `RawFile.name`) and `row_no` (int64, 1-based number of the data row in its file).
    rows: ir.Table
    files: tuple[RawFile, ...]  # The files the rows came from.
    patient_column: str  # Raw column of the patient id.
    # Raw columns that tell rows apart, for claims those of the key of `target`. Rows that share it are compared in
    # full for duplicates; of claims whose key still stands twice, all rows go to quarantine.
    row_key: tuple[str, ...]
    # Takes surviving `rows` (codes already canonical, without the `SYSTEM/` prefix) and returns lines of `target`: any
    # subset of its columns, named and typed as in `claims.schema`; missing ones become null. Every row gives at least
    # one line. It passes `source_file` and `row_no` on; where one row gives several lines it adds `is_first_line`
    # (boolean, true once per row).
    to_canonical: Callable[[ir.Table], ir.Table]
    # Of a layout whose rows hold several lines of one claim: rows of which `lines.unfold_claims` gives what
    # `to_canonical` does. They are then sorted in place of their many lines.
    to_folded: Callable[[ir.Table], ir.Table] | None = None
    # Claim type of the rows, a constant or an expression over `rows`; `"NONE"` for eligibility.
    claim_type: str | Callable[[ir.Table], ir.StringValue] = "NONE"
    # Adds columns that need other rows, such as the dates of the claim that a row continues. Checks and `to_canonical`
    # see them; quarantine and the comparison of duplicates do not.
    derive: Callable[[ir.Table], ir.Table] | None = None
    # Raw columns of the layout with their types, by which duplicates are judged; without them all, as text.
    kinds: Mapping[str, str] = field(default_factory=dict)
    source_column: str | None = None  # Raw column of the payer or system whose claim numbers these are.
    claim_column: str | None = None  # Raw column of the claim id. A claim of two patients is quarantined.
    # Date that must lie within the patient's life and before the extract; null where it cannot be read.
    service_date: Callable[[ir.Table], ir.DateValue] | None = None
    checks: tuple[RowCheck, ...] = ()  # Checks on the raw columns, in order.
    code_columns: tuple[CodeColumns, ...] = ()  # Raw columns that hold codes.
    reversal: Reversal | None = None  # How reversals are found; without it none are netted.
    versions: Versions | None = None  # How later versions are found; without it none are.
    warnings: tuple[RowCheck, ...] = ()  # `W_...` conditions that are counted while the row stays.
    denials: tuple[str, ...] = ()  # Raw columns that say which claims or lines were denied.
    # Of eligibility, whether it tells when patients were enrolled. If so, a patient without a span was not.
    has_spans: bool = True
    is_wide: bool = False  # Whether `to_canonical` takes `claims.wide_rows.WideRows` too.
    whole: WholeTable | None = None  # Where `rows` are those of some patients, what is true of all.

    @property
    def has_few_rows(self) -> bool:
        """Whether all rows are so few that planning a step takes longer than computing every column."""
        return are_few(self.rows, self.files)

    @property
    def claim_key(self) -> tuple[str, ...]:
        """Columns that tell claims apart, none without claims."""
        if self.claim_column is None:
            return ()
        return (self.claim_column,) if self.source_column is None else (self.source_column, self.claim_column)


def are_few(rows: ir.Table, files: Sequence[RawFile]) -> bool:
    """Whether the rows of files have few cells, those that are empty included."""
    return have_few_cells(files, len(rows.columns))


def have_few_cells(files: Sequence[RawFile], num_columns: int) -> bool:
    """Whether the rows of files have few cells in so many columns."""
    return sum(file.num_rows for file in files) * num_columns <= _FEW_CELLS


@dataclass(frozen=True)
class StagedSource:
    """Everything that a source found."""

    name: str  # Name of the source, `data_source` of rows that do not name their own.
    tables: tuple[StagedTable, ...]  # Eligibility first, because claims are checked against it.
    description: Mapping[str, Any] = field(default_factory=dict)  # For the manifest, such as the year of an extract.
    latest_start: dt.date | None = None  # Of rows of some patients, the latest start of enrolment of all.


class SourceReader(Protocol):
    """The function of a source: it stages what it finds at a path."""

    def __call__(self, path: str | Path | None, connection: Backend, *, scratch: Path, **options: Any) -> StagedSource:
        """Stage the raw files."""
