"""A dry run: an ingest that publishes nothing, shows its first canonical rows and says whether it would hold.

The rows are of patients and are shown because somebody who may see them asked; they belong on that screen alone.
"""

from __future__ import annotations

import itertools
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from claim_transformers.claims.files import scratch_folder
from claim_transformers.claims.ledger import MAX_QUARANTINE_SHARE, MAX_REASON_SHARE, Ledger
from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.pipeline.contract import RawLocation
from claim_transformers.sources.pipeline.ingest import IngestSummary, ingest

_WIDTH = 116


@dataclass(frozen=True)
class _IngestPreview:
    """What an ingest would do, printable with the first rows of its tables; `refusal` is why it would not."""

    summary: IngestSummary
    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    refusal: str

    def __str__(self) -> str:
        return "\n".join([*self._rows(), str(self.summary), "", self._verdict()])

    def _rows(self) -> Iterator[str]:
        if self.rows:
            yield "Rows of patients follow, as you asked: they belong on this screen alone."
            yield ""
        for name, rows in self.rows.items():
            yield f"{name}, the first rows:"
            for row in rows:
                text = ", ".join(f"{column} {value}" for column, value in row.items() if value not in (None, []))
                yield textwrap.fill(text, _WIDTH, initial_indent="- ", subsequent_indent="  ")
            yield ""

    def _verdict(self) -> str:
        where = f"dry run: nothing is at {self.summary.out}"
        return (
            f"{where}; the ingest would be refused: {self.refusal}"
            if self.refusal
            else f"{where}; the ingest would hold"
        )


def preview_ingest(
    source: str,
    path: RawLocation,
    out: str | Path,
    *,
    num_rows: int = 3,
    max_quarantine_share: float = MAX_QUARANTINE_SHARE,
    max_reason_share: float = MAX_REASON_SHARE,
    **options: Any,
) -> _IngestPreview:
    """Ingest into a hidden folder beside `out` that vanishes, whatever is in quarantine, and look at the result."""
    beside = Path(out).absolute()
    while not beside.parent.is_dir():
        beside = beside.parent
    options.pop("overwrite", None)
    with scratch_folder(beside) as scratch:
        # The folder itself is locked, and publishing locks the one that it publishes in.
        inner = scratch / "dry"
        inner.mkdir()
        found = ingest(source, path, inner / "claims", max_quarantine_share=1.0, max_reason_share=1.0, **options)
        rows = {name: _first_rows(found.out, name, num_rows) for name in (*SCHEMAS, "patients")}
    if any(rows[name] for name in SCHEMAS):
        del rows["patients"]
    refusal = _refusal(found.report, max_quarantine_share, max_reason_share)
    return _IngestPreview(replace(found, out=Path(out)), {name: some for name, some in rows.items() if some}, refusal)


def _first_rows(folder: Path, name: str, number: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for file in sorted((folder / name).glob("*.parquet")):
        if len(rows) < number:
            with pq.ParquetFile(file) as parquet:
                rows += itertools.islice(
                    (row for batch in parquet.iter_batches(number) for row in batch.to_pylist()), number
                )
    return rows[:number]


def _refusal(report: Mapping[str, Any], max_quarantine_share: float, max_reason_share: float) -> str:
    """What an ingest with these limits would say, empty if nothing."""
    ledger = Ledger()
    for found in report["files"]:
        entry = ledger.entry(found["source_file"], found["claim_type"])
        entry.rows_in, entry.quarantined = found["rows_in"], Counter(found["quarantine_reasons"])
    try:
        ledger.check_rates(max_quarantine_share=max_quarantine_share, max_reason_share=max_reason_share)
    except ClaimDataError as error:
        return str(error)
    return ""
