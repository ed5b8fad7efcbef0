"""Two ingested folders of the same claims, in whatever files and order."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def sorted_rows(paths: list[Path]) -> list[str] | None:
    """Rows of some files as text, in an order of their own; none without a file."""
    tables = [pq.read_table(path) for path in paths]
    rows = [json.dumps(row, sort_keys=True, default=str) for table in tables for row in table.to_pylist()]
    return sorted(rows) if tables else None


def assert_same_folders(one: Path, other: Path) -> None:
    """Hold every table, the quarantine, the report and the manifest of two folders to be equal."""
    for table in ("eligibility", "claim_line", "rx_claim", "drug_names"):
        assert sorted_rows(sorted((one / table).glob("*"))) == sorted_rows(sorted((other / table).glob("*"))), table
    for split in ("train", "validation", "test"):
        found = [sorted((folder / "patients").glob(f"{split}-*.parquet")) for folder in (one, other)]
        assert sorted_rows(found[0]) == sorted_rows(found[1]), split
        assert {str(pq.read_schema(path)) for path in found[0]} == {str(pq.read_schema(path)) for path in found[1]}
    quarantine = [sorted(path.name for path in (folder / "quarantine").glob("*")) for folder in (one, other)]
    assert quarantine[0] == quarantine[1]
    for name in quarantine[0]:
        tables: list[pa.Table] = [pq.read_table(folder / "quarantine" / name) for folder in (one, other)]
        assert tables[0].select(sorted(tables[0].column_names)) == tables[1].select(sorted(tables[1].column_names))
    for name in ("quality_report.json", "manifest.json"):
        contents: list[dict[str, Any]] = [json.loads((folder / name).read_text()) for folder in (one, other)]
        for key in {**contents[0], **contents[1]}:
            assert contents[0].get(key) == contents[1].get(key), (name, key)
