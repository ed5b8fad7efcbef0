"""Conservation ledger: what came in equals what went out plus what is accounted for, per raw file and claim type.

The numbers of one entry come from different places (the reader, the quarantine, the lines that were written), so that
a row lost in a join shows up as a sum that does not add up.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from claim_transformers.claims.code_coverage import cover_codes
from claim_transformers.claims.small_cells import Shown, show_count, show_counts, show_share
from claim_transformers.claims.volume import low_months
from claim_transformers.codes.errors import ClaimDataError

if TYPE_CHECKING:
    import pyarrow as pa

    from claim_transformers.claims.coding import CodeSurvey

MAX_REASON_SHARE = 0.01
MAX_QUARANTINE_SHARE = 0.05


@dataclass
class _LedgerEntry:
    """Rows of one raw file and claim type."""

    source_file: str
    claim_type: str  # Claim type, `"NONE"` for eligibility, `"UNKNOWN"` where a row could not be read.
    rows_in: int = 0  # Rows that came in.
    rows_out: int = 0  # Rows that became lines of a canonical table.
    lines_out: int = 0  # Those lines; one row can give several.
    quarantined: Counter[str] = field(default_factory=Counter)  # Rows in quarantine by reason.
    dropped: Counter[str] = field(default_factory=Counter)  # Rows dropped by reason.
    netted_out: int = 0  # Charges and reversals that cancelled each other.
    warnings: Counter[str] = field(default_factory=Counter)  # Rows kept with a warning, by code.
    fixes: Counter[str] = field(default_factory=Counter)  # Rows or files repaired, by code.

    @property
    def num_quarantined(self) -> int:
        """Rows in quarantine."""
        return sum(self.quarantined.values())

    @property
    def num_dropped(self) -> int:
        """Rows dropped."""
        return sum(self.dropped.values())

    @property
    def balance(self) -> int:
        """Rows that are not accounted for; zero where the ledger holds."""
        return self.rows_in - self.rows_out - self.num_quarantined - self.num_dropped - self.netted_out

    def add(self, other: _LedgerEntry) -> None:
        """Add the rows of another entry."""
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, Counter):
                value.update(getattr(other, one.name))
            elif isinstance(value, int):
                setattr(self, one.name, value + getattr(other, one.name))

    def to_dict(self) -> dict[str, Any]:
        """The entry as plain values, reasons in alphabetical order."""
        return {
            "source_file": self.source_file,
            "claim_type": self.claim_type,
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "quarantined": self.num_quarantined,
            "dropped": self.num_dropped,
            "netted_out": self.netted_out,
            "lines_out": self.lines_out,
            "quarantine_reasons": dict(sorted(self.quarantined.items())),
            "drop_reasons": dict(sorted(self.dropped.items())),
            "warnings": dict(sorted(self.warnings.items())),
            "fixes": dict(sorted(self.fixes.items())),
        }


@dataclass
class Ledger:
    """All entries of a run, and what happened to single codes."""

    entries: dict[tuple[str, str], _LedgerEntry] = field(default_factory=dict)  # By raw file and claim type.
    # By system: `occurrences` and `distinct` of raw codes, `fixes` and `quarantined` by reason, in occurrences.
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    # By raw table, the codes that stay, as `cover_codes` takes them.
    kept: dict[str, list[pa.Table]] = field(default_factory=dict)
    volume: list[dict[str, Any]] = field(default_factory=list)  # Raw tables and claim types with months of odd volume.
    # By raw file, columns with values that nothing reads.
    unused_columns: dict[str, list[str]] = field(default_factory=dict)
    # By raw table of claims, columns that say what was denied.
    denials: dict[str, list[str]] = field(default_factory=dict)
    # By raw file, code systems whose codes nothing reads.
    unknown_systems: dict[str, dict[str, int]] = field(default_factory=dict)

    def entry(self, source_file: str, claim_type: str) -> _LedgerEntry:
        """Get the entry of a raw file and claim type, made on first use."""
        key = (source_file, claim_type)
        if key not in self.entries:
            self.entries[key] = _LedgerEntry(source_file, claim_type)
        return self.entries[key]

    def add_codes(self, table: str, survey: CodeSurvey) -> None:
        """Add what normalisation does to codes of a raw table; `distinct` is per table, so the largest is kept."""
        self.kept.setdefault(table, []).append(survey.kept)
        facts = self.codes.setdefault(
            survey.system,
            {"occurrences": 0, "distinct": 0, "fixes": Counter(), "quarantined": Counter(), "warnings": Counter()},
        )
        facts["occurrences"] += survey.occurrences
        facts["distinct"] = max(facts["distinct"], survey.distinct)
        facts["fixes"].update(survey.fixes)
        facts["quarantined"].update(survey.quarantined)
        facts["warnings"].update(survey.warnings)

    def add_rows_in(self, table: str, counts: Mapping[tuple[str, str], int]) -> None:
        """Add the rows of a raw table that came in, by raw file and claim type."""
        for key, number in counts.items():
            self.entry(*key).rows_in += number

    def add_months(self, table: str, claim_type: str, first: tuple[str, str], rows: Mapping[int, int]) -> None:
        """Add the rows of a raw table and claim type by month; months of odd volume warn in the `first` entry."""
        if low := low_months(rows):
            self.volume.append({"table": table, "claim_type": claim_type, "low_months": low})
            self.entry(*first).warnings["W_VOLUME"] += len(low)

    def add_diagnoses(self, before: Mapping[str, int], left: Mapping[str, int]) -> None:
        """Add the rows of each raw file that have diagnoses, as they came and once their codes are written.

        Raises:
            ClaimDataError: `E_DIAGNOSES` if a file had some and none is left: its codes are then of another system
                than the layout says.
        """
        if lost := {file: number for file, number in before.items() if not left.get(file)}:
            raise ClaimDataError(
                "E_DIAGNOSES",
                f"expected diagnoses of ICD-9-CM or ICD-10-CM, found none left in {', '.join(sorted(lost))} "
                f"({show_count(sum(lost.values()))} rows have some). Check what the qualifiers of the codes say and "
                "that the columns hold diagnoses (docs/quality.md)",
            )

    def check_conservation(self) -> None:
        """Raise `E_CONSERVATION` with the numbers of the entries that do not add up."""
        broken = [
            f"{entry.source_file}, {entry.claim_type}: {show_count(entry.rows_in)} rows in, but "
            f"{show_count(entry.rows_out)} out + {show_count(entry.num_quarantined)} quarantined + "
            f"{show_count(entry.num_dropped)} dropped + {show_count(entry.netted_out)} netted out"
            for entry in self._sorted()
            if entry.balance != 0
        ]
        if broken:
            raise ClaimDataError("E_CONSERVATION", "; ".join(broken))

    def check_rates(
        self, *, max_quarantine_share: float = MAX_QUARANTINE_SHARE, max_reason_share: float = MAX_REASON_SHARE
    ) -> None:
        """Raise if more rows of a raw file are in quarantine than dirt explains: the layout is then likely wrong.

        Raises:
            ValueError: If a share is not between 0 and 1.
            ClaimDataError: `E_QUARANTINE_RATE` with counts by reason.
        """
        for name, share in (("max_quarantine_share", max_quarantine_share), ("max_reason_share", max_reason_share)):
            if not 0 <= share <= 1:
                raise ValueError(f"expected {name} between 0 and 1, found {share}")
        totals: dict[str, int] = Counter()
        reasons: dict[str, Counter[str]] = {}
        for entry in self._sorted():
            totals[entry.source_file] += entry.rows_in
            reasons.setdefault(entry.source_file, Counter()).update(entry.quarantined)
        too_many = [
            f"{source_file}: {_describe_reasons(counts, totals[source_file])}"
            for source_file, counts in reasons.items()
            if sum(counts.values()) > max_quarantine_share * totals[source_file]
            or any(count > max_reason_share * totals[source_file] for count in counts.values())
        ]
        if too_many:
            raise ClaimDataError(
                "E_QUARANTINE_RATE",
                f"expected at most {max_reason_share:.1%} of the rows of a file in quarantine per reason and "
                f"{max_quarantine_share:.1%} in all, found {'; '.join(too_many)}. Check the layout, its encoding "
                "and the format of dates, or raise max_reason_share and max_quarantine_share (--max-reason-share, "
                "--max-quarantine-share) if the file is known to be this bad",
            )

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values: `files`, `totals`, `codes` and so on, all in a fixed order."""
        entries = [entry.to_dict() for entry in self._sorted()]
        counts = ("rows_in", "rows_out", "quarantined", "dropped", "netted_out", "lines_out")
        codes = {
            system: {
                key: dict(sorted(value.items())) if isinstance(value, Counter) else value
                for key, value in facts.items()
            }
            for system, facts in sorted(self.codes.items())
        }
        return {
            "files": entries,
            "totals": {count: sum(entry[count] for entry in entries) for count in counts},
            "codes": codes,
            "code_coverage": cover_codes(self.kept),
            "volume": self.volume,
            "unused_columns": {name: columns for name, columns in sorted(self.unused_columns.items()) if columns},
            "denials": dict(sorted(self.denials.items())),
            **({"unknown_code_systems": dict(sorted(self.unknown_systems.items()))} if self.unknown_systems else {}),
        }

    def _sorted(self) -> list[_LedgerEntry]:
        return [self.entries[key] for key in sorted(self.entries)]


def _describe_reasons(counts: Counter[str], rows: int) -> str:
    """Reasons for quarantine in a file, and the share of the most frequent one."""
    reasons = ", ".join(f"{reason} {show_count(count)}" for reason, count in sorted(counts.items()))
    share = show_share(max(counts.values()), rows, ".2%")
    return f"{reasons} of {show_count(rows)} rows ({share} at most for one reason)"


def show_entry(entry: Mapping[str, Any], *, raw: bool = False) -> list[Shown]:
    """Rows in and out, in quarantine, dropped and netted out of an entry of the report, as they may be shown."""
    names = ("rows_in", "rows_out", "quarantined", "dropped", "netted_out")
    return list(show_counts({name: entry[name] for name in names}, [(names[0], names[1:])], raw=raw).values())


def report_to_json(report: dict[str, Any]) -> str:
    """A report as the text of `quality_report.json`."""
    return json.dumps(report, indent=2) + "\n"
