import os
import signal
import threading

import pytest

from claim_transformers.training.stop_signals import StopSignals


@pytest.fixture(autouse=True)
def _restored():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_noted_and_handlers_come_back(number):
    before, signals = signal.getsignal(number), StopSignals()
    with signals.listen():
        assert signals.came is None
        os.kill(os.getpid(), number)
        assert signals.came == number
    assert signal.getsignal(number) == before
    with signals.listen():
        assert signals.came is None


def test_a_second_interrupt_interrupts_and_a_second_sigterm_does_not():
    signals = StopSignals()
    with signals.listen():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.came == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_thread_listens_to_nothing_and_fails_at_nothing():
    found, signals = [], StopSignals()

    def listen():
        with signals.listen():
            found.append(signals.came)

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert found == [None]


def test_workers_that_a_signal_ends_too_interrupt_nothing():
    class EndedError(Exception):
        pass

    def raise_at_any_place(number, frame):
        raise EndedError

    # As the data loader of torch does.
    signal.signal(signal.SIGCHLD, raise_at_any_place)
    with StopSignals().listen():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGCHLD)
