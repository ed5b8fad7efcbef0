"""Parts of the page: tables and pictures as the template lays them out."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from claim_transformers.analysis.result_table import ResultTable

# What a picture refers to within itself; several pictures on a page must not share a name.
_NAME = re.compile(r'(\bid="|url\(#|href="#)')
_INTERVAL = re.compile(r"^(?P<value>[^()]+) \((?P<interval>[^()]+ to [^()]+)\)$")


@dataclass(frozen=True)
class PageTable:
    """A table as the template takes it: each cell a value and, below it, its interval."""

    caption: str
    columns: list[str]
    rows: list[list[tuple[str, str]]]
    notes: list[str]
    texts: set[int]
    marked: set[int]


def page_table(table: ResultTable, caption: str, *, without: Collection[str] = (), notes: bool = True) -> PageTable:
    """Lay a table out, without some columns; the row that is chosen is marked, and says so by its first cell."""
    columns, rows = table.to_texts()
    marked = {number for number, row in enumerate(table.rows) if row.get("chosen") == "yes"}
    kept = [place for place, name in enumerate(columns) if name not in {*without, "chosen"}]
    cells = [[_split(row[place]) for place in kept] for row in rows]
    names = [columns[place] for place in kept]
    # A column of words begins where its heading does; a value with its interval, or a mark in its place, is no word.
    texts = {
        at
        for at, name in enumerate(names)
        if all(isinstance(row.get(name), str) for row in table.rows) and not any(row[at][1] for row in cells)
    }
    return PageTable(caption, names, cells, list(table.notes) if notes else [], texts, marked)


def page_picture(svg: str, number: int) -> str:
    """A picture whose names are its own on the page."""
    return _NAME.sub(rf"\1p{number}-", svg)


def _split(cell: str) -> tuple[str, str]:
    """A value and its interval, where it has one."""
    found = _INTERVAL.match(cell)
    return (found["value"], found["interval"]) if found else (cell, "")
