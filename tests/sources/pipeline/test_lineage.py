"""The tables of columns in the documentation say what the code does."""

from pathlib import Path

import pytest

from claim_transformers.sources.pipeline.lineage import LAYOUTS, columns_of_source, update_page

DOCS = Path(__file__).parents[3] / "docs" / "sources"


@pytest.mark.parametrize("source", LAYOUTS)
def test_the_documented_columns_are_those_of_the_code(source: str) -> None:
    page = (DOCS / f"{source}.md").read_text(encoding="utf-8")
    written = update_page(page, columns_of_source(source))
    assert page == written, "run: python -m claim_transformers.sources.pipeline.lineage docs/sources"


def test_a_line_of_a_wide_row_is_traced_to_its_own_columns_only() -> None:
    columns = columns_of_source("synpuf")
    assert "| `rendering_npi` | `PRF_PHYSN_NPI_1` to `PRF_PHYSN_NPI_13` |" in columns


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="columns: begin"):
        update_page("# A source", "")
