"""Spark: a session, and functions of ours that run in its tasks, each over rows that fit one executor.

What is computed is computed by the functions of one machine; Spark says where, moves rows between them and runs what
was killed again. A task that fails by bad claims says so once, in the words of one machine, and is not tried again.
"""

from __future__ import annotations

import os
import pickle
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from claim_transformers.codes.errors import ClaimDataError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_ADDRESS = re.compile(r"(sc|spark|k8s)://.+|yarn|local(\[.+\])?")
_KEYS = "table string, claim long, patient long, num_rows long"
_ANSWERS = "number long, answer binary"
_PIECES = pa.schema([("key", pa.int64()), ("piece", pa.binary()), ("refusal", pa.binary())])
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
        claim_transformers.codes.errors.ClaimDataError: E_SPARK: expected sc://HOST:PORT, spark://HOST:PORT, yarn, ...
    """
    if address is not None and not _ADDRESS.fullmatch(address):
        raise ClaimDataError("E_SPARK", "expected sc://HOST:PORT, spark://HOST:PORT, yarn, k8s://URL or local[N]")
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise ClaimDataError(
            "E_SPARK", "expected pyspark 4, found none: pip install 'claim-transformers[spark]', and Java 17"
        ) from error
    builder = SparkSession.builder.appName("claim-transformers")
    if address is not None:
        builder = builder.remote(address) if address.startswith("sc://") else builder.master(address)
    elif not os.environ.get("SPARK_REMOTE") and (active := SparkSession.getActiveSession()) is not None:
        return active
    if "SPARK_HOME" not in os.environ and (address or "local").startswith("local"):
        # Spark would start the first `python3` of the path, which need not be the one that this package is in.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    with _errors_of_spark("a session of Spark", "is Java 17 there, and the server?"):
        return builder.getOrCreate()


class SparkTasks:
    """Tasks of a session: what they raise of bad claims is raised here, and `E_SPARK` where Spark gives up on one.

    Args:
        session (`SparkSession`): The session.

    Examples:
        >>> list(SparkTasks(None).run(len, []))
        []
    """

    def __init__(self, session: SparkSession) -> None:
        self.session = session
        self._keys: dict[int, list[int]] = {}

    def run(self, function: Callable[[_Item], _Result], items: Sequence[_Item]) -> Iterator[_Result]:
        """Run a function over items, each in a task of its own, and give what it gave in their order.

        What the function writes must be the same if it is tried again.
        """

        def task(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
            for number in _numbers(batches):
                yield _answer(number, lambda number=number: function(items[number]))  # type: ignore[misc]

        if items:
            yield from _open_answers(self._numbered(items).mapInArrow(task, _ANSWERS))

    def exchange(
        self,
        cut: Callable[[_Item], Iterable[tuple[int, bytes]]],
        items: Sequence[_Item],
        take: Callable[[int, Iterator[bytes]], _Result],
        num_places: int,
    ) -> Iterator[_Result]:
        """Cut items into pieces for places, and let one task for each place take what came for it, in any order."""
        keys = self._keys_of_partitions(num_places)

        def cut_items(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
            for number in _numbers(batches):
                try:
                    for place, piece in cut(items[number]):
                        yield _piece(keys[place], piece, None)
                except ClaimDataError as error:
                    yield _piece(keys[0], None, pickle.dumps((_REFUSED, error.args)))

        def take_pieces(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
            from pyspark import TaskContext

            context = TaskContext.get()
            number = 0 if context is None else context.partitionId()
            yield _answer(number, lambda: take(number, _pieces(batches)))

        pieces = self._numbered(items).mapInArrow(cut_items, "key long, piece binary, refusal binary")
        conf = self.session.conf
        before = conf.getAll.get(_ROWS_PER_BATCH)
        # Pieces are handed to a task one by one, because they are large. Spark Connect has no second session for it.
        conf.set(_ROWS_PER_BATCH, "1")
        try:
            answers = list(_open_answers(pieces.repartition(num_places, "key").mapInArrow(take_pieces, _ANSWERS)))
        finally:
            conf.unset(_ROWS_PER_BATCH) if before is None else conf.set(_ROWS_PER_BATCH, before)
        yield from answers

    def count_keys(
        self, keys_of: Callable[[_Item], Iterable[pa.RecordBatch]], items: Sequence[_Item]
    ) -> tuple[pa.Table, pa.Table]:
        """Count rows by patient, and find claims of several, where `keys_of` gives the hashes of an item's rows.

        The tables have `table`, `total` rows, `ids` and `most` rows of one; `table` and `claim`.
        """
        from pyspark.sql import functions as sql

        def rows(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
            for number in _numbers(batches):
                yield from keys_of(items[number])

        keys = self._numbered(items).mapInArrow(rows, _KEYS).persist()
        of_ids = keys.groupBy("table", "patient").agg(sql.sum("num_rows").alias("n"))
        sums = sql.sum("n").alias("total"), sql.count("n").alias("ids"), sql.max("n").alias("most")
        extremes = sql.min("patient").alias("lowest"), sql.max("patient").alias("highest")
        shared = keys.groupBy("table", "claim").agg(*extremes).where("lowest < highest").select("table", "claim")
        try:
            return _rows_of(of_ids.groupBy("table").agg(*sums)), _rows_of(shared)
        finally:
            keys.unpersist()

    def _numbered(self, items: Sequence[Any]) -> DataFrame:
        """The numbers of items, each in a partition of its own."""
        return self.session.range(0, len(items), 1, max(1, len(items)))

    def _keys_of_partitions(self, number: int) -> list[int]:
        """For each partition a key that Spark's hash sends there, so that one has the pieces of one place alone."""
        if number not in self._keys:
            tried = self.session.range(0, _TRIES * number, 1, 1).selectExpr("id", f"pmod(hash(id), {number}) AS place")
            places = _rows_of(tried)["place"].to_pylist()
            first = {place: key for key, place in reversed(list(enumerate(places)))}
            if len(first) < number:
                raise ClaimDataError("E_SPARK", f"expected keys for {number} parts, found {len(first)}: take fewer")
            self._keys[number] = [first[place] for place in range(number)]
        return self._keys[number]


def _rows_of(frame: DataFrame) -> pa.Table:
    """Execute a frame and give its few rows."""
    with _errors_of_spark("every task to end well", "the log of Spark says of which"):
        return frame.toArrow()


@contextmanager
def _errors_of_spark(expected: str, cure: str) -> Iterator[None]:
    """Raise what Spark raises as `E_SPARK`, without its words: they quote the traceback of a task, with rows in it."""
    try:
        yield
    # Around calls of Spark alone, whose errors are of pyspark, py4j, sockets, Arrow and, of a server, grpc: they have
    # nothing in common, and not all are installed.
    except Exception as error:  # noqa: BLE001
        raise ClaimDataError("E_SPARK", f"expected {expected}, found {type(error).__name__}: {cure}") from None


def _numbers(batches: Iterable[pa.RecordBatch]) -> Iterator[int]:
    for batch in batches:
        yield from batch["id"].to_pylist()


def _answer(number: int, function: Callable[[], Any]) -> pa.RecordBatch:
    """What a function gave, or the error of bad claims, as a row."""
    try:
        answer = _DONE, function()
    except ClaimDataError as error:
        answer = _REFUSED, error.args
    return pa.RecordBatch.from_pydict({"number": [number], "answer": [pickle.dumps(answer)]})


def _open_answers(frame: DataFrame) -> Iterator[Any]:
    for answer in _rows_of(frame).sort_by("number")["answer"].to_pylist():
        yield _open(answer)


def _open(answer: bytes) -> Any:
    verdict, content = pickle.loads(answer)
    if verdict == _REFUSED:
        raise ClaimDataError(*content)
    return content


def _piece(key: int, piece: bytes | None, refusal: bytes | None) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"key": [key], "piece": [piece], "refusal": [refusal]}, schema=_PIECES)


def _pieces(batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    for batch in batches:
        for piece, refusal in zip(batch["piece"], batch["refusal"], strict=True):
            if refusal.is_valid:
                _open(refusal.as_py())
            yield piece.as_py()
