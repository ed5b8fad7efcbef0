"""The expressions that make canonical lines give the same rows on Spark as on DuckDB: `make test-spark`."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest

from claim_transformers.claims.engine import connect
from claim_transformers.sources.deliveries.consolidation import _trace_lines
from claim_transformers.sources.formats.synpuf.claims import stage_institutional

DATA = os.environ.get("CLAIMS_DATA_DIR")
HAS_SPARK = importlib.util.find_spec("pyspark") is not None and shutil.which("java") is not None
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not HAS_SPARK, reason="needs pyspark and Java 17: pip install 'claim-transformers[spark]'"),
    pytest.mark.skipif(not DATA, reason="CLAIMS_DATA_DIR is not set"),
]
# What DuckDB has built in, in the SQL of Spark 4.
_FUNCTIONS = (
    "CREATE TEMPORARY FUNCTION try_strptime(text STRING, pattern STRING) RETURNS TIMESTAMP RETURN "
    "try_to_timestamp(text, CASE pattern WHEN '%Y%m%d' THEN 'yyyyMMdd' ELSE 'yyyy-MM-dd' END)",
    "CREATE TEMPORARY FUNCTION strlen(text STRING) RETURNS BIGINT RETURN octet_length(text)",
)


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from pyspark.sql import SparkSession

    folder = tmp_path_factory.mktemp("spark")
    session = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.warehouse.dir", str(folder))
        .config("spark.sql.shuffle.partitions", "2")
        .getOrCreate()
    )
    for function in _FUNCTIONS:
        session.sql(function)
    yield session
    session.stop()


def test_sample_1_gives_the_same_inpatient_lines_row_by_row(spark: Any, tmp_path: Path) -> None:
    raw = Path(str(DATA)) / "synpuf" / "sample1" / "inpatient.parquet"
    duckdb = connect(threads=1)
    table = stage_institutional(duckdb, [raw], tmp_path, is_inpatient=True)
    staged = tmp_path / "rows.parquet"
    assert table.derive is not None
    derived = table.derive(table.rows)
    duckdb.raw_sql(f"COPY ({duckdb.compile(derived)}) TO '{staged}' (FORMAT parquet)")
    found = {}
    for name, backend in (("duckdb", duckdb), ("spark", ibis.pyspark.connect(spark))):
        rows = backend.read_parquet(str(staged), table_name=f"staged_{name}")
        lines = table.to_canonical(rows)
        lines = lines.mutate(data_source=ibis.literal("synpuf"))
        traced = _trace_lines(lines.mutate(source_file=ibis.literal("inpatient.csv (load 1)")), "claim_line", "rule")
        found[name] = [_sorted(_fetch(backend, one)) for one in (lines.drop("source_file"), traced)]
    for one, other in zip(found["duckdb"], found["spark"], strict=True):
        assert one.num_rows == other.num_rows > 66_000
        assert one.to_pylist() == other.to_pylist()


def _fetch(backend: Any, expression: Any) -> pa.Table:
    if backend.name == "duckdb":
        return backend.con.sql(backend.compile(expression)).to_arrow_table()
    return backend.to_pyarrow(expression)


def _sorted(table: pa.Table) -> pa.Table:
    return table.sort_by([("row_no", "ascending"), ("claim_line_number", "ascending")])
