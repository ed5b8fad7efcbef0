"""Tables whose rows are settings rather than models: training sizes, heads, layers, ablations."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from claim_transformers.training.bootstrap import MetricInterval
from reproduction.engine.steps import write_whole

Cell = str | int | float | MetricInterval | None


@dataclass(frozen=True)
class RecordTable:
    """Rows of plain values and intervals.

    Args:
        title (`str`): Heading.
        rows (`list[dict]`): Each row maps the name of a column to a text, a number, an interval or nothing.
        notes (`list[str]`, *optional*): Sentences below the table.
        picture (`str`, *optional*): SVG that belongs to the table.

    Examples:
        >>> table = RecordTable("Sizes", [{"patients": 100, "gain": MetricInterval(0.1, 0.05, 0.15, 9, 9)}])
        >>> print(table.to_markdown("sizes").splitlines()[-1])
        | 100 | 0.100 (0.050 to 0.150) |
        >>> print(table.to_csv().splitlines()[-1])
        100,0.1,0.05,0.15
    """

    title: str
    rows: Sequence[Mapping[str, Cell]]
    notes: Sequence[str] = ()
    picture: str | None = None

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in the order in which rows name them."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def to_markdown(self, name: str) -> str:
        """The table as Markdown.

        Args:
            name (`str`): File name of the picture without ending.

        Returns:
            `str`: Text that ends with a line feed.
        """
        columns = self.columns
        lines = [f"# {self.title}", ""]
        lines += [f"![{self.title}]({name}.svg)", ""] if self.picture else []
        lines += [_line(columns), _line(["---"] * len(columns))]
        lines += [_line([_text(row.get(column)) for column in columns]) for row in self.rows]
        return "\n".join([*lines, *(f"\n{note}" for note in self.notes)]) + "\n"

    def to_csv(self) -> str:
        """The table as CSV; an interval takes three columns.

        Returns:
            `str`: One line per row.
        """
        wide = {column for row in self.rows for column, cell in row.items() if isinstance(cell, MetricInterval)}
        header = [
            part
            for column in self.columns
            for part in ([column, f"{column} low", f"{column} high"] if column in wide else [column])
        ]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        for row in self.rows:
            cells: list[str | int | float | None] = []
            for column in self.columns:
                cell = row.get(column)
                if isinstance(cell, MetricInterval):
                    cells += [cell.value, cell.low, cell.high]
                else:
                    cells += [cell, None, None] if column in wide else [cell]
            writer.writerow(cells)
        return text.getvalue()

    def save(self, folder: str | Path, name: str) -> None:
        """Write `name.md`, `name.json`, `name.csv` and, with a picture, `name.svg`.

        Args:
            folder (`str` or `Path`): Where to.
            name (`str`): File name without ending.
        """
        rows = [
            {column: cell.to_dict() if isinstance(cell, MetricInterval) else cell for column, cell in row.items()}
            for row in self.rows
        ]
        content = {"title": self.title, "rows": rows, "notes": list(self.notes)}
        write_whole(Path(folder) / f"{name}.md", self.to_markdown(name))
        write_whole(Path(folder) / f"{name}.json", json.dumps(content, indent=1) + "\n")
        write_whole(Path(folder) / f"{name}.csv", self.to_csv())
        if self.picture is not None:
            write_whole(Path(folder) / f"{name}.svg", self.picture)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, MetricInterval):
        return "undefined" if cell.value is None else str(cell)
    if isinstance(cell, float):
        return f"{cell:.3f}"
    return f"{cell:,}" if isinstance(cell, int) else cell
