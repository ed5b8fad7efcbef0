"""A process of its own for the client, which reads the address of its hub once, at import."""

import importlib
import multiprocessing
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager


@contextmanager
def client_process(environment: Mapping[str, str]) -> Iterator[ProcessPoolExecutor]:
    """A pool of one process that was started under an environment."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as pool:
        before = dict(os.environ)
        os.environ.update(environment)
        try:
            # The process starts, and copies the environment, at the first task.
            pool.submit(os.getpid).result()
        finally:
            os.environ.clear()
            os.environ.update(before)
        yield pool


def run_step(name: str, args: tuple[object, ...], options: dict[str, object]) -> object:
    """Run one function of `hub_client` in the process."""
    steps = importlib.import_module("hub.hub_client")
    steps.write_waits_down()
    return getattr(steps, name)(*args, **options)
