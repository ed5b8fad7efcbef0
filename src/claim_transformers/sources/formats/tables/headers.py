"""Tables of whole claims beside their lines: each line gets what is true of its claim, and every header is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import ibis
from ibis import _

from claim_transformers.claims.fields import clean_id
from claim_transformers.claims.quality import RowCheck
from claim_transformers.sources.formats.tables.dates import version_order
from claim_transformers.sources.formats.tables.expressions import mapped
from claim_transformers.sources.formats.tables.mapping import HEADER, TableMap
from claim_transformers.sources.pipeline.contract import StagedTable

if TYPE_CHECKING:
    import ibis.expr.types as ir

_HAS_HEADER, _HAS_LINES = mapped("has_header"), mapped("has_lines")


def join_headers(lines: ir.Table, headers: ir.Table, table: TableMap, kinds: Mapping[str, str]) -> ir.Table:
    """Put the columns of its header beside each line; a claim with several headers that differ has none.

    Of several versions of a header the latest counts, if the column that tells versions stands there.
    """
    on = _on(table)
    names = [name.removeprefix(HEADER) for name in kinds if name.startswith(HEADER)]
    keyed = headers.select(*names, **_keys(headers, list(on.values()))).distinct()
    keys = [f"key_{number}" for number in range(len(on))]
    if table.versions is not None and table.versions.latest.startswith(HEADER):
        latest = keyed[table.versions.latest.removeprefix(HEADER)]
        keyed = keyed.mutate(version=version_order(latest, table.versions.dates))
        keyed = keyed.mutate(newest=keyed.version.max().over(group_by=keys))
        keyed = keyed.filter(keyed.version.identical_to(keyed.newest)).drop("version", "newest")
    counted = keyed.mutate(num_headers=_.count().over(group_by=keys))
    single = counted.filter(counted.num_headers == 1)
    single = single.select(
        *keys, **{HEADER + name: single[name] for name in names}, **{_HAS_HEADER: ibis.literal(True)}
    )
    keyed_lines = lines.mutate(**_keys(lines, list(on)))
    joined = keyed_lines.left_join(single, keys)
    found = [joined[HEADER + name] for name in names]
    return joined.select(*(joined[name] for name in lines.columns), *found, joined[_HAS_HEADER])


def headers_alone(headers: ir.Table, lines: ir.Table, table: TableMap) -> ir.Table:
    """The headers as rows of the joined table, and whether lines of their claim are there."""
    on = _on(table)
    keys = [f"key_{number}" for number in range(len(on))]
    with_lines = lines.select(**_keys(lines, list(on))).distinct().mutate(**{_HAS_LINES: ibis.literal(True)})
    keyed = headers.mutate(**_keys(headers, list(on.values())))
    joined = keyed.left_join(with_lines, keys)
    columns: dict[str, ir.Value] = {
        name: ibis.null("string") for name in lines.columns if name not in ("source_file", "row_no")
    }
    columns |= {line: joined[header] for line, header in on.items()}
    columns |= {HEADER + name: joined[name] for name in headers.columns if name not in ("source_file", "row_no")}
    return joined.select(
        "source_file",
        "row_no",
        **columns,
        **{_HAS_LINES: joined[_HAS_LINES].fill_null(False), _HAS_HEADER: ibis.literal(True)},
    )


def check_headers(staged: StagedTable) -> StagedTable:
    """Lines without a header, or with several that differ, go to quarantine."""
    alone = RowCheck(
        "R_HEADER",
        "a line whose header is not there, or of which there are several that differ",
        lambda rows: rows[_HAS_HEADER].isnull(),
    )
    return replace(staged, checks=(alone, *staged.checks))


def count_headers(staged: StagedTable) -> StagedTable:
    """Headers whose lines are there leave, because they stand on each of them; others are claims of one line."""
    key = (*staged.claim_key, staged.patient_column)

    def to_canonical(rows: ir.Table) -> ir.Table:
        lines = staged.to_canonical(rows)
        return lines.mutate(claim_line_number=lines.claim_line_number.fill_null(1))

    return replace(
        staged,
        name=f"{staged.name}_header",
        to_canonical=to_canonical,
        row_key=key,
        kinds={name: kind for name, kind in staged.kinds.items() if name.startswith(HEADER)},
        checks=(
            RowCheck("D_HEADER", "what it says stands on each line of its claim", lambda rows: rows[_HAS_LINES]),
            *(check for check in staged.checks if check.reason_code != "R_LINE_NUMBER"),
        ),
        versions=staged.versions and replace(staged.versions, key=key),
        warnings=(
            *staged.warnings,
            RowCheck("W_HEADER_ALONE", "a claim whose lines are not there has one", lambda rows: ~rows[_HAS_LINES]),
        ),
    )


def _on(table: TableMap) -> Mapping[str, str]:
    assert table.header is not None
    return table.header.on


def _keys(rows: ir.Table, columns: Sequence[str]) -> dict[str, ir.StringValue]:
    return {f"key_{number}": clean_id(rows[name]) for number, name in enumerate(columns)}
