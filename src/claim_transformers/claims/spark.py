"""Spark: a session, and functions of ours that run in its tasks, each over rows that fit one executor.

What is computed is computed by the functions of one machine; Spark says where, moves rows between them and runs what
was killed again. A task that fails by bad claims says so once, in the words of one machine, and is not tried again.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from claim_transformers.codes.errors import ClaimDataError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_KEYS = "table string, claim long, patient long, num_rows long"
_DONE, _REFUSED = "done", "refused"
# Tried for each partition: numbers that Spark's hash spreads over all of them.
_TRIES = 64
_ROWS_PER_BATCH = "spark.sql.execution.arrow.maxRecordsPerBatch"


def open_spark(address: str | None = None) -> SparkSession:
    """Open a session of Spark 4.

    Args:
        address (`str`, *optional*): Of a server of Spark Connect (`sc://host:15002`), or a master (`yarn`,
            `spark://host:7077`, `local[4]`). Without it the session that is active, else the server that
            `SPARK_REMOTE` names, else what the configuration of Spark says.

    Returns:
        `SparkSession`: The session; whoever opened it stops it.

    Raises:
        ClaimDataError: `E_SPARK`, if pyspark is not installed or no session opens.

    Examples:
        >>> open_spark("http://localhost")
        Traceback (most recent call last):
            ...
        claim_transformers.codes.errors.ClaimDataError: E_SPARK: expected sc://HOST:PORT, spark://HOST:PORT, yarn, ...
    """
    if address is not None and not address.startswith(("sc://", "spark://", "k8s://", "yarn", "local")):
        raise ClaimDataError("E_SPARK", "expected sc://HOST:PORT, spark://HOST:PORT, yarn, k8s://URL or local[N]")
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise ClaimDataError(
            "E_SPARK", "expected pyspark 4, found none: pip install 'claim-transformers[spark]', and Java 17"
        ) from error
    builder = SparkSession.builder.appName("claim-transformers")
    if address is not None and address.startswith("sc://"):
        builder = builder.remote(address)
    elif address is not None:
        builder = builder.master(address)
    elif not os.environ.get("SPARK_REMOTE") and (active := SparkSession.getActiveSession()) is not None:
        return active
    try:
        return builder.getOrCreate()
    # Spark has several families of errors, none of which is a Python one.
    except Exception as error:  # noqa: BLE001
        raise ClaimDataError(
            "E_SPARK", f"expected a session of Spark, found {type(error).__name__}: is Java 17 there, and the server?"
        ) from None


class SparkTasks:
    """Tasks of a session.

    Args:
        session (`SparkSession`): The session.

    Examples:
        >>> list(SparkTasks(None).run(len, []))
        []
    """

    def __init__(self, session: SparkSession) -> None:
        self.session = session

    def run(self, function: Callable[[_Item], _Result], items: Sequence[_Item]) -> Iterator[_Result]:
        """Run a function over items, each in a task of its own.

        Args:
            function (`Callable`): What each task does; what it writes must be the same if it is tried again.
            items (`Sequence`): What it does it with.

        Yields:
            What the function gave, in the order of the items.

        Raises:
            ClaimDataError: The first that a task raised, or `E_SPARK` if Spark gave up on one.
        """
        if items:
            answers = self._numbers(items).mapInArrow(_Task(function, items), "number long, answer binary")
            yield from map(_open, _sorted_rows(answers, "number")["answer"].to_pylist())

    def exchange(
        self,
        cut: Callable[[_Item], Iterable[tuple[int, bytes]]],
        items: Sequence[_Item],
        take: Callable[[int, Iterator[bytes]], _Result],
        num_places: int,
    ) -> Iterator[_Result]:
        """Cut items into what goes to each place, and let one task for each place take what came for it.

        Args:
            cut (`Callable`): Gives place (from 0) and content of each piece of an item.
            items (`Sequence`): The items.
            take (`Callable`): Gets the number of a place and its pieces, in any order; a place may get none.
            num_places (`int`): Number of places.

        Yields:
            What `take` gave for each place.

        Raises:
            ClaimDataError: The first that a task raised, or `E_SPARK` if Spark gave up on one.
        """
        keys = _keys_of_partitions(self.session, num_places)
        pieces = self._numbers(items).mapInArrow(_Cut(cut, items, keys), "key long, piece binary, answer binary")
        taken = pieces.repartition(num_places, "key").mapInArrow(_Take(take), "number long, answer binary")
        with _one_row_a_batch(self.session):
            answers = _sorted_rows(taken, "number")["answer"].to_pylist()
        yield from map(_open, answers)

    def count_keys(
        self, keys_of: Callable[[_Item], Iterable[pa.RecordBatch]], items: Sequence[_Item]
    ) -> tuple[pa.Table, pa.Table]:
        """Count the rows of patients, and find the claims of several, over the keys of all items.

        Args:
            keys_of (`Callable`): Gives `table`, `claim`, `patient` (hashes) and `num_rows` of an item.
            items (`Sequence`): The items.

        Returns:
            `tuple[pa.Table, pa.Table]`: `table`, `total`, `ids` and `most` rows of one; `table` and `claim`.
        """
        from pyspark.sql import functions as sql

        keys = self._numbers(items).mapInArrow(_Rows(keys_of, items), _KEYS).persist()
        of_ids = keys.groupBy("table", "patient").agg(sql.sum("num_rows").alias("n"))
        sums = sql.sum("n").alias("total"), sql.count("n").alias("ids"), sql.max("n").alias("most")
        extremes = sql.min("patient").alias("lowest"), sql.max("patient").alias("highest")
        shared = keys.groupBy("table", "claim").agg(*extremes).where("lowest < highest").select("table", "claim")
        try:
            return _sorted_rows(of_ids.groupBy("table").agg(*sums), "table"), _sorted_rows(shared, "table")
        finally:
            keys.unpersist()

    def _numbers(self, items: Sequence[Any]) -> DataFrame:
        """The numbers of items, each in a partition of its own."""
        return self.session.range(0, len(items), 1, max(1, len(items)))


@contextmanager
def _one_row_a_batch(session: SparkSession) -> Iterator[None]:
    """Hand pieces to a task one by one, because they are large."""
    before = session.conf.get(_ROWS_PER_BATCH)
    session.conf.set(_ROWS_PER_BATCH, "1")
    try:
        yield
    finally:
        session.conf.set(_ROWS_PER_BATCH, before)


def _sorted_rows(frame: DataFrame, column: str) -> pa.Table:
    """Execute a frame and give its few rows, sorted."""
    try:
        rows = frame.toArrow()
    # Its errors quote the traceback of the task, in which a row may stand.
    except Exception as error:  # noqa: BLE001
        raise ClaimDataError(
            "E_SPARK", f"expected every task to end well, found {type(error).__name__}: the log of Spark says of which"
        ) from None
    return rows.sort_by([(column, "ascending")])


class _Task:
    """The function of a task over the numbers of its items."""

    def __init__(self, function: Callable[[Any], Any], items: Sequence[Any]) -> None:
        self.function, self.items = function, items

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number in _numbers(batches):
            answer = _try(lambda number=number: self.function(self.items[number]))  # type: ignore[misc]
            yield pa.RecordBatch.from_pydict({"number": [number], "answer": [answer]})


class _Rows:
    """The rows of a task."""

    def __init__(self, function: Callable[[Any], Iterable[pa.RecordBatch]], items: Sequence[Any]) -> None:
        self.function, self.items = function, items

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number in _numbers(batches):
            yield from self.function(self.items[number])


class _Cut:
    """The pieces of a task, each with the key of its place."""

    def __init__(self, cut: Callable[[Any], Any], items: Sequence[Any], keys: Sequence[int]) -> None:
        self.cut, self.items, self.keys = cut, items, keys

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number in _numbers(batches):
            try:
                for place, piece in self.cut(self.items[number]):
                    yield _piece(self.keys[place], piece, None)
            except ClaimDataError as error:
                yield _piece(self.keys[0], None, pickle.dumps((_REFUSED, error.args)))


def _piece(key: int, piece: bytes | None, answer: bytes | None) -> pa.RecordBatch:
    types = pa.schema([("key", pa.int64()), ("piece", pa.binary()), ("answer", pa.binary())])
    return pa.RecordBatch.from_pydict({"key": [key], "piece": [piece], "answer": [answer]}, schema=types)


class _Take:
    """What a task does with the pieces of its place."""

    def __init__(self, take: Callable[[int, Iterator[bytes]], Any]) -> None:
        self.take = take

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        number = 0 if context is None else context.partitionId()
        answer = _try(lambda: self.take(number, _pieces(batches)))
        yield pa.RecordBatch.from_pydict({"number": [number], "answer": [answer]})


def _pieces(batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    for batch in batches:
        for piece, answer in zip(batch["piece"], batch["answer"], strict=True):
            if answer.is_valid:
                _open(answer.as_py())
            yield piece.as_py()


def _numbers(batches: Iterator[pa.RecordBatch]) -> Iterator[int]:
    for batch in batches:
        yield from batch["id"].to_pylist()


def _try(function: Callable[[], Any]) -> bytes:
    """What a function gave, or the error of bad claims, as bytes."""
    try:
        return pickle.dumps((_DONE, function()))
    except ClaimDataError as error:
        return pickle.dumps((_REFUSED, error.args))


def _open(answer: bytes) -> Any:
    verdict, content = pickle.loads(answer)
    if verdict == _REFUSED:
        raise ClaimDataError(*content)
    return content


def _keys_of_partitions(session: SparkSession, number: int) -> list[int]:
    """For each partition a key that Spark's hash sends there, so that one has the pieces of one place alone."""
    from pyspark.sql import functions as sql

    tried = session.range(0, _TRIES * number, 1, 1).select("id", sql.expr(f"pmod(hash(id), {number})").alias("place"))
    rows = _sorted_rows(tried.groupBy("place").agg(sql.min("id").alias("key")), "place")
    if rows.num_rows < number:
        raise ClaimDataError("E_SPARK", f"expected keys for {number} partitions, found {rows.num_rows}: take fewer")
    keys: list[int] = rows["key"].to_pylist()
    return keys
