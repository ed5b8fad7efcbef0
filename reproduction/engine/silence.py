"""Silence for fits that are one of hundreds: their progress is the bar of the benchmark."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import Trainer


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


def print_nothing(trainer: "Trainer") -> None:
    """Keep a trainer from printing a line per log.

    Args:
        trainer (`Trainer`): Any; changed in place.
    """
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
