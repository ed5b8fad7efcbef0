"""Tables of a database: what goes wrong there quotes no value of a row."""

from pathlib import Path

import duckdb
import pytest

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
