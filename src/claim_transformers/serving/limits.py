"""A bounded number of requests at a time: what cannot be held is told so at once, and what was taken is finished."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

from claim_transformers.serving.errors import ServiceError

_RETRY_SECONDS = 1
_Result = TypeVar("_Result")


class Gate:
    """Room for requests: `concurrency` that work at a time, and `waiting` behind them.

    A request holds a place from before its body is read until it is answered, which bounds the memory.
    """

    def __init__(self, concurrency: int, waiting: int) -> None:
        self._places, self._taken = concurrency + waiting, 0
        # Models and parsers block; they never run on the loop that answers who is told to wait.
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="assess")

    async def __aenter__(self) -> None:
        if self._taken >= self._places:
            raise ServiceError(
                503, "E_BUSY", "expected a free place, found all of them taken: ask again", retry_after=_RETRY_SECONDS
            )
        self._taken += 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._taken -= 1

    async def run(self, work: Callable[[], _Result]) -> _Result:
        """Do blocking work in a thread of the gate."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Wait until all work is done."""
        self._threads.shutdown(wait=True)
