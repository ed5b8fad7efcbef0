"""Tasks that run in this process, one after the other: what Spark is asked for, without Spark."""

import contextlib
import pickle
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.spark import SparkTasks


class TasksHere(SparkTasks):
    """Runs tasks as Spark does: what goes to a task and comes back is pickled, and pieces arrive in another order.

    With several `attempts` a task is run again when it has ended, as if its executor had died before it could say so.
    """

    def __init__(self, attempts: int = 1) -> None:
        self.attempts = attempts

    def run(self, function: Any, items: Sequence[Any]) -> Iterator[Any]:
        for item in items:
            with _elsewhere():
                answer = _travel(_travel(function)(_travel(item)))
            yield answer

    def exchange(self, cut: Any, items: Sequence[Any], take: Any, num_places: int) -> Iterator[Any]:
        places: list[list[bytes]] = [[] for _ in range(num_places)]
        for item in items:
            with _elsewhere():
                for place, piece in _travel(cut)(_travel(item)):
                    places[place].insert(0, piece)
        for number, pieces in enumerate(places):
            with _elsewhere():
                for _ in range(self.attempts):
                    answer = _travel(_travel(take)(number, iter(pieces)))
            yield answer

    def count_keys(self, keys_of: Any, items: Sequence[Any]) -> tuple[pa.Table, pa.Table]:
        keys = pa.Table.from_batches([batch for item in items for batch in _travel(keys_of)(item)])
        of_ids = keys.group_by(["table", "patient"]).aggregate([("num_rows", "sum")]).group_by("table")
        counts = of_ids.aggregate([("num_rows_sum", how) for how in ("sum", "count", "max")])
        extremes = keys.group_by(["table", "claim"]).aggregate([("patient", "min"), ("patient", "max")])
        shared = extremes.filter(pc.less(extremes["patient_min"], extremes["patient_max"]))
        return counts.rename_columns(["table", "total", "ids", "most"]), shared


def _elsewhere() -> AbstractContextManager[None]:
    """The folder that a process of an executor stands in, which is not that of the driver."""
    return contextlib.chdir(tempfile.gettempdir())


def _travel(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))
