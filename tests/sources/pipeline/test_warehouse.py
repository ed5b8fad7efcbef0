"""Tables of a database: what goes wrong there quotes no value of a row."""

from pathlib import Path
from types import SimpleNamespace

import duckdb
import ibis
import pytest

from claim_transformers.claims.engine import connect, limits_of
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.pipeline.warehouse import fetch_to_parquet, open_database


def test_a_view_that_fails_on_a_value_is_an_error_without_the_value(tmp_path: Path):
    file = tmp_path / "cdm.duckdb"
    with duckdb.connect(str(file)) as made:
        made.execute("CREATE VIEW person AS SELECT CAST('P17' || i AS INTEGER) AS person_id FROM range(3) AS t(i)")
    database = open_database(file)
    assert database is not None
    with pytest.raises(ClaimDataError, match="E_ENGINE: ConversionException while fetching person") as caught:
        fetch_to_parquet(database, ["person"], tmp_path / "fetched")
    assert "P17" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_duckdb_file_has_the_memory_and_the_threads_of_the_engine(tmp_path: Path):
    duckdb.connect(str(tmp_path / "cdm.duckdb")).close()
    engine = connect(threads=1, memory_limit="256MiB")
    assert limits_of(open_database(tmp_path / "cdm.duckdb", engine=engine)) == limits_of(engine)


@pytest.mark.parametrize("fails", ["table", "to_pyarrow_batches"])
def test_a_driver_that_fails_is_an_error_without_its_words(tmp_path: Path, fails: str):
    def fail(*_, **__):
        raise TimeoutError("P17 is no number")

    rows = SimpleNamespace(get_name=lambda: "person", schema=lambda: ibis.schema({"person_id": "int64"}))
    database = SimpleNamespace(name="postgres", table=lambda *_, **__: rows, to_pyarrow_batches=fail)
    setattr(database, fails, fail)
    with pytest.raises(ClaimDataError, match=r"E_WAREHOUSE: .*person.*, found TimeoutError: read") as caught:
        fetch_to_parquet(database, ["person"], tmp_path / "fetched")
    assert "P17" not in str(caught.value)
    assert caught.value.__suppress_context__
