"""Signals that ask a run to stop: it ends the step under way, saves, and says by its exit code why it ended."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Whether SIGTERM or SIGINT came while somebody listened; a second SIGINT interrupts as ever."""

    def __init__(self) -> None:
        self.came: signal.Signals | None = None

    @contextmanager
    def listen(self) -> Iterator[None]:
        """Take both signals until the block ends; only the main thread of a process can."""
        self.came = None
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.came is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        # A signal to the whole group ends the workers of data loaders too, which would raise in the middle of a step;
        # without this handler of torch it is noticed where the next batch is fetched.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.came = self.came or signal.Signals(number)
