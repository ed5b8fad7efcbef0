"""Tables of columns in `docs/sources`, written from layout files and expressions, so they cannot drift.

    python -m claim_transformers.sources.pipeline.column_pages docs/sources

A test compares them with the code.
"""

from __future__ import annotations

import sys
from pathlib import Path

from claim_transformers.sources.pipeline.layout_files import ROWS, UNUSED, FileLayout
from claim_transformers.sources.pipeline.lineage import trace_source
from claim_transformers.sources.registry import Source, sources

BEGIN, END = "<!-- columns: begin -->", "<!-- columns: end -->"


def page_of(source: Source) -> str:
    """Name the page of a source, if it has columns of its own to describe."""
    return f"{source.name.replace('-', '_')}.md"


def describe_source(source: Source) -> str:
    """Write the columns of a source as markdown.

    Args:
        source ([`sources.registry.Source`]): A source with layout files.

    Returns:
        `str`: Where its layout files say what the columns feed, every raw column with its type and what it feeds, or
        why nothing; else every canonical column with the raw columns that the expressions make it of.
    """
    layouts = source.read_layouts().values()
    if all(layout.is_mapped for layout in layouts):
        return "\n\n".join(_describe(layout) for layout in layouts)
    return trace_source(source)


def _describe(layout: FileLayout) -> str:
    target = "not read" if layout.target == "none" else f"to `{layout.target}`"
    lines = [f"### `{layout.name}` {target}", "", f"{len(layout.names)} columns. Source: {layout.source}.", ""]
    if layout.rules:
        lines += ["| rows | become |", "|---|---|"]
        for rule in layout.rules:
            values = ", ".join(f"`{value}`" for value in rule.values)
            verb = "is" if rule.is_listed else "is filled and none of"
            lines.append(f"| `{rule.column}` {verb} {values}: {rule.because} | `{rule.reason_code}` |")
        lines.append("")
    lines += ["| raw | type | canonical |", "|---|---|---|"]
    for column in layout.columns:
        shown = f"`{column.names[0]}`"
        if len(column.names) > 1:
            shown += f" to `{column.names[-1]}`"
        if column.feeds == UNUSED:
            feeds = f"unused: {column.because}"
        else:
            feeds = "decides which rows stay" if column.feeds == ROWS else f"`{column.feeds}`"
        lines.append(f"| {shown} | {column.kind} | {feeds} |")
    return "\n".join(lines)


def update_page(page: str, columns: str) -> str:
    """Put a new description between the marks of a page."""
    if BEGIN not in page or END not in page:
        raise ValueError(f"expected {BEGIN} and {END} in the page, found at most one of them")
    return f"{page[: page.index(BEGIN)]}{BEGIN}\n\n{columns}\n\n{page[page.index(END) :]}"


if __name__ == "__main__":
    for source in sources().values():
        if source.layouts is not None:
            path = Path(sys.argv[1], page_of(source))
            path.write_text(update_page(path.read_text(encoding="utf-8"), describe_source(source)), encoding="utf-8")
