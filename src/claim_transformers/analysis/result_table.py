"""Result table: rows of numbers with intervals, written as Markdown to read, CSV, JSON unrounded, and a picture."""

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from claim_transformers.claims.files import private_folder, to_json, write_file
from claim_transformers.training import MetricInterval

Cell = str | int | float | bool | MetricInterval | None


@dataclass(frozen=True)
class ResultTable:
    r"""Rows of named cells; a cell is a text, a number, a value with its interval, or empty.

    Args:
        title (`str`): Heading.
        rows (`list[dict]`): Cells by name of the column; a row may lack some.
        notes (`list[str]`, *optional*): Sentences below the table.
        hidden (`list[str]`, *optional*): Columns that only CSV and JSON show.
        formats (`dict[str, str]`, *optional*): Python's format of the floats and intervals of a column in Markdown,
            such as `"+.3f"` or `".0%"`; three digits without it.
        bold (`list[int]`, *optional*): Positions of rows that Markdown prints bold.
        picture (`str`, *optional*): SVG that belongs to the table.
        csv_rows (`list[dict]`, *optional*): Rows of the CSV, where they are others than those that are shown.
        content (`dict`, *optional*): What the JSON holds, where it is more than title, notes and rows.

    Examples:
        >>> recall = MetricInterval(0.5, 0.4, 0.6, clusters=90, replicates=1000)
        >>> table = ResultTable("Recall", [{"group": "F", "recall": recall, "p": 1e-5}])
        >>> print(table.to_markdown())
        # Recall
        <BLANKLINE>
        | group | recall | p |
        | --- | --- | --- |
        | F | 0.500 (0.400 to 0.600) | <0.001 |
        <BLANKLINE>
        >>> table.to_csv()
        'group,recall,recall_low,recall_high,p\nF,0.5,0.4,0.6,1e-05\n'
        >>> ResultTable.from_dict(table.to_dict()) == table
        True
    """

    title: str
    rows: Sequence[Mapping[str, Cell]]
    notes: Sequence[str] = ()
    hidden: Sequence[str] = ()
    formats: Mapping[str, str] = field(default_factory=dict)
    bold: Collection[int] = ()
    picture: str | None = None
    csv_rows: Sequence[Mapping[str, Cell]] | None = None
    content: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The table as plain values, for JSON.

        Returns:
            `dict`: `title`, `notes` and `rows`; an interval is a dictionary, NaN is `None`.
        """
        if self.content is not None:
            return dict(self.content)
        return {"title": self.title, "notes": list(self.notes), "rows": plain_rows(self.rows)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], *, hidden: Sequence[str] = ()) -> "ResultTable":
        """Read back what [`ResultTable.to_dict`] gave, or the JSON that [`ResultTable.save`] wrote.

        Args:
            content (`dict`): `title`, `notes` and `rows`.
            hidden (`list[str]`, *optional*): Columns that only CSV and JSON show, of which JSON does not know.

        Raises:
            ValueError: If the content is that of another kind of table.
        """
        missing = [name for name in ("title", "notes", "rows") if name not in content]
        if missing:
            raise ValueError(f"expected title, notes and rows of a table, found no {', '.join(missing)}")
        rows = [{column: _cell(value) for column, value in row.items()} for row in content["rows"]]
        return cls(content["title"], rows, tuple(content["notes"]), tuple(hidden))

    def to_markdown(self, name: str | None = None) -> str:
        """The table as Markdown, with its notes.

        Args:
            name (`str`, *optional*): File name of the picture without ending; without it the picture is not shown.

        Returns:
            `str`: Text that ends with a line feed.
        """
        columns, rows = self.to_texts()
        lines = [f"# {self.title}", ""]
        lines += [f"![{self.title}]({name}.svg)", ""] if self.picture is not None and name is not None else []
        lines += [_line(columns), _line(["---"] * len(columns))]
        for position, cells in enumerate(rows):
            lines.append(_line([f"**{cell}**" if cell and position in self.bold else cell for cell in cells]))
        return "\n".join([*lines, *(f"\n{note}" for note in self.notes)]) + "\n"

    def to_texts(self) -> tuple[list[str], list[list[str]]]:
        """Columns and cells as readers see them.

        Returns:
            `tuple[list[str], list[list[str]]]`: Names of the columns, and the texts of each row in their order.
        """
        columns = [column for column in _columns(self.rows) if column not in self.hidden]
        formats = {column: self.formats.get(column, ".3f") for column in columns}
        return columns, [[_shown(column, row.get(column), formats[column]) for column in columns] for row in self.rows]

    def to_csv(self) -> str:
        """The table as CSV; an interval takes three columns, `NAME`, `NAME_low` and `NAME_high`."""
        rows = self.rows if self.csv_rows is None else self.csv_rows
        columns = _columns(rows)
        wide = {column for row in rows for column, cell in row.items() if isinstance(cell, MetricInterval)}
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        ends = {
            column: [column, f"{column}_low", f"{column}_high"] if column in wide else [column] for column in columns
        }
        writer.writerow([end for column in columns for end in ends[column]])
        for row in rows:
            writer.writerow([n for column in columns for n in _numbers(row.get(column), wide=column in wide)])
        return text.getvalue()

    def save(self, folder: str | Path, name: str) -> None:
        """Write `name.md`, `name.csv`, `name.json` and, with a picture, `name.svg`.

        Args:
            folder (`str` or `Path`): Where to; made when absent.
            name (`str`): File name without ending.

        Raises:
            ClaimDataError: `E_WRITE` if the disk is full or cannot be written; a file is there whole or not at all.
            ValueError: If a number of the JSON is infinite.
        """
        folder = private_folder(folder)
        contents = {"md": self.to_markdown(name), "csv": self.to_csv()}
        contents["json"] = to_json(self.to_dict())
        if self.picture is not None:
            contents["svg"] = self.picture
        for ending, text in contents.items():
            write_file(folder / f"{name}.{ending}", text)


def plain_rows(rows: Sequence[Mapping[str, Cell]]) -> list[dict[str, Any]]:
    """Rows for JSON: an interval is a dictionary, NaN is `None`."""
    return [{column: _plain(cell) for column, cell in row.items()} for row in rows]


def _columns(rows: Sequence[Mapping[str, Cell]]) -> list[str]:
    """Names of the columns, in the order in which rows name them."""
    return list(dict.fromkeys(column for row in rows for column in row))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _shown(column: str, cell: Cell, form: str) -> str:
    """A cell for readers: digits as the column has them, thousands apart, and small p-values as a bound."""
    if cell is None or (isinstance(cell, float) and np.isnan(cell)):
        return ""
    if isinstance(cell, MetricInterval):
        return _shown_interval(cell, form)
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return "<0.001" if cell < 0.001 and (column == "p" or column.startswith("p ")) else format(cell, form)
    return str(cell)


def _shown_interval(interval: MetricInterval, form: str) -> str:
    if interval.value is None:
        return "undefined"
    if interval.low is None or interval.high is None:
        return f"{interval.value:{form}} (no interval)"
    return f"{interval.value:{form}} ({interval.low:{form}} to {interval.high:{form}})"


def _plain(cell: Cell) -> Any:
    if isinstance(cell, MetricInterval):
        return cell.to_dict()
    return None if isinstance(cell, float) and np.isnan(cell) else cell


def _cell(value: Any) -> Cell:
    if isinstance(value, dict):
        return MetricInterval(**value)
    found: Cell = value
    return found


def _numbers(cell: Cell, *, wide: bool) -> list[Any]:
    if isinstance(cell, MetricInterval):
        return [cell.value, cell.low, cell.high]
    plain = _plain(cell)
    return [plain, None, None] if wide else [plain]
