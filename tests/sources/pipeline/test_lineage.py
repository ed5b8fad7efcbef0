"""Lineage of columns, where many raw columns make one line."""

from claim_transformers.sources.pipeline.lineage import trace_source
from claim_transformers.sources.registry import find_source


def test_a_line_of_a_wide_row_is_traced_to_its_own_columns_only() -> None:
    columns = trace_source(find_source("synpuf"))
    assert "| `rendering_npi` | `PRF_PHYSN_NPI_1` to `PRF_PHYSN_NPI_13` |" in columns
