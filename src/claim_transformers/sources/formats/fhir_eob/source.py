"""ExplanationOfBenefit, Patient and Coverage of FHIR, in the dialects STU3 (Blue Button v1), CARIN (R4) and CMS v3.

A path is a file or a folder of bulk ndjson, bundles and single resources. What their elements mean is not in the code
but in the files of `mappings`; the columns that they become are those of `layouts`, listed in
`docs/sources/fhir_eob.md`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from claim_transformers.claims.engine import engine_errors, free_name, open_table
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.fhir_eob.claims import LAYOUTS, stage_claim_lines, stage_drug_events
from claim_transformers.sources.formats.fhir_eob.documents import (
    EOB,
    PEOPLE,
    RawResources,
    check_lines,
    read_rejected,
    stage_resources,
)
from claim_transformers.sources.formats.fhir_eob.eligibility import knows_spans_sql, people_rows_sql, stage_people
from claim_transformers.sources.formats.fhir_eob.mapping import (
    CLAIM_COLUMNS,
    DRUG_COLUMNS,
    LINE_COLUMNS,
    read_dialects,
)
from claim_transformers.sources.formats.fhir_eob.paths import quote_text
from claim_transformers.sources.formats.fhir_eob.systems import count_systems
from claim_transformers.sources.pipeline.contract import RawFile, RawLocation, StagedSource, StagedTable

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

# Columns that are numbered, and the lists that they are taken from.
_LISTS = {
    "diagnosis_9": "diagnoses_9",
    "diagnosis_10": "diagnoses_10",
    "poa": "poa",
    "procedure_9": "procedures_9",
    "procedure_10": "procedures_10",
    "procedure_date": "procedure_dates",
    "modifier": "modifiers",
}


def read_fhir_eob(path: RawLocation, connection: Backend, *, scratch: Path) -> StagedSource:
    """Stage the resources at a path."""
    if not isinstance(path, (str, Path)):
        raise ClaimDataError("E_NO_FILE", "expected a file or a folder of FHIR resources, found none or a connection")
    groups = stage_resources(connection, Path(path), scratch)
    staged = free_name(connection, "resources")
    parts = ", ".join(quote_text(str(part)) for group in groups for part in group.parts)
    with engine_errors("reading resources"):
        connection.raw_sql(f'CREATE VIEW "{staged}" AS SELECT * FROM read_parquet([{parts}])')
        facts = _Facts(connection, staged, groups)
        tables = list(_stage_tables(connection, staged, facts))
    if not facts.count(EOB):
        raise ClaimDataError(
            "E_NO_FILE", "expected ExplanationOfBenefit among the resources, found none: check what was exported"
        )
    sources = {name: dialect.source for name, dialect in read_dialects().items() if facts.dialects[name]}
    return StagedSource("fhir-eob", tuple(tables), {"dialects": sources})


class _Facts:
    """What stands in the raw files, counted on what was staged."""

    def __init__(self, connection: Backend, staged: str, groups: Sequence[RawResources]) -> None:
        self.groups = groups
        rows = connection.raw_sql(
            "SELECT source_file, coalesce(kind, ''), claim_type IS NOT DISTINCT FROM 'RX', count(*), "
            f'sum(counted_lines) FILTER (place_of_line = 1), max(next_page) FROM "{staged}" GROUP BY ALL'
        ).fetchall()
        self.rows: dict[tuple[str, str, bool], tuple[int, int]] = {
            (file, kind, is_drug): (int(number), int(counted or 0)) for file, kind, is_drug, number, counted, _ in rows
        }
        self.pages = {file for file, *_, has_next in rows if has_next}
        told = connection.raw_sql(
            f"SELECT dialect, count(*) FROM \"{staged}\" WHERE kind = '{EOB}' AND place_of_line = 1 GROUP BY ALL"
        ).fetchall()
        self.dialects: Counter[str] = Counter({name: int(number) for name, number in told if name is not None})
        self.systems = count_systems(connection, staged)
        lines = connection.raw_sql(
            f'SELECT source_file, sum(n) FROM (SELECT source_file, count(DISTINCT line_no) AS n FROM "{staged}" '
            "GROUP BY source_file, document) GROUP BY source_file"
        ).fetchall()
        read = {file: int(number) for file, number in lines}
        for group in groups:
            check_lines(group, read.get(group.name, 0))
        self.rejects = self._read_rejects(connection, staged)

    def _read_rejects(self, connection: Backend, staged: str) -> Mapping[str, Any]:
        found = connection.con.sql(
            # Lines are numbered through the files that are read together.
            "SELECT source_file, document, line_no - first_line + 1 AS line_no, row_no FROM "
            f'(SELECT source_file, document, min(line_no) AS first_line FROM "{staged}" GROUP BY ALL) '
            f'JOIN "{staged}" USING (source_file, document) WHERE kind IS NULL ORDER BY row_no'
        ).to_arrow_table()
        rejects = {}
        for group in self.groups:
            of_group = found.filter(pc.equal(found["source_file"], group.name))
            if len(of_group):
                rejects[group.name] = read_rejected(group, of_group)
        return rejects

    def count(self, *kinds: str, is_drug: bool | None = None) -> int:
        """Rows of some kinds of resources in all files."""
        return sum(
            number for (_, kind, drug), (number, _) in self.rows.items() if kind in kinds and is_drug in (None, drug)
        )

    def files(self, *kinds: str, is_drug: bool | None = None, takes_rejects: bool = True) -> list[RawFile]:
        """The raw files that hold some kinds of resources, with what is true of them as a whole."""
        found = []
        for group in self.groups:
            here = {key: value for key, value in self.rows.items() if key[0] == group.name}
            picked = [v for (_, kind, drug), v in here.items() if kind in kinds and is_drug in (None, drug)]
            rejects = self.rejects.get(group.name) if takes_rejects else None
            if not picked and rejects is None:
                continue
            # Counted on the text of the resources, not on the rows that were made of them.
            number = sum(counted for _, counted in picked) if EOB in kinds else sum(rows for rows, _ in picked)
            others = sorted({kind for _, kind, _ in here} - {EOB, *PEOPLE, ""})
            found.append(
                RawFile(
                    group.name,
                    number + (0 if rejects is None else rejects.num_rows),
                    group.num_bytes,
                    group.sha256,
                    rejects=rejects,
                    fixes=group.fixes if takes_rejects else {},
                    warnings={"W_NEXT_PAGE": 1} if takes_rejects and group.name in self.pages else {},
                    unused=tuple(f"{kind} resources" for kind in others if re.fullmatch("[A-Za-z]{1,40}", kind)),
                    unknown_systems=dict(self.systems.get(group.name, {})) if takes_rejects else {},
                )
            )
        return found


def _stage_tables(connection: Backend, staged: str, facts: _Facts) -> Iterator[StagedTable]:
    """Stage people, claim lines and drug events, as far as there are any."""
    if facts.count(*PEOPLE):
        rows = f'(SELECT source_file, row_no, document, kind, person FROM "{staged}" WHERE person IS NOT NULL)'
        connection.raw_sql(f'CREATE TABLE "people_of_{staged}" AS {people_rows_sql(rows)}')
        people = open_table(connection, f"people_of_{staged}")
        (has_spans,) = connection.raw_sql(knows_spans_sql(f'"people_of_{staged}"')).fetchall()[0]
        files = facts.files(*PEOPLE, takes_rejects=False)
        yield stage_people(connection, people, files, has_spans=bool(has_spans))
    widths = _measure_lists(connection, staged)
    # What is no JSON could be a claim: it is counted with them.
    if files := facts.files(EOB, is_drug=False):
        yield stage_claim_lines(_claim_lines(connection, staged, widths), files, widths)
    if files := facts.files(EOB, is_drug=True, takes_rejects=False):
        yield stage_drug_events(_drug_events(connection, staged, widths), files, widths)


def _measure_lists(connection: Backend, staged: str) -> dict[str, int]:
    """How many numbered columns each list needs, at least one and at most those of the layout."""
    sizes = [f'coalesce(max(len("{name}")), 0)' for name in (*_LISTS.values(), "detail_ndcs")]
    sizes += [f'count(list_any_value("{name}"))' for name in ("diagnoses_9", "procedures_9")]
    *lengths, has_diagnoses_9, has_procedures_9 = connection.raw_sql(
        f'SELECT {", ".join(sizes)} FROM "{staged}"'
    ).fetchall()[0]
    known = {name for layout in ("claim_lines", "drug_events") for name in LAYOUTS[layout].names}
    widths = {}
    for stem, length in zip((*_LISTS, "ndc"), lengths, strict=True):
        limit = sum(name.rpartition("_")[0] == stem for name in known)
        widths[stem] = min(max(int(length), 1), limit)
    widths["quantity"] = widths["ndc"]
    # Most files have codes of one system alone.
    widths["diagnosis_9"] *= bool(has_diagnoses_9)
    widths["procedure_9"] *= bool(has_procedures_9)
    return widths


def _claim_lines(connection: Backend, staged: str, widths: Mapping[str, int]) -> ir.Table:
    names = [
        name for name in (*CLAIM_COLUMNS, *LINE_COLUMNS) if name not in ("claim", "claim_group", "updated", "line")
    ]
    columns = [f'{_filled(name)} AS "{name}"' for name in (*names, "admitting_9", "admitting_10", "claim_type")]
    columns += _numbered(widths, _LISTS)
    left_out = " + ".join(f'greatest(len("{of_list}") - {widths[stem] or 60}, 0)' for stem, of_list in _LISTS.items())
    columns.append(f"CAST(coalesce({left_out}, 0) AS VARCHAR) AS num_left_out")
    return _view(connection, staged, "claim_lines", columns, "claim_type IS DISTINCT FROM 'RX'")


def _drug_events(connection: Backend, staged: str, widths: Mapping[str, int]) -> ir.Table:
    names = ("patient", "status", "use", "final_action", "system_type", "paid", "claim_type")
    columns = [f'{_filled(name)} AS "{name}"' for name in (*names, *DRUG_COLUMNS[2:])]
    columns.append('coalesce(line_start, "start") AS dispensed')
    # An item names one drug, or the parts of a compound.
    ndcs, quantities = (
        f"CASE WHEN len(detail_ndcs) > 0 AND ndc IS NULL THEN {details} ELSE [{own}] END"
        for details, own in (("detail_ndcs", "ndc"), ("detail_quantities", "quantity"))
    )
    for number in range(1, widths["ndc"] + 1):
        part = f"({ndcs})[{number}]"
        columns += [
            f"CASE WHEN trim({part}) <> '' THEN {part} END AS ndc_{number}",
            f"({quantities})[{number}] AS quantity_{number}",
        ]
    columns.append(f"CAST(greatest(coalesce(len({ndcs}), 0) - {widths['ndc']}, 0) AS VARCHAR) AS num_left_out")
    return _view(connection, staged, "drug_events", columns, "claim_type = 'RX'")


def _filled(column: str, place: str = "") -> str:
    """SQL of a column, null where it holds blanks alone."""
    return f"CASE WHEN trim(replace(\"{column}\"{place}, chr(160), ' ')) <> '' THEN \"{column}\"{place} END"


def _numbered(widths: Mapping[str, int], lists: Mapping[str, str]) -> list[str]:
    return [
        f"{_filled(of_list, f'[{number}]')} AS {stem}_{number}"
        for stem, of_list in lists.items()
        for number in range(1, widths[stem] + 1)
    ]


def _view(connection: Backend, staged: str, name: str, columns: Sequence[str], condition: str) -> ir.Table:
    """A view of the rows of one table: keys of claims and versions, and its own columns."""
    # A claim that is taken back, or is not final, is no version that could be the latest.
    counts = "coalesce(status, 'active') = 'active' AND coalesce(final_action, '') <> 'NotFinalAction'"
    keys = (
        f"{_filled('claim')} || '-' || claim_type AS claim_key, "
        f"coalesce({_filled('claim_group')}, {_filled('claim')}) || '-' || claim_type AS version_key, "
        f"CASE WHEN {counts} THEN coalesce(paid, '') || ' ' || coalesce(updated, '') END AS version, "
        "CASE WHEN has_lines THEN line ELSE '1' END AS line_number, "
        "CASE WHEN has_lines THEN 'yes' ELSE 'no' END AS has_lines"
    )
    connection.raw_sql(
        f'CREATE VIEW "{name}_of_{staged}" AS SELECT source_file, row_no, document, dialect, has_codes, {keys}, '
        f"{', '.join(columns)} FROM \"{staged}\" WHERE kind = '{EOB}' AND {condition}"
    )
    return open_table(connection, f"{name}_of_{staged}")
