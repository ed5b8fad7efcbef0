"""What stands in raw files of resources, counted on what was staged of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from claim_transformers.sources.formats.fhir_eob.claims import LAYOUTS
from claim_transformers.sources.formats.fhir_eob.documents import EOB, PEOPLE, RawResources, check_lines, read_rejected
from claim_transformers.sources.formats.fhir_eob.eligibility import knows_spans_sql, people_rows_sql
from claim_transformers.sources.formats.fhir_eob.systems import count_systems
from claim_transformers.sources.pipeline.contract import RawFile

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

# Columns that are numbered, and the lists that they are taken from.
LISTS = {
    "diagnosis_9": "diagnoses_9",
    "diagnosis_10": "diagnoses_10",
    "poa": "poa",
    "procedure_9": "procedures_9",
    "procedure_10": "procedures_10",
    "procedure_date": "procedure_dates",
    "modifier": "modifiers",
}
_Kind = tuple[str, str, bool]


@dataclass(frozen=True)
class ResourceFacts:
    """What stands in raw files; `is_part` where the rows at hand are those of some patients."""

    groups: tuple[RawResources, ...]
    # By file, kind of resource and whether it is a fill: rows, and lines counted on the text.
    rows: Mapping[_Kind, tuple[int, int]]
    # Files with a bundle that goes on elsewhere.
    pages: frozenset[str]
    dialects: Mapping[str, int]
    systems: Mapping[str, Mapping[str, int]]
    rejects: Mapping[str, Any]
    # The longest of each of `LISTS`, and of the drugs of an item.
    lengths: tuple[int, ...]
    has_icd9: tuple[bool, ...]
    has_spans: bool
    is_part: bool = False

    @classmethod
    def read(cls, connection: Backend, staged: str, groups: Sequence[RawResources]) -> ResourceFacts:
        """Count what was staged of all files; every line of theirs must have been read."""
        rows, pages = _count_rows(connection, staged)
        dialects = connection.raw_sql(
            f"SELECT dialect, count(*) FROM \"{staged}\" WHERE kind = '{EOB}' AND place_of_line = 1 GROUP BY ALL"
        ).fetchall()
        lines = connection.raw_sql(
            f'SELECT source_file, sum(n) FROM (SELECT source_file, count(DISTINCT line_no) AS n FROM "{staged}" '
            "GROUP BY source_file, document) GROUP BY source_file"
        ).fetchall()
        read = {file: int(number) for file, number in lines}
        for group in groups:
            check_lines(group, read.get(group.name, 0))
        has_spans = False
        if any(kind in PEOPLE for _, kind, _ in rows):
            people = create_people(connection, staged)
            (has_spans,) = connection.raw_sql(knows_spans_sql(f'"{people}"')).fetchall()[0]
        sizes = [f'coalesce(max(len("{name}")), 0)' for name in (*LISTS.values(), "detail_ndcs")]
        sizes += [f'count(list_any_value("{name}"))' for name in ("diagnoses_9", "procedures_9")]
        *lengths, diagnoses_9, procedures_9 = connection.raw_sql(
            f'SELECT {", ".join(sizes)} FROM "{staged}"'
        ).fetchall()[0]
        return cls(
            tuple(groups),
            rows,
            pages,
            {name: int(number) for name, number in dialects if name is not None},
            count_systems(connection, staged),
            _read_rejects(connection, staged, groups),
            tuple(map(int, lengths)),
            (bool(diagnoses_9), bool(procedures_9)),
            bool(has_spans),
        )

    @classmethod
    def of_files(cls, facts: Sequence[ResourceFacts]) -> ResourceFacts:
        """What stands in files that were counted one by one."""
        dialects = Counter[str]()
        for one in facts:
            dialects.update(one.dialects)
        return cls(
            tuple(group for one in facts for group in one.groups),
            {kind: counts for one in facts for kind, counts in one.rows.items()},
            frozenset().union(*(one.pages for one in facts)),
            dialects,
            {file: systems for one in facts for file, systems in one.systems.items()},
            {file: rows for one in facts for file, rows in one.rejects.items()},
            tuple(map(max, zip(*(one.lengths for one in facts), strict=True))),
            tuple(map(any, zip(*(one.has_icd9 for one in facts), strict=True))),
            any(one.has_spans for one in facts),
            any(one.is_part for one in facts),
        )

    def of_rows(self, connection: Backend, staged: str) -> ResourceFacts:
        """The same files, of which only some rows are at hand: those are counted, what was said of files is not."""
        found, _ = _count_rows(connection, staged)
        rows = {kind: found.get(kind, (0, 0)) for kind in self.rows}
        groups = tuple(replace(group, fixes={}) for group in self.groups)
        return replace(self, groups=groups, rows=rows, pages=frozenset(), systems={}, rejects={})

    def has(self, *kinds: str) -> bool:
        """Whether a file has resources of some kinds."""
        return any(kind in kinds for _, kind, _ in self.rows)

    @property
    def widths(self) -> dict[str, int]:
        """How many numbered columns each list needs, at least one and at most those of the layout."""
        known = {name for layout in ("claim_lines", "drug_events") for name in LAYOUTS[layout].names}
        widths = {}
        for stem, length in zip((*LISTS, "ndc"), self.lengths, strict=True):
            limit = sum(name.rpartition("_")[0] == stem for name in known)
            widths[stem] = min(max(length, 1), limit)
        widths["quantity"] = widths["ndc"]
        # Most files have codes of one system alone.
        for stem, has_codes in zip(("diagnosis_9", "procedure_9"), self.has_icd9, strict=True):
            widths[stem] *= has_codes
        return widths

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


def create_people(connection: Backend, staged: str) -> str:
    """Turn Patient and Coverage of staged resources into a table of their rows, once, and give its name."""
    name = f"people_of_{staged}"
    rows = f'(SELECT source_file, row_no, document, kind, person FROM "{staged}" WHERE person IS NOT NULL)'
    connection.raw_sql(f'CREATE TABLE IF NOT EXISTS "{name}" AS {people_rows_sql(rows)}')
    return name


def _count_rows(connection: Backend, staged: str) -> tuple[dict[_Kind, tuple[int, int]], frozenset[str]]:
    """Rows, and lines counted on the text, by file, kind and whether they are fills; files that go on elsewhere."""
    rows = connection.raw_sql(
        "SELECT source_file, coalesce(kind, ''), claim_type IS NOT DISTINCT FROM 'RX', count(*), "
        f'sum(counted_lines) FILTER (place_of_line = 1), max(next_page) FROM "{staged}" GROUP BY ALL'
    ).fetchall()
    counts = {
        (file, kind, is_drug): (int(number), int(counted or 0)) for file, kind, is_drug, number, counted, _ in rows
    }
    return counts, frozenset(file for file, *_, has_next in rows if has_next)


def _read_rejects(connection: Backend, staged: str, groups: Sequence[RawResources]) -> dict[str, Any]:
    found = connection.con.sql(
        # Lines are numbered through the files that are read together.
        "SELECT source_file, document, line_no - first_line + 1 AS line_no, row_no FROM "
        f'(SELECT source_file, document, min(line_no) AS first_line FROM "{staged}" GROUP BY ALL) '
        f'JOIN "{staged}" USING (source_file, document) WHERE kind IS NULL ORDER BY row_no'
    ).to_arrow_table()
    rejects = {}
    for group in groups:
        of_group = found.filter(pc.equal(found["source_file"], group.name))
        if len(of_group):
            rejects[group.name] = read_rejected(group, of_group)
    return rejects
