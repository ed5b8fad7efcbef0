"""The tables of columns in the documentation say what the layout files and the code say."""

from pathlib import Path

import pytest

from claim_transformers.sources.pipeline.column_pages import _describe_source, _page_of, _update_page
from claim_transformers.sources.registry import sources

DOCS = Path(__file__).parents[3] / "docs" / "sources"


@pytest.mark.parametrize("name", [source.name for source in sources().values() if source.layouts is not None])
def test_the_documented_columns_are_those_of_the_format(name: str) -> None:
    source = sources()[name]
    page = (DOCS / _page_of(source)).read_text(encoding="utf-8")
    written = _update_page(page, _describe_source(source))
    assert page == written, "run: python -m claim_transformers.sources.pipeline.column_pages docs/sources"


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="columns: begin"):
        _update_page("# A source", "")
