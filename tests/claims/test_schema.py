"""What a table must be before it is written."""

import pyarrow as pa
import pytest

from claim_transformers.claims.store import conform
from claim_transformers.codes.errors import ClaimDataError


def test_conform_refuses_a_null_where_none_may_be() -> None:
    schema = pa.schema([pa.field("patient_id", pa.string(), nullable=False)])
    with pytest.raises(ClaimDataError, match=r"E_SCHEMA.*patient_id, found <11"):
        conform(pa.table({"patient_id": ["a", None]}), schema)
