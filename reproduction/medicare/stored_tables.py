"""Audit tables as steps: made once, and read back with their intervals."""

from collections.abc import Callable, Mapping
from typing import Any

from claim_transformers.analysis.result_table import ResultTable, plain_rows
from reproduction.engine.steps import Workspace

Tables = dict[str, ResultTable]


def stored_tables(
    workspace: Workspace, name: str, parameters: Mapping[str, Any], make: Callable[[], Mapping[str, ResultTable]]
) -> Tables:
    """Make tables once, and read them ever after.

    Args:
        workspace ([`Workspace`]): Where steps are kept.
        name (`str`): Name of the step.
        parameters (`dict`): Everything that the tables depend on.
        make (`Callable`): Gives the tables by file name.

    Returns:
        `dict[str, ResultTable]`: The tables as JSON gives them back.

    Raises:
        ValueError: As [`Workspace.step`].

    Examples:
        >>> import tempfile
        >>> from claim_transformers.training import MetricInterval
        >>> area = MetricInterval(0.7, 0.6, 0.8, clusters=90, replicates=1000)
        >>> made = {"areas": ResultTable("Areas", [{"model": "LR", "AUROC": area}])}
        >>> workspace = Workspace(tempfile.mkdtemp())
        >>> str(stored_tables(workspace, "areas", {}, lambda: made)["areas"].rows[0]["AUROC"])
        '0.700 (0.600 to 0.800)'
    """
    step = workspace.step(name, parameters, lambda: {table: _plain(found) for table, found in make().items()})
    return {table: _read(content) for table, content in step.value.items()}


def _plain(table: ResultTable) -> dict[str, Any]:
    # Lists, because JSON does not keep the order of keys that a digest sorts.
    columns = list(table.rows[0]) if table.rows else []
    return {
        "title": table.title,
        "columns": columns,
        "rows": [[row[column] for column in columns] for row in plain_rows(table.rows)],
        "notes": list(table.notes),
        "hidden": list(table.hidden),
    }


def _read(content: Mapping[str, Any]) -> ResultTable:
    rows = [dict(zip(content["columns"], values, strict=True)) for values in content["rows"]]
    return ResultTable.from_dict({**content, "rows": rows}, hidden=content["hidden"])
