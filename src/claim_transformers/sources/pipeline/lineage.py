"""Which raw column ends in which canonical column, read from the expressions themselves.

The tables in `docs/sources` are written by this module, and a test compares them with the code, so they cannot drift:

    python -m claim_transformers.sources.pipeline.lineage docs/sources
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import ibis.expr.operations as ops

from claim_transformers.claims.cleaning import ROW_ID
from claim_transformers.claims.engine import connect
from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.sources.formats.mimic3.columns import LAYOUTS as MIMIC3_LAYOUTS
from claim_transformers.sources.formats.synpuf.columns import (
    CARRIER,
    INPATIENT,
    OUTPATIENT,
    PRESCRIPTION,
    beneficiary_layout,
)
from claim_transformers.sources.formats.tuva.columns import ELIGIBILITY, MEDICAL_CLAIM, PHARMACY_CLAIM
from claim_transformers.sources.pipeline.contract import StagedSource, StagedTable
from claim_transformers.sources.pipeline.ingest import source_reader
from claim_transformers.sources.pipeline.reading import Layout

# Empty files of these layouts are enough to build the expressions of a source.
LAYOUTS: Mapping[str, Mapping[str, Layout]] = {
    "mimic3": {f"{name.upper()}.csv": layout for name, layout in MIMIC3_LAYOUTS.items()},
    "synpuf": {
        "DE1_0_2008_Beneficiary_Summary_File_Sample_1.csv": beneficiary_layout("2008"),
        "DE1_0_2008_to_2010_Inpatient_Claims_Sample_1.csv": INPATIENT,
        "DE1_0_2008_to_2010_Outpatient_Claims_Sample_1.csv": OUTPATIENT,
        "DE1_0_2008_to_2010_Carrier_Claims_Sample_1A.csv": CARRIER,
        "DE1_0_2008_to_2010_Prescription_Drug_Events_Sample_1.csv": PRESCRIPTION,
    },
    "tuva": {
        "eligibility.csv": ELIGIBILITY,
        "medical_claim.csv": MEDICAL_CLAIM,
        "pharmacy_claim.csv": PHARMACY_CLAIM,
    },
}
BEGIN, END = "<!-- columns: begin -->", "<!-- columns: end -->"


def trace_columns(table: StagedTable) -> dict[str, list[str]]:
    """Find the raw columns that each canonical column is made of.

    Args:
        table (`StagedTable`): A staged table; no row is read.

    Returns:
        `dict[str, list[str]]`: Raw columns in alphabetical order, by canonical column; a constant has none.

    Examples:
        >>> import ibis
        >>> from claim_transformers.sources.formats.tuva.claims import stage_pharmacy_claims
        >>> rows = ibis.table(dict.fromkeys((*PHARMACY_CLAIM.columns, *ROW_ID), "string"))
        >>> trace_columns(stage_pharmacy_claims(rows, ()))["patient_id"]
        ['person_id']
    """
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


def describe_columns(source: StagedSource) -> str:
    """Write the columns of a source as markdown: canonical column, then the raw columns it is made of.

    Args:
        source (`StagedSource`): A staged source.

    Returns:
        `str`: One section per raw table, and the raw columns that go nowhere.

    Examples:
        >>> describe_columns(StagedSource("nothing", ()))
        ''
    """
    sections = []
    for table in source.tables:
        traced = trace_columns(table)
        used = {raw for columns in traced.values() for raw in columns}
        unused = [name for name in table.rows.columns if name not in used and name not in ROW_ID]
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


def columns_of_source(name: str) -> str:
    """Describe a source from empty files of its layouts.

    Args:
        name (`str`): A name in `LAYOUTS`.

    Returns:
        `str`: As [`describe_columns`].

    Examples:
        >>> "| `ndc_code` | `PROD_SRVC_ID` |" in columns_of_source("synpuf")
        True
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder, scratch = Path(temporary, "raw"), Path(temporary, "scratch")
        folder.mkdir()
        scratch.mkdir()
        for file, layout in LAYOUTS[name].items():
            (folder / file).write_text(",".join(layout.columns) + "\n", encoding="utf-8")
        return describe_columns(source_reader(name)(folder, connect(threads=1), scratch=scratch))


def update_page(page: str, columns: str) -> str:
    """Put a new description between the marks of a page.

    Args:
        page (`str`): Markdown with both marks.
        columns (`str`): The description.

    Returns:
        `str`: The page.

    Raises:
        ValueError: If a mark is missing.

    Examples:
        >>> "old" in update_page(f"{BEGIN} old {END}", "new")
        False
    """
    if BEGIN not in page or END not in page:
        raise ValueError(f"expected {BEGIN} and {END} in the page, found at most one of them")
    return f"{page[: page.index(BEGIN)]}{BEGIN}\n\n{columns}\n\n{page[page.index(END) :]}"


if __name__ == "__main__":
    for source_name in LAYOUTS:
        path = Path(sys.argv[1], f"{source_name}.md")
        path.write_text(
            update_page(path.read_text(encoding="utf-8"), columns_of_source(source_name)), encoding="utf-8"
        )
