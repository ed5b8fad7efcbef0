"""Layout files as pages: the tables of columns in `docs/sources` are written from the YAML, so they cannot drift.

python -m claim_transformers.sources.pipeline.layout_pages docs/sources
"""

from __future__ import annotations

import sys
from pathlib import Path

from claim_transformers.sources.pipeline.layout_files import RIF_LAYOUTS, ROWS, UNUSED, FileLayout, read_layouts
from claim_transformers.sources.pipeline.lineage import update_page

PAGES = {"cms_rif": RIF_LAYOUTS}


def describe_layouts(folder: str | Path) -> str:
    """Write the layouts of a folder as markdown: every raw column with its type and what it feeds, or why nothing.

    Args:
        folder (`str` or `Path`): Folder of layout files.

    Returns:
        `str`: One section per file.

    Examples:
        >>> "| `PROD_SRVC_ID` | id | `ndc_code` |" in describe_layouts(RIF_LAYOUTS)
        True
    """
    return "\n\n".join(_describe(layout) for layout in read_layouts(folder).values())


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


if __name__ == "__main__":
    for page_name, layout_folder in PAGES.items():
        page_path = Path(sys.argv[1], f"{page_name}.md")
        page_path.write_text(
            update_page(page_path.read_text(encoding="utf-8"), describe_layouts(layout_folder)), encoding="utf-8"
        )
