"""Lineage of columns: which raw column ends in which canonical column, read from the expressions themselves."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import ibis.expr.operations as ops

from claim_transformers.claims.cleaning import ROW_ID
from claim_transformers.claims.engine import connect
from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.sources.pipeline.contract import StagedSource, StagedTable
from claim_transformers.sources.registry import Source


def _trace_columns(table: StagedTable) -> dict[str, list[str]]:
    """Find the raw columns that each canonical column is made of."""
    rows = table.rows if table.derive is None else table.derive(table.rows)
    lines = table.to_canonical(rows).op()
    names = [name for name in SCHEMAS[table.target].names if name in lines.schema.names]
    return {name: sorted(_resolve(lines, name)) for name in names}


def _resolve(relation: ops.Relation, name: str, part: str | None = None) -> set[str]:
    """Raw columns behind a column of a relation, or behind one field of it if it is a struct."""
    if isinstance(relation, ops.PhysicalTable):
        return set() if name in ROW_ID else {name}
    if isinstance(relation, (ops.Filter, ops.Sort, ops.Distinct, ops.Limit, ops.JoinReference)):
        return _resolve(relation.parent, name, part)
    return _raw_columns_in(relation.values[name], part)


def _raw_columns_in(value: ops.Value, part: str | None = None) -> set[str]:
    if isinstance(value, ops.StructField):
        return _raw_columns_in(value.arg, value.field)
    if isinstance(value, ops.Field):
        return _resolve(value.rel, value.name, part)
    if part is not None and (structs := value.find(ops.StructColumn, filter=ops.Value)):
        fields = [struct.values[struct.names.index(part)] for struct in structs if part in struct.names]
        return {raw for inner in fields for raw in _raw_columns_in(inner)}
    children = [child for child in value.__children__ if isinstance(child, ops.Value)]
    return {raw for child in children for raw in _raw_columns_in(child, part)}


def _describe_columns(source: StagedSource) -> str:
    """Write the columns of a source as markdown: canonical column, then the raw columns it is made of."""
    sections = []
    for table in source.tables:
        traced = _trace_columns(table)
        used = {raw for columns in traced.values() for raw in columns}
        names = [name for name in table.rows.columns if name in (table.kinds or table.rows.columns)]
        unused = [name for name in names if name not in used and name not in ROW_ID]
        lines = [f"### `{table.name}` to `{table.target}`", "", "| canonical | raw |", "|---|---|"]
        lines += [f"| `{name}` | {_join(columns) or 'constant'} |" for name, columns in traced.items()]
        lines += ["", f"Not carried over: {_join(unused) or 'none'}."]
        sections.append("\n".join(lines))
    return "\n\n".join(sections)


def _join(columns: list[str]) -> str:
    """Names in code quotes; numbered columns are shown as their first and last."""
    groups: dict[str, list[str]] = {}
    for column in columns:
        stem = re.sub(r"_\d+$", "", column)
        groups.setdefault(stem if stem != column else column, []).append(column)
    shown = []
    for names in groups.values():
        ordered = sorted(names, key=lambda name: (len(name), name))
        shown.append(f"`{ordered[0]}`" if len(ordered) == 1 else f"`{ordered[0]}` to `{ordered[-1]}`")
    return ", ".join(shown)


def trace_source(source: Source) -> str:
    """Describe the columns of a source from empty files of its layouts, as [`_describe_columns`]."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, scratch = Path(temporary, "raw"), Path(temporary, "scratch")
        folder.mkdir()
        scratch.mkdir()
        for name, layout in source.read_layouts().items():
            header = layout.delimiter.join(layout.names)
            (folder / f"{name}.csv").write_text(f"{header}\n", encoding="utf-8")
        return _describe_columns(source.reader()(folder, connect(threads=1), scratch=scratch))
