"""Silence for fits that are one of hundreds: their progress is the bar of the benchmark."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back bars and reports of transformers and datasets: that a classifier begins without weights is no news.

    Yields:
        Nothing.

    Examples:
        >>> with quiet():
        ...     pass
    """
    import datasets
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    data_bars = datasets.are_progress_bars_disabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
        if not data_bars:
            datasets.enable_progress_bars()
