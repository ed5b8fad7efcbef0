"""Counts of parts, which add up to those of the whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from claim_transformers.claims.engine import connect
from claim_transformers.claims.ledger import Ledger
from claim_transformers.sources.distribution.units import rows_of
from claim_transformers.sources.pipeline.contract import StagedSource
from claim_transformers.sources.pipeline.publishing import group_entries
from claim_transformers.sources.pipeline.screening import enter_files

if TYPE_CHECKING:
    from claim_transformers.claims.coding import CodeSurvey

_TARGETS = ("eligibility", "claim_line", "rx_claim")
_Key = tuple[str, str]
_RAW_SCHEMA = pa.schema([("survey", pa.string()), ("system", pa.string()), ("raw", pa.string())])
_KEPT_SCHEMA = pa.schema([("table", pa.string()), ("code", pa.string()), ("count", pa.int64())])
_RAW, _KEPT = "raw_codes.parquet", "kept_codes.parquet"


@dataclass
class PartLedger(Ledger):
    """The ledger of the rows of some patients: what only the whole can be judged by is kept instead of judged."""

    rows_in: dict[str, Counter[_Key]] = field(default_factory=dict)
    months: dict[_Key, Counter[int]] = field(default_factory=dict)
    diagnoses: tuple[Counter[str], Counter[str]] = field(default_factory=lambda: (Counter(), Counter()))
    raw_codes: list[tuple[str, str, pa.Array]] = field(default_factory=list)

    def add_rows_in(self, table: str, counts: Mapping[_Key, int]) -> None:
        """Add and keep the rows of a raw table."""
        super().add_rows_in(table, counts)
        self.rows_in.setdefault(table, Counter()).update(counts)

    def add_months(self, table: str, claim_type: str, first: _Key, rows: Mapping[int, int]) -> None:
        """Keep the rows by month."""
        self.months.setdefault((table, claim_type), Counter()).update(rows)

    def add_diagnoses(self, before: Mapping[str, int], left: Mapping[str, int]) -> None:
        """Keep the rows that have diagnoses."""
        for kept, counts in zip(self.diagnoses, (before, left), strict=True):
            kept.update(counts)

    def add_codes(self, table: str, survey: CodeSurvey) -> None:
        """Add and keep the codes of some columns."""
        super().add_codes(table, survey)
        self.raw_codes.append((f"{table}/{len(self.kept[table])}", survey.system, survey.raw))

    def check_rates(self, **_: float) -> None:
        """Say nothing: a part of a file can be worse than the file."""

    def put_codes_down(self, folder: Path) -> None:
        """Write the codes into a folder, because there are many, and keep the counts alone."""
        raw = [
            pa.table([_repeat(survey, codes), _repeat(system, codes), codes.cast(pa.string())], schema=_RAW_SCHEMA)
            for survey, system, codes in self.raw_codes
        ]
        kept = [
            pa.table(
                [_repeat(table, codes["code"]), *(codes[name] for name in ("code", "count"))], names=_KEPT_SCHEMA.names
            ).cast(_KEPT_SCHEMA)
            for table, surveys in self.kept.items()
            for codes in surveys
        ]
        for name, tables, schema in ((_RAW, raw, _RAW_SCHEMA), (_KEPT, kept, _KEPT_SCHEMA)):
            pq.write_table(pa.concat_tables([schema.empty_table(), *tables]), folder / name)
        self.raw_codes, self.kept = [], {}


def _repeat(text: str, beside: pa.Array) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.string()), len(beside))


def add_up(parts: Sequence[PartLedger], folders: Sequence[Path], source: StagedSource) -> Ledger:
    """Add the ledgers of all parts, whose codes are in `folders`, and judge what only the whole can be judged by."""
    ledger = Ledger()
    rows_in: dict[str, Counter[_Key]] = {}
    months: dict[_Key, Counter[int]] = {}
    before, left = Counter[str](), Counter[str]()
    for part in parts:
        for key, entry in part.entries.items():
            ledger.entry(*key).add(entry)
        for system, facts in part.codes.items():
            _add_facts(ledger.codes.setdefault(system, {}), facts)
        for table_name, counts in part.rows_in.items():
            rows_in.setdefault(table_name, Counter()).update(counts)
        for group, by_month in part.months.items():
            months.setdefault(group, Counter()).update(by_month)
        before.update(part.diagnoses[0])
        left.update(part.diagnoses[1])
    _add_codes(ledger, folders)
    ledger.add_diagnoses(before, left)
    for table in source.tables:
        enter_files(table, rows_in.get(table.name, Counter()), ledger)
    for target in _TARGETS:
        keys, groups = group_entries([table for table in source.tables if table.target == target], ledger)
        for group in dict.fromkeys(groups):
            ledger.add_months(*group, keys[groups.index(group)], months.get(group, {}))
    return ledger


def _add_facts(facts: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add what normalisation did to codes; distinct ones are counted elsewhere."""
    for name, value in more.items():
        if isinstance(value, Counter):
            facts.setdefault(name, Counter()).update(value)
        else:
            facts[name] = facts.get(name, 0) + value


def _add_codes(ledger: Ledger, folders: Sequence[Path]) -> None:
    """Count distinct raw codes by system, of each survey apart, and the codes that stay."""
    if not folders:
        return
    connection = connect()

    def run(name: str, sql: str) -> pa.Table:
        rows = rows_of([folder / name for folder in folders])
        return connection.con.sql(sql.format(rows=rows)).to_arrow_table()

    distinct = run(
        _RAW,
        "SELECT system, max(n) AS n FROM (SELECT survey, system, count(DISTINCT raw) AS n FROM {rows} GROUP BY ALL) "
        "GROUP BY system",
    )
    for row in distinct.to_pylist():
        ledger.codes[row["system"]]["distinct"] = row["n"]
    for system in set(ledger.codes) - {*distinct["system"].to_pylist()}:
        ledger.codes[system]["distinct"] = 0
    kept = run(_KEPT, 'SELECT "table", code, CAST(sum(count) AS BIGINT) AS count FROM {rows} GROUP BY ALL')
    for name in kept["table"].unique().to_pylist():
        ledger.kept[name] = [kept.filter(pa.compute.equal(kept["table"], name)).drop_columns(["table"])]
    connection.disconnect()
