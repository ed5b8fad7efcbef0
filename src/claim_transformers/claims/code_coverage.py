"""Code coverage: how much of the codes of each raw table public tables know, from distinct codes counted already."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.small_cells import HIDDEN, hides_share, show_count
from claim_transformers.codes.coverage import CoverageReport, SystemCoverage, report_coverage
from claim_transformers.codes.groupers import category_rules
from claim_transformers.codes.rules import CategoryRules
from claim_transformers.codes.systems import SYSTEMS

_HEADER = ("raw table", "system", "distinct codes", "occurrences", "with category", "listed")


def cover_codes(kept: Mapping[str, Sequence[pa.Table]]) -> list[dict[str, Any]]:
    """Count, for each raw table and code system, the codes with a category and those that no public list holds."""
    tables = {table: codes for table in sorted(kept) if (codes := pa.concat_tables(kept[table])).num_rows}
    split = {name: pc.split_pattern(codes["code"], "/", max_splits=1) for name, codes in tables.items()}
    systems = {table: pc.list_element(parts, 0) for table, parts in split.items()}
    present = {name for of_table in systems.values() for name in of_table.unique().to_pylist()}
    # The table of ICD-10-CM takes most of a second to read, so only systems that occur get their rules.
    rules = category_rules(systems=[name for name in SYSTEMS if name in present])
    return [entry for table, codes in tables.items() for entry in _cover_table(table, codes, systems[table], rules)]


def _cover_table(table: str, codes: pa.Table, system: pa.ChunkedArray, rules: CategoryRules) -> list[dict[str, Any]]:
    known = codes.filter(pc.is_in(system, value_set=pa.array(SYSTEMS, pa.string())))
    covered = report_coverage(known["code"], known["count"], rules).systems
    others = [_without_rules(name, codes, system) for name in sorted({*system.unique().to_pylist()} - {*SYSTEMS})]
    return [{"table": table, **entry} for entry in CoverageReport((*covered, *others)).to_dict()["systems"]]


def _without_rules(name: str, codes: pa.Table, system: pa.ChunkedArray) -> SystemCoverage:
    rows = codes.filter(pc.equal(system, name))
    num_codes, num_occurrences = pc.count_distinct(rows["code"]).as_py(), pc.sum(rows["count"]).as_py()
    return SystemCoverage(name, num_codes, num_occurrences, 0, 0, None, None)


def coverage_rows(coverage: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """The coverage as rows of text under a header, for a terminal. Shares are of occurrences."""
    return [
        _HEADER,
        *(
            (
                entry["table"],
                entry["system"],
                f"{entry['num_codes']:,}",
                show_count(entry["num_occurrences"]),
                _share(entry["num_occurrences_mapped"], entry["num_occurrences"]),
                "-"
                if entry["num_occurrences_unlisted"] is None
                else _share(entry["num_occurrences"] - entry["num_occurrences_unlisted"], entry["num_occurrences"]),
            )
            for entry in coverage
        ),
    ]


def _share(part: int, whole: int) -> str:
    """A share in percent, rounded down, so that a code that is missing is never rounded away."""
    if hides_share(part, whole):
        return HIDDEN
    return "100 %" if part == whole else f"{part * 10_000 // whole / 100:.2f} %"
