"""One form for the tables of an audit: Markdown to read, CSV, and JSON with every number unrounded."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from claim_transformers.training import MetricInterval

Cell = str | int | float | bool | MetricInterval | None


@dataclass(frozen=True)
class AuditTable:
    r"""Rows of named cells; a cell is a text, a number, a value with its interval, or empty.

    Args:
        title (`str`): Heading.
        rows (`list[dict]`): Cells by name of the column, the same names in every row.
        notes (`list[str]`, *optional*): Sentences below the table.
        hidden (`list[str]`, *optional*): Columns that only CSV and JSON show.

    Examples:
        >>> recall = MetricInterval(0.5, 0.4, 0.6, clusters=90, replicates=1000)
        >>> table = AuditTable("Recall", [{"group": "F", "recall": recall, "p": 1e-5}])
        >>> print(table.to_markdown())
        # Recall
        <BLANKLINE>
        | group | recall | p |
        | --- | --- | --- |
        | F | 0.500 (0.400 to 0.600) | <0.001 |
        <BLANKLINE>
        >>> table.to_csv()
        'group,recall,recall_low,recall_high,p\nF,0.5,0.4,0.6,1e-05\n'
    """

    title: str
    rows: Sequence[Mapping[str, Cell]]
    notes: Sequence[str] = ()
    hidden: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """The table as plain values, for JSON.

        Returns:
            `dict`: `title`, `notes` and `rows`; an interval is a dictionary, NaN is `None`.
        """
        rows = [{name: _plain(cell) for name, cell in row.items()} for row in self.rows]
        return {"title": self.title, "notes": list(self.notes), "rows": rows}

    def to_markdown(self) -> str:
        """The table as Markdown, with its notes.

        Returns:
            `str`: Text that ends with a line feed.
        """
        names = [name for name in (self.rows[0] if self.rows else ()) if name not in self.hidden]
        lines = [f"# {self.title}", "", _line(names), _line(["---"] * len(names))]
        lines += [_line([_shown(name, row[name]) for name in names]) for row in self.rows]
        return "\n".join([*lines, *(f"\n{note}" for note in self.notes)]) + "\n"

    def to_csv(self) -> str:
        """The table as CSV; an interval takes three columns, `NAME`, `NAME_low` and `NAME_high`.

        Returns:
            `str`: Text with a header line.
        """
        wide = {name for row in self.rows for name, cell in row.items() if isinstance(cell, MetricInterval)}
        names = list(self.rows[0]) if self.rows else []
        parts = {name: [name, f"{name}_low", f"{name}_high"] if name in wide else [name] for name in names}
        header = [part for name in names for part in parts[name]]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        for row in self.rows:
            writer.writerow([number for name in names for number in _numbers(row[name], wide=name in wide)])
        return text.getvalue()

    def save(self, folder: str | Path, name: str) -> None:
        """Write `name.md`, `name.csv` and `name.json`.

        Args:
            folder (`str` or `Path`): Where to; made when absent.
            name (`str`): File name without ending.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.md").write_text(self.to_markdown(), encoding="utf-8")
        (folder / f"{name}.csv").write_text(self.to_csv(), encoding="utf-8")
        (folder / f"{name}.json").write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _shown(name: str, cell: Cell) -> str:
    """A cell for readers: three digits, thousands apart, and small p-values as a bound."""
    if cell is None or (isinstance(cell, float) and np.isnan(cell)):
        return ""
    if isinstance(cell, MetricInterval) and cell.value is None:
        return "undefined"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return "<0.001" if cell < 0.001 and (name == "p" or name.startswith("p ")) else f"{cell:.3f}"
    return str(cell)


def _plain(cell: Cell) -> Any:
    if isinstance(cell, MetricInterval):
        return cell.to_dict()
    return None if isinstance(cell, float) and np.isnan(cell) else cell


def _numbers(cell: Cell, *, wide: bool) -> list[Any]:
    if isinstance(cell, MetricInterval):
        return [cell.value, cell.low, cell.high]
    plain = _plain(cell)
    return [plain, None, None] if wide else [plain]
