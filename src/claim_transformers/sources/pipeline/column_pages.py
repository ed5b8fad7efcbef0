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

_BEGIN, _END = "<!-- columns: begin -->", "<!-- columns: end -->"


def _page_of(source: Source) -> str:
    """Name the page of a source in `docs/sources`."""
    return f"{source.name.replace('-', '_')}.md"


def _describe_source(source: Source) -> str:
    """Write the columns of a source as markdown."""
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


def _update_page(page: str, columns: str) -> str:
    """Put a new description between the marks of a page."""
    if _BEGIN not in page or _END not in page:
        raise ValueError(f"expected {_BEGIN} and {_END} in the page, found at most one of them")
    return f"{page[: page.index(_BEGIN)]}{_BEGIN}\n\n{columns}\n\n{page[page.index(_END) :]}"


if __name__ == "__main__":
    for source in sources().values():
        if source.layouts is not None:
            path = Path(sys.argv[1], _page_of(source))
            path.write_text(_update_page(path.read_text(encoding="utf-8"), _describe_source(source)), encoding="utf-8")
