"""What Spark raises, in our words; whole runs on it are in tests/sources/test_spark.py."""

from unittest.mock import MagicMock

import pytest

from claim_transformers.claims.spark import SparkTasks
from claim_transformers.codes.errors import ClaimDataError


def test_what_spark_gives_up_on_is_an_error_with_a_code_and_without_its_words():
    session = MagicMock()
    session.range().mapInArrow().toArrow.side_effect = RuntimeError("PythonException of the row of P17")
    with pytest.raises(ClaimDataError, match="E_SPARK: expected every task to end well, found RuntimeError") as caught:
        list(SparkTasks(session).run(len, ["row"]))
    assert "P17" not in str(caught.value)
    assert caught.value.__suppress_context__
